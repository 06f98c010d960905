"""Family relatedness: how many pairs of a cohort are related, by degree; never which.

KING-robust kinship of every pair from autosomal diploid calls (Manichaikul et al. 2010, as
plink2's --make-king), classed at its usual bounds: above 0.354 duplicates or monozygotic twins,
0.177 first, 0.0884 second, 0.0442 third degree. Counts of pairs are rounded to 5 and small ones
hidden. Holds everybody's autosomal calls in memory until it ends, hence the limit.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import AUTOSOMES, CONTIGS
from compute.errors import QueryError
from compute.queries.data import Frame, PersonData
from compute.queries.family import (
    Answer,
    Cell,
    Column,
    Defaults,
    Disclosure,
    Needs,
    ReleaseMode,
    Sensitivity,
    dosages,
)
from compute.queries.filters import FamilyParams
from compute.queries.params import Strict, Variants, select

FAMILY: Final = "relatedness"
MAX_PEOPLE: Final = 10_000
MAX_HELD: Final = 2_000_000_000
MIN_VARIANTS: Final = 100
DEGREES: Final = ("duplicate_or_twin", "first", "second", "third", "unrelated")
BOUNDS: Final = (0.354, 0.177, 0.0884, 0.0442)
BLOCK: Final = 256

Float32: TypeAlias = npt.NDArray[np.float32]


class RelatednessParams(FamilyParams):
    """From which variants kinship is estimated."""

    variants: Variants


class RelatednessPartial:
    """Everybody's autosomal dosages, -1 where there is no diploid call."""

    def __init__(self, params: RelatednessParams, frame: Frame) -> None:
        self.params, self.frame = params, frame
        codes = [code for code, name in enumerate(CONTIGS) if name in AUTOSOMES]
        rows = select(params.variants, frame.table)
        self.rows = rows[np.isin(frame.table.contig[rows], codes)]
        if len(self.rows) < MIN_VARIANTS:
            raise QueryError(
                f"kinship needs at least {MIN_VARIANTS} autosomal variants", code="too_small"
            )
        self.calls: list[npt.NDArray[np.int8]] = []

    @property
    def people(self) -> int:
        """Return how many people were added."""
        return len(self.calls)

    def add(self, person: PersonData) -> None:
        """Keep one person's calls."""
        full = len(self.calls) >= MAX_PEOPLE or (len(self.calls) + 1) * len(self.rows) > MAX_HELD
        if full:
            raise QueryError("too many people and variants for pairs: ask for a region",
                             code="too_large")  # fmt: skip
        dosage = dosages(person, self.frame.table)[self.rows].copy()
        if person.ploidy is not None:
            dosage[person.ploidy[self.rows] != 2] = -1
        self.calls.append(dosage.clip(min=-1))

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if not np.array_equal(self.rows, other.rows):
            raise QueryError("partial calls of different queries cannot be added", code="merge")
        self.calls += other.calls


class Relatedness(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "How many pairs of a cohort are related, by degree (KING-robust)"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    params: ClassVar[type[Strict]] = RelatednessParams
    modules: ClassVar[tuple[str, ...]] = (
        "compute.queries.relatedness", "compute.queries.disclosure",
    )  # fmt: skip
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=(Cell("pairs", ("pairs",)),), rounded=("pairs",)
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
        people = len(partial.calls)
        counts = pairs_by_degree(np.array(partial.calls, np.int8).reshape(people, -1))
        columns: dict[str, Column] = {
            "degree": np.array(DEGREES, dtype=object),
            "n": np.full(len(DEGREES), people, np.int64),
            "pairs": np.array(counts, np.int64),
        }
        facts = {"variants": len(partial.rows), "bounds": list(BOUNDS)}
        return Answer(self.name, self.version, columns, {"all": people}, facts)


def pairs_by_degree(calls: npt.NDArray[np.int8]) -> list[int]:
    """Return counts of pairs for DEGREES. calls: (people, variants) dosages, -1 missing."""
    counts = np.zeros(len(DEGREES), np.int64)
    for first in range(0, len(calls), BLOCK):
        kinship = king(calls[first : first + BLOCK], calls[first:])
        later = np.triu(np.ones(kinship.shape, np.bool_), 1)
        found = kinship[later & np.isfinite(kinship)]
        degree = np.searchsorted(-np.array(BOUNDS), -found, side="left")
        counts += np.bincount(degree, minlength=len(DEGREES))
    return [int(count) for count in counts]


def king(one: npt.NDArray[np.int8], other: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
    """Return KING-robust kinship of each pair, NaN where neither has a shared heterozygote."""

    def state(calls: npt.NDArray[np.int8], dosage: int) -> Float32:
        found: Float32 = (calls == dosage).astype(np.float32)
        return found

    both_het = state(one, 1) @ state(other, 1).T
    opposite = state(one, 0) @ state(other, 2).T + state(one, 2) @ state(other, 0).T
    called_one, called_other = ((calls >= 0).astype(np.float32) for calls in (one, other))
    het_one = (state(one, 1) @ called_other.T).astype(np.float64)
    het_other = (called_one @ state(other, 1).T).astype(np.float64)
    least = np.minimum(het_one, het_other)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: npt.NDArray[np.float64] = (
            (both_het - 2.0 * opposite) / (2 * least) + 0.5 - 0.25 * (het_one + het_other) / least
        )
    return found
