"""Family top_counts: which k of the listed variants, terms or features most people have, private.

Of variants: people called with a copy of ALT; of terms: people whose record states the term or, by
the ontology named, a descendant; of features: people with a value of at least `least`, in the
namespace and unit asked. One person adds 0 or 1 to each score, so all move one way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Final, Self

import numpy as np
from pydantic import Field, model_validator

from compute.errors import QueryError
from compute.queries.data import Frame, PersonData
from compute.queries.family import Answer, Defaults, Needs, ReleaseMode, Sensitivity, dosages
from compute.queries.filters import FamilyParams
from compute.queries.frequencies import in_order, place_columns
from compute.queries.params import AsSet, Decimal, Strict, VariantList
from compute.queries.private import Int64, PrivateForm
from compute.queries.ranking import Ranking, Scored
from compute.queries.traits import (
    Curie,
    FeatureId,
    Label,
    Measured,
    Sha256,
    has_term,
    wanted_terms,
)

MOST_CANDIDATES: Final = 10_000
MOST_PICKS: Final = 100
Ids = Annotated[
    list[FeatureId],
    Field(min_length=2, max_length=MOST_CANDIDATES),
    AsSet,
]
Codes = Annotated[
    list[Curie],
    Field(min_length=2, max_length=MOST_CANDIDATES),
    AsSet,
]
Picks = Annotated[int, Field(ge=1, le=MOST_PICKS)]
Judge = Callable[[PersonData], Int64]


class TopCountsParams(FamilyParams):
    """How many to name, and one list to name them from."""

    k: Picks
    variants: Annotated[VariantList, Field(max_length=MOST_CANDIDATES)] | None = None
    terms: Codes | None = None
    ontology: Sha256 | None = None
    features: Ids | None = None
    modality: Measured | None = None
    namespace: Label | None = None
    unit: Label | None = None
    least: Decimal | None = None

    @model_validator(mode="after")
    def _one_list(self) -> Self:
        lists = [one for one in (self.variants, self.terms, self.features) if one is not None]
        if len(lists) != 1:
            raise ValueError("give one list: variants, terms or features")
        of_features = (self.modality, self.namespace, self.unit, self.least)
        if any((one is None) == (self.features is not None) for one in of_features):
            raise ValueError("features, and they alone, need modality, namespace, unit and least")
        if self.ontology is not None and self.terms is None:
            raise ValueError("an ontology is of terms")
        return self

    def candidates(self) -> Sequence[Mapping[str, Any]]:
        """Return what is told of each candidate, in the order of the scores."""
        if self.variants is not None:
            return [place_columns(name) for name in in_order(self.variants)]
        if self.terms is not None:
            return [{"term": term} for term in self.terms]
        return [{"feature": name} for name in self.features or ()]


class TopCountsPartial:
    """How many people have each candidate."""

    def __init__(self, params: TopCountsParams, frame: Frame) -> None:
        self.params = params
        self.scores: Int64 = np.zeros(len(params.candidates()), np.int64)
        self.people = 0
        self._has = _judge(params, frame)

    def add(self, person: PersonData) -> None:
        """Add one person: 0 or 1 a candidate."""
        self.people += 1
        self.scores += self._has(person)

    def merge(self, other: Self) -> None:
        """Add another partial of the same query."""
        if self.params != other.params:
            raise QueryError("partial counts of different queries cannot be added", code="merge")
        self.scores += other.scores
        self.people += other.people


def _judge(params: TopCountsParams, frame: Frame) -> Judge:
    """Return what tells a person's candidates, int64 (candidates,) of 0 and 1."""
    if params.variants is not None:
        return _carries(in_order(params.variants), frame)
    if params.terms is not None:
        terms = [wanted_terms(term, params.ontology, frame.references) for term in params.terms]
        return lambda person: np.array(
            [person.clinical is not None and has_term(person.clinical, one) for one in terms],
            np.int64,
        )
    return _measures(params)


def _carries(names: Sequence[str], frame: Frame) -> Judge:
    at = {name: row for row, name in enumerate(frame.table.names())}
    places = [(place, at[name]) for place, name in enumerate(names) if name in at]
    asked = np.array([place for place, _ in places], np.intp)
    rows = np.array([row for _, row in places], np.intp)

    def judged(person: PersonData) -> Int64:
        found = np.zeros(len(names), np.int64)
        found[asked] = dosages(person, frame.table)[rows] > 0
        return found

    return judged


def _measures(params: TopCountsParams) -> Judge:
    least = float(Fraction(params.least or "0"))
    kind = (params.namespace, params.unit)
    names = params.features or ()

    def judged(person: PersonData) -> Int64:
        if person.feature_kind not in (None, kind):
            return np.zeros(len(names), np.int64)
        values = np.array([person.features.get(name, math.nan) for name in names])
        return (values >= least).astype(np.int64)

    return judged


class TopCounts(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = "top_counts"
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Which k of listed variants, terms or features most people have, private"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"private"})
    params: ClassVar[type[Strict]] = TopCountsParams
    private: ClassVar[PrivateForm] = Ranking(
        Scored("people of a candidate", 1, True, lambda _, assumed: assumed.maf * (1 - assumed.maf))
    )
    limits: ClassVar[str] = f"{MOST_CANDIDATES:,} candidates, {MOST_PICKS} of them told"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "One person adds 0 or 1 to each candidate's count; which k are the largest is told by "
        "report noisy top-k, and no count.",
        {"score": 1},
    )

    def needs(self, params: TopCountsParams) -> Needs:
        """The one kind of data its list is about, and the ontology named."""
        if params.variants is not None:
            return Needs(frozenset({"genotypes"}))
        if params.terms is not None:
            named = () if params.ontology is None else (str(params.ontology),)
            return Needs(frozenset({"clinical"}), references=named)
        modality: Measured = params.modality or "expression"
        return Needs(
            frozenset({modality}),
            features=tuple(params.features or ()),
            feature_modality=modality,
        )

    def cost(self, params: TopCountsParams, variants: int, people: int) -> int:
        """Return one unit a candidate and person."""
        return len(params.candidates()) * people

    def start(self, params: TopCountsParams, frame: Frame) -> TopCountsPartial:
        """Return empty counts."""
        return TopCountsPartial(params, frame)

    def reduce(self, partial: TopCountsPartial) -> Answer:
        """Return one row a candidate, exact; it leaves through the private form only."""
        columns = {"candidate": np.arange(len(partial.scores)), "score": partial.scores.copy()}
        return Answer(self.name, self.version, columns, {"all": partial.people})
