"""Families feature_distribution and score_distribution: a histogram and a clamped mean, private.

Each person has one value: a measured feature, or a polygenic score over listed variants. Values
are clamped to [low, high], which the buyer states, and fall into equal bins; nothing of the exact
distribution (least, greatest, quantiles) leaves. Offered in private mode only.

A score is the sum of weight x copies of ALT over the variants called; a haploid call counts as two
copies (as in plink2's --score), a missing one adds nothing (its no-mean-imputation), and people
with fewer than 9 in 10 called are left out.

One person adds STEPS to one bin and an integer of at most STEPS, its clamped value about the middle
of the range, to the sum, of one stratum: 2 STEPS^2 in squared L2. People left out add nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from compute.errors import QueryError
from compute.queries.assumed import Assumed, Sampled, of_mean
from compute.queries.data import Frame, PersonData
from compute.queries.family import Answer, Defaults, Needs, ReleaseMode, Sensitivity, doubled
from compute.queries.filters import FamilyParams
from compute.queries.frequencies import score_interval
from compute.queries.params import Decimal, Strict, VariantName, select
from compute.queries.private import CONFIDENCE_Z, ROUND_TO, Int64, PrivateForm, Shape, Told, rounded
from compute.queries.split import EVERYBODY, Split
from compute.queries.traits import Label

SHARE: Final = ("share", "share_se", "share_low", "share_high")
STEPS: Final = 1000  # a person's place in the range is rounded to a thousandth of half of it
MAX_WEIGHTS: Final = 1_000
LEAST_CALLED: Final = 0.9
ASSUMED_SPREAD: Final = Fraction(1, 9)  # of a place, where the clamp lies three sd off the mean

FeatureName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
MAX_BINS: Final = 50
Bins = Annotated[int, Field(ge=1, le=MAX_BINS)]
Counts: TypeAlias = npt.NDArray[np.int64]


class Between(FamilyParams):
    """Where values are clamped to, as decimal text."""

    low: Decimal
    high: Decimal

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if Fraction(self.low) >= Fraction(self.high):
            raise ValueError("low must lie below high")
        return self

    @property
    def middle(self) -> float:
        """Return the middle of the range."""
        return float((Fraction(self.low) + Fraction(self.high)) / 2)

    @property
    def exact_half(self) -> Fraction:
        """Return half the range's width: no value within it spreads further."""
        return (Fraction(self.high) - Fraction(self.low)) / 2

    @property
    def half(self) -> float:
        """Return half the range's width."""
        return float(self.exact_half)

    def variance(self, assumed: Assumed) -> Fraction:
        """Return the variance of the place in the range for the sd assumed of the value."""
        sd = assumed.sd
        return ASSUMED_SPREAD if sd is None else (sd / self.exact_half) ** 2

    def place(self, value: float) -> float:
        """Return where a value lies after clamping: -1 at low, 1 at high."""
        return min(1.0, max(-1.0, (value - self.middle) / self.half))


def half_width(params: Between) -> Fraction:
    """Return half the width of what values are clamped to."""
    return params.exact_half


class Range(Split, Between):
    """A clamp, how many equal bins it has, and the groups people are split by."""

    bins: Bins = 10

    @model_validator(mode="after")
    def _listed(self) -> Self:
        if self.by is not None and self.levels is None:
            raise ValueError("a split needs both by and the levels, listed")
        return self


class FeatureRange(Range):
    """One measured feature; stated in another namespace or unit than asked, it is no value."""

    feature: FeatureName
    namespace: Label | None = None
    unit: Label | None = None

    def value_of(self, person: PersonData) -> float:
        """Return a person's value, NaN where there is none of this kind."""
        if person.feature_kind is not None:
            stated = zip((self.namespace, self.unit), person.feature_kind, strict=True)
            if any(asked not in (None, own) for asked, own in stated):
                return math.nan
        return person.features.get(self.feature, math.nan)


class FeatureDistributionParams(FeatureRange):
    """One measured feature."""


class ScoreDistributionParams(Range):
    """Weights of ALT by variant, as decimal text."""

    weights: Annotated[dict[VariantName, Decimal], Field(min_length=1, max_length=MAX_WEIGHTS)]

    @property
    def variants(self) -> list[str]:
        """Return the variants, as every family that lists some names them."""
        return sorted(self.weights)


class DistributionPartial:
    """Counts (stratum, bin) and sums of clamped places (stratum,), in steps."""

    def __init__(self, params: Range, frame: Frame) -> None:
        self.params = params
        self.counts: Counts = np.zeros((len(params.strata), params.bins), np.int64)
        self.totals: Counts = np.zeros(len(params.strata), np.int64)
        self.left_out = 0
        self._score = _Score(params, frame) if isinstance(params, ScoreDistributionParams) else None

    @property
    def people(self) -> int:
        """Return how many people were added, used or left out."""
        return int(self.counts.sum()) + self.left_out

    def add(self, person: PersonData) -> None:
        """Add one person's clamped value."""
        value, stratum = self._value(person), self.params.stratum(person)
        if stratum is None or not math.isfinite(value):
            self.left_out += 1
            return
        place = self.params.place(value)
        at = min(self.params.bins - 1, int((place + 1) / 2 * self.params.bins))
        self.counts[stratum, at] += 1
        self.totals[stratum] += round(STEPS * place)

    def _value(self, person: PersonData) -> float:
        if self._score is not None:
            return self._score.of(person)
        return self.params.value_of(person) if isinstance(self.params, FeatureRange) else math.nan

    def merge(self, other: Self) -> None:
        """Add another partial of the same query."""
        if self.params != other.params:
            raise QueryError("partial counts of different queries cannot be added", code="merge")
        self.counts += other.counts
        self.totals += other.totals
        self.left_out += other.left_out


class _Score:
    """Weights laid over a frame's variants."""

    def __init__(self, params: ScoreDistributionParams, frame: Frame) -> None:
        self._table = frame.table
        self._rows = select(params.variants, frame.table)
        names = list(frame.table.names())
        self._weights = np.array([float(params.weights[names[row]]) for row in self._rows])
        self._asked = len(params.weights)

    def of(self, person: PersonData) -> float:
        """Return a person's score, NaN where too few variants are called."""
        copies = doubled(person, self._table)[self._rows]
        called = copies >= 0
        if called.sum() < LEAST_CALLED * self._asked:
            return math.nan
        return float(np.where(called, copies, 0) @ self._weights)


class Distribution:
    """The private form of both families."""

    row: ClassVar[str] = "bins"

    def problem(self, params: Range) -> str | None:
        """Return None: every range the parameters allow is offered."""
        return None

    def shape(self, params: Range) -> Shape:
        """Return the bins and the sum of each stratum; a person is in one."""
        return Shape(len(params.strata) * (params.bins + 1), 2 * STEPS**2)

    def vector(self, params: Range, answer: Answer) -> Int64:
        """Return by stratum STEPS x each bin's count, then the sum in steps."""
        counts = answer.columns["count"].reshape(-1, params.bins) * STEPS
        totals = np.array(answer.facts["totals"], np.int64)
        found: Int64 = np.column_stack([counts, totals]).reshape(-1)
        return found

    def told(self, params: Range, noised: Int64, sd: float) -> Told:
        """Return one row a stratum and bin, and the means with both their errors.

        facts: of everybody; where people are split, of each stratum by name.
        """
        unit = sd / STEPS
        parts = dict(zip(params.strata, noised.reshape(-1, params.bins + 1) / STEPS, strict=True))
        bins = [_bins(params, level, own[:-1], unit) for level, own in parts.items()]
        means = {level: _mean(params, own[:-1], float(own[-1]), unit)
                 for level, own in parts.items()}  # fmt: skip
        return Told(
            columns={name: [value for one in bins for value in one[name]] for name in bins[0]},
            facts={"by": params.by, "strata": means} if params.by else means[EVERYBODY],
            released="counts of people by bin and the sum of clamped values"
            + (" of each stratum" if params.by else "")
            + ", noised as one vector",
            privacy={"count_sd": unit, "counts_rounded_to": ROUND_TO},
        )

    def rows(self, params: Range) -> int:
        """Return 1: bins and strata share nobody, so they cost no more together than one."""
        return 1

    def square_ratio(self, params: Range, assumed: Assumed) -> Fraction:
        """Return it for the count of one of equally filled bins, in strata of one size."""
        share = Fraction(1, max(2, params.bins))
        return len(params.strata) / (share * (1 - share))

    def errors(self, params: Range, people: int, sd: float, assumed: Assumed) -> Mapping[str, Any]:
        """Return the error of a bin's count and of a mean in mid-range, in strata of one size."""
        share, each = 1 / max(2, params.bins), people / len(params.strata)
        mean = {
            "statistic": "mean",
            "noise_sd": params.half * sd / STEPS / each,
            "sampling_sd": params.half * math.sqrt(params.variance(assumed) / each),
        }
        return {
            "statistic": "count of a bin",
            "noise_sd": sd / STEPS,
            "sampling_sd": math.sqrt(each * share * (1 - share)),
            "more": [mean],
        }


def _bins(
    params: Range, level: str, counts: npt.NDArray[np.float64], sd: float
) -> dict[str, list[Any]]:
    """Return one stratum's rows: what share of its people is in each bin, and how sure that is.

    A share is c / n with n the sum of all bins, each with noise of sd, so its noise has the
    variance sd^2 ((1 - share)^2 + (bins - 1) share^2) / n^2.
    """
    width, people = 2 * params.half / params.bins, float(counts.sum())
    edges = [float(Fraction(params.low)) + at * width for at in range(params.bins + 1)]
    rows: dict[str, list[Any]] = {
        "stratum": [level] * params.bins,
        "from": edges[:-1],
        "to": edges[1:],
        "count": [rounded(count) for count in counts],
        "count_sd": [sd] * params.bins,
    }
    if not _enough(people, sd * math.sqrt(params.bins)):
        return rows | {name: [None] * params.bins for name in SHARE}
    shares = np.clip(counts / people, 0, 1)
    noise = sd * np.sqrt((1 - shares) ** 2 + (params.bins - 1) * shares**2) / people
    spans = [
        score_interval(raw, people, one)
        for raw, one in zip((counts / people).tolist(), noise.tolist(), strict=True)
    ]
    error = np.sqrt(shares * (1 - shares) / people + noise**2)
    told = (shares.tolist(), error.tolist(), *map(list, zip(*spans, strict=True)))
    return rows | dict(zip(SHARE, told, strict=True))


def _enough(people: float, people_sd: float) -> bool:
    """Tell whether noised people are so many that something may be divided by them."""
    return people >= max(5 * people_sd, ROUND_TO)


def _mean(
    params: Range, counts: npt.NDArray[np.float64], total: float, sd: float
) -> dict[str, Any]:
    """Return n and the clamped mean; spread is read off the bins, so no more is released."""
    people, bins = float(counts.sum()), len(counts)
    people_sd = sd * math.sqrt(bins)
    if not _enough(people, people_sd):
        return {"n": rounded(people), "mean": None, "mean_na": "too_few_people_for_the_noise"}
    place = min(1.0, max(-1.0, total / people))
    centres = (np.arange(bins) + 0.5) / bins * 2 - 1
    spread = max(float(counts @ (centres - place) ** 2) / people, (2 / bins) ** 2 / 12)
    noise = params.half * math.hypot(sd, place * people_sd) / people
    error = math.hypot(noise, params.half * math.sqrt(spread / people))
    mean = params.middle + params.half * place
    return {
        "n": rounded(people),
        "n_sd": people_sd,
        "mean": mean,
        "mean_se": error,
        "mean_noise_sd": noise,
        "mean_low": mean - CONFIDENCE_Z * error,
        "mean_high": mean + CONFIDENCE_Z * error,
        "mean_na": "",
    }


class _Base(Defaults):
    version: ClassVar[int] = 1
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"private"})
    private: ClassVar[PrivateForm] = Distribution()
    sampled: ClassVar[Sampled | None] = Sampled("mean", of_mean, half_width)
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Adding or removing one person changes one bin by 1 and the sum of clamped values by at "
        "most half the range, in one stratum.",
        {"count": 1},
    )

    def start(self, params: Any, frame: Frame) -> DistributionPartial:
        """Return empty counts."""
        return DistributionPartial(params, frame)

    def reduce(self, partial: DistributionPartial) -> Answer:
        """Return one row a stratum and bin, exact; it leaves through the private form only."""
        strata, bins = partial.counts.shape
        return Answer(
            str(getattr(self, "name", "")),
            self.version,
            {"bin": np.tile(np.arange(bins), strata), "count": partial.counts.reshape(-1)},
            {"all": partial.people},
            {"totals": partial.totals.tolist()},
        )


class FeatureDistribution(_Base):
    """The family of a measured feature (see the module)."""

    name: ClassVar[str] = "feature_distribution"
    title: ClassVar[str] = "Histogram and clamped mean of one measured feature, private"
    limits: ClassVar[str] = f"private only, one feature, {MAX_BINS} bins"
    params: ClassVar[type[Strict]] = FeatureDistributionParams

    def needs(self, params: FeatureDistributionParams) -> Needs:
        """One measured feature, and the record where it is split."""
        return Needs.by(params.by, "expression", features=(params.feature,))

    def cost(self, params: FeatureDistributionParams, variants: int, people: int) -> int:
        """Return one unit a person."""
        return people


class ScoreDistribution(_Base):
    """The family of a polygenic score (see the module)."""

    name: ClassVar[str] = "score_distribution"
    title: ClassVar[str] = "Histogram and clamped mean of a polygenic score, private"
    limits: ClassVar[str] = f"private only, {MAX_WEIGHTS:,} weights, {MAX_BINS} bins"
    params: ClassVar[type[Strict]] = ScoreDistributionParams

    def needs(self, params: ScoreDistributionParams) -> Needs:
        """Genotypes, and the record where it is split."""
        return Needs.by(params.by, "genotypes")

    def cost(self, params: ScoreDistributionParams, variants: int, people: int) -> int:
        """Return one unit a genotype read."""
        return len(params.weights) * people
