"""One person's calls at chosen rows, opening only the chunks that hold them.

A chosen variant no file ever listed has no row: a person whose file states its site is covered
there without this ALT, and anybody else is not covered.
"""

from collections.abc import Sequence
from typing import Self

import numpy as np

from compute.copies import decode_genotypes
from compute.copy_reader import OpenedCopy, codes_at
from compute.planes import NOT_COVERED, Calls, Int64
from compute.stretches import Places
from compute.variants import BUILDS, Key, SharedVariants


class PickedRows:
    """Rows of the table (-1: no row), and the rows of each one's site.

    wanted: the site of each, -1 where no row is at it; places: where each lies.
    """

    def __init__(
        self, rows: Int64, wanted: Int64, variants: SharedVariants, places: Places
    ) -> None:
        self.rows = rows
        self._variants, self._wanted, self._places = variants, wanted, places
        self._at, self._site_rows = _pairs(wanted, variants.site_rows())

    @classmethod
    def of(cls, variants: SharedVariants, rows: Int64) -> Self:
        """Choose rows of the table."""
        return cls(rows, variants.site_rows()[rows], variants, variants.places().taken(rows))

    @classmethod
    def named(cls, variants: SharedVariants, build: str, keys: Sequence[Key]) -> Self:
        """Choose variants by key, known to the table or not."""
        found = [variants.row_of(build, key) for key in keys]
        rows = np.array([-1 if row is None else row for row in found], np.int64)
        sites = variants.site_rows()
        wanted = np.array(
            [sites[row] if row >= 0 else variants.site_of(build, key)
             for row, key in zip(rows.tolist(), keys, strict=True)], np.int64
        )  # fmt: skip
        nowhere = variants.places().taken(np.zeros(0, np.int64))
        return cls(rows, wanted, variants, nowhere.extended(BUILDS.index(build), keys))

    def calls(self, person: OpenedCopy) -> Calls:
        """Return a person's calls at the chosen rows. Raises StoreError."""
        version = person.version
        beyond = (self.rows < 0) | (self.rows >= version)
        if person.has_stretches and beyond.any():
            return self._decoded(person)
        dosage = np.full(len(self.rows), NOT_COVERED, np.int8)
        ploidy = np.zeros(len(self.rows), np.int8)
        direct = np.flatnonzero((self.rows >= 0) & (self.rows < version))
        dosage[direct], ploidy[direct] = _calls(person, self.rows[direct])
        use = beyond[self._at] & (self._site_rows < version)
        if use.any():
            _state(person, self._at[use], self._site_rows[use], dosage, ploidy)
        return Calls(dosage, ploidy)

    def _decoded(self, person: OpenedCopy) -> Calls:
        """Decode a person whole, the chosen variants set behind the table's rows."""
        table, size = self._variants, len(self._variants)
        sites = np.concatenate([table.site_rows(), self._own_sites()])
        places = table.places().joined(self._places)
        _, calls = decode_genotypes(person.whole(), sites, places)
        at = np.where(self.rows >= 0, self.rows, size + np.arange(len(self.rows)))
        return Calls(calls.dosage[at], calls.ploidy[at])

    def _own_sites(self) -> Int64:
        """Return each chosen variant's site; one no row is at gets a number of its own."""
        most = int(self._variants.site_rows().max(initial=-1)) + 1
        fresh = most + np.arange(len(self._wanted))
        found: Int64 = np.where(self._wanted >= 0, self._wanted, fresh)
        return found


def _calls(person: OpenedCopy, rows: Int64) -> tuple[np.ndarray, np.ndarray]:
    low, high, uncovered, haploid = codes_at(person, rows)
    dosage = (low + 2 * high).astype(np.int8)
    called = dosage != 3
    dosage[~called] = -1
    dosage[uncovered == 1] = NOT_COVERED
    return dosage, np.where(called, np.where(haploid == 1, 1, 2), 0).astype(np.int8)


def _state(
    person: OpenedCopy, at: Int64, site_rows: Int64, dosage: np.ndarray, ploidy: np.ndarray
) -> None:
    """Give places at chosen rows the coverage and ploidy of known rows of their site."""
    known, copies = _calls(person, site_rows)
    stated = known != NOT_COVERED
    places = at[stated]
    dosage[places] = -1
    np.maximum.at(ploidy, places, copies[stated])
    dosage[places[ploidy[places] > 0]] = 0


def _pairs(wanted: Int64, sites: Int64) -> tuple[Int64, Int64]:
    """Return (place among wanted, row) for every row of each wanted site."""
    rows = np.flatnonzero(np.isin(sites, wanted))
    rows = rows[np.argsort(sites[rows], kind="stable")]
    first = np.searchsorted(sites[rows], wanted, "left")
    count = np.searchsorted(sites[rows], wanted, "right") - first
    at = np.repeat(np.arange(len(wanted)), count)
    within = np.arange(len(at)) - np.repeat(np.cumsum(count) - count, count)
    return at, rows[np.repeat(first, count) + within]
