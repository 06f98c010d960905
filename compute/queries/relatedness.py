"""Family relatedness: how many pairs of a cohort are related, by degree; never which.

KING-robust kinship of every pair from autosomal diploid calls (Manichaikul et al. 2010, as
plink2's --make-king), classed at its usual bounds: above 0.354 duplicates or monozygotic twins,
0.177 first, 0.0884 second, 0.0442 third degree. Counts of pairs are rounded to 5 and small ones
hidden, with what would tell them. Shares of pairs and their errors: `compute.queries.pair_shares`.
Holds everybody's autosomal calls in memory, two bits each, until it ends, hence the limit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import AUTOSOMES, CONTIGS
from compute.errors import QueryError
from compute.kernels import Words, pack_dosages, unpack_dosages
from compute.queries.data import Frame
from compute.queries.family import (
    Answer,
    Cell,
    Column,
    Defaults,
    Disclosure,
    Needs,
    Sensitivity,
)
from compute.queries.filters import FamilyParams
from compute.queries.held import HeldPartial
from compute.queries.pair_shares import UNRELATED, design
from compute.queries.params import Strict, Variants, select

FAMILY: Final = "relatedness"
MAX_PEOPLE: Final = 10_000
MAX_HELD: Final = 2_000_000_000
MIN_VARIANTS: Final = 100
DEGREES: Final = ("duplicate_or_twin", "first", "second", "third", UNRELATED)
BOUNDS: Final = (0.354, 0.177, 0.0884, 0.0442)
BLOCK: Final = 256
SHARE_WORDS: Final = (
    "share: the pairs shown, of all pairs of n people. Pairs share people, so a binomial interval "
    "would be too narrow: share_se is a jackknife over people, pairs_design how many times the "
    "variance of independent pairs it is, rounded up to a half; no pair found, no error"
)

Bool: TypeAlias = npt.NDArray[np.bool_]
Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]
Float64: TypeAlias = npt.NDArray[np.float64]
Float32: TypeAlias = npt.NDArray[np.float32]


class RelatednessParams(FamilyParams):
    """From which variants kinship is estimated."""

    variants: Variants


class RelatednessPartial(HeldPartial):
    """Everybody's autosomal diploid calls, two bits each."""

    def __init__(self, params: RelatednessParams, frame: Frame) -> None:
        self.params = params
        codes = [code for code, name in enumerate(CONTIGS) if name in AUTOSOMES]
        rows = select(params.variants, frame.table)
        rows = np.asarray(rows[np.isin(frame.table.contig[rows], codes)], np.int64)
        if len(rows) < MIN_VARIANTS:
            raise QueryError(
                f"kinship needs at least {MIN_VARIANTS} autosomal variants", code="too_small"
            )
        super().__init__(frame, rows)
        self.kept: list[tuple[Words, int]] = []

    def take(self, at: Int64, calls: Int8, single: Bool) -> None:
        """Keep some variants. Raises QueryError ``too_large``."""
        people = len(calls)
        if people > MAX_PEOPLE or people * len(self.rows) > MAX_HELD:
            raise QueryError("too many people and variants for pairs: ask for a region",
                             code="too_large")  # fmt: skip
        self.kept.append((pack_dosages(np.where(single, np.int8(-1), calls)), len(at)))

    def kinship(self, one: slice, other: slice) -> Float64:
        """Return KING-robust kinship of some people with some others, part by part."""
        sums = np.zeros((4, *(len(range(len(self.order))[own]) for own in (one, other))))
        for planes, rows in self.kept:
            sums += _king_sums(*(unpack_dosages(planes[own], rows) for own in (one, other)))
        return _kinship(sums)


class Relatedness(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "How many pairs of a cohort are related, by degree (KING-robust)"
    params: ClassVar[type[Strict]] = RelatednessParams
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=(Cell("pairs", ("pairs", "pairs_design")),), rounded=("pairs",)
    )
    limits: ClassVar[str] = "trusted only, at most 10000 people; pairs rounded to 5"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "One person changes a count of pairs by up to the number of people: trusted mode only.", {}
    )

    def needs(self, params: RelatednessParams) -> Needs:
        """Genotypes."""
        return Needs(frozenset({"genotypes"}))

    def cost(self, params: RelatednessParams, variants: int, people: int) -> int:
        """Return one unit a pair and variant."""
        return variants * people * people // 2

    def start(self, params: RelatednessParams, frame: Frame) -> RelatednessPartial:
        """Return nobody's calls. Raises QueryError ``too_small``."""
        return RelatednessPartial(params, frame)

    def reduce(self, partial: RelatednessPartial) -> Answer:
        """Return one row a degree."""
        partial.finish()
        people = len(partial.order)
        counts, own = pairs_by_degree(partial.kinship, people)
        columns: dict[str, Column] = {
            "degree": np.array(DEGREES, dtype=object),
            "n": np.full(len(DEGREES), people, np.int64),
            "pairs": np.array(counts, np.int64),
            "pairs_design": np.array([*map(design, own), np.nan]),
        }
        facts = {"variants": len(partial.rows), "bounds": list(BOUNDS), "share": SHARE_WORDS}
        return Answer(self.name, self.version, columns, {"all": people}, facts)


def pairs_by_degree(
    kinship: Callable[[slice, slice], Float64], people: int
) -> tuple[list[int], Int64]:
    """Return counts of pairs for DEGREES, and each person's (degrees of kin, people).

    kinship: of some people with some others.
    """
    counts = np.zeros(len(DEGREES), np.int64)
    own = np.zeros((len(BOUNDS), people), np.int64)
    blocks = [slice(first, min(first + BLOCK, people)) for first in range(0, people, BLOCK)]
    for at, one in enumerate(blocks):
        for other in blocks[at:]:
            found = kinship(one, other)
            if one == other:
                found[np.tril_indices(len(found))] = np.nan
            told = np.isfinite(found)
            degree = np.searchsorted(-np.array(BOUNDS), -found[told], side="left")
            counts += np.bincount(degree, minlength=len(DEGREES))
            kin = degree < len(BOUNDS)
            for start, places in zip((one.start, other.start), np.nonzero(told), strict=True):
                np.add.at(own, (degree[kin], start + places[kin]), 1)
    return [int(count) for count in counts], own


def king(one: Int8, other: Int8) -> Float64:
    """Return KING-robust kinship of each pair, NaN where neither has a shared heterozygote.

    one, other: (people, variants) dosages, -1 without a call.
    """
    return _kinship(_king_sums(one, other))


def _king_sums(one: Int8, other: Int8) -> Float64:
    """Return (4, one, other): variants where both are heterozygous, where they are opposite
    homozygotes, where one is heterozygous and the other called, and the reverse.
    """

    def state(calls: Int8, dosage: int) -> Float32:
        found: Float32 = (calls == dosage).astype(np.float32)
        return found

    opposite = state(one, 0) @ state(other, 2).T + state(one, 2) @ state(other, 0).T
    called_one, called_other = ((calls >= 0).astype(np.float32) for calls in (one, other))
    het_one, het_other = state(one, 1), state(other, 1)
    return np.array(
        [het_one @ het_other.T, opposite, het_one @ called_other.T, called_one @ het_other.T],
        np.float64,
    )


def _kinship(sums: Float64) -> Float64:
    both_het, opposite, het_one, het_other = sums
    least = np.minimum(het_one, het_other)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Float64 = (
            (both_het - 2.0 * opposite) / (2 * least) + 0.5 - 0.25 * (het_one + het_other) / least
        )
    return found
