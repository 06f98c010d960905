"""Genotype counts by carry-save addition: planes into vertical counters (Harley-Seal).

A counter holds, for each row, a nine-bit number spread over nine planes; sixteen people are added
at a time, and the planes are emptied into int32 before any can overflow.
"""

from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.kernels.engine import engine
from compute.kernels.planes import Words, words_of

Counts: TypeAlias = npt.NDArray[np.int64]
_GROUP: Final = 16
_PLANES: Final = 9
_FULL: Final = (1 << _PLANES) - 1


class CodeCounter:
    """Counts, over people, of lo, hi and both: three numbers a row."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.people = 0
        self._held = 0
        self._counter = np.zeros((3, _PLANES, words_of(rows)), np.uint64)
        self._counts = np.zeros((3, words_of(rows) * 64), np.int32)

    def add(self, planes: Words) -> None:
        """Add people: uint64 (people, 2, words)."""
        for group in _groups(planes):
            self._room(len(group))
            engine().add_codes(group, self._counter)
        self.people += len(planes)

    def merge(self, other: Self) -> None:
        """Add another counter's people, of the same rows."""
        self._flush()
        other._flush()
        self._counts += other._counts
        self.people += other.people

    def counts(self) -> Counts:
        """Return int64 (3, rows): one copy, two copies, without a call (haploid calls as coded)."""
        self._flush()
        low, high, both = self._counts[:, : self.rows].astype(np.int64)
        return np.stack([low - both, high - both, both])

    def _room(self, people: int) -> None:
        if self._held + people > _FULL:
            self._flush()
        self._held += people

    def _flush(self) -> None:
        if self._held:
            engine().flush(self._counter, self._counts)
            self._held = 0


class BitCounter:
    """Counts, over people, of one plane: how many have the bit, a number a row."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._held = 0
        self._counter = np.zeros((1, _PLANES, words_of(rows)), np.uint64)
        self._counts = np.zeros((1, words_of(rows) * 64), np.int32)

    def add(self, planes: Words) -> None:
        """Add people: uint64 (people, words)."""
        for group in _groups(planes):
            if self._held + len(group) > _FULL:
                self._flush()
            self._held += len(group)
            engine().add_bits(group, self._counter[0])

    def merge(self, other: Self) -> None:
        """Add another counter's people, of the same rows."""
        self._flush()
        other._flush()
        self._counts += other._counts

    def counts(self) -> Counts:
        """Return int64 (rows,)."""
        self._flush()
        return self._counts[0, : self.rows].astype(np.int64)

    def _flush(self) -> None:
        if self._held:
            engine().flush(self._counter, self._counts)
            self._held = 0


def _groups(planes: Words) -> list[Words]:
    """Split people into runs of at most 496, each filled with empty ones to a multiple of 16."""
    most = _FULL // _GROUP * _GROUP
    whole = len(planes) // _GROUP * _GROUP
    parts = [planes[at : min(at + most, whole)] for at in range(0, whole, most)]
    if whole < len(planes):
        last = np.zeros((_GROUP, *planes.shape[1:]), np.uint64)
        last[: len(planes) - whole] = planes[whole:]
        parts.append(last)
    return [np.ascontiguousarray(part) for part in parts]
