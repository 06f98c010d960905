"""One lifetime budget over all regions: what may have been used elsewhere, and races between two."""

from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace

import pytest

from compute import worker_query
from compute.accountant import Charge
from compute.elsewhere import Used, came_between, use_of, used_elsewhere
from compute.presets import preset
from compute.worker_outcomes import Code
from compute.worker_start import reconcile
from tests.compute.test_worker_private import PRIVATE, PrivateWorld, listed, spent
from tests.compute.worker_world import new_id, run_job

PERSON = "o/p"


def grant(**changes):
    terms = preset("everything_at_a_price", valid_from=0, price=5, lifetime_rho="1/2").to_dict()
    value = {
        "recipient": {"region": "eu"}, "index": 10, "stopped_at": None, "order": None,
        "dataset": "d", "terms": terms,
    }  # fmt: skip
    return SimpleNamespace(**{**value, **changes})


def access(name="a", index=30, **changes):
    payload = {
        "region": "eu", "order": "o1", "judged_size": 20, "release": {"rho": "1/40"},
    }  # fmt: skip
    return SimpleNamespace(id=name, index=index, payload={**payload, **changes})


def order(**changes):
    payload = {
        "scope": {"modalities": ["genotypes"]}, "query": {"family": "genotype_counts"},
        "release": {"mode": "private", "rho": "1/40"},
    }  # fmt: skip
    return SimpleNamespace(payload={**payload, **changes})


@dataclass
class Fold:
    """The part of the fold that is read."""

    grants: list = field(default_factory=lambda: [grant()])
    uses: list = field(default_factory=lambda: [access()])
    ordered: SimpleNamespace = field(default_factory=order)

    @property
    def state(self):
        dataset = SimpleNamespace(owner="o", participant="p", modality="genotypes")
        return SimpleNamespace(
            grant_at=dict(enumerate(self.grants)), datasets={"d": dataset},
            accesses={one.id: one for one in self.uses},
            orders={"o1": self.ordered, "o2": self.ordered},
        )  # fmt: skip


def used(fold, region="local", before=None):
    return used_elsewhere(fold.state, region, [PERSON], lambda _: 0, before).get(PERSON)


def test_a_use_elsewhere_counts_for_who_may_have_been_in():
    assert used(Fold()) == Used(Fraction(1, 40))
    twice = [access(), access("b", index=40, order="o2")]
    assert used(Fold(uses=twice)) == Used(Fraction(1, 20))
    assert used(Fold(uses=twice), before=40) == Used(Fraction(1, 40))
    assert used(Fold(grants=[grant(), grant()])) == Used(Fraction(1, 40))  # a person, not a grant
    assert used_elsewhere(Fold().state, "local", ["o/another"], lambda _: 0) == {}
    trusted = order(release={"mode": "trusted", "rho": "0"})
    terms = preset("everything_at_a_price", valid_from=0, price=5, release_mode="trusted").to_dict()
    fold = Fold([grant(terms=terms)], [access(release={"rho": "0"})], trusted)
    assert used_elsewhere(fold.state, "local", [PERSON], lambda _: 7) == {
        PERSON: Used(Fraction(0), 7)
    }


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ({"index": 20}, False),  # given when the cohort was judged already
        ({"index": 19}, True),
        ({"stopped_at": 19}, False),
        ({"stopped_at": 20}, True),  # stopped after it was judged: recorded all the same
        ({"order": "another"}, False),
        ({"order": "o1"}, True),
        ({"recipient": {"region": "us"}}, False),
        ({"dataset": "another"}, False),
        ({"terms": {"unreadable": True}}, True),
    ],
)
def test_only_consents_in_force_there_and_then_count(changed, counts):
    assert (used(Fold([grant(**changed)])) is not None) is counts


@pytest.mark.parametrize(
    "changed",
    [
        {"scope": {"modalities": ["expression"]}},
        {"release": {"mode": "trusted", "rho": "0"}},  # the terms allow noise only
        {"release": {"mode": "private", "rho": "1/2"}},  # more than one order may take
    ],
)
def test_an_order_the_terms_keep_out_charges_nothing(changed):
    assert used(Fold(ordered=order(**changed))) is None


def test_an_order_of_another_family_charges_nothing():
    terms = {**grant().terms, "query_families": ["feature_summary"]}
    assert used(Fold([grant(terms=terms)])) is None


def test_this_regions_uses_and_ingest_are_not_elsewhere():
    assert used(Fold(), region="eu") is None
    assert used(Fold(uses=[access(order=None)])) is None
    assert came_between(Fold().state, "local", 30, 31)
    assert not came_between(Fold().state, "local", 31, 40)
    assert not came_between(Fold().state, "local", 20, 30)
    assert not came_between(Fold().state, "eu", 20, 40)
    assert use_of(Fold().state, access(release=None)).rho == 0


class TwoRegions(PrivateWorld):
    """Owners with a budget for two orders in all."""

    def terms(self, **more):
        return super().terms(**{"lifetime_rho": "1/20", "order_share": "1/2", **more})

    def ask(self, name):
        return self.run("query", self.order(query=listed(name), release=PRIVATE))


@pytest.fixture
def world(tmp_path):
    made = TwoRegions(tmp_path, people=104)
    made.first = made.shop
    yield made
    for shop in {id(one): one for one in (made.first, made.shop)}.values():
        shop.store.close()


def test_moving_to_another_region_begins_no_fresh_budget(world):
    assert world.ask("1-1000-A-G").state == "released"
    for person in world.people:
        world.withdraw(person)
    world.settle_in("eu")
    for person in world.people:
        world.grant(person, "genotypes")
    assert spent(world, world.people[0]) == 0  # this region's own database knows of nothing
    assert world.ask("1-2000-A-G").state == "released"
    refused = world.ask("1-3000-A-G")
    assert (refused.state, refused.code) == ("refused", Code.COHORT_FLOOR.value)
    # Control: by its own database alone it would have answered.
    person = world.people[0]
    charge = Charge(f"{person.id}/{person.participant}", (), Fraction(1, 20))
    assert not world.shop.accountant.exhausted([charge], Fraction(1, 40))


def test_of_two_regions_at_once_the_first_on_the_ledger_is_answered(world, monkeypatch):
    """Both charge the same people for their last two orders; each judged before it saw the other.

    Two files of a person, one consented to each region.
    """
    local = world.shop
    assert world.ask("1-1000-A-G").state == "released"  # half of everybody's budget
    rival = world.order(query=listed("1-2000-A-G"), release=PRIVATE)
    world.settle_in("eu")
    for person in world.people:
        world.register(person, "genotypes", person.data["genotypes"].plaintext)
        world.grant(person, "genotypes")
    real, outcomes = worker_query.checkpoint_step, []

    def step(name):
        real(name)
        if name == "query_reserved" and not outcomes:
            outcomes.append(None)  # the rival passes this step, too
            outcomes[0] = run_job(local, world.market.add(new_id(), "query", rival))

    monkeypatch.setattr(worker_query, "checkpoint_step", step)
    late = world.order(query=listed("1-3000-A-G"), release=PRIVATE)
    outcome = world.run("query", late)
    assert outcomes[0].state == "released"
    assert outcome.code == Code.COHORT_FLOOR.value
    state = world.log.state
    assert (state.orders[rival].result is None, state.orders[late].result is None) == (False, True)
    first, second = world.access_of(rival), world.access_of(late)
    assert int(second.payload["judged_size"]) <= first.index < second.index


def test_a_rebuilt_budget_holds_for_who_withdrew_and_consents_again(world):
    person = world.people[0]
    for name in ("1-1000-A-G", "1-2000-A-G"):
        assert world.ask(name).state == "released"
    world.withdraw(person)
    world.shop.follower.sync()
    world.run("ingest")
    world.grant(person, "genotypes")
    world.shop.store.close()
    for path in world.folder.glob("compute.sqlite*"):
        path.unlink()
    world.shop = world.worker()
    world.shop.follower.sync()
    assert reconcile(world.shop) == 2
    assert spent(world, person) == Fraction(1, 20)
    world.first = world.shop
