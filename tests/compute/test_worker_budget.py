"""What an answer costs people for life, and questions that would tell one person apart."""

from dataclasses import replace
from fractions import Fraction

import pytest

from compute.accountant import Charge, LedgerMismatchError
from compute.worker_outcomes import Code
from compute.worker_start import reconcile
from tests.compute.worker_world import counts_query


def test_the_budget_of_every_member_is_charged_and_stated(world):
    rho = {"mode": "trusted", "rho": "1/100"}
    for _ in range(2):
        order = world.order(release=rho)
        assert world.complete(order).state == "released"
    person = world.people[0]
    spent = world.shop.accountant.spent(f"{person.id}/{person.participant}")
    assert str(spent) == "1/50"
    assert world.shop.accountant.open_reservations() == []


def test_people_without_budget_leave_the_cohort_as_one_reason(world):
    # Variants apart from the second question's: exact answers a person apart are refused otherwise.
    first = counts_query()
    first["params"] = {"variants": {"region": "1:20000-90000"}}
    order = world.order(query=first, release={"mode": "trusted", "rho": "1/50"})
    world.run("query", order)
    person = world.people[0]
    who = f"{person.id}/{person.participant}"
    charge = Charge(who, (person.data["genotypes"].id,), Fraction(1, 10))
    world.shop.accountant.reserve("other", "access-elsewhere", [charge], Fraction(8, 100))
    other = counts_query()
    other["params"] = {"variants": {"region": "1:1000-16000"}}
    second = world.order(query=other, release={"mode": "trusted", "rho": "1/50"})
    world.run("query", second)
    assert person not in world.members(second)
    assert world.access_of(second).payload["excluded"] == {"budget": 1}


def test_an_owner_may_cap_the_exact_statistics_that_count_them(world):
    capped, free = world.people[:2]
    world.withdraw(capped)
    world.grant(capped, "genotypes", terms=world.terms(exact_statistics=1))
    order = world.order()
    assert world.complete(order).state == "released"
    assert capped not in world.members(order)
    assert world.access_of(order).payload["excluded"] == {"budget": 1}
    rows = len(world.result(order)["answer"]["columns"]["pos"])
    given = world.shop.accountant.exact_given
    assert given(f"{free.id}/{free.participant}") == rows > 1
    assert given(f"{capped.id}/{capped.participant}") == 0


def test_one_exact_question_over_nearly_the_same_people_is_refused(world):
    order = world.order()
    assert world.complete(order).state == "released"
    assert world.complete(world.order()).state == "released"
    world.withdraw(world.people[0])
    outcome = world.run("query", world.order())
    assert (outcome.state, outcome.code) == ("refused", Code.NEAR_COHORT.value)


def test_another_way_of_asking_about_the_same_variants_is_refused_too(world):
    """A wider region over everybody but one would give that one person's genotypes away."""
    assert world.complete(world.order()).state == "released"
    world.withdraw(world.people[0])
    wider = {
        "v": 1,
        "family": "genotype_counts",
        "build": "GRCh37",
        "params": {"variants": {"region": "1:1-249000000"}},
    }
    outcome = world.run("query", world.order(query=wider))
    assert (outcome.state, outcome.code) == ("refused", Code.NEAR_COHORT.value)


def test_a_new_regions_worker_does_not_answer_for_another_regions_budget(world, tmp_path):
    world.run("ingest")
    assert world.run("query", world.order()).state == "awaiting_review"
    (tmp_path / "eu").mkdir()
    world.folder = tmp_path / "eu"
    fresh = world.worker()
    fresh.follower.sync()
    with pytest.raises(LedgerMismatchError):
        reconcile(fresh)  # a worker of this region that lost its database
    assert reconcile(replace(fresh, region="eu")) == 0
    fresh.store.close()
