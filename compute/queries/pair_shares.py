"""What share of a cohort's pairs is related, and how sure that is of the population it comes from.

Pairs share people: one big family makes many of them. So a binomial interval of pairs / all pairs
is too narrow; the share is a U statistic, and its variance is found by leaving out one person after
the other (jackknife: Arvesen 1969; biased upward, never down: Efron and Stein 1981). With d_i the
related pairs of person i of n,

    variance = (n - 1) / n * sum (d_i - mean d)^2 / ((n - 1)(n - 2) / 2)^2

and `design` is how many times that of independent pairs it is, rounded up to a half, so that no
exact count can be read off it. The interval is Wilson's for all pairs / design (Korn and Graubard
1998). Where no pair is found there is no variance; the interval is that of n / 2 pairs, as many as
share nobody (Hoeffding 1963). Degrees of kin have it; "unrelated" is what is left.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

UNRELATED: Final = "unrelated"
STEP: Final = 0.5

Int64: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


def design(own: Int64) -> float:
    """Return a degree's design effect, NaN without a pair of it. own: (people,) pairs of each."""
    n, pairs = len(own), int(own.sum()) // 2
    share = pairs / math.comb(n, 2) if n > 2 else 0.0
    if not 0 < share < 1:
        return math.nan
    variance = (n - 1) / n * float(((own - own.mean()) ** 2).sum()) / math.comb(n - 1, 2) ** 2
    return max(1.0, math.ceil(variance * math.comb(n, 2) / (share * (1 - share)) / STEP) * STEP)


def pair_shares(
    degree: npt.NDArray[np.object_], pairs: Floats, effect: Floats, n: Floats, *, z: float
) -> dict[str, Floats]:
    """Return share, its standard error and interval by degree, of numbers as they are shown.

    NaN where pairs are hidden, and of "unrelated"; no standard error where no pair is found.
    """
    every = n * (n - 1) / 2
    told = np.isfinite(pairs) & (degree != UNRELATED) & (n > 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(told, np.minimum(pairs / every, 1.0), np.nan)
        worth = np.where(pairs > 0, every / effect, np.floor(n / 2))
        error = np.where(pairs > 0, np.sqrt(share * (1 - share) / worth), np.nan)
        middle = (share + z * z / (2 * worth)) / (1 + z * z / worth)
        half = z * np.sqrt(share * (1 - share) / worth + (z / (2 * worth)) ** 2)
        half /= 1 + z * z / worth
    return {
        "share": share,
        "share_se": error,
        "share_low": np.where(pairs == 0, 0.0 * share, np.maximum(middle - half, 0.0)),
        "share_high": middle + half,
    }
