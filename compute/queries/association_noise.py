"""Private form of private_association: its sums of products noised once, as one vector.

One person adds at most STEPS to each sum of a variant, in one stratum: with p columns of covariates
T = (p + 3)(p + 4) / 2 sums, T STEPS^2 a variant in squared L2. Everything else is post-processing:
beta, a standard error that counts the noise, a test whose level holds because its variance does,
and the top few.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from compute.queries.assumed import Assumed
from compute.queries.family import Answer
from compute.queries.frequencies import in_order, place_columns
from compute.queries.noised_fit import Floats, fitted, joined
from compute.queries.private import CONFIDENCE_Z, ROUND_TO, Int64, Shape, Told, rounded
from compute.queries.private_association_params import PrivateAssociationParams
from compute.queries.product_sums import STEPS


class AssociationNoise:
    """The private form (see the module)."""

    row: ClassVar[str] = "variants"

    def problem(self, params: PrivateAssociationParams) -> str | None:
        """Return None: every list the parameters allow is offered."""
        return None

    def shape(self, params: PrivateAssociationParams) -> Shape:
        """Return the sums of each variant in each stratum; a person is in one stratum."""
        sums, count = len(params.sum_names()), len(params.variants)
        return Shape(len(params.strata) * sums * count, sums * STEPS**2 * count)

    def vector(self, params: PrivateAssociationParams, answer: Answer) -> Int64:
        """Return the sums of each variant asked, zeros for one the cohort does not state."""
        columns = [answer.columns[name] for name in params.sum_names()]
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
            released=f"sums of products ({', '.join(params.sum_names())}) of each variant"
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
        noise = Fraction(len(params.sum_names()) * len(params.strata), 2) * (1 + mean**2)
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


def _model(params: PrivateAssociationParams) -> dict[str, Any]:
    """Return what was adjusted for and split by, where anything was."""
    adjusted = {"covariates": dict(sorted(params.covariates.items()))} if params.covariates else {}
    return {**adjusted, **({"by": params.by} if params.by else {})}


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
