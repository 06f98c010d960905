"""What one use costs by the members' own terms: the published rule, the same for everybody.

Pure integer and rational arithmetic over minor units. Says nothing about fees, which come on top.
Spec: DESIGN section 4.1 (money follows scope).
"""

import math
from collections.abc import Iterable
from fractions import Fraction

from compute.verdict import Release

LOWEST_RATE = Fraction(1, 10)


def rate_of(release: Release) -> Fraction:
    """Return the published rate of a release mode: 1 trusted, 10 x rho within [1/10, 1] private."""
    if release.mode == "trusted":
        return Fraction(1)
    return min(Fraction(1), max(LOWEST_RATE, 10 * Fraction(release.rho)))


def due(prices: Iterable[int], release: Release) -> int:
    """Return what these asked prices come to at the release's rate, in minor units, rounded up."""
    return math.ceil(sum(prices) * rate_of(release))
