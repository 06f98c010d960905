"""Parameters of private_association: the feature, the variants, and covariates with their bounds.

Bounds and levels are the buyer's, never read from the data: those would be an answer for which no
budget was charged.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar, Final, Self

import numpy as np
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator

from compute.queries.data import PersonData, level_of
from compute.queries.distribution import Between, FeatureRange
from compute.queries.params import VariantList
from compute.queries.split import Groups
from compute.queries.traits import CATEGORICAL, Covariate

MAX_VARIANTS: Final = 1_000
MAX_COVARIATES: Final = 5
_NUMBER: Final = r"-?(?:0|[1-9][0-9]{0,11})(?:\.[0-9]{1,9})?"
_BOUNDS: Final = re.compile(rf"({_NUMBER})\.\.({_NUMBER})")
_GROUPS: Final[TypeAdapter[list[str]]] = TypeAdapter(Groups)


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the record and where it is clamped to: one column of the model."""

    name: str
    clamp: Between

    columns: ClassVar[int] = 1

    def places(self, person: PersonData) -> tuple[float, ...]:
        """Return where the value lies, -1 to 1; NaN where the record has none."""
        value = person.covariates.get(self.name, math.nan)
        return (self.clamp.place(value) if math.isfinite(value) else math.nan,)

    @property
    def text(self) -> str:
        """Return the one way to write it."""
        return f"{self.clamp.low}..{self.clamp.high}"


@dataclass(frozen=True, slots=True)
class Category:
    """A category of the record and its levels, listed: a column for each but the first."""

    name: str
    levels: Sequence[str]

    @property
    def columns(self) -> int:
        """Return how many columns of the model it takes."""
        return len(self.levels) - 1

    def places(self, person: PersonData) -> tuple[float, ...]:
        """Return 1 at the person's level and -1 elsewhere; NaN for a level that is not listed."""
        own = level_of(person, self.name)
        if own not in self.levels:
            return (math.nan,) * self.columns
        return tuple(1.0 if own == level else -1.0 for level in self.levels[1:])

    @property
    def text(self) -> str:
        """Return the one way to write it."""
        return "|".join(self.levels)


def covariate_of(name: str, text: str) -> Number | Category:
    """Return a covariate from "LOW..HIGH" or, for a category, "LEVEL|LEVEL". Raises ValueError."""
    if name in CATEGORICAL:
        try:
            return Category(name, _GROUPS.validate_python(text.split("|")))
        except ValidationError:
            raise ValueError(f"{name} is a category: list its levels, such as A|B") from None
    found = _BOUNDS.fullmatch(text)
    if found is None or Fraction(found[1]) >= Fraction(found[2]):
        raise ValueError("bounds are LOW..HIGH with low below high")
    return Number(name, Between(low=found[1], high=found[2]))


def _covariates(given: dict[str, str]) -> dict[str, str]:
    """Write each covariate in its one way. Raises ValueError."""
    found = {name: covariate_of(name, text) for name, text in given.items()}
    if sum(one.columns for one in found.values()) > MAX_COVARIATES:
        raise ValueError(f"at most {MAX_COVARIATES} columns; a category takes its levels less one")
    return {name: one.text for name, one in found.items()}


class PrivateAssociationParams(FeatureRange):
    """A feature with its clamp, the variants, and how many of them to tell (all, if not said).

    covariates: of the participant record by name: a number with where it is clamped to,
    "LOW..HIGH"; population or sex with their levels, "LEVEL|LEVEL", listed since which there are
    is data. by, levels: what people are split by. Who has no covariate, or is of a level not
    listed, is left out.
    """

    variants: Annotated[VariantList, Field(max_length=MAX_VARIANTS)]
    top: Annotated[int, Field(ge=1, le=MAX_VARIANTS)] | None = None
    covariates: (
        Annotated[dict[Covariate, str], Field(min_length=1, max_length=MAX_COVARIATES),
                  AfterValidator(_covariates)] | None
    ) = None  # fmt: skip

    @model_validator(mode="after")
    def _not_twice(self) -> Self:
        if self.by is not None and self.by in (self.covariates or {}):
            raise ValueError("within a stratum everybody is of one level: do not adjust for it too")
        return self

    def adjusted(self) -> Sequence[Number | Category]:
        """Return the covariates, sorted by name."""
        return [covariate_of(name, text) for name, text in sorted((self.covariates or {}).items())]

    def sum_names(self) -> list[str]:
        """Return what the sums of a variant are of, in the order of the vector."""
        return sum_names(sum(one.columns for one in self.adjusted()))


def sum_names(covariates: int) -> list[str]:
    """Return what the sums of a variant are of: every product of two of (1, g, u, z1 ... zp)."""
    terms = ["", "g", "u", *(f"z{at}" for at in range(1, covariates + 1))]
    pairs = zip(*np.triu_indices(len(terms)), strict=True)
    return [terms[one] + terms[other] or "n" for one, other in pairs]
