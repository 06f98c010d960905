"""Splitting a private answer by a group of the participant record, its levels listed by the buyer.

Which levels a cohort holds is data, so private mode tells of those the question lists and of no
other; a listed level nobody has is answered by noise like any other. A person is of one level at
most, so all strata together cost rho once and move no further than one of them does (parallel
composition). Exact answers are split by whatever levels there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Self

import numpy as np
from pydantic import Field, model_validator

from compute.queries.data import PersonData, level_of
from compute.queries.family import Answer
from compute.queries.filters import FamilyParams, Level
from compute.queries.params import AsSet, By, region_problem

EVERYBODY: Final = "all"
Groups = Annotated[
    list[Level],
    Field(min_length=2, max_length=10),
    AsSet,
]


class Split(FamilyParams):
    """by: what people are split by; levels: the groups told in private mode, listed."""

    by: By = None
    levels: Groups | None = None

    @model_validator(mode="after")
    def _levels_of_something(self) -> Self:
        if self.levels is not None and self.by is None:
            raise ValueError("levels need to be told what they are of: by")
        return self

    @property
    def strata(self) -> Sequence[str]:
        """Return the names of a private answer's strata; one, "all", where it is not split."""
        return self.levels or (EVERYBODY,)

    def stratum(self, person: PersonData) -> int | None:
        """Return which of the strata a person is in, None for one of none."""
        if self.by is None:
            return 0
        own = level_of(person, self.by)
        return self.strata.index(own) if own in self.strata else None


def split_problem(params: Split) -> str | None:
    """Return why private mode does not split so, or None."""
    if params.by is not None and params.levels is None:
        return "private mode splits by levels the question lists: which there are is data"
    return None


def exact_problem(params: Any) -> str | None:
    """Return why trusted mode does not answer what is asked so, or None."""
    if getattr(params, "levels", None) is not None:
        return "levels are listed for private answers; exact ones have every level there is"
    # A family that names one variant states its place as a region, too; that is no buyer's region.
    asked = "variants" in type(params).model_fields
    return region_problem(params.variants) if asked else None


def strata_of(params: Split, answer: Answer) -> Iterator[Answer]:
    """Yield the rows of an exact answer for each stratum, none where the cohort has nobody of it.

    An answer that is not split is yielded as it is.
    """
    if params.levels is None:
        yield answer
        return
    own = answer.columns["stratum"].astype(str)
    for level in params.levels:
        columns = {name: column[own == level] for name, column in answer.columns.items()}
        people = {level: answer.people.get(level, 0)}
        yield replace(answer, columns=columns, people=people)


def stacked(parts: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the integers of all strata as one vector."""
    found: np.ndarray[Any, np.dtype[np.int64]] = np.concatenate(parts).astype(np.int64)
    return found
