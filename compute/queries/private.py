"""What a family declares to be offered in private mode: one vector of integers, and what it tells.

The gate treats every family alike. It asks the form for the vector of an exact answer, refuses one
whose length is not the declared one, adds one draw of noise for the whole of rho, and hands the
noised integers back to be told. What a form must keep to:

* `problem`, `shape`, `rows`, `square_ratio` and `errors` depend on the parameters alone, never on
  data: length and order of the vector, and its sensitivity, are public before anybody is opened.
* `sensitivity_squared` bounds, exactly, the squared L2 distance one person, added or removed, can
  move the whole vector: clamp and round to integers each person's part in `Partial.add`, never the
  sum. A test compares it with brute force over every value a person may have.
* `told` sees the noised integers and public quantities only; what it does with them costs nothing.

A family names its form in a class attribute `private`, and "private" among its `modes`; its
`modules` should name the form's module, so that the code digest covers it.
Source: zero-concentrated differential privacy (Bun and Steinke 2016); DESIGN section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.queries.family import Answer

Int64: TypeAlias = npt.NDArray[np.int64]
CONFIDENCE_Z = 1.959963984540054
ROUND_TO = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """How many integers are noised as one release, and the square of their joint L2 sensitivity."""

    values: int
    sensitivity_squared: int


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
        """Return what is told; sd: the noise's standard deviation in each integer."""
        ...

    def rows(self, params: Any) -> int:
        """Return how many rows share rho: noise variance grows in proportion to it."""
        ...

    def square_ratio(self, params: Any, maf: Fraction) -> Fraction:
        """Return (noise / sampling error)^2 of one row, for one person at rho 1."""
        ...

    def errors(self, params: Any, people: int, sd: float, maf: Fraction) -> Mapping[str, Any]:
        """Return the expected errors, from public quantities: at least "statistic" (its name),
        "noise_sd" and "sampling_sd" in its unit.
        """
        ...


def rounded(count: float) -> int:
    """Round a noised count for presentation, to a multiple of ROUND_TO."""
    return ROUND_TO * round(count / ROUND_TO)
