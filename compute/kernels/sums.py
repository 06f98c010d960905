"""Sums over people of values weighed by their genotype, row by row: what regressions are made of.

For a person with value columns a and b, a row gets a where the person has one copy, b where two.
Without a call a person gives nothing here and is summed apart (`absent`), column by column.
"""

from typing import Final, Self

import numpy as np

from compute.kernels.counts import CodeCounter
from compute.kernels.engine import engine_for
from compute.kernels.planes import Words, words_of
from compute.stats import Float64

_COLUMNS: Final = 4


class GenotypeSums:
    """called (K, rows): one, two copies weighed; absent (rows, M): sums over people without a call.

    one, two: (people, K) what each person adds with one and with two copies; absent: (people, M).
    All float64, in the order people will be added.
    """

    def __init__(self, rows: int, one: Float64, two: Float64, absent: Float64) -> None:
        self.rows = rows
        wide = words_of(rows) * 64
        self._absent_values = np.ascontiguousarray(absent)
        # One and two copies set lo or hi; a missing call sets both, and is taken off at the end.
        self._values = _blocked(one, two)
        self._one_two = np.ascontiguousarray(one + two)
        self._columns = one.shape[1]
        self._called = np.zeros((len(self._values), _COLUMNS, wide))
        self._absent = np.zeros((wide, self._one_two.shape[1] + absent.shape[1]))

    def add(self, first: int, planes: Words) -> None:
        """Add the people first, first + 1, …: uint64 (people, 2, words)."""
        people = slice(first, first + len(planes))
        work = 32 * planes.size * self._columns
        for block, out in zip(self._values, self._called, strict=True):
            engine_for(work).sum_values(planes, np.ascontiguousarray(block[people]), out)
        both = np.concatenate([self._one_two[people], self._absent_values[people]], axis=1)
        engine_for(work).sum_absent(planes, np.ascontiguousarray(both), self._absent)

    def merge(self, other: Self) -> None:
        """Add what another has summed over other people."""
        self._called += other._called
        self._absent += other._absent

    def called(self) -> Float64:
        """Return (K, rows)."""
        flat = self._called.reshape(-1, self._called.shape[2])[: self._columns, : self.rows]
        found: Float64 = flat - self._absent[: self.rows, : self._columns].T
        return found

    def absent(self) -> Float64:
        """Return (rows, M)."""
        return self._absent[: self.rows, self._columns :]


class CountedSums:
    """Sums of a regression's values beside counts of the genotypes, over the same people."""

    def __init__(self, sums: GenotypeSums) -> None:
        self._sums, self._counter = sums, CodeCounter(sums.rows)

    def add(self, first: int, planes: Words) -> None:
        """Add the people first, first + 1, … (see `compute.kernels.planes`)."""
        self._counter.add(planes)
        self._sums.add(first, planes)

    def merge(self, other: Self) -> None:
        """Add what another, of the same trait and rows, has summed over other people."""
        self._counter.merge(other._counter)
        self._sums.merge(other._sums)


def _blocked(one: Float64, two: Float64) -> Float64:
    """Return (blocks, people, 8): four columns of `one` then four of `two`, zeros past the end."""
    people, columns = one.shape
    blocks = -(-columns // _COLUMNS)
    found = np.zeros((blocks, people, 2 * _COLUMNS))
    for column in range(columns):
        block, at = divmod(column, _COLUMNS)
        found[block, :, at] = one[:, column]
        found[block, :, _COLUMNS + at] = two[:, column]
    return found
