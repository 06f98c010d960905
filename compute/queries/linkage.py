"""Family linkage: r2 among the variants of a small region, from unphased dosages.

r is Pearson's correlation of ALT dosages over the people called at both variants (plink2's
--r2-unphased). Offered to 200 variants, in trusted mode: a matrix of exact correlations among many
variants comes near to the genotypes themselves. r and r2 are rounded to two places.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

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
from compute.queries.params import Region, Strict, VariantList, select

FAMILY: Final = "linkage"
MAX_VARIANTS: Final = 200
HIDES: Final = ("ac_a", "ac_b", "r", "r2")

Float64: TypeAlias = npt.NDArray[np.float64]


class LinkageParams(FamilyParams):
    """Which few variants: a region, or a list where the release mode takes lists."""

    variants: Region | VariantList


class LinkagePartial:
    """Sums over people for every pair of variants, both called. Axes: (V, V)."""

    def __init__(self, params: LinkageParams, frame: Frame) -> None:
        self.params, self.frame = params, frame
        self.rows = select(params.variants, frame.table)
        v = len(self.rows)
        if v > MAX_VARIANTS:
            raise QueryError(
                f"the region holds {v} variants; linkage is offered to {MAX_VARIANTS}: ask for a "
                "smaller region",
                code="too_large",
            )
        self.n, self.g, self.gg, self.gh = (np.zeros((v, v)) for _ in range(4))
        self.copies = np.zeros((v, v))
        self.people = 0

    def add(self, person: PersonData) -> None:
        """Add one person's products."""
        dosage = dosages(person, self.frame.table)[self.rows].astype(np.float64)
        called = (dosage >= 0).astype(np.float64)
        d = np.where(dosage >= 0, dosage, 0.0)
        ploidy = np.full(len(d), 2.0) if person.ploidy is None else person.ploidy[self.rows]
        self.n += np.outer(called, called)
        self.g += np.outer(d, called)
        self.gg += np.outer(d * d, called)
        self.gh += np.outer(d, d)
        self.copies += np.outer(ploidy * called, called)
        self.people += 1

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if not np.array_equal(self.rows, other.rows):
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        for name in ("n", "g", "gg", "gh", "copies", "people"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Linkage(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Linkage disequilibrium (r2) among the variants of a small region"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    params: ClassVar[type[Strict]] = LinkageParams
    modules: ClassVar[tuple[str, ...]] = ("compute.queries.linkage", "compute.queries.disclosure")
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
        n, g, h = partial.n[a, b], partial.g[a, b], partial.g[b, a]
        with np.errstate(divide="ignore", invalid="ignore"):
            cov = partial.gh[a, b] - g * h / n
            spread = (partial.gg[a, b] - g * g / n) * (partial.gg[b, a] - h * h / n)
            r = np.where(spread > 1e-12, cov / np.sqrt(spread), np.nan)
        columns: dict[str, Column] = {
            "variant_a": names[a],
            "variant_b": names[b],
            "n": n.astype(np.int64),
            "ac_a": g.astype(np.int64),
            "an_a": partial.copies[a, b].astype(np.int64),
            "ac_b": h.astype(np.int64),
            "an_b": partial.copies[b, a].astype(np.int64),
            "r": r,
            "r2": r * r,
            "na": np.where(np.isnan(r), "monomorphic", ""),
        }
        facts = {"variants": len(names), "pairs": len(a)}
        return Answer(self.name, self.version, columns, {"all": partial.people}, facts)
