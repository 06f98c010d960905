"""A copied genome through the whole worker: in scope and paid for, and counted once."""

import numpy as np
import pytest

from tests.compute import worker_world
from tests.compute.worker_world import World, answered_counts, counts_query, expected_counts

SITES = tuple(range(1000, 3000, 10))


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_world, "POSITIONS", SITES)
    found = World(tmp_path, people=20)
    yield found
    found.shop.store.close()


def enrol(world, seed):
    person = world.enrol(np.random.default_rng(seed), len(world.people), "CEU", ("genotypes",))
    world.people.append(person)
    return person


def test_a_copy_is_in_scope_and_adds_nothing(world):
    original = enrol(world, 77)
    copy = enrol(world, 77)
    assert original.dosages == copy.dosages
    order = world.order(query=counts_query())
    assert world.complete(order).state == "released"
    assert {person.id for person in world.members(order)} == {p.id for p in world.people}
    counted = [person for person in world.people if person is not copy]
    exact = expected_counts(counted)
    shown = answered_counts(world.result(order))
    told = {pos: pair for pos, pair in shown.items() if pair[0] is not None}
    assert told == {pos: exact[pos] for pos in told}
    assert told


def test_copies_do_not_fill_a_cohort_up_to_the_floor(world):
    gone = world.people.pop()
    world.withdraw(gone)
    enrol(world, 78)
    enrol(world, 78)
    world.withdraw(world.people.pop(0))
    assert len(world.people) == 20
    order = world.order(query=counts_query())
    outcome = world.run("query", order)
    assert (outcome.state, outcome.code) == ("withheld", "below_floor")
