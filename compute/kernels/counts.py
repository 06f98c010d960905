"""Genotype counts by carry-save addition: planes into vertical counters (Harley-Seal).

A counter holds, for each row, a nine-bit number spread over nine planes; sixteen people are added
at a time, and the planes are emptied into int32 before any can overflow.
"""

from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.kernels.engine import engine_for
from compute.kernels.planes import Words, words_of

Counts: TypeAlias = npt.NDArray[np.int64]
GROUP: Final = 16
_PLANES: Final = 9
_FULL: Final = (1 << _PLANES) - 1


class CodeCounter:
    """Counts, over people, of lo, hi and both: three numbers a row.

    most: how many people `room` makes room for at most.
    """

    most: Final = _FULL

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.people = 0
        self._held = 0
        self._counter = np.zeros((3, _PLANES, words_of(rows)), np.uint64)
        self._counts = np.zeros((3, words_of(rows) * 64), np.int32)

    def add(self, planes: Words) -> None:
        """Add people: uint64 (people, 2, words)."""
        left = len(planes)
        for group in _groups(planes):  # the last is filled up with nobody
            engine_for(32 * group.size).add_codes(group, self.room(min(left, len(group))))
            left -= len(group)

    def room(self, people: int) -> Words:
        """Return the planes of the counter, (3, 9, words), for the caller to add `people` to."""
        if self._held + people > self.most:
            self._flush()
        self._held += people
        self.people += people
        return self._counter

    def merge(self, other: Self) -> None:
        """Add another counter's people, of the same rows."""
        self._flush()
        other._flush()
        self._counts += other._counts
        self.people += other.people

    def counts(self, out: Counts | None = None) -> Counts:
        """Return int64 (3, rows): one copy, two copies, without a call (haploid calls as coded).

        Written into `out` where it is given.
        """
        self._flush()
        found = np.empty((3, self.rows), np.int64) if out is None else out
        low, high, both = self._counts[:, : self.rows]
        np.subtract(low, both, out=found[0])
        np.subtract(high, both, out=found[1])
        found[2] = both
        return found

    def _flush(self) -> None:
        if self._held:
            engine_for(self._counts.size).flush(self._counter, self._counts)
            self._held = 0


class BitCounter:
    """Counts, over people, of one plane: how many have the bit, a number a row."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.used = False  # whether anybody was added
        self._held = 0
        self._counter = np.zeros((1, _PLANES, words_of(rows)), np.uint64)
        self._counts = np.zeros((1, words_of(rows) * 64), np.int32)

    def add(self, planes: Words) -> None:
        """Add people: uint64 (people, words)."""
        for group in _groups(planes):
            self.used = True
            if self._held + len(group) > _FULL:
                self._flush()
            self._held += len(group)
            engine_for(64 * group.size).add_bits(group, self._counter[0])

    def merge(self, other: Self) -> None:
        """Add another counter's people, of the same rows."""
        if not other.used:
            return
        self.used = True
        self._flush()
        other._flush()
        self._counts += other._counts

    def counts(self, out: Counts | None = None) -> Counts:
        """Return int64 (rows,), written into `out` where it is given."""
        self._flush()
        found = np.empty(self.rows, np.int64) if out is None else out
        found[:] = self._counts[0, : self.rows] if self.used else 0
        return found

    def _flush(self) -> None:
        if self._held:
            engine_for(self._counts.size).flush(self._counter, self._counts)
            self._held = 0


def _groups(planes: Words) -> list[Words]:
    """Split people into runs of at most 496, each filled with empty ones to a multiple of 16."""
    most = _FULL // GROUP * GROUP
    whole = len(planes) // GROUP * GROUP
    parts = [planes[at : min(at + most, whole)] for at in range(0, whole, most)]
    if whole < len(planes):
        last = np.zeros((GROUP, *planes.shape[1:]), np.uint64)
        last[: len(planes) - whole] = planes[whole:]
        parts.append(last)
    return [np.ascontiguousarray(part) for part in parts]
