"""Standard errors and 95 % intervals of exact answers, so that a meta-analysis can use them.

Made after suppression from numbers that are shown, so they tell nothing more: where a number is
hidden there is no interval. Private answers bring their own, which count their noise. Sources:
Wilson 1927 for a frequency; normal theory for a mean and an effect. Means by genotype get a line.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from compute.queries import Answer
from compute.queries.private import CONFIDENCE_Z

MOST_ROWS = 100_000  # beyond, three more columns would cost more than they say
LEFT_OUT = "not written out in so long an answer: af_se = sqrt(af (1 - af) / an)"

Floats = npt.NDArray[np.float64]


def with_intervals(answer: Answer) -> Answer:
    """Return a suppressed answer with the errors its own numbers determine."""
    columns = answer.columns
    found: dict[str, Floats] = {}
    if {"mean", "sd", "n"} <= set(columns):
        with np.errstate(divide="ignore", invalid="ignore"):
            error = _floats(columns["sd"]) / np.sqrt(_floats(columns["n"]))
        found |= {"mean_se": error, **_normal("mean", _floats(columns["mean"]), error)}
    if {"beta", "se"} <= set(columns):
        found |= _normal("beta", _floats(columns["beta"]), _floats(columns["se"]))
    if {"dosage", "mean", "n"} <= set(columns):
        found["fit"] = _fitted(*(_floats(columns[name]) for name in ("dosage", "mean", "n")))
    facts = dict(answer.facts)
    if {"af", "an"} <= set(columns):
        if len(answer) > MOST_ROWS:
            facts["intervals"] = LEFT_OUT
        else:
            found |= _wilson(_floats(columns["af"]), _floats(columns["an"]))
    new = {name: values for name, values in found.items() if name not in columns}
    return replace(answer, columns={**columns, **new}, facts=facts)


def _floats(column: npt.NDArray[Any]) -> Floats:
    """Return a column as floats, NaN where it is hidden."""
    if column.dtype != object:
        return column.astype(np.float64)
    return np.array([math.nan if one is None else one for one in column.tolist()], np.float64)


def _normal(name: str, value: Floats, error: Floats) -> dict[str, Floats]:
    return {
        f"{name}_low": value - CONFIDENCE_Z * error,
        f"{name}_high": value + CONFIDENCE_Z * error,
    }


def _fitted(dosage: Floats, mean: Floats, n: Floats) -> Floats:
    """Return the least-squares line through group means weighted by n, NaN without two groups."""
    there = np.isfinite(mean) & (n > 0)
    if there.sum() < 2:
        return np.full(len(dosage), np.nan)
    slope, start = np.polyfit(dosage[there], mean[there], 1, w=np.sqrt(n[there]))
    found: Floats = start + slope * dosage
    return found


def _wilson(af: Floats, an: Floats) -> dict[str, Floats]:
    z2 = CONFIDENCE_Z**2
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(af * (1 - af) / an)
        middle = (af + z2 / (2 * an)) / (1 + z2 / an)
        half = CONFIDENCE_Z * np.sqrt(error**2 + z2 / (4 * an**2)) / (1 + z2 / an)
    return {"af_se": error, "af_low": middle - half, "af_high": middle + half}
