from fractions import Fraction

import pytest

from compute.planner import plan_order
from compute.worker_order import read_order
from compute.worker_stops import follow
from tests.compute.worker_world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, people=9, populations=("CEU", "CEU", "YRI"))
    yield made
    made.shop.store.close()


def plan(world, *, out=None, attested=lambda owner: True, exhausted=frozenset(), **order):
    follow_order = world.order(**order)
    follow(world.shop)
    now = world.shop.follower.checkpoint.quorum_time
    asked = read_order(world.shop, follow_order, now).asked
    return plan_order(
        world.shop.follower.state,
        asked,
        now,
        out=out or {},
        attested=attested,
        exhausted=exhausted,
    )


def test_facets_select_and_the_rest_is_the_complement(world):
    found = plan(world, facets={"population": ["CEU"]})
    assert (found.facts.people, found.facts.complement) == (6, 3)
    assert found.excluded == {"facets": 3}
    assert len(found.grant_ids) == 6


def test_who_may_not_be_used_is_out_of_cohort_and_complement(world):
    ceu, yri = world.people[0].data["genotypes"].grant, world.people[2].data["genotypes"].grant
    found = plan(world, out={ceu: "not_ingested", yri: "stopped"}, facets={"population": ["CEU"]})
    assert (found.facts.people, found.facts.complement) == (5, 2)
    assert found.excluded == {"facets": 3, "not_ingested": 1}
    assert ceu not in found.grant_ids


def test_exhausted_people_leave_as_one_reason(world):
    person = world.people[0]
    found = plan(world, exhausted=frozenset({f"{person.id}/{person.participant}"}))
    assert found.excluded == {"budget": 1}
    assert found.facts.people == 8


def test_owners_count_once_and_only_when_attested(world):
    first = {person.id for person in world.people[:2]}
    assert plan(world, attested=lambda owner: owner in first).facts.owners == 2


def test_a_charge_is_limited_by_the_terms(world):
    charge = plan(world).charges()[0]
    assert (charge.limit, charge.share) == (Fraction(1, 10), Fraction(1, 5))
    assert len(charge.datasets) == 1


def test_members_are_in_one_order_whatever_the_ledger_order(world):
    found = plan(world)
    names = [member.participant for member in found.members]
    assert names == sorted(names)
