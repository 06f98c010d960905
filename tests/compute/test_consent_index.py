"""The index of consents: brought up to date it is what a fresh one would be, after any history."""

import contextlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import Claims, Purpose, Scope, preset, resolve_scope
from compute.consent_index import index_of
from ledger import FormatError, RefusedError
from tests.compute.consent_world import NOW, ConsentWorld

DAY = 86_400_000
ACTS = ("give", "withdraw", "pause", "resume", "object", "lift", "replace", "erase", "register")
BUYER = {
    "sector": {"value": "academic", "attester": "a", "expires_at": NOW + 1000 * DAY},
    "non_profit": {"value": True, "attester": "a", "expires_at": NOW + 1000 * DAY},
}


def resolve(state, now=NOW):
    return resolve_scope(
        state,
        Scope(modalities=("genotypes",), region="local"),
        Purpose(primary="HMB", commercial=False),
        Claims.model_validate({"party": "me", "attested": BUYER}),
        family="freq",
        release={"mode": "private", "rho": "0"},
        now_ms=now,
    )


def plain(index):
    """What an index says, without the numbers its own books gave."""
    books, columns = index.books, index.columns
    return [
        (
            bytes(index.people[columns["person"][row]]),
            int(columns["leaf"][row]),
            grant.id,
            books.body.values[columns["body"][row]],
            int(columns["begins"][row]),
            int(columns["ends"][row]),
            books.region.values[columns["region"][row]],
        )
        for row, grant in enumerate(index.grants)
    ]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(ACTS), st.booleans()), max_size=25),
)
@settings(max_examples=60, deadline=None)
def test_an_index_brought_up_to_date_is_a_fresh_one(history):
    world = ConsentWorld()
    people = [world.join() for _ in range(4)]
    for who, act, look in history:
        with contextlib.suppress(RefusedError, FormatError):
            getattr(world, act)(people[who])
        world.now += 1
        if look:
            kept = index_of(world.state)
            before = plain(kept)
            assert {row[2] for row in before} == {g.id for g in world.state.live_grants()}
    caught_up = plain(index_of(world.state))
    world.state.derived.clear()
    assert caught_up == plain(index_of(world.state))


def test_an_index_somebody_reads_never_changes():
    world = ConsentWorld()
    people = [world.join() for _ in range(3)]
    for person in people:
        world.give(person)
    held = index_of(world.state)
    said = plain(held)
    world.withdraw(people[0])
    world.give(world.join())
    assert index_of(world.state) is not held
    assert plain(held) == said


def test_consents_given_at_different_times_share_one_body():
    world = ConsentWorld()
    for _ in range(20):
        world.now += 7
        world.give(world.join())
    index = index_of(world.state)
    assert len(index.books.body.values) == 1
    assert len(np.unique(index.columns["begins"])) == 20


def test_each_consent_ends_at_its_own_time():
    world = ConsentWorld()
    whole = preset("everything_at_a_price", valid_from=NOW, price=1).to_dict()
    months = [{"id": "DUO:0000025", "parameters": {"months": 1}}]
    for terms in (whole, {**whole, "valid_until": NOW + DAY}, {**whole, "modifiers": months}):
        world.give(world.join(), terms)
    counts = [
        (len(found.people), dict(found.left_out))
        for found in (resolve(world.state, NOW + days * DAY) for days in (-1, 0, 1, 40))
    ]
    assert counts == [(0, {"time": 3}), (3, {}), (2, {"time": 1}), (1, {"time": 2})]
