"""Copies of the fold: the next one is what a whole copy would be, and folding reaches neither."""

from dataclasses import fields

import pytest

from ledger import Dataset, State
from marketplace import frozen
from tests.ledger.ledger_scenes import STEPS, TRUST, Scene


def seen(state):
    """What a reader finds in the tables of records, as plain values."""
    return {
        name: {key: plain(kind, item) for key, item in getattr(state, name).items()}
        for kind, name in frozen.TABLES.items()
    }


def plain(kind, item):
    # The lists of leaves about somebody are the fold's own; readers look at none of them.
    shown = {f.name: getattr(item, f.name) for f in fields(kind)}
    for part in ("entries", "payouts", "datasets"):
        shown.pop(part, None)
    return {name: repr(value) for name, value in shown.items()}


def history(*labels):
    scene = Scene().need(*labels)
    return [scene.record(index) for index in range(len(scene.leaves))]


@pytest.mark.parametrize("label", STEPS)
def test_the_next_copy_is_what_a_whole_copy_would_be(label):
    state, copies = State(TRUST), frozen.Frozen()
    copies.copy_of(state)
    for record in history(label):
        state.apply(record)
        assert seen(copies.copy_of(state)) == seen(frozen.whole_copy(state))


@pytest.mark.parametrize("label", STEPS)
def test_folding_on_changes_no_copy(label):
    state, copies, kept = State(TRUST), frozen.Frozen(), []
    for record in history(label):
        made = copies.copy_of(state)
        kept.append((made, seen(made)))
        state.apply(record)
    for made, was in kept:
        assert seen(made) == was


@pytest.mark.parametrize("label", ["withdrawn", "rekeyed", "resumed"])
def test_a_dataset_of_a_copy_holds_the_copys_own_grants(label):
    state, copies = State(TRUST), frozen.Frozen()
    for record in history(label):
        state.apply(record)
        made = copies.copy_of(state)
        held = [grant for one in made.datasets.values() for grant in one.live()]
        assert all(made.grants[grant.id] is grant for grant in held)


def test_what_was_undone_is_in_no_copy():
    records, state, copies = history("grant"), State(TRUST), frozen.Frozen()
    for record in records[:-1]:
        state.apply(record)
    copies.copy_of(state)
    mark = state.savepoint()
    state.apply(records[-1])
    state.rollback(mark)
    assert seen(copies.copy_of(state)) == seen(frozen.whole_copy(state))
    assert not copies.copy_of(state).grants


def test_what_did_not_change_is_shared_and_another_state_is_copied_whole():
    state, copies = State(TRUST), frozen.Frozen()
    records = history("dataset", "second dataset")
    for record in records[:-1]:
        state.apply(record)
    first = copies.copy_of(state)
    state.apply(records[-1])
    second = copies.copy_of(state)
    (shared,) = first.datasets
    assert second.datasets[shared] is first.datasets[shared]
    assert len(second.datasets) == len(first.datasets) + 1
    assert isinstance(second.datasets[shared], Dataset)
    again = State(TRUST)
    for record in records:
        again.apply(record)
    assert copies.copy_of(again).datasets[shared] is not second.datasets[shared]
