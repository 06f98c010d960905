"""Family cohort_quality: what a cohort's genotypes are worth, as distributions over people.

Of each person: share of the cohort's variants covered, call rate among them, share heterozygous
among diploid calls, het / hom-ALT ratio, transitions / transversions among carried SNPs. A buyer
sees coverage before paying for statistics.
"""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from compute.builds import AUTOSOMES, CONTIGS
from compute.queries.blocks import GenotypeBlock, Layout
from compute.queries.data import Frame
from compute.queries.family import (
    Answer,
    Defaults,
    Disclosure,
    Needs,
    Sensitivity,
)
from compute.queries.filters import FamilyParams
from compute.queries.measured import Float64, MeasuredPartial, Sums, bits_set, mask_of
from compute.queries.params import By, Selected, Strict, Variants, select
from compute.queries.summaries import DISCLOSURE, answer_of

FAMILY: Final = "cohort_quality"
METRICS: Final = ("covered", "call_rate", "heterozygosity", "het_hom_ratio", "ti_tv", "carried")
SUMS: Final = 9  # counted of each person, see `_sums_of`
_TRANSITIONS: Final = frozenset({"AG", "GA", "CT", "TC"})


class CohortQualityParams(FamilyParams):
    """Over which variants, and by which stratum."""

    variants: Variants
    by: By = None


class CohortQuality(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Quality and coverage of a cohort's genotypes, as distributions"
    params: ClassVar[type[Strict]] = CohortQualityParams
    disclosure: ClassVar[Disclosure | None] = DISCLOSURE
    limits: ClassVar[str] = "genome-wide or a region"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Shares lie in [0, 1], so one person moves their sum by at most 1 and n by 1; ratios have "
        "no bound: trusted mode only.",
        {"n": 1},
    )

    def needs(self, params: CohortQualityParams) -> Needs:
        """Genotypes, and the record where a stratum is asked for."""
        return Needs.by(params.by, "genotypes")

    def start(self, params: CohortQualityParams, frame: Frame) -> MeasuredPartial:
        """Return no values."""
        rows = select(params.variants, frame.table)

        def sums_of(layout: Layout) -> Sums:
            return _sums_of(frame, rows, layout)

        return MeasuredPartial(params, frame, METRICS, SUMS, sums_of, _numbers, params.by)

    def reduce(self, partial: MeasuredPartial) -> Answer:
        """Return one row a stratum and metric."""
        rows = select(partial.params.variants, partial.frame.table)
        return answer_of(self.name, self.version, partial.summaries(), {"variants": len(rows)})


def _sums_of(frame: Frame, rows: Selected, layout: Layout) -> Sums:
    """Count a person's rows: all, covered, called, diploid, het, hom ALT, carried, Ti, Tv."""
    table, own = frame.table, layout.rows
    pairs = [table.ref[i] + table.alt[i] for i in own.tolist()]
    asked = np.isin(own, rows)
    snp = asked & np.array([len(pair) == 2 for pair in pairs], np.bool_)
    transition = np.array([pair in _TRANSITIONS for pair in pairs], np.bool_)
    codes = [code for code, name in enumerate(CONTIGS) if name in AUTOSOMES]
    every = mask_of(layout, asked)
    autosomal = mask_of(layout, asked & np.isin(table.contig[own], codes))
    ti, tv = mask_of(layout, snp & transition), mask_of(layout, snp & ~transition)
    count = float(asked.sum())

    def sums(block: GenotypeBlock) -> Float64:
        low, high = block.planes[:, 0], block.planes[:, 1]
        absent, carried = low & high, low ^ high
        covered = np.full(len(low), count)
        covered[block.uncovered_of] -= bits_set(block.uncovered & every)
        diploid = bits_set(~absent & autosomal)
        het, hom = bits_set(low & ~high & autosomal), bits_set(high & ~low & autosomal)
        haploid = block.haploid & autosomal
        diploid[block.haploid_of] -= bits_set(haploid)
        het[block.haploid_of] -= bits_set(haploid & low[block.haploid_of])
        called = count - bits_set(absent & every)
        told = [bits_set(carried & mask) for mask in (every, ti, tv)]
        return np.column_stack(
            [np.full(len(low), count), covered, called, diploid, het, hom, *told]
        )

    return sums


def _numbers(sums: Float64) -> dict[str, float] | str:
    count, covered, called, diploid, het, hom, carried, ti, tv = sums.tolist()
    if not covered:
        return "not_covered_anywhere"
    return {
        "covered": covered / count,
        "call_rate": _ratio(called, covered),
        "heterozygosity": _ratio(het, diploid),
        "het_hom_ratio": _ratio(het, hom),
        "ti_tv": _ratio(ti, tv),
        "carried": carried,
    }


def _ratio(over: float, under: float) -> float:
    return over / under if under else float("nan")
