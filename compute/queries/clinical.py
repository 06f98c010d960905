"""What tables of coded terms share: a record's cells, counted by stratum."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from compute.errors import QueryError
from compute.parsed import Clinical
from compute.queries.data import Frame, PersonData, Strata
from compute.queries.family import Needs
from compute.queries.traits import wanted_terms


class ClinicalPartial(ABC):
    """Counts of people, int64 (strata, cells). terms: each with its ontology's SHA-256 or None."""

    def __init__(
        self, params: Any, frame: Frame, terms: Sequence[tuple[str, str | None]], cells: int
    ) -> None:
        self.params = params
        self.strata = Strata(params.by, frame)
        self.wanted = [wanted_terms(term, by, frame.references) for term, by in terms]
        self.counts = np.zeros((len(self.strata.names), cells), np.int64)
        self.members = np.zeros(len(self.strata.names), np.int64)

    @property
    def people(self) -> int:
        """Return how many people were added."""
        return int(self.members.sum())

    @abstractmethod
    def cells_of(self, record: Clinical) -> Sequence[int]:
        """Return what one record adds to each cell: 0 or 1."""

    def add(self, person: PersonData) -> None:
        """Add one person's statements."""
        level = self.strata.number(person)
        if person.clinical is None:
            raise QueryError("a person's record does not fit the cohort's frame", code="stratum")
        self.members[level] += 1
        self.counts[level] += np.array(self.cells_of(person.clinical), np.int64)

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.strata.names != other.strata.names or self.counts.shape != other.counts.shape:
            raise QueryError("partial counts of different queries cannot be added", code="merge")
        self.counts += other.counts
        self.members += other.members


def clinical_needs(by: str | None, *references: str | None) -> Needs:
    """Return needs of clinical data, of reference files and, for a stratum, of the record."""
    named = tuple(sorted({name for name in references if name}))
    return Needs.by(by, "clinical", references=named)
