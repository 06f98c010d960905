"""Family clinical_counts: people with coded terms, and prevalence, by stratum.

A person has a term where the record states it, or a descendant by the ontology named, as present.
A record that does not mention a term counts as without it: absence of a statement is what clinical
records have; how many state the term's absence outright is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal, Self

import numpy as np
from pydantic import AfterValidator, Field

from compute.errors import QueryError
from compute.parsed import Modality
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
from compute.queries.prevalence import Prevalence
from compute.queries.private import PrivateForm
from compute.queries.traits import Curie, Sha256, has_term, wanted_terms
from compute.stats import frequency

FAMILY: Final = "clinical_counts"
ALL: Final = "all"

Terms = Annotated[
    list[Curie],
    Field(min_length=1, max_length=200),
    AfterValidator(lambda names: sorted(set(names))),
]


class ClinicalCountParams(Strict):
    """Which terms, by which ontology their descendants count, by which stratum."""

    terms: Terms
    ontology: Sha256 | None = None
    by: Literal["population", "sex"] | None = None


class ClinicalCountPartial:
    """Counts of people: stratum x term, with the term and stating its absence."""

    def __init__(self, params: ClinicalCountParams, frame: Frame) -> None:
        self.params, self.frame = params, frame
        self.levels = frame.levels.get(params.by, ()) if params.by else (ALL,)
        self.wanted = [
            wanted_terms(term, params.ontology, frame.references) for term in params.terms
        ]
        shape = (len(self.levels), len(params.terms))
        self.present, self.excluded = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.members = np.zeros(len(self.levels), np.int64)
        self._level = {level: i for i, level in enumerate(self.levels)}

    @property
    def people(self) -> int:
        """Return how many people were added."""
        return int(self.members.sum())

    def add(self, person: PersonData) -> None:
        """Add one person's statements."""
        level = self._level.get(level_of(person, self.params.by) if self.params.by else ALL)
        if level is None or person.clinical is None:
            raise QueryError("a person's record does not fit the cohort's frame", code="stratum")
        ruled_out = {term.curie for term in person.clinical.terms if term.excluded}
        self.members[level] += 1
        for at, (term, wanted) in enumerate(zip(self.params.terms, self.wanted, strict=True)):
            has = has_term(person.clinical, wanted)
            self.present[level, at] += has
            self.excluded[level, at] += not has and term in ruled_out

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.levels != other.levels or self.present.shape != other.present.shape:
            raise QueryError("partial counts of different queries cannot be added", code="merge")
        self.present += other.present
        self.excluded += other.excluded
        self.members += other.members


def _prevalence(columns: Mapping[str, Column]) -> dict[str, Column]:
    return {"prevalence": frequency(columns["with_term"], columns["n"])}


class ClinicalCounts(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "People with coded terms (descendants included), and prevalence"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted", "private"})
    private: ClassVar[PrivateForm] = Prevalence()
    params: ClassVar[type[Strict]] = ClinicalCountParams
    modules: ClassVar[tuple[str, ...]] = (
        "compute.queries.clinical_counts",
        "compute.queries.prevalence",
        "compute.queries.frequencies",
        "compute.queries.private",
        "compute.queries.disclosure",
        "compute.queries.traits",
        "compute.queries.hierarchy",
        "compute.stats",
    )
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=(
            Cell("with_term", ("with_term", "prevalence", "stated_absent"), of="n"),
            Cell("stated_absent", ("stated_absent",)),
        ),
        rounded=("with_term", "stated_absent", "n"),
        remake=_prevalence,
        spread=True,
    )
    limits: ClassVar[str] = "200 terms in one order; counts rounded to 5"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "One person changes, in one stratum, n by 1 and each term's counts by at most 1.",
        {"n": 1, "with_term": 1, "stated_absent": 1},
    )

    def needs(self, params: ClinicalCountParams) -> Needs:
        """Clinical data, the ontology named, and the record where a stratum is asked for."""
        return clinical_needs(params.by, params.ontology)

    def start(self, params: ClinicalCountParams, frame: Frame) -> ClinicalCountPartial:
        """Return empty counts."""
        return ClinicalCountPartial(params, frame)

    def reduce(self, partial: ClinicalCountPartial) -> Answer:
        """Return one row a stratum and term, stratum by stratum."""
        terms, levels = partial.params.terms, partial.levels
        n = np.repeat(partial.members, len(terms))
        with_term = partial.present.reshape(-1)
        columns: dict[str, Column] = {
            "stratum": np.repeat(np.array(levels, dtype=object), len(terms)),
            "term": np.tile(np.array(terms, dtype=object), len(levels)),
            "n": n,
            "with_term": with_term,
            "prevalence": frequency(with_term, n),
            "stated_absent": partial.excluded.reshape(-1),
        }
        people = dict(zip(levels, partial.members.tolist(), strict=True))
        facts = {
            "by": partial.params.by,
            "descendants": partial.params.ontology is not None,
            "codes_counted": {t: len(w) for t, w in zip(terms, partial.wanted, strict=True)},
        }
        return Answer(self.name, self.version, columns, people, facts)


def clinical_needs(by: str | None, *references: str | None) -> Needs:
    """Return needs of clinical data, of reference files and, for a stratum, of the record."""
    modalities: set[Modality] = {"clinical"}
    if by:
        modalities.add("participant")
    return Needs(
        frozenset(modalities),
        strata=(by,) if by else (),
        references=tuple(sorted({name for name in references if name})),
    )
