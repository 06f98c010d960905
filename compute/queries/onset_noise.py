"""Private form of age_at_onset: onsets and departures by band of age, noised as one vector.

One person adds 1 to one count, of an onset or of a departure, of one stratum: 1 in squared L2.
People at risk, the curve and its interval are post-processing; the interval counts the noise, by
the delta method on log S. Source: Gondara and Wang 2020, Differentially private survival function
estimation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.queries.assumed import Assumed
from compute.queries.family import Answer
from compute.queries.private import ROUND_TO, Int64, Shape, Told, rounded
from compute.queries.split import split_problem, stacked, strata_of
from compute.survival import kaplan_meier

LEAST_SD = 5  # the curve goes on while the people at risk are this many sd of their noise
ENDED = "too_few_people_for_the_noise"

Float64: TypeAlias = npt.NDArray[np.float64]


class OnsetNoise:
    """The form (see the module)."""

    row: ClassVar[str] = "curves"

    def problem(self, params: Any) -> str | None:
        """Return why not, or None."""
        return split_problem(params)

    def shape(self, params: Any) -> Shape:
        """Return onsets and departures by band, of each stratum; a person is in one."""
        return Shape(len(params.strata) * 2 * params.rows, 1)

    def vector(self, params: Any, answer: Answer) -> Int64:
        """Return by stratum onsets by band, then departures; zeros where nobody is."""
        return stacked(
            [
                one.columns[name].reshape(-1, params.rows).sum(axis=0)
                for one in strata_of(params, answer)
                for name in _CELLS
            ]
        )

    def told(self, params: Any, noised: Int64, sd: float) -> Told:
        """Return one row a stratum and band; a curve ends where noise would drown it."""
        strata = noised.reshape(len(params.strata), -1)
        curves = [
            _curve(params, level, own, sd) for level, own in zip(params.strata, strata, strict=True)
        ]
        columns = {name: [value for one in curves for value in one[name]] for name in curves[0]}
        return Told(
            columns=columns,
            facts={
                "n": rounded(int(noised.sum())),
                "n_sd": sd * math.sqrt(noised.size),
            },
            released="onsets and departures by band of age"
            + (" and stratum" if params.by else "")
            + ", noised as one vector",
            privacy={"counts_rounded_to": ROUND_TO},
        )

    def rows(self, params: Any) -> int:
        """Return 1: bands and strata share nobody, so they cost no more together than one."""
        return 1

    def square_ratio(self, params: Any, assumed: Assumed) -> Fraction:
        """Return it for the share affected by the oldest age, being maf, where nobody leaves."""
        maf, cells = assumed.maf, Fraction(params.rows * len(params.strata))
        return cells * ((1 - maf) ** 2 + maf**2) / (2 * maf * (1 - maf))

    def errors(self, params: Any, people: int, sd: float, assumed: Assumed) -> Mapping[str, Any]:
        """Return the error of the share affected by the oldest age, in strata of one size."""
        maf, each = assumed.maf, people / len(params.strata)
        cells = params.rows * float((1 - maf) ** 2 + maf**2)
        return {
            "statistic": "share affected by the oldest age",
            "noise_sd": sd * math.sqrt(cells) / each,
            "sampling_sd": math.sqrt(maf * (1 - maf) / each),
        }


def _curve(params: Any, level: str, noised: Int64, sd: float) -> dict[str, list[Any]]:
    """Return the rows of one stratum; noised: its onsets by band, then departures."""
    events, censored = noised[: params.rows], noised[params.rows :]
    at_risk = (events + censored)[::-1].cumsum()[::-1]
    cells_left = 2.0 * np.arange(params.rows, 0, -1)
    clear = at_risk >= np.maximum(ROUND_TO, LEAST_SD * sd * np.sqrt(cells_left))
    going = np.logical_and.accumulate(clear)
    d = np.clip(events, 0, np.maximum(at_risk, 0)).astype(np.float64)
    n = np.where(going, at_risk, 0).astype(np.float64)
    curve = kaplan_meier(n, d, noise_variance(n, d, sd))
    starts = range(0, params.oldest, params.width)
    return {
        "stratum": [level] * params.rows,
        "age_from": list(starts),
        "age_to": [start + params.width for start in starts],
        "at_risk": [rounded(count) for count in at_risk.tolist()],
        "events": [rounded(count) for count in events.tolist()],
        "censored": [rounded(count) for count in censored.tolist()],
        "count_sd": [sd] * params.rows,
        "survival": _given(curve.share),
        "survival_se": _given(curve.se),
        "survival_low": _given(curve.low),
        "survival_high": _given(curve.high),
        "na": ["" if goes else ENDED for goes in going.tolist()],
    }


_CELLS = ("events", "censored")


def noise_variance(n: Float64, d: Float64, sd: float) -> Float64:
    """Return the variance of log S after each band from noise of sd in every count, (bands,).

    n: at risk; d: onsets. log S_j = sum over i <= j of log(n_i - d_i) - log n_i, where n_i is every
    count from band i on and n_i - d_i lacks the onsets of i.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        each = 1.0 / (n - d) - 1.0 / n
        upto = np.cumsum(each)
        onset = (upto - each - 1.0 / n) ** 2
    later = 2 * np.arange(len(n) - 1, -1, -1)
    found: Float64 = sd**2 * (np.cumsum(onset + upto**2) + later * upto**2)
    return found


def _given(values: Float64) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
