"""Matching a scoring file to a variant table: position, alleles as written, else the other strand.

Files of half a million rows are matched for each order, so single bases at positions the table has
once are matched as whole columns; whatever else there is, row by row, by the same rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.queries.data import VariantTable
from compute.queries.scorefile import NO_BASE, Score, Weight, base_codes

_OTHER_STRAND: Final = str.maketrans("ACGT", "TGCA")

Bools: TypeAlias = npt.NDArray[np.bool_]
Int64: TypeAlias = npt.NDArray[np.int64]
Site: TypeAlias = tuple[int, str, str]  # (table row, REF, ALT)


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Rows of the table a score uses: weight, whether REF is the effect allele, and the model."""

    rows: npt.NDArray[np.intp]
    weight: npt.NDArray[np.float64]
    on_ref: Bools
    model: npt.NDArray[np.str_]
    told: Mapping[str, int]

    def taken(self, chosen: npt.NDArray[np.intp]) -> Matched:
        """Return some of the rows."""
        weight, on_ref, model = self.weight[chosen], self.on_ref[chosen], self.model[chosen]
        return Matched(self.rows[chosen], weight, on_ref, model, self.told)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Rows of the file that fit: their numbers, the table's row, whether REF is the effect."""

    number: Int64
    row: Int64
    on_ref: Bools


def match(score: Score, table: VariantTable, *, palindromic: str) -> Matched:
    """Match a score's rows to a table's, in table order; a row matched again is only counted.

    palindromic: "drop" or "as_written". told: how many rows were not taken as written, by reason.
    """
    places = _Places(score, table)
    told: Counter[str] = Counter({"not_in_cohort": int((places.count == 0).sum())})
    quick = _by_columns(places, palindromic, told)
    slow = _by_rows(places, palindromic, told)
    number, row, on_ref = (
        np.concatenate([getattr(quick, name), getattr(slow, name)])
        for name in ("number", "row", "on_ref")
    )
    in_file = np.argsort(number)  # the file's first row of a site wins
    rows, first = np.unique(row[in_file], return_index=True)
    told["repeated"] = len(row) - len(rows)
    chosen = in_file[first]
    taken = number[chosen]
    return Matched(
        rows.astype(np.intp),
        score.weights.weight[taken],
        on_ref[chosen],
        score.weights.model[taken],
        {reason: count for reason, count in told.items() if count},
    )


class _Places:
    """Where each row of a file stands in the table: ``count`` rows of ``order`` from ``first``."""

    def __init__(self, score: Score, table: VariantTable) -> None:
        self.weights, self.table = score.weights, table
        own = _place(table.contig, table.pos)
        self.order = np.argsort(own, kind="stable")
        ordered = own[self.order]
        wanted = _place(self.weights.contig, self.weights.pos)
        self.first = np.searchsorted(ordered, wanted, "left")
        self.count = np.searchsorted(ordered, wanted, "right") - self.first
        self.effect, self.other = self.weights.effect_code, self.weights.other_code
        self.simple = (self.count == 1) & (self.effect < NO_BASE) & (self.other < NO_BASE)
        self.ref, self.alt = (np.full(len(self.count), NO_BASE, np.uint8) for _ in range(2))
        rows = self.order[self.first[self.simple]].tolist()
        self.ref[self.simple] = base_codes(table.ref[row] for row in rows)
        self.alt[self.simple] = base_codes(table.alt[row] for row in rows)
        self.simple &= (self.ref < NO_BASE) & (self.alt < NO_BASE)

    def sites(self, number: int) -> list[Site]:
        """Return the table's sites at the position of one row of the file."""
        start = self.first[number]
        rows = self.order[start : start + self.count[number]].tolist()
        return [(row, self.table.ref[row], self.table.alt[row]) for row in rows]


def _place(contig: npt.NDArray[np.int8], pos: npt.NDArray[np.int32]) -> Int64:
    return (contig.astype(np.int64) << 32) | pos.astype(np.int64)


def _by_columns(places: _Places, palindromic: str, told: Counter[str]) -> _Found:
    number = np.flatnonzero(places.simple)
    effect, other = places.effect[number], places.other[number]
    ref, alt = places.ref[number], places.alt[number]
    ambiguous = effect + other == 3
    dropped = ambiguous & (palindromic == "drop")
    written = _pairs(effect, other, ref, alt) & ~dropped
    flipped = _pairs(3 - effect, 3 - other, ref, alt) & ~ambiguous & ~written
    fits = written | flipped
    told["palindromic"] += int(dropped.sum())
    told["other_strand"] += int(flipped.sum())
    told["other_alleles"] += int((~fits & ~dropped).sum())
    on_ref = np.where(flipped, 3 - effect, effect) == ref
    number = number[fits]
    return _Found(number, places.order[places.first[number]], on_ref[fits])


def _pairs(
    effect: npt.NDArray[np.uint8],
    other: npt.NDArray[np.uint8],
    ref: npt.NDArray[np.uint8],
    alt: npt.NDArray[np.uint8],
) -> Bools:
    fits: Bools = ((effect == ref) & (other == alt)) | ((effect == alt) & (other == ref))
    return fits


def _by_rows(places: _Places, palindromic: str, told: Counter[str]) -> _Found:
    found = [
        (number, *fit)
        for number in np.flatnonzero((places.count > 0) & ~places.simple).tolist()
        if (fit := _one(places.weights.row(number), places.sites(number), palindromic, told))
    ]
    return _Found(
        np.array([one[0] for one in found], np.int64),
        np.array([one[1] for one in found], np.int64),
        np.array([one[2] for one in found], np.bool_),
    )


def _one(
    weight: Weight, here: list[Site], palindromic: str, told: Counter[str]
) -> tuple[int, bool] | None:
    """Return (table row, REF is the effect allele), or count why there is none."""
    ambiguous = _pair(weight) in ({"A", "T"}, {"C", "G"})
    if ambiguous and palindromic == "drop":
        told["palindromic"] += 1
        return None
    fits = _fits(weight.effect, weight.other, here)
    if not fits and not ambiguous:
        flipped = (weight.effect.translate(_OTHER_STRAND), weight.other.translate(_OTHER_STRAND))
        fits = _fits(*flipped, here)
        told["other_strand"] += bool(fits)
    if len(fits) != 1:
        told["several_alleles" if fits else "other_alleles"] += 1
        return None
    return fits[0]


def _pair(weight: Weight) -> set[str]:
    """Return the two alleles; with one unknown a strand cannot be ambiguous, only unmatched."""
    return {weight.effect, weight.other} if weight.other else set()


def _fits(effect: str, other: str, here: list[Site]) -> list[tuple[int, bool]]:
    if not other and len(here) > 1:
        here = [one for one in here if effect == one[2]]
    return [
        (row, effect == ref)
        for row, ref, alt in here
        if effect in (ref, alt) and (not other or {effect, other} == {ref, alt})
    ]
