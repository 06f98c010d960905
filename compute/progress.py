"""How far the work on an order is, as its buyer may see it: coarse steps that change on ticks.

A step names what the worker does; while it sums, so many of the planned partitions are done. How
many are planned follows from the query alone, never from data or from who matched. What is told is
what stood at the last clock tick, so that it says no more about time than an answer does.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Step: TypeAlias = Literal["planned", "opening", "summing", "waiting"]
Tick: TypeAlias = Callable[[], None]
PARTS: Final = 4  # partitions a pass over the cohort is planned in


@dataclass(frozen=True, slots=True)
class Progress:
    """A step, and how many of the planned partitions are summed (0 of 0 in other steps)."""

    step: Step = "planned"
    done: int = 0
    total: int = 0


class OnTicks:
    """Keeps how far the work is and shows what stood at the last tick; for several threads.

    clock: Unix ms; tick_ms 0: there are no ticks, and the newest is shown at once.
    """

    def __init__(self, clock: Callable[[], int], tick_ms: int) -> None:
        self._clock, self._tick_ms = clock, tick_ms
        self._lock = threading.Lock()
        self._newest = self._shown = Progress()
        self._at = self._tick()

    def note(self, progress: Progress) -> None:
        """Say how far the work is now."""
        with self._lock:
            self._turn()
            self._newest = progress

    def shown(self) -> Progress:
        """Return how far the work was at the last tick."""
        with self._lock:
            self._turn()
            return self._shown if self._tick_ms else self._newest

    def _turn(self) -> None:
        now = self._tick()
        if now != self._at:
            self._at, self._shown = now, self._newest

    def _tick(self) -> int:
        return self._clock() // self._tick_ms if self._tick_ms else 0


class Pace:
    """Called for each person of each pass over a cohort: stops the job, or counts it.

    passes: how many are planned; told: called with (done, total) partitions as they get done.
    """

    def __init__(self, passes: int, tick: Tick, told: Callable[[int, int], None]) -> None:
        self._tick, self._told = tick, told
        self._passes, self._pass = passes, -1
        self._calls, self._expected = 0, 1
        told(0, passes * PARTS)

    def begin(self, calls: int) -> None:
        """Begin the next pass; calls: how often it will call."""
        self._pass = min(self._pass + 1, self._passes - 1)
        self._calls, self._expected = 0, max(calls, 1)

    def __call__(self) -> None:
        """Let the job be stopped, then count."""
        self._tick()
        before = PARTS * self._calls // self._expected
        self._calls = min(self._calls + 1, self._expected)
        part = PARTS * self._calls // self._expected
        if part != before:
            self._told(max(self._pass, 0) * PARTS + part, self._passes * PARTS)
