"""What a buyer assumes of people nobody has looked at, for a dry run, and what error follows.

A frequency, and the standard deviation of a measured value (a trait, a feature, a score): public
quantities that stand in for what only data could tell. A family names in `sampled` the number of
its answer whose error is in proportion to that standard deviation.
Sources: the standard error of a mean is sd / sqrt(n); of a least-squares slope sd / sqrt(n var(x)),
with var(x) = 2 f (1 - f) for copies in Hardy-Weinberg proportions (sd: after what is adjusted for).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

PerSd: TypeAlias = Callable[[Any, int, Fraction], float]


@dataclass(frozen=True, slots=True)
class Assumed:
    """maf: a frequency in (0, 1/2]; sd: of a value in its own unit, above 0; None: not stated."""

    maf: Fraction = Fraction(1, 4)
    sd: Fraction | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """A number whose standard error is in proportion to the sd of the value measured.

    per_sd: (parameters, people, maf) -> its standard error where that sd is 1. most_sd: parameters
    -> how far a value between bounds can spread, half the distance between them; None: no bounds.
    """

    statistic: str
    per_sd: PerSd
    most_sd: Callable[[Any], Fraction | None] = lambda _params: None


def of_mean(params: Any, people: int, maf: Fraction) -> float:
    """Return the standard error of a mean of everybody, for a value of sd 1."""
    return 1 / math.sqrt(people)


def of_slope(params: Any, people: int, maf: Fraction) -> float:
    """Return the standard error of a slope over copies of ALT, for a value of sd 1."""
    return 1 / math.sqrt(people * 2 * maf * (1 - maf))


def of_difference(params: Any, people: int, maf: Fraction) -> float:
    """Return the standard error of the difference of two halves' means, for a value of sd 1."""
    return 2 / math.sqrt(people)
