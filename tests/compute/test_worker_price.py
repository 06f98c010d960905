"""What members' terms ask is paid, or nothing is opened; an auditor can add it up offline."""

from fractions import Fraction

import pytest

from compute.bundle import verify_bundle
from compute.crypt import decrypt_file
from compute.match import parse_release
from compute.presets import preset
from compute.prices import due, rate_of
from compute.worker_outcomes import Code
from tests.compute.bundle_world import NOW, Story
from tests.compute.simulators import now_ms
from tests.compute.worker_world import World

PEOPLE = 24
EACH = 5  # World.terms


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, people=PEOPLE)
    yield made
    made.shop.store.close()


def test_an_order_below_what_the_members_ask_is_refused_unopened(world):
    low = PEOPLE * EACH - 1
    order = world.order(price=low, paid=low)
    outcome = world.run("query", order)
    assert (outcome.state, outcome.code) == ("refused", Code.PRICE.value)
    assert world.log.state.orders[order].accesses == []
    assert not world.market.objects


def test_an_order_at_exactly_the_asked_price_runs(world):
    asked = PEOPLE * EACH
    order = world.order(price=asked, paid=asked)
    assert world.complete(order).state == "released"
    full = decrypt_file(world.market.objects[order, "auditor_bundle"], world.auditor_secret)
    report = verify_bundle(full, world.trust, now_ms(), leaves=world.log.leaves)
    assert report.complete, report.verdict
    assert "price" in {check.name for check in report.checks}


def test_a_price_that_rose_after_the_access_opens_nothing(world, monkeypatch):
    """The buyer's non-profit statement ends between judging and opening: the price is higher."""
    terms = world.terms()
    terms["prices"] = {**terms["prices"], "commercial_research": 500}
    for person in world.people:
        world.withdraw(person)
        world.grant(person, "genotypes", terms=terms)
    world.run("ingest")
    order = world.order()
    opened = []
    read = world.shop.vault.reader
    monkeypatch.setattr(world.shop.vault, "reader", lambda *a: opened.append(a) or read(*a))

    def ends(entry):
        if entry.type == "access.recorded":
            world.log.on_append = None
            world.claims(world.researcher, {"non_profit": False})

    world.log.on_append = ends
    outcome = world.run("query", order)
    assert (outcome.state, outcome.code, opened) == ("withheld", Code.PRICE.value, [])


@pytest.mark.parametrize(("price", "ok"), [(233, True), (234, False)])
def test_a_bundle_adds_up_what_the_members_asked(price, ok):
    terms = preset("everything_at_a_price", price=price, valid_from=0, release_mode="trusted")
    story = Story(terms=terms)
    report = verify_bundle(story.auditor_bundle(), story.trust, NOW, leaves=story.leaves)
    assert report.ok is ok, report.verdict
    assert ok or "price" in report.verdict


def test_a_bundle_in_another_currency_than_the_terms_fails():
    terms = preset(
        "everything_at_a_price", price=1, currency="eur", valid_from=0, release_mode="trusted"
    )
    story = Story(terms=terms)
    report = verify_bundle(story.auditor_bundle(), story.trust, NOW, leaves=story.leaves)
    assert not report.ok


@pytest.mark.parametrize(
    ("mode", "rho", "rate"),
    [
        ("trusted", "0", Fraction(1)),
        ("private", "1/2", Fraction(1)),
        ("private", "1/20", Fraction(1, 10)),
        ("private", "1/1000", Fraction(1, 500)),
    ],
)
def test_the_published_rate_of_a_release(mode, rho, rate):
    release = parse_release({"mode": mode, "rho": rho})
    assert rate_of(release) == rate
    assert due([3, 4], release) == -(-7 * rate.numerator // rate.denominator)
