"""Family clinical_crosstab: two yes-or-no statements of a record against one another, by stratum.

Cells count people: both, first only, second only, neither. The odds ratio and Fisher's exact p are
made again from the rounded cells before they leave, so they say nothing the cells do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

import numpy as np

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
    Sensitivity,
)
from compute.queries.filters import FamilyParams
from compute.queries.params import By, Strict
from compute.queries.traits import TermTrait, has_term
from compute.stats import fisher_two_by_two

FAMILY: Final = "clinical_crosstab"
CELLS: Final = ("both", "first_only", "second_only", "neither")
DERIVED: Final = ("odds_ratio", "fisher_p")


class ClinicalCrosstabParams(FamilyParams):
    """Two terms (each with its ontology), and by which stratum."""

    first: TermTrait
    second: TermTrait
    by: By = None


class ClinicalCrosstabPartial(ClinicalPartial):
    """Cells: CELLS."""

    def __init__(self, params: ClinicalCrosstabParams, frame: Frame) -> None:
        terms = [(one.term, one.ontology) for one in (params.first, params.second)]
        super().__init__(params, frame, terms, len(CELLS))

    def cells_of(self, record: Clinical) -> Sequence[int]:
        """Return the one cell of a record."""
        first, second = (has_term(record, wanted) for wanted in self.wanted)
        return [first and second, first and not second, second and not first, not (first or second)]


def _derived(columns: Mapping[str, Column]) -> dict[str, Column]:
    odds, p = fisher_two_by_two(*(columns[name].astype(np.int64) for name in CELLS))
    return {"odds_ratio": odds, "fisher_p": p}


class ClinicalCrosstab(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Cross-tabulation of two coded terms, odds ratio, Fisher's exact test"
    params: ClassVar[type[Strict]] = ClinicalCrosstabParams
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
            "stratum": np.array(partial.strata.names, dtype=object),
            "n": partial.members,
            **{name: partial.counts[:, at] for at, name in enumerate(CELLS)},
        }
        columns |= _derived(columns)
        people = dict(zip(partial.strata.names, columns["n"].tolist(), strict=True))
        facts = {
            "first": partial.params.first.term,
            "second": partial.params.second.term,
            "by": partial.params.by,
        }
        return Answer(self.name, self.version, columns, people, facts)
