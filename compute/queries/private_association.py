"""Family private_association: one clamped feature regressed on each listed variant, private.

Model, per variant and stratum, over people with a value, every covariate and a call:
feature ~ 1 + dosage + covariates. The feature is clamped to [low, high], which the buyer states,
and scaled to u in [-1, 1], and so is each covariate to bounds of its own; dosage is taken about 1,
g in {-1, 0, 1} (a haploid call counts as two copies). A category (population, sex) is one
covariate for each level listed but the first: 1 for people of it, -1 for the others. Released,
noised once as one vector: for each variant every product of two of (1, g, u, z1 ... zp), summed,
in steps of 1/STEPS. One person adds at most STEPS to each: T STEPS^2 a variant in squared L2,
T = (p + 3)(p + 4) / 2. The strata are
levels the buyer lists and share nobody, so a person is in one of them only and they cost no more
together than one; a row "all" joins them by inverse variance. Everything else is post-processing:
beta, a standard error that counts the noise, a test whose level holds because its variance does,
and the top few.

With M the sums over w = (1, z), a = M_ww^-1 M_wg and b = M_ww^-1 M_wu, the adjusted product is
C = gu - a.M_wu and V = gg - a.M_wg. Noise of sd s in each sum gives C, by the delta method, the
variance s^2 (1 + |a|^2 + |b|^2 + |a|^2 |b|^2 + (a.b)^2 - sum a_i^2 b_i^2), added to the sampling
variance of C; without covariates that is s^2 (1 + g'^2)(1 + u'^2) for means g', u'.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from compute.errors import QueryError
from compute.parsed import Modality
from compute.queries.assumed import Assumed, Sampled, of_slope
from compute.queries.data import Frame, PersonData, VariantTable, level_of
from compute.queries.distribution import Between, FeatureRange, half_width
from compute.queries.family import Answer, Defaults, Needs, ReleaseMode, Sensitivity, doubled
from compute.queries.frequencies import in_order, place_columns
from compute.queries.params import Strict, VariantList
from compute.queries.private import CONFIDENCE_Z, ROUND_TO, Int64, PrivateForm, Shape, Told, rounded
from compute.queries.split import Groups
from compute.queries.traits import CATEGORICAL, Covariate

STEPS: Final = 1000
SUMS: Final = ("n", "g", "u", "gg", "gu", "uu")  # without covariates
MAX_VARIANTS: Final = 1_000
MAX_COVARIATES: Final = 5
LEAST_SD: Final = 5  # a variance is divided by where it is this many of its own noise's sd
_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,9})?"
_BOUNDS: Final = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")
_GROUPS: Final[TypeAdapter[list[str]]] = TypeAdapter(Groups)

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the record and where it is clamped to: one column of the model."""

    name: str
    clamp: Between

    columns: ClassVar[int] = 1

    def places(self, person: PersonData) -> tuple[float, ...]:
        """Return where the value lies, -1 to 1; NaN where the record has none."""
        value = person.covariates.get(self.name, math.nan)
        return (self.clamp.place(value) if math.isfinite(value) else math.nan,)

    @property
    def text(self) -> str:
        """Return the one way to write it."""
        return f"{self.clamp.low}..{self.clamp.high}"


@dataclass(frozen=True, slots=True)
class Category:
    """A category of the record and its levels, listed: a column for each but the first."""

    name: str
    levels: Sequence[str]

    @property
    def columns(self) -> int:
        """Return how many columns of the model it takes."""
        return len(self.levels) - 1

    def places(self, person: PersonData) -> tuple[float, ...]:
        """Return 1 at the person's level and -1 elsewhere; NaN for a level that is not listed."""
        own = level_of(person, self.name)
        if own not in self.levels:
            return (math.nan,) * self.columns
        return tuple(1.0 if own == level else -1.0 for level in self.levels[1:])

    @property
    def text(self) -> str:
        """Return the one way to write it."""
        return "|".join(self.levels)


def covariate_of(name: str, text: str) -> Number | Category:
    """Return a covariate from "LOW..HIGH" or, for a category, "LEVEL|LEVEL". Raises ValueError."""
    if name in CATEGORICAL:
        try:
            return Category(name, _GROUPS.validate_python(text.split("|")))
        except ValidationError:
            raise ValueError(f"{name} is a category: list its levels, such as A|B") from None
    found = _BOUNDS.fullmatch(text)
    if found is None or Fraction(found[1]) >= Fraction(found[2]):
        raise ValueError("bounds are LOW..HIGH with low below high")
    return Number(name, Between(low=found[1], high=found[2]))


def _covariates(given: dict[str, str]) -> dict[str, str]:
    """Write each covariate in its one way. Raises ValueError."""
    found = {name: covariate_of(name, text) for name, text in given.items()}
    if sum(one.columns for one in found.values()) > MAX_COVARIATES:
        raise ValueError(f"at most {MAX_COVARIATES} columns; a category takes its levels less one")
    return {name: one.text for name, one in found.items()}


class PrivateAssociationParams(FeatureRange):
    """A feature with its clamp, the variants, and how many of them to tell (all, if not said).

    covariates: of the participant record by name: a number with where it is clamped to,
    "LOW..HIGH"; population or sex with their levels, "LEVEL|LEVEL", listed since which there are
    is data. by, levels: what people are split by. Who has no covariate, or is of a level not
    listed, is left out.
    """

    variants: Annotated[VariantList, Field(max_length=MAX_VARIANTS)]
    top: Annotated[int, Field(ge=1, le=MAX_VARIANTS)] | None = None
    covariates: (
        Annotated[dict[Covariate, str], Field(min_length=1, max_length=MAX_COVARIATES),
                  AfterValidator(_covariates)] | None
    ) = None  # fmt: skip

    @model_validator(mode="after")
    def _not_twice(self) -> Self:
        if self.by is not None and self.by in (self.covariates or {}):
            raise ValueError("within a stratum everybody is of one level: do not adjust for it too")
        return self

    def adjusted(self) -> Sequence[Number | Category]:
        """Return the covariates, sorted by name."""
        return [covariate_of(name, text) for name, text in sorted((self.covariates or {}).items())]


def sum_names(covariates: int) -> list[str]:
    """Return what the sums of a variant are of: every product of two of (1, g, u, z1 ... zp)."""
    terms = ["", "g", "u", *(f"z{at}" for at in range(1, covariates + 1))]
    pairs = zip(*np.triu_indices(len(terms)), strict=True)
    return [terms[one] + terms[other] or "n" for one, other in pairs]


def alt_copies(names: Sequence[str], table: VariantTable) -> Callable[[PersonData], Int64]:
    """Return what tells a person's copies of ALT at named variants; below 0 where not called.

    A haploid call counts as two copies.
    """
    at = {name: row for row, name in enumerate(table.names())}
    known = np.array([name in at for name in names], np.bool_)
    rows = np.array([at[name] for name in names if name in at], np.intp)

    def copies_of(person: PersonData) -> Int64:
        found = np.full(len(names), -2, np.int64)
        found[known] = doubled(person, table)[rows]
        return found

    return copies_of


class AssociationSums:
    """Integer sums (stratum x variant x product), in steps."""

    def __init__(self, params: PrivateAssociationParams, frame: Frame) -> None:
        self.params = params
        self._covariates = params.adjusted()
        self._copies = alt_copies(in_order(params.variants), frame.table)
        shape = (len(params.strata), len(params.variants), len(_names(params)))
        self.sums: Int64 = np.zeros(shape, np.int64)
        self.people = 0

    def add(self, person: PersonData) -> None:
        """Add one person's clamped products, in the one stratum they are of."""
        self.people += 1
        stratum, value = self.params.stratum(person), self.params.value_of(person)
        z = [place for one in self._covariates for place in one.places(person)]
        if stratum is None or not all(math.isfinite(one) for one in (value, *z)):
            return
        copies = self._copies(person)
        moved = contribution(self.params, value, copies - 1, z)
        self.sums[stratum] += moved * (copies >= 0)[:, None]

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.params != other.params:
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        self.sums += other.sums
        self.people += other.people


def contribution(params: Between, value: float, g: Int64, z: Sequence[float] = ()) -> Int64:
    """Return what one person adds (variant x product), in steps: at most STEPS in each place.

    z: covariates, clamped and scaled to [-1, 1].
    """
    one = np.ones(len(g))
    terms = np.stack([one, g, params.place(value) * one, *(each * one for each in z)], axis=1)
    first, second = np.triu_indices(terms.shape[1])
    steps: Int64 = np.rint(STEPS * terms[:, first] * terms[:, second]).astype(np.int64)
    return steps


class Association:
    """The private form (see the module)."""

    row: ClassVar[str] = "variants"

    def problem(self, params: PrivateAssociationParams) -> str | None:
        """Return None: every list the parameters allow is offered."""
        return None

    def shape(self, params: PrivateAssociationParams) -> Shape:
        """Return the sums of each variant in each stratum; a person is in one stratum."""
        sums, count = len(_names(params)), len(params.variants)
        return Shape(len(params.strata) * sums * count, sums * STEPS**2 * count)

    def vector(self, params: PrivateAssociationParams, answer: Answer) -> Int64:
        """Return the sums of each variant asked, zeros for one the cohort does not state."""
        columns = [answer.columns[name] for name in _names(params)]
        found: Int64 = np.stack(columns, axis=1).astype(np.int64).reshape(-1)
        return found

    def told(self, params: PrivateAssociationParams, noised: Int64, sd: float) -> Told:
        """Return a row a variant, or the `top` of them by |t|, which costs nothing more.

        Where people are split, each variant has a row a stratum and one of all together.
        """
        names, strata = in_order(params.variants), params.strata
        sums = noised.reshape(len(strata), len(names), -1) / STEPS
        fits = {level: fitted(sums[at], sd / STEPS, params.half) for at, level in enumerate(strata)}
        if params.by is not None:
            fits["all"] = joined(list(fits.values()))
        order = np.arange(len(names))
        if params.top is not None:
            strength = np.abs(np.nan_to_num(fits["all"]["t"]))
            order = np.argsort(-strength, kind="stable")[: params.top]
        rows = [
            {"stratum": level, **_row(names[at], fit, int(at))}
            for level, fit in fits.items()
            for at in order.tolist()
        ]
        return Told(
            columns={field: [row[field] for row in rows] for field in rows[0]},
            facts={"variants": len(names), "top": params.top, **_model(params)},
            released=f"sums of products ({', '.join(_names(params))}) of each variant"
            + (" and stratum" if params.by else "")
            + ", noised as one vector",
            privacy={"count_sd": sd / STEPS, "counts_rounded_to": ROUND_TO},
        )

    def rows(self, params: PrivateAssociationParams) -> int:
        """Return the number of variants."""
        return len(params.variants)

    def square_ratio(self, params: PrivateAssociationParams, assumed: Assumed) -> Fraction:
        """Return it for C over all strata, of one size, the value's mean in mid-clamp."""
        maf = assumed.maf
        mean, spread = 2 * maf - 1, 2 * maf * (1 - maf)
        noise = Fraction(len(_names(params)) * len(params.strata), 2) * (1 + mean**2)
        return noise / (spread * params.variance(assumed))

    def errors(
        self, params: PrivateAssociationParams, people: int, sd: float, assumed: Assumed
    ) -> Mapping[str, Any]:
        """Return the error of beta over all strata (in the feature's unit for each copy)."""
        maf, mean = assumed.maf, float(2 * assumed.maf - 1)
        variance = people * float(2 * maf * (1 - maf))
        noise = (sd / STEPS) * math.sqrt((1 + mean**2) * len(params.strata))
        return {
            "statistic": "beta",
            "noise_sd": params.half * noise / variance,
            "sampling_sd": params.half * math.sqrt(params.variance(assumed) / variance),
        }


def _names(params: PrivateAssociationParams) -> list[str]:
    return sum_names(sum(one.columns for one in params.adjusted()))


def _model(params: PrivateAssociationParams) -> dict[str, Any]:
    """Return what was adjusted for and split by, where anything was."""
    adjusted = {"covariates": dict(sorted(params.covariates.items()))} if params.covariates else {}
    return {**adjusted, **({"by": params.by} if params.by else {})}


def fitted(sums: Floats, sd: float, half: float) -> dict[str, Floats]:
    """Return n, beta, se, noise_sd, t and p from noised sums (variants x products); sd of each sum.

    NaN where the noise drowns n, a covariate's variance or that of the dosage.
    """
    m, n = _symmetric(sums), sums[:, 0]
    w = [0, *range(3, m.shape[1])]
    usable = np.linalg.eigvalsh(m[:, w][:, :, w])[:, 0] >= LEAST_SD * sd * math.sqrt(len(w))
    inner = np.where(usable[:, None, None], m[:, w][:, :, w], np.eye(len(w)))
    a, b = np.moveaxis(np.linalg.solve(inner, m[:, w][:, :, 1:3]), 2, 0)
    gv, uv, c = (
        m[:, one, other] - (left * m[:, w, other]).sum(axis=1)
        for one, other, left in ((1, 1, a), (2, 2, b), (1, 2, a))
    )
    aa, bb, ab = (a * a).sum(axis=1), (b * b).sum(axis=1), (a * b).sum(axis=1)
    c_sd = sd * np.sqrt(1 + aa + bb + aa * bb + ab**2 - (a * a * b * b).sum(axis=1))
    gv_sd = sd * np.sqrt(1 + 4 * aa + 2 * aa**2 - (a**4).sum(axis=1))
    usable &= (gv >= LEAST_SD * gv_sd) & (uv > 0)
    with np.errstate(all="ignore"):
        beta = c / gv
        residual = np.maximum(uv - beta * c, 0.05 * uv) / np.maximum(n - 1 - len(w), 1)
        noise = np.hypot(c_sd, beta * gv_sd) / gv
        se = np.sqrt(residual / gv + noise**2)
    found = {"beta": half * beta, "se": half * se, "noise_sd": half * noise}
    return _tested(n, {name: np.where(usable, values, np.nan) for name, values in found.items()})


def _symmetric(sums: Floats) -> Floats:
    """Return sums (variants x products) as matrices (variants x terms x terms)."""
    terms = (math.isqrt(8 * sums.shape[1] + 1) - 1) // 2
    first, second = np.triu_indices(terms)
    found = np.empty((len(sums), terms, terms))
    found[:, first, second] = found[:, second, first] = sums
    return found


def joined(fits: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Return the fits of strata as one, by inverse variance, without strata that have no fit."""
    beta, se, noise = (np.stack([fit[name] for fit in fits]) for name in ("beta", "se", "noise_sd"))
    n = np.stack([np.where(np.isnan(fit["beta"]), 0, fit["n"]) for fit in fits]).sum(axis=0)
    with np.errstate(all="ignore"):
        weight = np.nan_to_num(1 / se**2)
        whole = weight.sum(axis=0)
        found = {
            "beta": (weight * np.nan_to_num(beta)).sum(axis=0) / whole,
            "se": 1 / np.sqrt(whole),
            "noise_sd": np.sqrt((weight**2 * np.nan_to_num(noise) ** 2).sum(axis=0)) / whole,
        }
    return _tested(n, {name: np.where(whole > 0, one, np.nan) for name, one in found.items()})


def _tested(n: Floats, found: Mapping[str, Floats]) -> dict[str, Floats]:
    t = found["beta"] / found["se"]
    p = np.array([math.erfc(abs(one) / math.sqrt(2)) for one in t.tolist()])
    return {"n": n, **found, "t": t, "p": p}


def _row(name: str, fit: Mapping[str, Floats], at: int) -> dict[str, Any]:
    beta, se = float(fit["beta"][at]), float(fit["se"][at])
    usable = math.isfinite(beta)
    place = place_columns(name)
    numbers = {
        "beta": beta,
        "se": se,
        "noise_sd": float(fit["noise_sd"][at]),
        "beta_low": beta - CONFIDENCE_Z * se,
        "beta_high": beta + CONFIDENCE_Z * se,
        "t": float(fit["t"][at]),
        "p": float(fit["p"][at]),
    }
    return {
        **place,
        "a1": place["alt"],
        "n": rounded(float(fit["n"][at])),
        **{field: float(f"{value:.6g}") if usable else None for field, value in numbers.items()},
        "na": "" if usable else "too_little_variation_for_the_noise",
    }


class PrivateAssociation(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = "private_association"
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Association of a measured feature with listed variants, private"
    limits: ClassVar[str] = (
        f"private only, {MAX_VARIANTS:,} listed variants, {MAX_COVARIATES} columns of covariates"
    )
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"private"})
    params: ClassVar[type[Strict]] = PrivateAssociationParams
    private: ClassVar[PrivateForm] = Association()
    sampled: ClassVar[Sampled | None] = Sampled("beta", of_slope, half_width)
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "With the feature and each covariate clamped and scaled to [-1, 1] and dosage about 1, "
        "one person adds at most 1 to each of a variant's sums of products of two (six without "
        "covariates), in one stratum.",
        dict.fromkeys(SUMS, 1),
    )

    def needs(self, params: PrivateAssociationParams) -> Needs:
        """Genotypes, one measured feature, and the record where it is split or adjusted."""
        found: set[Modality] = {"genotypes", "expression"}
        if params.by or params.covariates:
            found.add("participant")
        names = params.covariates or {}
        levels = {*([params.by] if params.by else []), *(set(names) & set(CATEGORICAL))}
        return Needs(
            frozenset(found),
            features=(params.feature,),
            strata=tuple(sorted(levels)),
            covariates=tuple(sorted(set(names) - set(CATEGORICAL))),
        )

    def cost(self, params: PrivateAssociationParams, variants: int, people: int) -> int:
        """Return one unit a genotype and sum."""
        return len(params.variants) * people * len(_names(params))

    def start(self, params: PrivateAssociationParams, frame: Frame) -> AssociationSums:
        """Return empty sums."""
        return AssociationSums(params, frame)

    def reduce(self, partial: AssociationSums) -> Answer:
        """Return exact sums by stratum and variant; they leave through the private form only."""
        strata, names = partial.params.strata, in_order(partial.params.variants)
        columns = {
            "stratum": np.repeat(np.array(strata, object), len(names)),
            "variant": np.tile(np.array(names, object), len(strata)),
        }
        sums = partial.sums.reshape(len(columns["variant"]), -1)
        columns |= {name: sums[:, at].copy() for at, name in enumerate(_names(partial.params))}
        return Answer(self.name, self.version, columns, {"all": partial.people})
