"""Who is in an order: people whose signed terms and published facets allow it.

Folds the live grants of a ledger state into people. It never looks at data, so the answer is the
same in a quote, at the run and at an auditor's; money, budget and access entries follow it.
Spec: DESIGN section 4.1 (scope and match).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import numpy.typing as npt

from compute.consent_index import NO_ORDER, ConsentIndex, Dictionary, Ints, index_of
from compute.errors import TermsError
from compute.match import match_terms, parse_release, price_of
from compute.ontology import Ontology, current_ontology
from compute.scope import Scope
from compute.terms import Claims, Purpose, parse_terms
from compute.verdict import GROUPS, Release, Verdict

if TYPE_CHECKING:
    from ledger import Grant, State

FINE = -1
_RANK = {name: rank for rank, name in enumerate(GROUPS)}


@dataclass(frozen=True, slots=True)
class Member:
    """One person in scope: a matching grant for each modality, and the price of one use.

    price is in minor units of the currency asked for, summed over the grants.
    """

    owner: str
    participant: str
    grants: Mapping[str, Grant]
    price: int


class Members(Sequence[Member]):
    """People in scope, sorted by participant; each is made when it is looked at.

    rows: for each modality the row of the grant that counts, one for each person.
    """

    __slots__ = ("_index", "_prices", "_rows")

    def __init__(self, index: ConsentIndex, rows: Mapping[str, Ints], prices: Ints) -> None:
        self._index, self._rows, self._prices = index, rows, prices

    def __len__(self) -> int:
        return len(self._prices)

    @overload
    def __getitem__(self, at: int) -> Member: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Member, ...]: ...
    def __getitem__(self, at: int | slice) -> Member | tuple[Member, ...]:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(*at.indices(len(self))))
        found = self._index.grants
        grants: dict[str, Grant] = {name: found[rows[at]] for name, rows in self._rows.items()}
        first = self._index.columns["person"][next(iter(self._rows.values()))[at]]
        participant, owner = bytes(self._index.people[first]).decode().split("/")
        return Member(owner, participant, grants, int(self._prices[at]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    @property
    def price(self) -> int:
        """Return what all of them together ask for one use, in minor units."""
        return int(self._prices.sum())

    @property
    def persons(self) -> Ints:
        """Return each person's number in the index they were resolved on."""
        return self._index.columns["person"][next(iter(self._rows.values()))]


@dataclass(frozen=True, slots=True)
class ScopeResult:
    """Members sorted by participant, and how many people were left out for each group of reason.

    left_out counts people, by a name of `compute.verdict.GROUPS`; publish it in buckets.
    """

    people: Sequence[Member]
    left_out: Counter[str]

    @property
    def price(self) -> int:
        """Return what all members together ask for one use, in minor units."""
        people = self.people
        return people.price if isinstance(people, Members) else sum(one.price for one in people)

    @property
    def persons(self) -> Ints:
        """Return the members' numbers in the index of the state they were resolved on."""
        return self.people.persons if isinstance(self.people, Members) else np.empty(0, np.int64)

    def count_without(self, other: ScopeResult) -> int:
        """Count the people that are not in another result, resolved on the same state."""
        mine, theirs = self.people, other.people
        if isinstance(mine, Members) and isinstance(theirs, Members):
            return len(np.setdiff1d(mine.persons, theirs.persons))
        known = {(one.owner, one.participant) for one in theirs}
        return sum((one.owner, one.participant) not in known for one in mine)


_Judge = Callable[[Mapping[str, Any]], tuple[str, int]]
"""Terms without their time -> the group of the reason against them ("" for none), and a price."""


def resolve_scope(
    state: State,
    scope: Scope,
    purpose: Purpose,
    claims: Claims,
    *,
    family: str,
    release: Release | Mapping[str, Any],
    now_ms: int,
    order: str | None = None,
    currency: str = "gbp",
    ontology: Ontology | None = None,
    asking: bool = False,
) -> ScopeResult:
    """Return the people an order may use at now_ms (Unix milliseconds).

    A consent given for one order counts for that order alone, and there it also answers what the
    matcher would ask the owner. Two live grants of one person and modality: the newest matching.
    Of several reasons against a consent its time is named last. asking: count those whose owner
    would be asked as if they had said yes; for a price, never for a run.
    ontology: of diseases; None for the one this program was started with. Raises TermsError when
    release is malformed.
    """
    question = _Question(
        scope,
        purpose,
        claims,
        family,
        release if isinstance(release, Release) else parse_release(release),
        now_ms,
        currency,
        current_ontology() if ontology is None else ontology,
    )
    index = index_of(state)
    answers = _answers(index, scope, order, question.judged, now_ms)
    if asking:
        standing = (answers.reason == _RANK["needs_owner"]) & (index.columns["order"] == NO_ORDER)
        answers = answers._replace(reason=np.where(standing, FINE, answers.reason))
    return _fold(index, scope, answers)


@dataclass(frozen=True, slots=True)
class _Question:
    """All of an order that terms are judged by."""

    scope: Scope
    purpose: Purpose
    claims: Claims
    family: str
    release: Release
    now_ms: int
    currency: str
    ontology: Ontology

    def judged(self, body: Mapping[str, Any]) -> tuple[str, int]:
        """Return the group of the reason against terms ("" for none), whatever their time; a price.

        Raises TermsError.
        """
        terms = parse_terms({**body, "valid_from": self.now_ms, "valid_until": None})
        match = match_terms(
            terms,
            self.purpose,
            self.claims,
            family=self.family,
            release=self.release,
            region=self.scope.region,
            now_ms=self.now_ms,
            modalities=self.scope.modalities,
            ontology=self.ontology,
        )
        price = price_of(terms, self.purpose, self.claims, self.now_ms)
        offered = price is not None and terms.currency == self.currency
        if match.verdict is not Verdict.FORBIDDEN and not offered:
            return "price", 0
        return ("" if match.verdict is Verdict.PERMITTED else match.decisive.group), price or 0


class _Answers(NamedTuple):
    """For every row: the rank of the reason against it (FINE for none), and its price."""

    reason: Ints
    price: Ints


def _answers(
    index: ConsentIndex, scope: Scope, order: str | None, judge: _Judge, now_ms: int
) -> _Answers:
    """Judge each body of terms once, and every row by its own time, place, build and order."""
    columns, books = index.columns, index.books
    group, price = _judged(index, judge)
    reason = group[columns["body"]]
    in_time = (columns["begins"] <= now_ms) & (now_ms < columns["ends"])
    open_ = (reason == FINE) | (reason == _RANK["needs_owner"]) | (reason == _RANK["price"])
    reason = np.where(open_ & ~in_time, _RANK["time"], reason)
    asked = NO_ORDER - 1 if order is None else _number(books.order, order)
    mine = columns["order"] == asked
    reason = np.where(mine & (reason == _RANK["needs_owner"]), FINE, reason)
    builds = _mask(books.build, lambda name: scope.build in (None, name))
    genotypes = columns["modality"] == _number(books.modality, "genotypes")
    reason = np.where(genotypes & ~builds[columns["build"]], _RANK["build"], reason)
    here = columns["region"] == _number(books.region, scope.region)
    reason = np.where(~here, _RANK["place"], reason)
    reason = np.where((columns["order"] != NO_ORDER) & ~mine, _RANK["needs_owner"], reason)
    return _Answers(reason, price[columns["body"]])


def _judged(index: ConsentIndex, judge: _Judge) -> tuple[Ints, Ints]:
    """Return group and price of every body; the last place of both is for INVALID ones."""
    bodies = index.books.body.values
    group = np.full(len(bodies) + 1, _RANK["invalid"], np.int64)
    price = np.zeros(len(bodies) + 1, np.int64)
    used = np.unique(index.columns["body"])
    for number in used[used >= 0].tolist():
        try:
            reason, asked = judge(bodies[number])
        except TermsError:
            continue
        group[number] = _RANK[reason] if reason else FINE
        price[number] = asked
    return group, price


def _number(book: Dictionary, value: object) -> int:
    """Return a value's number, or one that no row has."""
    return book.values.index(value) if value in book.values else NO_ORDER - 2


def _mask(book: Dictionary, test: Callable[[Any], bool]) -> npt.NDArray[np.bool_]:
    return np.array([test(value) for value in book.values], bool)


def _fold(index: ConsentIndex, scope: Scope, answers: _Answers) -> ScopeResult:
    """Take for each person the newest matching grant of each modality asked."""
    count, columns = len(index.people), index.columns
    present = np.zeros(count, bool)
    present[columns["person"]] = True
    against = np.full(count, FINE, np.int64)
    rows: dict[str, Ints] = {}
    for modality in scope.modalities:
        wanted = columns["modality"] == _number(index.books.modality, modality)
        good = np.flatnonzero(wanted & (answers.reason == FINE))
        newest = np.full(count, -1, np.int64)
        newest[columns["person"][good]] = good  # rows rise by leaf: the last assignment stays
        rows[modality] = newest
        bad = np.flatnonzero(wanted & (answers.reason != FINE))
        why = np.full(count, _RANK["modality"], np.int64)
        has = np.full(count, len(GROUPS), np.int64)
        np.minimum.at(has, columns["person"][bad], answers.reason[bad])
        why = np.where(has < len(GROUPS), has, why)
        against = np.where((against == FINE) & (newest < 0), why, against)
    fits = _facets_fit(index, scope, rows)
    against = np.where((against == FINE) & ~fits, _RANK["facets"], against)
    left = np.bincount(against[present & (against != FINE)], minlength=len(GROUPS))
    left_out = Counter({name: int(n) for name, n in zip(GROUPS, left, strict=True) if n})
    chosen = np.flatnonzero(present & (against == FINE))
    picked = {modality: newest[chosen] for modality, newest in rows.items()}
    prices = np.zeros(len(chosen), np.int64)
    for one in picked.values():
        prices += answers.price[one]
    return ScopeResult(Members(index, picked, prices), left_out)


def _facets_fit(
    index: ConsentIndex, scope: Scope, rows: Mapping[str, Ints]
) -> npt.NDArray[np.bool_]:
    """Tell for each person whether a grant publishes each facet asked for and none contradicts."""
    fits = np.ones(len(index.people), bool)
    column, published = index.columns["facets"], index.books.facets.values
    for name, allowed in scope.facets.items():
        says = np.array([name in one for one in published], bool)
        against = np.array([name in one and one[name] not in allowed for one in published], bool)
        said, contradicted = np.zeros_like(fits), np.zeros_like(fits)
        for newest in rows.values():
            some = newest >= 0
            number = column[newest[some]]
            said[some] |= says[number]
            contradicted[some] |= against[number]
        fits &= said & ~contradicted
    return fits


@dataclass(frozen=True, slots=True)
class Told:
    """Exact counts of people with a consent in force; to be told in buckets only."""

    people: int
    modalities: Mapping[str, int]
    facets: Mapping[str, Mapping[str, int]]


def tell_people(index: ConsentIndex, facets: Mapping[str, str], among: Ints | None = None) -> Told:
    """Count people by modality and by the facets they publish, of those who publish `facets`.

    among: numbers of people in the index, to count these alone. What a person's consents publish
    counts together; of two values the last one given.
    """
    count, columns = len(index.people), index.columns
    chosen = np.zeros(count, bool)
    chosen[columns["person"] if among is None else among] = True
    values = {name: _facet_of(index, name) for name in _facet_names(index)}
    for name, value in facets.items():
        chosen &= (
            np.isin(values[name][1], _code(values[name][0], value)) if name in values else False
        )
    modalities = {
        name: int(chosen[np.unique(columns["person"][columns["modality"] == number])].sum())
        for number, name in enumerate(index.books.modality.values)
    }
    told = {
        name: {
            value: n
            for value, n in zip(texts, _counts(codes[chosen], len(texts)), strict=True)
            if n
        }
        for name, (texts, codes) in values.items()
    }
    return Told(
        int(chosen.sum()),
        {name: n for name, n in modalities.items() if n},
        {name: counts for name, counts in told.items() if counts},
    )


def _facet_names(index: ConsentIndex) -> list[str]:
    return sorted({name for one in index.books.facets.values for name in one})


def _facet_of(index: ConsentIndex, name: str) -> tuple[list[str], Ints]:
    """Return the values of a facet, and for each person the number of theirs, -1 for none."""
    published = index.books.facets.values
    texts = sorted({one[name] for one in published if isinstance(one.get(name), str)})
    numbers = {text: number for number, text in enumerate(texts)}
    code = np.array([numbers.get(one.get(name), -1) for one in published], np.int64)
    rows = code[index.columns["facets"]]
    says = np.flatnonzero(rows >= 0)
    result = np.full(len(index.people), -1, np.int64)
    result[index.columns["person"][says]] = rows[says]
    return texts, result


def _code(texts: Sequence[str], value: str) -> list[int]:
    return [texts.index(value)] if value in texts else []


def _counts(codes: Ints, length: int) -> list[int]:
    counted: list[int] = np.bincount(codes[codes >= 0], minlength=length).tolist()
    return counted
