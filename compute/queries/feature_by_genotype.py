"""Family feature_by_genotype: a measured feature by the copies of ALT people carry at one variant.

What a cis-QTL is drawn from: n, mean, sd and quantiles of each genotype, and the least-squares line
through the means weighted by n, which is the line through everybody's values. A haploid call counts
as two copies, as in the associations.

Three exact means with the cohort's own would give a lone carrier's value by subtraction. So n is
rounded to 5 and the mean to sd/20, like the quantiles, and a genotype of fewer people than a cohort
needs is left out by the gate.
"""

from __future__ import annotations

import math
from typing import ClassVar, Final, Literal

import numpy as np

from compute.parsed import Modality
from compute.queries.assumed import Sampled, of_slope
from compute.queries.data import Frame, PersonData
from compute.queries.disclosure import DOMINATED
from compute.queries.family import (
    Answer,
    Column,
    Defaults,
    Disclosure,
    Needs,
    Sensitivity,
    doubled,
)
from compute.queries.feature_summary import scaled
from compute.queries.filters import FamilyParams
from compute.queries.params import Region, Strict, VariantName
from compute.queries.summaries import QUANTILES, STATISTICS, SummaryPartial, summary
from compute.queries.traits import FeatureId, Label, Measured

FAMILY: Final = "feature_by_genotype"
GENOTYPES: Final = ("0", "1", "2")
MEASURED: Final = ("mean", *QUANTILES)


class FeatureByGenotypeParams(FamilyParams):
    """One feature, how it is stated and scaled, and one variant."""

    feature: FeatureId
    modality: Measured = "expression"
    namespace: Label
    unit: Label
    scale: Literal["as_measured", "log2_plus_1"] = "as_measured"
    variant: VariantName

    @property
    def variants(self) -> Region:
        """Return the variant's place: it is read from the cohort's table, as any region is."""
        chrom, pos, _, _ = self.variant.split("-")
        return Region(region=f"{chrom}:{pos}-{pos}")


class FeatureByGenotype(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "A feature's distribution by genotype of one variant (QTL box plot)"
    params: ClassVar[type[Strict]] = FeatureByGenotypeParams
    sampled: ClassVar[Sampled | None] = Sampled("mean of people with one copy", of_slope)
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        tails=QUANTILES,
        grid=dict.fromkeys(MEASURED, "sd"),
        rounded=("n",),
        dominated=("sd", *MEASURED),
    )
    limits: ClassVar[str] = "one feature and one variant; n rounded to 5, means to sd/20"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "A measurement has no bounds of its own, so neither have mean, sd and quantiles: trusted "
        "mode only. One person changes n of one genotype by at most 1.",
        {"n": 1},
    )

    def needs(self, params: FeatureByGenotypeParams) -> Needs:
        """Genotypes and one measured feature."""
        modalities: frozenset[Modality] = frozenset({"genotypes", params.modality})
        return Needs(modalities, features=(params.feature,), feature_modality=params.modality)

    def start(self, params: FeatureByGenotypeParams, frame: Frame) -> SummaryPartial:
        """Return no values."""
        names = list(frame.table.names())
        row = names.index(params.variant) if params.variant in names else None

        def measure(person: PersonData) -> dict[str, float] | str:
            if person.feature_kind not in (None, (params.namespace, params.unit)):
                return "other_unit"
            value = scaled(person.features.get(params.feature, math.nan), params.scale)
            if not math.isfinite(value):
                return "no_feature"
            copies = -1 if row is None else int(doubled(person, frame.table)[row])
            return "no_call" if copies < 0 else {GENOTYPES[copies]: value}

        return SummaryPartial(params, frame, GENOTYPES, measure, None)

    def reduce(self, partial: SummaryPartial) -> Answer:
        """Return one row a genotype: hom-ref, het, hom-alt."""
        params: FeatureByGenotypeParams = partial.params
        _, _, ref, alt = params.variant.split("-")
        rows = [summary(np.array(partial.values["all"][name])) for name in GENOTYPES]
        columns: dict[str, Column] = {
            "dosage": np.arange(len(rows)),
            "genotype": np.array([f"{ref}/{ref}", f"{ref}/{alt}", f"{alt}/{alt}"], dtype=object),
            "n": np.array([row["n"] for row in rows], np.int64),
            **{name: np.array([row[name] for row in rows]) for name in STATISTICS[1:]},
            DOMINATED: np.array([row[DOMINATED] for row in rows], np.bool_),
        }
        facts = {
            "feature": params.feature, "variant": params.variant, "modality": params.modality,
            "namespace": params.namespace, "unit": params.unit, "scale": params.scale,
            "effect_allele": "alt", "left_out": dict(sorted(partial.left_out.items())),
        }  # fmt: skip
        return Answer(self.name, self.version, columns, dict(partial.members), facts)
