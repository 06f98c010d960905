"""Family private_association: one clamped feature regressed on each listed variant, private.

Model, per variant, over people with a value and a call: feature ~ 1 + dosage. The feature is
clamped to [low, high], which the buyer states, and scaled to u in [-1, 1]; dosage is taken about 1,
g in {-1, 0, 1} (a haploid call counts as two copies). Released, noised once as one vector: for each
variant the sums of 1, g, g^2, u, u^2 and gu, in steps of 1/STEPS. One person adds at most STEPS to
each: 6 STEPS^2 a variant in squared L2. Everything else is post-processing: beta, a standard error
that counts the noise, a test whose level holds because its variance does, and the top few.

Noise in C = sum gu - (sum g)(sum u)/n has variance s^2 (1 + g'^2)(1 + u'^2) for means g', u' and noise
variance s^2 of a sum, by the delta method; it is added to the sampling variance of C.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compute.errors import QueryError
from compute.queries.data import Frame, PersonData
from compute.queries.distribution import FeatureRange, Range
from compute.queries.family import Answer, Defaults, Needs, ReleaseMode, Sensitivity, dosages
from compute.queries.frequencies import in_order, place_columns
from compute.queries.params import Strict, VariantList, select
from compute.queries.private import CONFIDENCE_Z, ROUND_TO, Int64, PrivateForm, Shape, Told, rounded

STEPS: Final = 1000
SUMS: Final = ("n", "g", "gg", "u", "uu", "gu")
MAX_VARIANTS: Final = 1_000
LEAST_SD: Final = 5  # a variance is divided by where it is this many of its own noise's sd
ASSUMED_SPREAD: Final = Fraction(1, 9)  # of u, where the clamp lies three sd off the mean

Floats = npt.NDArray[np.float64]


class PrivateAssociationParams(FeatureRange):
    """A feature with its clamp, the variants, and how many of them to tell (all, if not said)."""

    variants: Annotated[VariantList, Field(max_length=MAX_VARIANTS)]
    top: Annotated[int, Field(ge=1, le=MAX_VARIANTS)] | None = None


class AssociationSums:
    """Integer sums (variant x SUMS), in steps."""

    def __init__(self, params: PrivateAssociationParams, frame: Frame) -> None:
        self.params = params
        self._table = frame.table
        self.rows = select(params.variants, frame.table)
        self.names = [name for name in frame.table.names() if name in set(params.variants)]
        self.sums = np.zeros((len(self.rows), len(SUMS)), np.int64)
        self.people = 0

    def add(self, person: PersonData) -> None:
        """Add one person's clamped products."""
        self.people += 1
        value = self.params.value_of(person)
        if not math.isfinite(value):
            return
        copies = dosages(person, self._table)[self.rows].astype(np.int64)
        called = copies >= 0
        if person.ploidy is not None:
            copies = np.where(person.ploidy[self.rows] == 1, 2 * copies, copies)
        self.sums += contribution(self.params, value, copies - 1) * called[:, None]

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.names != other.names:
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        self.sums += other.sums
        self.people += other.people


def contribution(params: Range, value: float, g: Int64) -> Int64:
    """Return what one person adds (variant x SUMS), in steps: at most STEPS in each place."""
    u = min(1.0, max(-1.0, (value - params.middle) / params.half))
    one = np.ones(len(g))
    exact = np.stack([one, g, g * g, u * one, u * u * one, g * u], axis=1)
    steps: Int64 = np.rint(STEPS * exact).astype(np.int64)
    return steps


class Association:
    """The private form (see the module)."""

    row: ClassVar[str] = "variants"

    def problem(self, params: PrivateAssociationParams) -> str | None:
        """Return None: every list the parameters allow is offered."""
        return None

    def shape(self, params: PrivateAssociationParams) -> Shape:
        """Return the sums of each variant."""
        count = len(params.variants)
        return Shape(len(SUMS) * count, len(SUMS) * STEPS**2 * count)

    def vector(self, params: PrivateAssociationParams, answer: Answer) -> Int64:
        """Return the sums of each variant asked, zeros for one the cohort does not state."""
        at = {name: row for row, name in enumerate(answer.columns["variant"].tolist())}
        found = np.zeros((len(params.variants), len(SUMS)), np.int64)
        for row, name in enumerate(in_order(params.variants)):
            if name in at:
                found[row] = [answer.columns[column][at[name]] for column in SUMS]
        return found.reshape(-1)

    def told(self, params: PrivateAssociationParams, noised: Int64, sd: float) -> Told:
        """Return a row a variant, or the `top` of them by |t|, which costs nothing more."""
        names = in_order(params.variants)
        fit = fitted(noised.reshape(-1, len(SUMS)) / STEPS, sd / STEPS, params.half)
        order = np.arange(len(names))
        if params.top is not None:
            order = np.argsort(-np.abs(np.nan_to_num(fit["t"])), kind="stable")[: params.top]
        rows = [_row(names[at], fit, int(at)) for at in order.tolist()]
        return Told(
            columns={field: [row[field] for row in rows] for field in rows[0]},
            facts={"variants": len(names), "top": params.top},
            released="sums of 1, g, g^2, u, u^2 and gu of each variant, noised as one vector",
            privacy={"count_sd": sd / STEPS, "counts_rounded_to": ROUND_TO},
        )

    def rows(self, params: PrivateAssociationParams) -> int:
        """Return the number of variants."""
        return len(params.variants)

    def square_ratio(self, params: PrivateAssociationParams, maf: Fraction) -> Fraction:
        """Return it for C, with the feature's clamp three sd from its mean."""
        mean, spread = 2 * maf - 1, 2 * maf * (1 - maf)
        return Fraction(len(SUMS), 2) * (1 + mean**2) / (spread * ASSUMED_SPREAD)

    def errors(
        self, params: PrivateAssociationParams, people: int, sd: float, maf: Fraction
    ) -> Mapping[str, Any]:
        """Return the error of beta (in the feature's unit for each copy)."""
        spread, mean = float(2 * maf * (1 - maf)), float(2 * maf - 1)
        variance = people * spread
        return {
            "statistic": "beta",
            "noise_sd": params.half * (sd / STEPS) * math.sqrt(1 + mean**2) / variance,
            "sampling_sd": params.half * math.sqrt(float(ASSUMED_SPREAD) / variance),
        }


def fitted(sums: Floats, sd: float, half: float) -> dict[str, Floats]:
    """Return n, beta, se, noise_sd, t and p from noised sums (variants x SUMS); sd of each sum.

    NaN where the noise drowns n or the variance of the dosage.
    """
    n, g, gg, u, uu, gu = (sums[:, at] for at in range(len(SUMS)))
    with np.errstate(all="ignore"):
        gm, um = g / n, u / n
        gv, uv, c = gg - g * gm, uu - u * um, gu - g * um
        gv_sd = sd * np.sqrt(1 + 4 * gm**2 + gm**4)
        usable = (n >= LEAST_SD * sd) & (gv >= LEAST_SD * gv_sd) & (uv > 0)
        beta = c / gv
        residual = np.maximum(uv - beta * c, 0.05 * uv) / np.maximum(n - 2, 1)
        noise = sd * np.sqrt((1 + gm**2) * (1 + um**2) + (beta * gv_sd / sd) ** 2) / gv
        se = np.sqrt(residual / gv + noise**2)
        t = np.where(usable, beta / se, np.nan)
    found = {"beta": half * beta, "se": half * se, "noise_sd": half * noise}
    found = {name: np.where(usable, values, np.nan) for name, values in found.items()}
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
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"private"})
    params: ClassVar[type[Strict]] = PrivateAssociationParams
    private: ClassVar[PrivateForm] = Association()
    modules: ClassVar[tuple[str, ...]] = (
        "compute.queries.private_association",
        "compute.queries.distribution",
        "compute.queries.frequencies",
        "compute.queries.traits",
        "compute.queries.private",
    )
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "With the feature clamped and scaled to [-1, 1] and dosage taken about 1, one person adds "
        "at most 1 to each of six sums of a variant.",
        dict.fromkeys(SUMS, 1),
    )

    def needs(self, params: PrivateAssociationParams) -> Needs:
        """Genotypes and one measured feature."""
        return Needs(frozenset({"genotypes", "expression"}), features=(params.feature,))

    def cost(self, params: PrivateAssociationParams, variants: int, people: int) -> int:
        """Return one unit a genotype and sum."""
        return len(params.variants) * people * len(SUMS)

    def start(self, params: PrivateAssociationParams, frame: Frame) -> AssociationSums:
        """Return empty sums."""
        return AssociationSums(params, frame)

    def reduce(self, partial: AssociationSums) -> Answer:
        """Return exact sums by variant; they leave through the private form only."""
        columns = {"variant": np.array(partial.names, object)}
        columns |= {name: partial.sums[:, at].copy() for at, name in enumerate(SUMS)}
        return Answer(self.name, self.version, columns, {"all": partial.people})
