"""Standing consents as arrays, so that asking a million of them costs a fraction of a second.

One row for each grant in force. What every consent says anew (from when, until when) is a number;
the rest of its terms, its body, is kept once for all consents that say the same, and judged once
for each question. An index is never changed: a later state gets a new one that shares nothing it
could spoil, so a reader keeps what it began with. It decides nothing; `compute.selection` does.

Rows are grouped by what terms say, never by the hash a consent claims: nobody is judged by
another's words.
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import numpy.typing as npt

from compute.duo import BY_SHORTHAND
from compute.errors import TermsError
from compute.modifiers import months_after
from compute.terms import terms_sha256
from ledger import WINDOW

if TYPE_CHECKING:
    from ledger import Dataset, Grant, State

DERIVED = "compute.consent_index"
FOR_EVER = np.iinfo(np.int64).max
LAST_MS = 2**53 - 1
_TIME_LIMIT = BY_SHORTHAND["TS"]
_LEAF_BITS = 32  # of a row's sort key; person above, leaf index below
NO_ORDER, INVALID = -1, -1
_COLUMNS = (
    "person", "leaf", "dataset", "body", "begins", "ends", "modality", "region", "build", "facets",
    "order",
)  # fmt: skip
Ints = npt.NDArray[np.int64]


class Dictionary:
    """Values by small numbers, in the order they came; only ever grows, so readers may share it."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._known: dict[Any, int] = {}

    def number(self, key: Any, value: Any = None) -> int:
        """Return the number of a value, giving it one at its first appearance."""
        found = self._known.get(key)
        if found is None:
            self.values.append(key if value is None else value)
            found = self._known[key] = len(self.values) - 1
        return found


@dataclass(frozen=True, slots=True)
class Books:
    """The dictionaries of one line of indexes: bodies of terms, modalities, regions, ..."""

    body: Dictionary
    modality: Dictionary
    region: Dictionary
    build: Dictionary
    facets: Dictionary
    order: Dictionary


@dataclass(frozen=True, slots=True)
class ConsentIndex:
    """Grants in force at `size` entries of the ledger.

    people: sorted bytes "participant/owner"; columns: int64 arrays of one length, rows sorted by
    person, then leaf index; grants: the consents themselves in the same order. begins/ends: Unix
    ms, ends exclusive. body INVALID: terms that are not what they claim. seen: how many of the
    state's notes of change are in it.
    """

    size: int
    seen: int
    people: npt.NDArray[np.bytes_]
    columns: Mapping[str, Ints]
    grants: npt.NDArray[np.object_]
    books: Books

    def __len__(self) -> int:
        return len(self.grants)

    @property
    def newest(self) -> int:
        """Return the greatest leaf index of a grant in force; -1 when there is none."""
        return int(self.columns["leaf"].max(initial=-1))

    def newest_by_region(self) -> dict[str, int]:
        """Return the greatest leaf index of a grant in force for each region of compute."""
        rows = self.columns["region"]
        found: dict[str, int] = {}
        for number, region in enumerate(self.books.region.values):
            leaves = self.columns["leaf"][rows == number]
            if len(leaves):
                found[str(region)] = int(leaves.max())
        return found


def index_of(state: State) -> ConsentIndex:
    """Return the index of a state, made or brought up to date, and remember it there.

    The first costs some microseconds a consent; later ones cost what changed since.
    """
    derived: dict[str, Any] | None = getattr(state, "derived", None)
    if derived is None:
        return _added(_empty(), state, state.live_grants(), 0, 0)
    known: ConsentIndex | None = derived.get(DERIVED)
    if known is None:
        seen = len(state.touched)
        known = _added(_empty(), state, state.live_grants(), state.size, seen)
    elif known.size != state.size:
        known = _caught_up(known, state)
    derived[DERIVED] = known
    return known


def _empty() -> ConsentIndex:
    books = Books(*(Dictionary() for _ in range(6)))
    columns = {name: np.empty(0, np.int64) for name in _COLUMNS}
    return ConsentIndex(0, 0, np.empty(0, "S65"), columns, np.empty(0, object), books)


def _caught_up(index: ConsentIndex, state: State) -> ConsentIndex:
    """Look again at every dataset whose consents were touched since."""
    seen = len(state.touched)
    names = set(state.touched[index.seen : seen])
    datasets = [state.datasets[name] for name in names if name in state.datasets]
    left = _without(index, [dataset.index for dataset in datasets])
    again = (grant for dataset in datasets for grant in dataset.live() if state.in_force(grant))
    return _added(left, state, again, state.size, seen)


def _without(index: ConsentIndex, datasets: Sequence[int]) -> ConsentIndex:
    if not datasets:
        return index
    keep = ~np.isin(index.columns["dataset"], np.fromiter(datasets, np.int64, len(datasets)))
    columns = {name: column[keep] for name, column in index.columns.items()}
    return replace(index, columns=columns, grants=index.grants[keep])


def _added(
    index: ConsentIndex, state: State, grants: Iterable[Grant], size: int, seen: int
) -> ConsentIndex:
    found = _rows(state, grants, index.books)
    if not found.grants:
        return replace(index, size=size, seen=seen)
    keys = np.array(found.keys, "S65")
    people, old_place, new_place = _merged(index.people, keys)
    rows = np.frombuffer(found.numbers, np.int64).reshape(len(keys), -1)
    fresh = {name: rows[:, at].copy() for at, name in enumerate(_COLUMNS[1:])}
    fresh["person"] = new_place
    made = np.empty(len(keys), object)
    made[:] = found.grants
    order = np.argsort(_sort_key(fresh), kind="stable")
    if not len(index):
        columns = {name: fresh[name][order] for name in _COLUMNS}
        return ConsentIndex(size, seen, people, columns, made[order], index.books)
    held = {**index.columns, "person": old_place[index.columns["person"]]}
    places = np.searchsorted(_sort_key(held), _sort_key(fresh)[order])
    columns = {name: np.insert(held[name], places, fresh[name][order]) for name in _COLUMNS}
    return ConsentIndex(
        size, seen, people, columns, np.insert(index.grants, places, made[order]), index.books
    )


def _merged(
    people: npt.NDArray[np.bytes_], keys: npt.NDArray[np.bytes_]
) -> tuple[npt.NDArray[np.bytes_], Ints, Ints]:
    """Return people with keys merged in, where each old one now is, and where each key is.

    People who left keep their number: it costs some bytes and saves renumbering.
    """
    new, of_key = np.unique(keys, return_inverse=True)
    if not len(people):
        return new, np.empty(0, np.int64), of_key.astype(np.int64)
    new = np.setdiff1d(new, people, assume_unique=True)
    places = np.searchsorted(people, new)
    moved = np.arange(len(people), dtype=np.int64)
    moved += np.searchsorted(places, moved, side="right")
    merged = np.insert(people, places, new)
    return merged, moved, np.searchsorted(merged, keys).astype(np.int64)


def _sort_key(columns: Mapping[str, Ints]) -> Ints:
    return (columns["person"] << _LEAF_BITS) | columns["leaf"]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Fresh rows: keys of people, all columns but the person's one row after another, grants.

    Numbers lie in one array: a million tuples would be memory, and work for the collector.
    """

    keys: list[bytes] = field(default_factory=list)
    numbers: array[int] = field(default_factory=lambda: array("q"))
    grants: list[Grant] = field(default_factory=list)


def _rows(state: State, grants: Iterable[Grant], books: Books) -> _Rows:
    datasets, found, bodies = state.datasets, _Rows(), _Bodies(state, books)
    facets_seen: dict[int, int] = {}  # by identity: the fold keeps equal facets once
    for grant in grants:
        dataset = datasets.get(grant.dataset)
        if dataset is None or dataset.owner != grant.owner:
            continue
        facets = facets_seen.get(id(grant.facets))
        if facets is None:
            facets = books.facets.number(marshal.dumps(dict(grant.facets), 2), grant.facets)
            facets_seen[id(grant.facets)] = facets
        found.keys.append(f"{dataset.participant}/{grant.owner}".encode())
        found.numbers.extend(_row(grant, dataset, books, bodies, facets))
        found.grants.append(grant)
    return found


def _row(
    grant: Grant, dataset: Dataset, books: Books, bodies: _Bodies, facets: int
) -> tuple[int, ...]:
    body, begins, ends = bodies.of(grant)
    kept = FOR_EVER if dataset.retain_until is None else dataset.retain_until
    return (
        grant.index,
        dataset.index,
        body,
        begins,
        min(ends, int(kept)),
        books.modality.number(dataset.modality),
        books.region.number(grant.recipient.get("region")),
        books.build.number(dataset.format.get("build")),
        facets,
        NO_ORDER if grant.order is None else books.order.number(grant.order),
    )


class _Bodies:
    """Numbers of the bodies of terms met in one pass."""

    def __init__(self, state: State, books: Books) -> None:
        self._state, self._books = state, books
        self._seen: dict[int, tuple[int, bool]] = {}  # by identity: the fold keeps equal ones once

    def of(self, grant: Grant) -> tuple[int, int, int]:
        """Return the number of the terms' body and their time; INVALID for another hash."""
        number, checked = self._numbered(grant.body)
        begins, until = (grant.window.get(name) for name in WINDOW)
        if not checked and not _is_hash_of(grant.terms_sha256, grant.terms):
            return INVALID, 0, 0
        if not _is_time(begins) or not (until is None or (_is_time(until) and until > begins)):
            return INVALID, 0, 0
        ends = int(FOR_EVER) if until is None else until
        if grant.body.get("modifiers"):
            ends = min(ends, _months_end(grant.body, begins))
        return number, begins, ends

    def _numbered(self, body: Mapping[str, Any]) -> tuple[int, bool]:
        """Return a body's number, and whether it is the fold's own.

        Terms of a body that is were compared with their hash when they were folded.
        """
        known = self._seen.get(id(body))
        if known is None:
            # Version 2 writes equal values equally; by bytes, as 1 and true are the same by ==.
            number = self._books.body.number(marshal.dumps(dict(body), 2), body)
            known = self._seen[id(body)] = number, self._state.is_shared(body)
        return known


def _is_hash_of(sha256: str, terms: Mapping[str, Any]) -> bool:
    try:
        return terms_sha256(terms) == sha256
    except TermsError:
        return False


def _is_time(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= LAST_MS


def _months_end(terms: Mapping[str, Any], begins: int) -> int:
    """Return when a time limit in months (DUO TS) ends; FOR_EVER without one."""
    for modifier in terms.get("modifiers", ()):
        if isinstance(modifier, Mapping) and modifier.get("id") == _TIME_LIMIT:
            months = (modifier.get("parameters") or {}).get("months")
            if type(months) is int and 1 <= months <= 1200:
                return months_after(begins, months)
    return int(FOR_EVER)
