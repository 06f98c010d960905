"""Orders that may not run are refused before anything is opened."""

import pytest

from compute.worker_outcomes import Code
from tests.compute.simulators import now_ms
from tests.compute.worker_world import World, counts_query, new_id, reason_of


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"paid": 0}, Code.NOT_PAID),
        ({"paid": 999}, Code.NOT_PAID),
        ({"code_digest": "0" * 64}, Code.WRONG_CODE),
        ({"query_digest": "0" * 64}, Code.WRONG_QUERY),
        ({"release": {"mode": "private", "rho": "1/100"}}, Code.NOT_PRIVATE),
        ({"modalities": ("expression",)}, Code.BAD_ORDER),
        ({"purpose": {"primary": "nonsense"}}, Code.BAD_ORDER),
        (
            {
                "scope": {
                    "modalities": ["genotypes"],
                    "build": None,
                    "facets": {},
                    "region": "mars",
                }
            },
            Code.WRONG_REGION,
        ),
        ({"facets": {"population": ["YRI"]}}, Code.COHORT_FLOOR),
    ],
)
def test_refused_before_anything_is_opened(world, changes, code):
    order = world.order(**changes)
    outcome = world.run("query", order)
    assert (outcome.state, outcome.code) == ("refused", code.value)
    assert reason_of(world, order) == [code.value]
    assert world.log.state.orders[order].accesses == []
    assert not world.market.objects


def test_buyer_picked_variants_are_refused_in_trusted_mode(world):
    query = counts_query()
    query["params"] = {"variants": ["1-1000-A-G"]}
    assert world.run("query", world.order(query=query)).code == Code.PICKED


@pytest.mark.parametrize(("end", "code"), [(1000, Code.BAD_ORDER), (10_998, Code.BAD_ORDER)])
def test_a_region_so_narrow_that_it_picks_variants_is_refused(world, end, code):
    query = counts_query()
    query["params"] = {"variants": {"region": f"1:1000-{end}"}}
    assert world.run("query", world.order(query=query)).code == code
    query["params"] = {"variants": {"region": "1:1000-10999"}}
    assert world.run("query", world.order(query=query)).code != code


def test_an_order_without_accreditation_is_refused(world):
    world.claims(world.researcher, {"accredited_researcher": False})
    assert world.run("query", world.order()).code == Code.ATTESTATION


def test_an_expired_attestation_is_refused(world):
    world.claims(world.researcher, {"country": "GB"}, expires_at=now_ms() + 60_000)
    order = world.order()
    world.shop.follower.ahead_ms = 61_000
    assert world.run("query", order).code == Code.ATTESTATION


def test_a_disputed_and_a_refunded_payment_are_refused(world):
    for kind in ("payment.disputed", "payment.refunded"):
        order = world.order()
        world.pay(order, 1000, kind)
        assert world.run("query", order).code == Code.NOT_PAID


def test_an_unknown_and_a_cancelled_order_are_refused(world):
    assert world.run("query", new_id()).code == Code.UNKNOWN_ORDER
    order = world.order()
    world.cancel(order)
    assert world.run("query", order).code == Code.NOT_OPEN


def test_nineteen_people_are_refused(tmp_path):
    world = World(tmp_path, people=19)
    order = world.order()
    assert world.run("query", order).code == Code.COHORT_FLOOR
    assert world.log.state.orders[order].accesses == []


def test_a_complement_of_one_is_refused(tmp_path):
    world = World(tmp_path, people=24)
    rng = __import__("numpy").random.default_rng(1)
    world.people.append(world.enrol(rng, 99, "YRI", ("genotypes",)))
    assert world.run("query", world.order(facets={"population": ["CEU"]})).code == "below_floor"
    assert world.run("query", world.order()).state == "awaiting_review"


def test_owners_nobody_attests_do_not_hold_the_floor(tmp_path):
    world = World(tmp_path, people=24)
    for person in world.people[:22]:
        world.claims(person, {"unaffiliated": False})
    assert world.run("query", world.order()).code == Code.COHORT_FLOOR


def test_no_reviewer_means_no_draft(world):
    for reviewer in world.reviewers:
        world.claims(reviewer, {"output_reviewer": False})
    order = world.order()
    outcome = world.run("query", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.NO_REVIEWER.value)
