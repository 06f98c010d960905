"""How far the work on an order is, as its buyer may see it: coarse steps that change on ticks.

A step names what the worker does; while it sums, so many of the planned partitions are done. How
many are planned follows from public quantities (`compute.partitions`), never from data or from who
matched. What is told is what stood at the last clock tick, so that it says no more about time than
an answer does.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Step: TypeAlias = Literal["planned", "opening", "summing", "waiting"]
Tick: TypeAlias = Callable[[], None]


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
    """Called for each person of each pass over a cohort: stops the job; counts planned partitions.

    total: how many are planned; told: called with (done, total) as they get done.
    """

    def __init__(self, total: int, tick: Tick, told: Callable[[int, int], None]) -> None:
        self._total, self._tick, self._told = total, tick, told
        self._done = 0
        told(0, total)

    def __call__(self) -> None:
        """Let the job be stopped."""
        self._tick()

    def done(self) -> None:
        """Count a partition, whoever summed it."""
        self._done = min(self._done + 1, self._total)
        self._told(self._done, self._total)
