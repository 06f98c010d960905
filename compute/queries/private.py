"""What a family declares to be offered in private mode: one vector of integers, and what it tells.

The gate treats every family alike. It asks the form for the vector of an exact answer, refuses one
whose length is not the declared one, adds one draw of noise for the whole of rho (or picks the
largest with it), and hands the noised integers back to be told. What a form must keep to:

* `problem`, `shape`, `rows`, `square_ratio` and `errors` depend on the parameters alone, never on
  data: length and order of the vector, and its sensitivity, are public before anybody is opened.
* `sensitivity_squared` bounds, exactly, the squared L2 distance one person, added or removed, can
  move the whole vector (where it is picked from: the square of what any one place can move): clamp
  and round to integers each person's part in `Partial.add`, never the sum. A test compares it with
  brute force over every value a person may have.
* `told` sees the noised integers and public quantities only; what it does with them costs nothing.

A family names its form in a class attribute `private`, and "private" among its `modes`.
Source: zero-concentrated differential privacy (Bun and Steinke 2016); DESIGN section 4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.queries.assumed import Assumed
from compute.queries.family import Answer

Int64: TypeAlias = npt.NDArray[np.int64]
CONFIDENCE_Z = 1.959963984540054
ROUND_TO = 5
GUMBEL_SD = math.pi / math.sqrt(6)  # of the standard Gumbel distribution


@dataclass(frozen=True, slots=True)
class Shape:
    """How many integers leave as one release, and the square of how far one person moves them.

    picks 0: each is told with Gaussian noise, and sensitivity_squared is of their joint L2. picks
    k: they are scores, and only which k of them are the largest is told, by report noisy top-k;
    sensitivity_squared is then of the one score moved most (L infinity). monotonic: no person ever
    moves one score up and another down, which halves the noise.
    """

    values: int
    sensitivity_squared: int
    picks: int = 0
    monotonic: bool = False

    def sd(self, rho: Fraction) -> float:
        """Return the standard deviation of the noise that rho buys; of a score's, where picked."""
        if not self.picks:
            return math.sqrt(Fraction(self.sensitivity_squared) / (2 * rho))
        return GUMBEL_SD * self.scale(rho)

    def scale(self, rho: Fraction) -> float:
        """Return the scale of the Gumbel noise of a pick.

        A pick has bounded range e = 2 D / scale (D / scale where monotonic): what it tells of one
        person is at worst a coin whose odds differ by exp(e) (Dong, Durfee and Rogers 2020). In
        zCDP k of them cost k e^2 / 8. What owners are promised of rho (`compute.risk`) is a
        Gaussian's strength, mu = sqrt(2 rho), which a coin can exceed at that price; since
        2 probit(logistic(e / 2)) <= e sqrt(2 pi) / 4, a scale wider by sqrt(pi / 2) keeps it.
        """
        span = self.sensitivity_squared * (1 if self.monotonic else 4)
        return math.sqrt(math.pi / 2 * Fraction(self.picks * span) / (8 * rho))


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of noised integers: columns of equal length, facts, and what is left out."""

    columns: Mapping[str, list[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    suppressed: tuple[Mapping[str, str], ...] = ()
    released: str = ""
    privacy: Mapping[str, Any] = field(default_factory=dict)


class PrivateForm(Protocol):
    """A family's private form (see the module). params: the family's own parameters.

    row: what one row of the answer is, in the plural ("variants").
    """

    row: ClassVar[str]

    def problem(self, params: Any) -> str | None:
        """Return why these parameters are not offered in private mode, or None."""
        ...

    def shape(self, params: Any) -> Shape:
        """Return the vector's length and sensitivity."""
        ...

    def vector(self, params: Any, answer: Answer) -> Int64:
        """Return the exact integers, in the order `told` reads them."""
        ...

    def told(self, params: Any, noised: Int64, sd: float) -> Told:
        """Return what is told; sd: the noise's standard deviation in each integer.

        noised: the integers with noise; of a shape with picks, the places picked, best first.
        """
        ...

    def rows(self, params: Any) -> int:
        """Return how many rows share rho: noise variance grows in proportion to it."""
        ...

    def square_ratio(self, params: Any, assumed: Assumed) -> Fraction:
        """Return (noise / sampling error)^2 of one row, for one person at rho 1."""
        ...

    def errors(self, params: Any, people: int, sd: float, assumed: Assumed) -> Mapping[str, Any]:
        """Return the expected errors, from public quantities: "statistic" (its name) with its
        "noise_sd" and "sampling_sd"; "more", if any: the same of other numbers. sd: of the noise.
        """
        ...


def rounded(count: float) -> int:
    """Round a noised count for presentation, to a multiple of ROUND_TO."""
    return ROUND_TO * round(count / ROUND_TO)
