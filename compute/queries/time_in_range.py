"""Family time_in_range: how a device's readings lie against a range, person by person, by stratum.

Of each person with enough readings of the code in the unit: the share of readings in, below and
above the range, their mean and coefficient of variation; then the distribution of each over
people. With evenly spaced readings (continuous glucose monitors) shares are shares of time.
Source: Battelino et al. 2019, consensus on time in range (70-180 mg/dL).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, ClassVar, Final, Self

import numpy as np
from pydantic import Field, model_validator

from compute.queries.assumed import Sampled, of_mean
from compute.queries.clinical import clinical_needs
from compute.queries.data import Frame, PersonData
from compute.queries.family import Answer, Defaults, Disclosure, Needs, Sensitivity
from compute.queries.filters import FamilyParams
from compute.queries.params import By, Decimal, Strict
from compute.queries.summaries import DISCLOSURE, SummaryPartial, answer_of
from compute.queries.traits import Curie, Label, readings

FAMILY: Final = "time_in_range"
METRICS: Final = ("in_range", "below", "above", "mean", "cv", "readings")


class TimeInRangeParams(FamilyParams):
    """Which readings, the range as decimal text (both ends in it), how many a person needs."""

    code: Curie
    unit: Label
    low: Decimal
    high: Decimal
    min_readings: Annotated[int, Field(ge=2, le=1_000_000)] = 24
    by: By = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if Fraction(self.low) >= Fraction(self.high):
            raise ValueError("low must be below high")
        return self


class TimeInRange(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Time in range of device series such as glucose, by stratum"
    params: ClassVar[type[Strict]] = TimeInRangeParams
    sampled: ClassVar[Sampled | None] = Sampled("mean reading of people", of_mean)
    disclosure: ClassVar[Disclosure | None] = DISCLOSURE
    limits: ClassVar[str] = "one code and unit in one order"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Shares of readings lie in [0, 1], so one person moves their sum by at most 1 and n by 1; "
        "means of readings have no bound: trusted mode only.",
        {"n": 1},
    )

    def needs(self, params: TimeInRangeParams) -> Needs:
        """Clinical data, and the record where a stratum is asked for."""
        return clinical_needs(params.by)

    def start(self, params: TimeInRangeParams, frame: Frame) -> SummaryPartial:
        """Return no values."""

        def measure(person: PersonData) -> dict[str, float] | str:
            if person.clinical is None:
                return "no_readings"
            values = np.array(readings(person.clinical, params.code, params.unit))
            if len(values) < params.min_readings:
                return "too_few_readings" if len(values) else "no_readings"
            below, above = values < float(params.low), values > float(params.high)
            mean = float(values.mean())
            return {
                "in_range": float((~below & ~above).mean()),
                "below": float(below.mean()),
                "above": float(above.mean()),
                "mean": mean,
                "cv": float(values.std(ddof=1) / mean) if mean else float("nan"),
                "readings": float(len(values)),
            }

        return SummaryPartial(params, frame, METRICS, measure, params.by)

    def reduce(self, partial: SummaryPartial) -> Answer:
        """Return one row a stratum and metric."""
        params = partial.params
        facts = {"code": params.code, "unit": params.unit, "range": [params.low, params.high]}
        return answer_of(self.name, self.version, partial, facts)
