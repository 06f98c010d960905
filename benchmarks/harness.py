"""What every benchmark shares: a figure beside its target and its limit, a table, a JSON file.

A limit is the same work without us, measured in the same run on the same machine: a figure says
little alone, and much beside its limit.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured value. at_least: whether more is better; limit: the same unit, or None.

    ratio is value / limit where both are rates, limit / value where both are times.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = True
    limit: float | None = None
    limit_name: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        if self.limit is None or not self.limit or not self.value:
            return None
        return self.value / self.limit if self.at_least else self.limit / self.value

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ratio": self.ratio, "met": self.met}


@contextmanager
def timed(seconds: list[float]) -> Iterator[None]:
    """Append how long the block took."""
    start = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - start)


def rate(count: int, work: Callable[[], object], repeat: int = 3) -> float:
    """Return items per second, the median of some runs."""
    seconds: list[float] = []
    for _ in range(repeat):
        with timed(seconds):
            work()
    return count / statistics.median(seconds)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def machine() -> dict[str, Any]:
    """Say where and under what load the figures were taken."""
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def report(figures: Sequence[Figure], path: Path | None, started: dict[str, Any]) -> None:
    """Print the table and write the JSON file."""
    width = max(len(f.name) for f in figures)
    print(f"{'figure':{width}}  {'value':>12} {'target':>12} {'limit':>12} {'ratio':>6}  met")
    for f in figures:
        target = "" if f.target is None else f"{'>=' if f.at_least else '<='} {f.target:,.6g}"
        limit = "" if f.limit is None else f"{f.limit:,.6g}"
        ratio = "" if f.ratio is None else f"{f.ratio:.2f}"
        met = {True: "yes", False: "NO", None: ""}[f.met]
        line = f"{f.name:{width}}  {f.value:>12,.6g} {target:>12} {limit:>12} {ratio:>6}  {met:3}"
        print(f"{line} {f.unit}{'; ' + f.note if f.note else ''}")
    if path is not None:
        machines = {"start": started, "end": machine()}
        value = {"machine": machines, "figures": [f.to_json() for f in figures]}
        path.write_text(json.dumps(value, indent=1) + "\n")
