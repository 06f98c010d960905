"""Family linkage: r2 among the variants of a small region, from unphased dosages.

r is Pearson's correlation of ALT dosages over the people called at both variants (plink2's
--r2-unphased). Offered to 200 variants, in trusted mode: a matrix of exact correlations among many
variants comes near to the genotypes themselves. r and r2 are rounded to two places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.errors import QueryError
from compute.parsed import NO_CALL
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
from compute.queries.params import Region, Strict, VariantList, select

FAMILY: Final = "linkage"
MAX_VARIANTS: Final = 200
BATCH: Final = 4096  # people multiplied at once
HIDES: Final = ("ac_a", "ac_b", "r", "r2")

Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]
Int8: TypeAlias = npt.NDArray[np.int8]
Bool: TypeAlias = npt.NDArray[np.bool_]


class LinkageParams(FamilyParams):
    """Which few variants: a region, or a list where the release mode takes lists."""

    variants: Region | VariantList


class LinkagePartial(HeldPartial):
    """Everybody's calls at the few variants: pairs may lie in two parts of the table."""

    def __init__(self, params: LinkageParams, frame: Frame) -> None:
        self.params = params
        rows = np.asarray(select(params.variants, frame.table), np.int64)
        if len(rows) > MAX_VARIANTS:
            raise QueryError(
                f"the region holds {len(rows)} variants; linkage is offered to {MAX_VARIANTS}: ask "
                "for a smaller region",
                code="too_large",
            )
        super().__init__(frame, rows)
        self.kept: list[tuple[Int64, Int8, Bool]] = []

    def take(self, at: Int64, calls: Int8, single: Bool) -> None:
        """Keep a part's calls."""
        self.kept.append((at, calls, single))

    def sums(self) -> PairSums:
        """Return the sums over people."""
        self.finish()
        v = len(self.rows)
        found = PairSums(*(np.zeros((v, v)) for _ in range(5)))
        dosage = np.full((len(self.order), v), NO_CALL, np.int8)
        single = np.zeros(dosage.shape, np.bool_)
        for at, calls, one in self.kept:
            dosage[:, at], single[:, at] = calls, one
        for start in range(0, len(dosage), BATCH):
            own = slice(start, start + BATCH)
            found.add(dosage[own], single[own])
        return found


@dataclass(frozen=True, slots=True, eq=False)
class PairSums:
    """Sums over people called at both variants of a pair, (V, V) each, of the first variant's: how
    many, dosage, its square, product with the second's, allele copies called. Whole numbers.
    """

    n: Float64
    g: Float64
    gg: Float64
    gh: Float64
    copies: Float64

    def add(self, dosage: Int8, single: Bool) -> None:
        """Add people: dosages (people, V), -1 without a call, and which calls are of one copy."""
        there = dosage >= 0
        called, d = there.astype(np.float64), np.where(there, dosage, 0).astype(np.float64)
        for total, first, second in (
            (self.n, called, called),
            (self.g, d, called),
            (self.gg, d * d, called),
            (self.gh, d, d),
            (self.copies, np.where(single, 1.0, 2.0) * called, called),
        ):
            np.add(total, first.T @ second, out=total)


class Linkage(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Linkage disequilibrium (r2) among the variants of a small region"
    params: ClassVar[type[Strict]] = LinkageParams
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=(Cell("ac_a", HIDES, of="an_a"), Cell("ac_b", HIDES, of="an_b")),
        decimals={"r": 2, "r2": 2},
    )
    limits: ClassVar[str] = f"trusted only, regions of at most {MAX_VARIANTS} variants"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "r lies in [-1, 1] and may move by 2 with one person: trusted mode only, rounded to two "
        "places. One person changes n by at most 1, AC and AN by at most 2.",
        {"n": 1, "ac_a": 2, "ac_b": 2, "an_a": 2, "an_b": 2},
    )

    def needs(self, params: LinkageParams) -> Needs:
        """Genotypes."""
        return Needs(frozenset({"genotypes"}))

    def cost(self, params: LinkageParams, variants: int, people: int) -> int:
        """Return one unit a pair and person."""
        return min(variants, MAX_VARIANTS) ** 2 * people

    def start(self, params: LinkageParams, frame: Frame) -> LinkagePartial:
        """Return empty sums. Raises QueryError ``too_large``."""
        return LinkagePartial(params, frame)

    def reduce(self, partial: LinkagePartial) -> Answer:
        """Return one row a pair (a before b in genome order)."""
        all_names = list(partial.frame.table.names())
        names = np.array([all_names[i] for i in partial.rows.tolist()], dtype=object)
        a, b = np.triu_indices(len(names), 1)
        sums = partial.sums()
        n, g, h = sums.n[a, b], sums.g[a, b], sums.g[b, a]
        with np.errstate(divide="ignore", invalid="ignore"):
            cov = sums.gh[a, b] - g * h / n
            spread = (sums.gg[a, b] - g * g / n) * (sums.gg[b, a] - h * h / n)
            r = np.where(spread > 1e-12, cov / np.sqrt(spread), np.nan)
        columns: dict[str, Column] = {
            "variant_a": names[a],
            "variant_b": names[b],
            "n": n.astype(np.int64),
            "ac_a": g.astype(np.int64),
            "an_a": sums.copies[a, b].astype(np.int64),
            "ac_b": h.astype(np.int64),
            "an_b": sums.copies[b, a].astype(np.int64),
            "r": r,
            "r2": r * r,
            "na": np.where(np.isnan(r), "monomorphic", ""),
        }
        facts = {"variants": len(names), "pairs": len(a)}
        return Answer(self.name, self.version, columns, {"all": partial.people}, facts)
