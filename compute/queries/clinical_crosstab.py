"""Family clinical_crosstab: two yes-or-no statements of a record against one another, by stratum.

Cells count people: both, first only, second only, neither. The odds ratio and Fisher's exact p are
made again from the rounded cells before they leave, so they say nothing the cells do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, Self

import numpy as np

from compute.errors import QueryError
from compute.queries.clinical_counts import ALL, clinical_needs
from compute.queries.data import Frame, PersonData, level_of
from compute.queries.family import (
    Answer,
    Cell,
    Column,
    Defaults,
    Disclosure,
    Needs,
    ReleaseMode,
    Sensitivity,
)
from compute.queries.params import Strict
from compute.queries.traits import TermTrait, has_term, wanted_terms
from compute.stats import fisher_two_by_two

FAMILY: Final = "clinical_crosstab"
CELLS: Final = ("both", "first_only", "second_only", "neither")
DERIVED: Final = ("odds_ratio", "fisher_p")


class ClinicalCrosstabParams(Strict):
    """Two terms (each with its ontology), and by which stratum."""

    first: TermTrait
    second: TermTrait
    by: Literal["population", "sex"] | None = None


class ClinicalCrosstabPartial:
    """Counts of people: stratum x cell."""

    def __init__(self, params: ClinicalCrosstabParams, frame: Frame) -> None:
        self.params, self.frame = params, frame
        self.levels = frame.levels.get(params.by, ()) if params.by else (ALL,)
        self._level = {level: i for i, level in enumerate(self.levels)}
        self._wanted = [
            wanted_terms(one.term, one.ontology, frame.references)
            for one in (params.first, params.second)
        ]
        self.cells = np.zeros((len(self.levels), len(CELLS)), np.int64)

    @property
    def people(self) -> int:
        """Return how many people were added."""
        return int(self.cells.sum())

    def add(self, person: PersonData) -> None:
        """Add one person to one cell."""
        level = self._level.get(level_of(person, self.params.by) if self.params.by else ALL)
        if level is None or person.clinical is None:
            raise QueryError("a person's record does not fit the cohort's frame", code="stratum")
        first, second = (has_term(person.clinical, wanted) for wanted in self._wanted)
        self.cells[level, (0 if second else 1) if first else (2 if second else 3)] += 1

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.levels != other.levels:
            raise QueryError("partial counts of different queries cannot be added", code="merge")
        self.cells += other.cells


def _derived(columns: Mapping[str, Column]) -> dict[str, Column]:
    odds, p = fisher_two_by_two(*(columns[name].astype(np.int64) for name in CELLS))
    return {"odds_ratio": odds, "fisher_p": p}


class ClinicalCrosstab(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Cross-tabulation of two coded terms, odds ratio, Fisher's exact test"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    params: ClassVar[type[Strict]] = ClinicalCrosstabParams
    modules: ClassVar[tuple[str, ...]] = (
        "compute.queries.clinical_crosstab",
        "compute.queries.clinical_counts",
        "compute.queries.disclosure",
        "compute.queries.traits",
        "compute.queries.hierarchy",
        "compute.stats",
    )
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=tuple(Cell(name, (*CELLS, *DERIVED)) for name in CELLS),
        rounded=(*CELLS, "n"),
        remake=_derived,
        spread=True,
    )
    limits: ClassVar[str] = "two terms; counts rounded to 5"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "One person changes exactly one of the four cells of one stratum by 1.",
        dict.fromkeys((*CELLS, "n"), 1),
    )

    def needs(self, params: ClinicalCrosstabParams) -> Needs:
        """Clinical data, the ontologies named, and the record where a stratum is asked for."""
        return clinical_needs(params.by, params.first.ontology, params.second.ontology)

    def start(self, params: ClinicalCrosstabParams, frame: Frame) -> ClinicalCrosstabPartial:
        """Return empty counts."""
        return ClinicalCrosstabPartial(params, frame)

    def reduce(self, partial: ClinicalCrosstabPartial) -> Answer:
        """Return one row a stratum."""
        columns: dict[str, Column] = {
            "stratum": np.array(partial.levels, dtype=object),
            "n": partial.cells.sum(axis=1),
            **{name: partial.cells[:, at] for at, name in enumerate(CELLS)},
        }
        columns |= _derived(columns)
        people = dict(zip(partial.levels, columns["n"].tolist(), strict=True))
        facts = {
            "first": partial.params.first.term,
            "second": partial.params.second.term,
            "by": partial.params.by,
        }
        return Answer(self.name, self.version, columns, people, facts)
