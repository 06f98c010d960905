"""Owners who only donate: no share, a proof all the same, never asked for a bank."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from marketplace import accounts, book, book_store, owners
from marketplace.book import Account
from marketplace.client.activity import verify_share
from marketplace.config import PayoutConfig
from marketplace.donors import donated
from marketplace.tables import Payout, Refund, Share
from marketplace.web.sessions import cookie_name
from tests.marketplace.market_world import World
from tests.marketplace.test_payouts import WEEK, agree, bank, next_period, owed, settled


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, payouts=PayoutConfig(period_ms=WEEK, minimum=1))
    yield made
    made.close()


def shares(world, order):
    with world.services.db.read() as session:
        rows = session.exec(select(Share).where(Share.order_id == order)).all()
    return {row.owner: (row.amount, row.given) for row in rows}


def settlement(world, order):
    return world.ledger.state.orders[order].settlement.payload


def statement(world, owner):
    return world.http.get("/api/v1/me/statement", headers=owner.auth).json


def page(world, owner, path):
    link = world.http.post("/api/v1/session/link", headers=owner.auth).json["url"]
    opened = accounts.redeem_link(world.services, link.partition("#")[2])
    world.http.set_cookie(cookie_name(world.services.config), opened.token)
    return world.http.get(path).get_data(as_text=True)


def test_in_a_mixed_order_who_asks_nothing_gets_a_proof_and_the_rest_the_money(world):
    askers = [world.owner(upload=False) for _ in range(2)]
    giver = world.owner(upload=False, price=0)
    order = settled(world, [*askers, giver])
    paid, total = shares(world, order), settlement(world, order)["owners_total"]
    assert paid[giver.id] == (0, True)
    assert sorted(paid[one.id] for one in askers) == [
        (total // 2, False),
        (total - total // 2, False),
    ]
    assert settlement(world, order)["shares"] == 3
    (mine,) = world.http.get("/api/v1/me/shares", headers=giver.auth).json["shares"]
    assert (mine["amount"], mine["given"]) == (0, True)
    verify_share(mine, giver.id, settlement(world, order))
    for one in askers:
        bank(world, one)
    next_period(world)
    with world.services.db.read() as session:
        assert {one.party for one in session.exec(select(Payout)).all()} == {o.id for o in askers}
    agree(world)


def test_a_giver_is_told_so_plainly_and_asked_for_no_bank(world):
    giver, asker = world.owner(upload=False, price=0), world.owner(upload=False)
    assert world.http.get("/api/v1/me/payee", headers=giver.auth).json["donates"]
    order = settled(world, [giver, asker])
    told = statement(world, giver)
    (line,) = told["lines"]
    assert (line["kind"], line["about"], line["amount"], line["balance"]) == ("given", order, 0, 0)
    assert line["index"] == world.ledger.state.orders[order].settlement.index
    assert (told["balances"], told["payee"]["donates"]) == ({}, True)
    assert not statement(world, asker)["payee"]["donates"]
    csv = world.http.get("/api/v1/me/statement.csv", headers=giver.auth).text
    assert f",given,{order},0.00,0.00,GBP," in csv
    shown = page(world, giver, "/me/statement")
    assert "You gave your data and asked nothing for it" in shown
    assert "no bank is needed" in shown
    assert "Be paid to my bank" not in shown
    assert '<span class="amount">given</span>' in page(world, giver, "/me")
    assert "Be paid to my bank" in page(world, asker, "/me/statement")


def test_an_order_of_givers_alone_pays_nobody_and_charges_nothing_for_data(world):
    givers = [world.owner(upload=False, price=0) for _ in range(3)]
    order = settled(world, givers)
    made = settlement(world, order)
    assert (made["owners_total"], made["platform_fee"], made["shares"]) == (0, 0, 3)
    assert made["gross"] == made["compute_fee"]
    assert set(shares(world, order).values()) == {(0, True)}
    agree(world)


def test_what_only_somebody_who_left_asked_for_goes_back_to_the_buyer(world):
    asker = world.owner(upload=False)
    givers = [world.owner(upload=False, price=0) for _ in range(2)]
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    world.withdraw(asker)
    world.answer(order, givers)
    world.turn(4)
    made = settlement(world, order)
    assert (made["owners_total"], made["platform_fee"]) == (0, 0)
    with world.services.db.read() as session:
        (refund,) = session.exec(select(Refund)).all()
        assert book_store.balance(session, Account.ESCROW, order, "gbp") == 0
    price = world.ledger.state.orders[order].payload["price"]["amount"]
    assert refund.amount == price - made["compute_fee"]
    agree(world)


def test_a_custodian_has_no_part_of_a_gift(world):
    custodian = world.register(type(world.owner(upload=False))(), "owner")
    details = {"custodian": "biobank", "party": custodian.id, "percent": 30}
    world.operate(0, "custodian.split", details)
    giver = world.owner(upload=False, custodian="biobank", price=0)
    asker = world.owner(upload=False, custodian="biobank")
    order = settled(world, [giver, asker])
    total = settlement(world, order)["owners_total"]
    assert owed(world, custodian.id) == pytest.approx(total * 0.3, abs=1)
    assert owed(world, asker.id) + owed(world, custodian.id) == total
    assert shares(world, order)[giver.id] == (0, True)


def test_an_erased_giver_stays_one_and_later_words_about_the_buyer_change_nothing(world):
    giver, asker = world.owner(upload=False, price=0), world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    state, pins = world.ledger.state, world.services.trust.pins
    grant = state.grants[giver.grant]
    body = {**grant.body, "prices": {**grant.body["prices"], "commercial_research": 500}}
    mixed = replace(grant, body=body, terms_sha256="another")
    assert donated(state, pins, order)(mixed)  # the buyer is attested not-for-profit
    world.attest(researcher, "researcher", non_profit=False)
    assert donated(state, pins, order)(mixed)
    world.pay(researcher, order)
    world.answer(order, [giver, asker])
    world.ledger.accept(world.stop(giver, "dataset.erased"))
    world.fold_afresh()
    world.turn()
    assert shares(world, order)[giver.id] == (0, True)


USED = st.builds(
    owners.Used,
    owner=st.sampled_from("abcd"), participant=st.sampled_from("xy"),
    modality=st.sampled_from(["genotypes", "rna"]), order=st.none(), index=st.just(0),
    stopped_at=st.none(), custodian_party=st.sampled_from([None, "bank"]), percent=st.just(0),
    given=st.booleans(),
)  # fmt: skip


@given(st.lists(USED, min_size=1), st.integers(0, 10_000), st.randoms())
def test_the_whole_amount_goes_to_those_who_ask_in_any_order(used, total, random):
    weights = owners.weights_in(used, {"genotypes": 3})
    askers = Counter(one.owner for one in used if not one.given)
    if not askers:
        assert not any(weights.values())
        return
    paid = book.split(total, sorted(weights.items()))
    assert sum(paid.values()) == total
    assert {one.owner for one in used} <= set(paid)
    assert all(paid[one] == 0 for one in paid if one not in askers)
    random.shuffle(used)
    assert owners.weights_in(used, {"genotypes": 3}) == weights
