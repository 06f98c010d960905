"""Copies of the fold that later folding cannot reach, each made from the one before.

Whoever asks the market something waits for a copy, so one costs what changed since the last and a
pass over tables of references: milliseconds at a million entries, not the seconds of a new copy.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from compute import index_of
from ledger import Dataset, Grant, Offer, OrderState, Party, State

# Which table holds which records; grants first, for datasets name theirs.
TABLES: Mapping[type, str] = {
    Grant: "grants",
    Dataset: "datasets",
    Party: "parties",
    Offer: "offers",
    OrderState: "orders",
}
# The containers of a record that a reader looks into.
PARTS: Mapping[type, tuple[str, ...]] = {
    Party: ("keys", "attestations"),
    OrderState: ("payments", "accesses", "reviews", "refusals", "withheld"),
}


class Frozen:
    """Makes copies of one follower's state. Not for several threads at once."""

    def __init__(self) -> None:
        self._source: State | None = None
        self._last: State | None = None

    def copy_of(self, state: State) -> State:
        """Return a copy of a state; readers may keep it for as long as they like."""
        changed = state.changes()
        if self._last is None or state is not self._source:
            self._source, self._last = state, whole_copy(state)
        else:
            self._last = next_copy(self._last, state, changed)
        return self._last


def whole_copy(state: State) -> State:
    """Return a copy of a state, made record by record."""
    made = _without_records(state)
    for kind, name in TABLES.items():
        table = getattr(state, name).items()
        setattr(made, name, {key: _record(kind, item, made.grants) for key, item in table})
    return made


def next_copy(last: State, state: State, changed: Iterable[object]) -> State:
    """Return the copy after `last`: what changed is copied anew, all else shared with it."""
    made, names = _without_records(state), _names(changed)
    for kind, table in TABLES.items():
        copied, held = getattr(last, table), getattr(state, table)
        if names[kind]:
            copied = dict(copied)
        setattr(made, table, copied)
        for name in names[kind]:
            if (item := held.get(name)) is None:
                copied.pop(name, None)
            else:
                copied[name] = _record(kind, item, made.grants)
    return made


def _names(changed: Iterable[object]) -> dict[type, dict[str, None]]:
    """Return the ids of changed records by kind; with a grant its dataset, whose copy names it."""
    names: dict[type, dict[str, None]] = {kind: {} for kind in TABLES}
    for item in changed:
        if isinstance(item, Grant | Dataset | Party | Offer | OrderState):
            names[type(item)][item.id] = None
        if isinstance(item, Grant):
            names[Dataset][item.dataset] = None
    return names


def _without_records(state: State) -> State:
    """Copy what is small; the tables of records are still the state's own."""
    index_of(state)  # brought up to date where the follower is, so that copies inherit it
    made = copy.copy(state)
    made.derived = dict(state.derived)
    made.accesses, made.compute_keys = dict(state.accesses), dict(state.compute_keys)
    made.payouts, made.bank_marks = dict(state.payouts), set(state.bank_marks)
    made.custodian_splits = dict(state.custodian_splits)
    made.operator_acts = dict(state.operator_acts)
    made.objections, made.missing = set(state.objections), set(state.missing)
    made.violations = list(state.violations)
    return made


def _record(kind: type, item: Any, grants: Mapping[str, Grant]) -> Any:
    """Copy a record and the containers it holds; a dataset's grants become those of the copy."""
    made = _shallow(item)
    for part in PARTS.get(kind, ()):
        setattr(made, part, copy.copy(getattr(item, part)))
    if kind is Dataset:
        if made.standing is not None:
            made.standing = grants.get(made.standing.id, made.standing)
        if made.per_order:
            made.per_order = {order: grants.get(g.id, g) for order, g in made.per_order.items()}
    return made


def _shallow(record: Any) -> Any:
    """Copy a record of the fold (a dataclass with slots): copy.copy takes four times as long."""
    kind = type(record)
    made = object.__new__(kind)
    for name in kind.__slots__:
        setattr(made, name, getattr(record, name))
    return made
