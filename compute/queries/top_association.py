"""Family top_association: which k pairs of a listed feature and a listed variant go together most.

Scored by |C|, the absolute sum of products about the means, C = sum gu - (sum g)(sum u) / n, over
people with the value and the call: u is the value clamped to [low, high] and scaled to [-1, 1], g
the copies of ALT less 1 (a haploid call counts as two copies). By sizes of effect and not of p
values: a common variant scores higher than a rare one of the same beta.

One person more changes C by n / (n + 1) (g - mean g)(u - mean u) (Welford 1962): by less than 4,
whoever they are. Scores are |C| in steps of 1/STEPS rounded down, which moves by 4 STEPS at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
from pydantic import Field, model_validator

from compute.errors import QueryError
from compute.queries.assumed import Assumed, Sampled
from compute.queries.data import Frame, PersonData
from compute.queries.distribution import Between, half_width
from compute.queries.family import Answer, Defaults, Needs, ReleaseMode, Sensitivity
from compute.queries.frequencies import in_order, place_columns
from compute.queries.params import AsSet, Strict, VariantList
from compute.queries.private import Int64, PrivateForm
from compute.queries.product_sums import STEPS, alt_copies
from compute.queries.ranking import Ranking, Scored
from compute.queries.top_counts import MOST_CANDIDATES, Picks
from compute.queries.traits import FeatureId, Label, Measured

MOVES: Final = 4 * STEPS
STATISTIC: Final = "absolute sum of products about the means"
SUMS: Final = ("n", "g", "u", "gu")
Ids = Annotated[
    list[FeatureId],
    Field(min_length=1, max_length=MOST_CANDIDATES),
    AsSet,
]


class TopAssociationParams(Between):
    """How many pairs to name; the features with one clamp for all, and the variants."""

    k: Picks
    features: Ids
    modality: Measured = "expression"
    namespace: Label
    unit: Label
    variants: Annotated[VariantList, Field(max_length=MOST_CANDIDATES)]

    @model_validator(mode="after")
    def _few_pairs(self) -> Self:
        if len(self.features) * len(self.variants) > MOST_CANDIDATES:
            raise ValueError(f"at most {MOST_CANDIDATES:,} pairs of a feature and a variant")
        return self

    def candidates(self) -> Sequence[Mapping[str, Any]]:
        """Return what is told of each pair, in the order of the scores."""
        places = [place_columns(name) for name in in_order(self.variants)]
        return [{"feature": name, **place} for name in self.features for place in places]


class PairSums:
    """Integer sums by SUMS, feature and variant; u in steps."""

    def __init__(self, params: TopAssociationParams, frame: Frame) -> None:
        self.params = params
        self.people = 0
        self._copies = alt_copies(in_order(params.variants), frame.table)
        self.sums: Int64 = np.zeros(
            (len(SUMS), len(params.features), len(params.variants)), np.int64
        )

    def add(self, person: PersonData) -> None:
        """Add one person's products."""
        self.people += 1
        kind = (self.params.namespace, self.params.unit)
        if person.feature_kind not in (None, kind):
            return
        copies = self._copies(person)
        called = (copies >= 0).astype(np.int64)
        g = (copies - 1) * called
        for row, name in enumerate(self.params.features):
            value = person.features.get(name, math.nan)
            if math.isfinite(value):
                u = round(STEPS * self.params.place(value))
                self.sums[:, row] += np.stack([called, g, u * called, g * u])

    def merge(self, other: Self) -> None:
        """Add another partial of the same query."""
        if self.params != other.params:
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        self.sums += other.sums
        self.people += other.people


def scores_of(sums: Int64) -> Int64:
    """Return |C| in steps, rounded down, of sums (SUMS x any shape); 0 where nobody is called.

    In integers of any length: products of sums pass 64 bits for large cohorts.
    """
    n, g, u, gu = (one.astype(object) for one in sums.reshape(len(SUMS), -1))
    apart = [abs(a * d - b * c) // a if a else 0 for a, b, c, d in zip(n, g, u, gu, strict=True)]
    return np.array(apart, np.int64)


def _variance(params: Between, assumed: Assumed) -> Fraction:
    """Return what one person adds to the variance of C by sampling."""
    return 2 * assumed.maf * (1 - assumed.maf) * params.variance(assumed)


def _per_sd(params: Between, people: int, maf: Fraction) -> float:
    """Return the standard error of C for a value of sd 1."""
    return math.sqrt(people * _variance(params, Assumed(maf, Fraction(1))))


class TopAssociation(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = "top_association"
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Which k pairs of listed features and variants go together most, private"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"private"})
    params: ClassVar[type[Strict]] = TopAssociationParams
    private: ClassVar[PrivateForm] = Ranking(
        Scored(
            STATISTIC,
            MOVES,
            False,
            _variance,
            STEPS,
        )
    )
    sampled: ClassVar[Sampled | None] = Sampled(STATISTIC, _per_sd, half_width)
    limits: ClassVar[str] = f"{MOST_CANDIDATES:,} pairs of a feature and a variant"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "With features clamped and scaled to [-1, 1] and dosage taken about 1, one person moves "
        "each pair's sum of products about the means by less than 4.",
        {"score": MOVES // STEPS},
    )

    def needs(self, params: TopAssociationParams) -> Needs:
        """Genotypes and the measured features."""
        return Needs(
            frozenset({"genotypes", params.modality}),
            features=tuple(params.features),
            feature_modality=params.modality,
        )

    def cost(self, params: TopAssociationParams, variants: int, people: int) -> int:
        """Return one unit a pair and sum."""
        return len(params.features) * len(params.variants) * people * len(SUMS)

    def start(self, params: TopAssociationParams, frame: Frame) -> PairSums:
        """Return empty sums."""
        return PairSums(params, frame)

    def reduce(self, partial: PairSums) -> Answer:
        """Return one row a pair, exact; it leaves through the private form only."""
        scores = scores_of(partial.sums)
        columns = {"candidate": np.arange(len(scores)), "score": scores}
        return Answer(self.name, self.version, columns, {"all": partial.people})
