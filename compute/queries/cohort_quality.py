"""Family cohort_quality: what a cohort's genotypes are worth, as distributions over people.

Of each person: share of the cohort's variants covered, call rate among them, share heterozygous
among diploid calls, het / hom-ALT ratio, transitions / transversions among carried SNPs. A buyer
sees coverage before paying for statistics.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import numpy as np

from compute.builds import AUTOSOMES, CONTIGS
from compute.parsed import NOT_COVERED, Modality
from compute.queries.data import Frame, PersonData
from compute.queries.family import (
    Answer,
    Defaults,
    Disclosure,
    Needs,
    ReleaseMode,
    Sensitivity,
    dosages,
)
from compute.queries.params import Strict, Variants, select
from compute.queries.summaries import DISCLOSURE, SummaryPartial, answer_of

FAMILY: Final = "cohort_quality"
METRICS: Final = ("covered", "call_rate", "heterozygosity", "het_hom_ratio", "ti_tv", "carried")
_TRANSITIONS: Final = frozenset({"AG", "GA", "CT", "TC"})


class CohortQualityParams(Strict):
    """Over which variants, and by which stratum."""

    variants: Variants
    by: Literal["population", "sex"] | None = None


class CohortQuality(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Quality and coverage of a cohort's genotypes, as distributions"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    params: ClassVar[type[Strict]] = CohortQualityParams
    modules: ClassVar[tuple[str, ...]] = (
        "compute.queries.cohort_quality",
        "compute.queries.summaries",
        "compute.queries.disclosure",
    )
    disclosure: ClassVar[Disclosure | None] = DISCLOSURE
    limits: ClassVar[str] = "genome-wide or a region"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Shares lie in [0, 1], so one person moves their sum by at most 1 and n by 1; ratios have "
        "no bound: trusted mode only.",
        {"n": 1},
    )

    def needs(self, params: CohortQualityParams) -> Needs:
        """Genotypes, and the record where a stratum is asked for."""
        modalities: set[Modality] = {"genotypes"}
        if params.by:
            modalities.add("participant")
        return Needs(frozenset(modalities), strata=(params.by,) if params.by else ())

    def start(self, params: CohortQualityParams, frame: Frame) -> SummaryPartial:
        """Return no values."""
        table = frame.table
        rows = select(params.variants, table)
        pairs = [table.ref[i] + table.alt[i] for i in rows.tolist()]
        snp = np.array([len(pair) == 2 for pair in pairs], np.bool_)
        transition = np.array([pair in _TRANSITIONS for pair in pairs], np.bool_)
        codes = [code for code, name in enumerate(CONTIGS) if name in AUTOSOMES]
        autosomal = np.isin(table.contig[rows], codes)

        def measure(person: PersonData) -> dict[str, float] | str:
            dosage = dosages(person, table)[rows]
            covered, called = dosage != NOT_COVERED, dosage >= 0
            if not covered.any():
                return "not_covered_anywhere"
            diploid = called & autosomal
            carried = dosage > 0
            ti, tv = (carried & snp & transition).sum(), (carried & snp & ~transition).sum()
            het, hom = (diploid & (dosage == 1)).sum(), (diploid & (dosage == 2)).sum()
            return {
                "covered": float(covered.mean()),
                "call_rate": _ratio(called.sum(), covered.sum()),
                "heterozygosity": _ratio(het, diploid.sum()),
                "het_hom_ratio": _ratio(het, hom),
                "ti_tv": _ratio(ti, tv),
                "carried": float(carried.sum()),
            }

        return SummaryPartial(params, frame, METRICS, measure, params.by)

    def reduce(self, partial: SummaryPartial) -> Answer:
        """Return one row a stratum and metric."""
        rows = select(partial.params.variants, partial.frame.table)
        return answer_of(self.name, self.version, partial, {"variants": len(rows)})


def _ratio(over: int, under: int) -> float:
    return float(over / under) if under else float("nan")
