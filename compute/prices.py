"""What one use costs by the members' own terms: the published rule, the same for everybody.

Pure integer and rational arithmetic over minor units. Says nothing about fees, which come on top.
Spec: DESIGN section 4.1 (money follows scope).
"""

import math
from collections.abc import Iterable
from fractions import Fraction

from compute.risk import HIGHEST
from compute.verdict import Release


def rate_of(release: Release) -> Fraction:
    """Return the published rate of a release: 1 trusted; private, in proportion to rho.

    The largest lifetime budget there is, taken whole, costs what exact numbers do: 2 x rho.
    """
    if release.mode == "trusted":
        return Fraction(1)
    return Fraction(release.rho) / HIGHEST


def due(prices: Iterable[int], release: Release) -> int:
    """Return what these asked prices come to at the release's rate, in minor units, rounded up."""
    return math.ceil(sum(prices) * rate_of(release))
