"""Sums of products of clamped values and genotypes: what a private regression is computed from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, Self

import numpy as np

from compute.errors import QueryError
from compute.queries.data import Frame, PersonData, VariantTable
from compute.queries.distribution import Between
from compute.queries.family import doubled
from compute.queries.frequencies import in_order
from compute.queries.private import Int64
from compute.queries.private_association_params import PrivateAssociationParams

STEPS: Final = 1000  # of a product of values in [-1, 1]: sums are integers of 1/STEPS


def alt_copies(names: Sequence[str], table: VariantTable) -> Callable[[PersonData], Int64]:
    """Return what tells a person's copies of ALT at named variants; below 0 where not called.

    A haploid call counts as two copies.
    """
    at = {name: row for row, name in enumerate(table.names())}
    known = np.array([name in at for name in names], np.bool_)
    rows = np.array([at[name] for name in names if name in at], np.intp)

    def copies_of(person: PersonData) -> Int64:
        found = np.full(len(names), -2, np.int64)
        found[known] = doubled(person, table)[rows]
        return found

    return copies_of


class AssociationSums:
    """Integer sums (stratum x variant x product), in steps."""

    def __init__(self, params: PrivateAssociationParams, frame: Frame) -> None:
        self.params = params
        self._covariates = params.adjusted()
        self._copies = alt_copies(in_order(params.variants), frame.table)
        shape = (len(params.strata), len(params.variants), len(params.sum_names()))
        self.sums: Int64 = np.zeros(shape, np.int64)
        self.people = 0

    def add(self, person: PersonData) -> None:
        """Add one person's clamped products, in the one stratum they are of."""
        self.people += 1
        stratum, value = self.params.stratum(person), self.params.value_of(person)
        z = [place for one in self._covariates for place in one.places(person)]
        if stratum is None or not all(math.isfinite(one) for one in (value, *z)):
            return
        copies = self._copies(person)
        moved = contribution(self.params, value, copies - 1, z)
        self.sums[stratum] += moved * (copies >= 0)[:, None]

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.params != other.params:
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        self.sums += other.sums
        self.people += other.people


def contribution(params: Between, value: float, g: Int64, z: Sequence[float] = ()) -> Int64:
    """Return what one person adds (variant x product), in steps: at most STEPS in each place.

    z: covariates, clamped and scaled to [-1, 1].
    """
    one = np.ones(len(g))
    terms = np.stack([one, g, params.place(value) * one, *(each * one for each in z)], axis=1)
    first, second = np.triu_indices(terms.shape[1])
    steps: Int64 = np.rint(STEPS * terms[:, first] * terms[:, second]).astype(np.int64)
    return steps
