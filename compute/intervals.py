"""Standard errors and 95 % intervals of exact answers, so that a meta-analysis can use them.

Made after suppression from numbers that are shown, so they tell nothing more: where a number is
hidden there is no interval. Private answers bring their own, which count their noise. Sources:
Wilson 1927 for a frequency or a prevalence; normal theory for a mean, a difference and an effect;
Woolf 1955 for an odds ratio; Fisher 1921 for a correlation. A HWE p value, which has no error of
its own, gets the effect it tests (`compute.inbreeding`), a count of pairs its share of all with an
error over people (`compute.queries.pair_shares`), and means by genotype a line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from compute.inbreeding import inbreeding
from compute.queries import Answer
from compute.queries.pair_shares import pair_shares
from compute.queries.private import CONFIDENCE_Z

MOST_ROWS = 100_000  # beyond, three more columns would cost more than they say
LEFT_OUT = (
    "not written out in so long an answer: af_se = sqrt(af (1 - af) / an); the effect a HWE p "
    "tests is f = 1 - het / (2 n a (1 - a)), of n genotypes with a = (het + 2 hom_alt) / (2 n)"
)
HWE_WORDS = (
    "a p value has no standard error; what it tests has: f, the inbreeding coefficient 1 - "
    "observed / expected heterozygotes of diploid calls (on X women's alone), 0 in Hardy-Weinberg "
    "proportions"
)

GROUPED = ("difference", "sd_a", "n_a", "sd_b", "n_b")
GENOTYPES = ("hom_ref", "het", "hom_alt")
CELLS = ("both", "first_only", "second_only", "neither")

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
    if {"difference", "sd_a", "n_a", "sd_b", "n_b"} <= set(columns):
        found |= _difference(*(_floats(columns[name]) for name in GROUPED))
    if {"odds_ratio", *CELLS} <= set(columns):
        found |= _woolf(*(_floats(columns[name]) for name in ("odds_ratio", *CELLS)))
    if {"prevalence", "n"} <= set(columns):
        found |= _wilson("prevalence", _floats(columns["prevalence"]), _floats(columns["n"]))
    if {"r", "r2", "n"} <= set(columns):
        found |= _fisher(_floats(columns["r"]), _floats(columns["n"]))
    if {"dosage", "mean", "n"} <= set(columns):
        found["fit"] = _fitted(*(_floats(columns[name]) for name in ("dosage", "mean", "n")))
    if {"degree", "pairs", "pairs_design", "n"} <= set(columns):
        numbers = (_floats(columns[name]) for name in ("pairs", "pairs_design", "n"))
        found |= pair_shares(columns["degree"], *numbers, z=CONFIDENCE_Z)
    facts = dict(answer.facts)
    if {"af", "an"} <= set(columns):
        if len(answer) > MOST_ROWS:
            facts["intervals"] = LEFT_OUT
        else:
            found |= _wilson("af", _floats(columns["af"]), _floats(columns["an"]))
            if {"hwe_p", *GENOTYPES} <= set(columns):
                found |= _inbreeding(columns)
                facts["hwe"] = HWE_WORDS
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


def _wilson(name: str, share: Floats, n: Floats) -> dict[str, Floats]:
    z2 = CONFIDENCE_Z**2
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(share * (1 - share) / n)
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = CONFIDENCE_Z * np.sqrt(error**2 + z2 / (4 * n**2)) / (1 + z2 / n)
    return {f"{name}_se": error, f"{name}_low": middle - half, f"{name}_high": middle + half}


def _inbreeding(columns: Mapping[str, npt.NDArray[Any]]) -> dict[str, Floats]:
    """Return the effect beside every p value that is told, of the genotypes shown."""
    known = np.isfinite(_floats(columns["hwe_p"]))
    counts = (np.where(known, _floats(columns[name]), np.nan) for name in GENOTYPES)
    told = inbreeding(*counts, z=CONFIDENCE_Z)
    return dict(zip(("f", "f_se", "f_low", "f_high"), told, strict=True))


def _difference(
    value: Floats, sd_a: Floats, n_a: Floats, sd_b: Floats, n_b: Floats
) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(sd_a**2 / n_a + sd_b**2 / n_b)
    return {"difference_se": error, **_normal("difference", value, error)}


def _woolf(ratio: Floats, *cells: Floats) -> dict[str, Floats]:
    """Return the interval of a ratio, and the error of its logarithm; none with an empty cell."""
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = np.sum([1 / cell for cell in cells], axis=0)
        error = np.where(np.isfinite(inverse), np.sqrt(inverse), np.nan)
        wide = np.exp(CONFIDENCE_Z * error)
        return {
            "log_odds_ratio_se": error,
            "odds_ratio_low": ratio / wide,
            "odds_ratio_high": ratio * wide,
        }


def _fisher(r: Floats, n: Floats) -> dict[str, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.where(n > 3, CONFIDENCE_Z / np.sqrt(n - 3), np.nan)
        z = np.arctanh(np.where(np.abs(r) < 1, r, np.nan))
        error = (1 - r**2) / np.sqrt(n - 1)
    return {"r_se": error, "r_low": np.tanh(z - half), "r_high": np.tanh(z + half)}
