"""Family feature_summary: n, mean, sd and quantiles of measured features, by stratum.

Features are expression, methylation, proteins, metabolites or abundances, in the namespace and
unit the query states; people whose file states others are left out and counted.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from compute.queries.assumed import Sampled, of_mean
from compute.queries.data import Frame, PersonData
from compute.queries.family import Answer, Defaults, Disclosure, Needs, Sensitivity
from compute.queries.filters import FamilyParams
from compute.queries.params import AsSet, By, Strict
from compute.queries.summaries import DISCLOSURE, SummaryPartial, answer_of
from compute.queries.traits import FeatureId, Label, Measured

FAMILY: Final = "feature_summary"
MAX_FEATURES: Final = 2_000

Features = Annotated[
    list[FeatureId],
    Field(min_length=1, max_length=MAX_FEATURES),
    AsSet,
]


class FeatureSummaryParams(FamilyParams):
    """Which features, how they are stated, the scale, and by which stratum."""

    features: Features
    modality: Measured = "expression"
    namespace: Label
    unit: Label
    scale: Literal["as_measured", "log2_plus_1"] = "as_measured"
    by: By = None


class FeatureSummary(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Expression, methylation, protein and metabolite summaries by stratum"
    params: ClassVar[type[Strict]] = FeatureSummaryParams
    sampled: ClassVar[Sampled | None] = Sampled("mean", of_mean)
    disclosure: ClassVar[Disclosure | None] = DISCLOSURE
    limits: ClassVar[str] = f"{MAX_FEATURES} features in one order"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "A measurement has no bounds of its own, so neither have mean, sd and quantiles: trusted "
        "mode only, quantiles rounded to sd/20. One person changes n by at most 1.",
        {"n": 1},
    )

    def needs(self, params: FeatureSummaryParams) -> Needs:
        """One measured modality, and the record where a stratum is asked for."""
        return feature_needs(params.modality, params.features, params.by)

    def start(self, params: FeatureSummaryParams, frame: Frame) -> SummaryPartial:
        """Return no values."""

        def measure(person: PersonData) -> dict[str, float] | str:
            if person.feature_kind not in (None, (params.namespace, params.unit)):
                return "other_unit"
            found = {n: person.features[n] for n in params.features if n in person.features}
            return {name: scaled(value, params.scale) for name, value in found.items()}

        return SummaryPartial(params, frame, params.features, measure, params.by)

    def reduce(self, partial: SummaryPartial) -> Answer:
        """Return one row a stratum and feature."""
        params = partial.params
        facts = {"modality": params.modality, "namespace": params.namespace,
                 "unit": params.unit, "scale": params.scale}  # fmt: skip
        return answer_of(self.name, self.version, partial, facts)


def feature_needs(modality: Measured, features: list[str], by: str | None) -> Needs:
    """Return needs of one measured modality, and of the record for a stratum."""
    return Needs.by(by, modality, features=tuple(features), feature_modality=modality)


def scaled(value: float, scale: str) -> float:
    """Return a value on a scale; NaN where the scale has no place for it."""
    if scale == "as_measured":
        return value
    return float(np.log2(value + 1)) if value > -1 else float("nan")
