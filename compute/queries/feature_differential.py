"""Family feature_differential: features between two groups of people, Welch's t test, BH q values.

The groups are two levels of a stratum, or people with and without a coded term. Difference is
mean(a) - mean(b) on the scale asked for; q is Benjamini and Hochberg's over the features tested.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compute.errors import QueryError
from compute.parsed import Modality
from compute.queries.assumed import Sampled, of_difference
from compute.queries.data import Frame, PersonData, level_of
from compute.queries.disclosure import DOMINATED, is_dominated
from compute.queries.family import (
    Answer,
    Cell,
    Column,
    Defaults,
    Disclosure,
    Needs,
    Sensitivity,
)
from compute.queries.feature_summary import Features, scaled
from compute.queries.filters import FamilyParams
from compute.queries.params import Strict
from compute.queries.traits import Label, Measured, TermTrait, trait_value
from compute.stats import benjamini_hochberg, welch

FAMILY: Final = "feature_differential"
GROUPS: Final = ("a", "b")
NUMBERS: Final = ("mean_a", "mean_b", "sd_a", "sd_b", "difference", "t", "df", "p")

Float64: TypeAlias = npt.NDArray[np.float64]
Level = Annotated[str, Field(pattern=r"^[A-Za-z0-9 _.:+-]{1,64}$")]


class Strata(Strict):
    """Two levels of a stratum."""

    kind: Literal["stratum"]
    stratum: Literal["population", "sex"]
    a: Level
    b: Level


class FeatureDifferentialParams(FamilyParams):
    """Which features, how they are stated, and which two groups (a term: a has it, b has not)."""

    features: Features
    modality: Measured = "expression"
    namespace: Label
    unit: Label
    scale: Literal["as_measured", "log2_plus_1"] = "as_measured"
    groups: Strata | TermTrait = Field(discriminator="kind")


class FeatureDifferentialPartial:
    """Sums by group and feature, about the first value of each feature."""

    def __init__(self, params: FeatureDifferentialParams, frame: Frame) -> None:
        self.params, self.frame = params, frame
        f = len(params.features)
        self.origin = np.full(f, np.nan)
        self.n = np.zeros((2, f), np.int64)
        self.sum, self.square = np.zeros((2, f)), np.zeros((2, f))
        self.largest, self.absolute = np.zeros((2, f)), np.zeros((2, f))
        self.members = [0, 0]
        self.left_out: Counter[str] = Counter()

    @property
    def people(self) -> int:
        """Return how many people were added, used or left out."""
        return sum(self.members) + self.left_out.total()

    def add(self, person: PersonData) -> None:
        """Add one person's values."""
        params = self.params
        if person.feature_kind not in (None, (params.namespace, params.unit)):
            self.left_out["other_unit"] += 1
            return
        group = self._group(person)
        if group is None:
            self.left_out["in_neither_group"] += 1
            return
        raw = [person.features.get(name, float("nan")) for name in params.features]
        values = np.array([scaled(value, params.scale) for value in raw], np.float64)
        there = np.isfinite(values)
        self.origin = np.where(np.isnan(self.origin) & there, values, self.origin)
        moved = np.where(there, values - self.origin, 0.0)
        self.n[group] += there
        self.sum[group] += moved
        self.square[group] += moved * moved
        sizes = np.where(there, np.abs(values), 0.0)
        self.largest[group] = np.maximum(self.largest[group], sizes)
        self.absolute[group] += sizes
        self.members[group] += 1

    def _group(self, person: PersonData) -> int | None:
        groups = self.params.groups
        if isinstance(groups, Strata):
            own = level_of(person, groups.stratum)
            return {groups.a: 0, groups.b: 1}.get(own)
        has = trait_value(groups, person, self.frame.references)
        return None if has is None else 0 if has else 1

    def merge(self, other: Self) -> None:
        """Add another partial of the same query, about this one's origin."""
        if self.n.shape != other.n.shape:
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        self.origin = np.where(np.isnan(self.origin), other.origin, self.origin)
        move = np.nan_to_num(other.origin - self.origin)
        self.n += other.n
        self.sum += other.sum + other.n * move
        self.square += other.square + 2 * move * other.sum + other.n * move * move
        self.largest = np.maximum(self.largest, other.largest)
        self.absolute += other.absolute
        self.members = [a + b for a, b in zip(self.members, other.members, strict=True)]
        self.left_out.update(other.left_out)


class FeatureDifferential(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Differential expression, methylation or protein level of two groups"
    params: ClassVar[type[Strict]] = FeatureDifferentialParams
    sampled: ClassVar[Sampled | None] = Sampled(
        "difference of two groups of one size", of_difference
    )
    # A group below the floor of people would be read off the other and the total.
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=(
            Cell("n_a", ("n_a", "n_b", *NUMBERS, "q"), of="n"),
            Cell("n_b", ("n_a", "n_b", *NUMBERS, "q"), of="n"),
        ),
        dominated=(*NUMBERS, "q"),
    )
    limits: ClassVar[str] = "2000 features in one order"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "A measurement has no bounds of its own, so neither have means and tests: trusted mode "
        "only. One person changes n_a or n_b by at most 1.",
        {"n": 1, "n_a": 1, "n_b": 1},
    )

    def needs(self, params: FeatureDifferentialParams) -> Needs:
        """One measured modality, and the record or clinical data the groups are told by."""
        modalities: set[Modality] = {params.modality}
        modalities.add("participant" if isinstance(params.groups, Strata) else "clinical")
        named = isinstance(params.groups, TermTrait) and params.groups.ontology
        return Needs(
            frozenset(modalities),
            features=tuple(params.features),
            feature_modality=params.modality,
            references=(str(named),) if named else (),
        )

    def start(self, params: FeatureDifferentialParams, frame: Frame) -> FeatureDifferentialPartial:
        """Return empty sums."""
        return FeatureDifferentialPartial(params, frame)

    def reduce(self, partial: FeatureDifferentialPartial) -> Answer:
        """Return one row a feature: both groups' n, mean, sd, the difference, t, df, p, q."""
        mean, variance = _moments(partial)
        test = welch(mean, variance, partial.n)
        columns: dict[str, Column] = {
            "feature": np.array(partial.params.features, dtype=object),
            "n": partial.n.sum(axis=0),
            "n_a": partial.n[0],
            "n_b": partial.n[1],
            "mean_a": mean[0],
            "mean_b": mean[1],
            "sd_a": np.sqrt(variance[0]),
            "sd_b": np.sqrt(variance[1]),
            "difference": mean[0] - mean[1],
            "t": test.t,
            "df": test.df,
            "p": test.p,
            "q": benjamini_hochberg(test.p),
            "na": test.reason,
            DOMINATED: np.logical_or.reduce(is_dominated(partial.largest, partial.absolute)),
        }
        return Answer(
            self.name, self.version, columns, {"all": sum(partial.members)}, _facts(partial)
        )


def _moments(partial: FeatureDifferentialPartial) -> tuple[Float64, Float64]:
    n = partial.n
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = partial.sum / n
        variance = (partial.square - partial.sum * moved) / (n - 1)
    variance = np.where(n > 1, variance.clip(min=0), np.nan)
    return partial.origin + np.where(n > 0, moved, np.nan), variance


def _facts(partial: FeatureDifferentialPartial) -> dict[str, Any]:
    params = partial.params
    return {
        "groups": params.groups.model_dump(mode="json", exclude_none=True),
        "scale": params.scale,
        "test": "Welch's t, two-sided; q: Benjamini and Hochberg",
        "left_out": dict(sorted(partial.left_out.items())),
    }
