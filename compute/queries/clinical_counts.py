"""Family clinical_counts: people with coded terms, and prevalence, by stratum.

A person has a term where the record states it, or a descendant by the ontology named, as present.
A record that does not mention a term counts as without it: absence of a statement is what clinical
records have; how many state the term's absence outright is told beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Final

import numpy as np
from pydantic import Field

from compute.parsed import Clinical
from compute.queries.clinical import ClinicalPartial, clinical_needs
from compute.queries.data import Frame
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
from compute.queries.params import AsSet, Strict
from compute.queries.prevalence import Prevalence
from compute.queries.private import PrivateForm
from compute.queries.split import Split
from compute.queries.traits import Curie, Sha256, has_term
from compute.stats import frequency

FAMILY: Final = "clinical_counts"

Terms = Annotated[
    list[Curie],
    Field(min_length=1, max_length=200),
    AsSet,
]


class ClinicalCountParams(Split):
    """Which terms, by which ontology their descendants count, by which stratum."""

    terms: Terms
    ontology: Sha256 | None = None


class ClinicalCountPartial(ClinicalPartial):
    """Cells: people with each term, then those with its absence stated."""

    def __init__(self, params: ClinicalCountParams, frame: Frame) -> None:
        terms = [(term, params.ontology) for term in params.terms]
        super().__init__(params, frame, terms, 2 * len(terms))

    def cells_of(self, record: Clinical) -> Sequence[int]:
        """Return the cells of one record."""
        ruled_out = {term.curie for term in record.terms if term.excluded}
        has = [has_term(record, wanted) for wanted in self.wanted]
        pairs = zip(self.params.terms, has, strict=True)
        return [*has, *(not found and term in ruled_out for term, found in pairs)]


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
        terms, levels = partial.params.terms, partial.strata.names
        n = np.repeat(partial.members, len(terms))
        with_term = partial.counts[:, : len(terms)].reshape(-1)
        columns: dict[str, Column] = {
            "stratum": np.repeat(np.array(levels, dtype=object), len(terms)),
            "term": np.tile(np.array(terms, dtype=object), len(levels)),
            "n": n,
            "with_term": with_term,
            "prevalence": frequency(with_term, n),
            "stated_absent": partial.counts[:, len(terms) :].reshape(-1),
        }
        people = dict(zip(levels, partial.members.tolist(), strict=True))
        facts = {
            "by": partial.params.by,
            "descendants": partial.params.ontology is not None,
            "codes_counted": {t: len(w) for t, w in zip(terms, partial.wanted, strict=True)},
        }
        return Answer(self.name, self.version, columns, people, facts)
