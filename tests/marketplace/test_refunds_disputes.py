"""Refunds, disputes and chargebacks through the real SDK: the book, the order and the ledger."""

import pytest
from sqlmodel import select

from marketplace import book_store, reconcile, refunds, settlement
from marketplace.book import Account
from marketplace.payments import CheckoutOptions
from marketplace.tables import Dispute, Order, Payment, Refund
from tests.marketplace.market_world import SCOPE, World

HOUR, DAY = 3_600_000, 86_400_000


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def paid(world):
    """Return a market with a paid order that has not run: researcher, order, checkout, owner."""
    owner, researcher = world.owner(upload=False), world.researcher()
    order = world.place(researcher)
    session = world.checkout(researcher, order)
    assert world.webhook(world.payments.pay(session)).status_code == 200
    world.turn()
    return researcher, order, session, owner


def balances(world, currency="gbp"):
    totals = settlement.trial_balance(world.services)
    assert all(sum(accounts.values()) == 0 for accounts in totals.values())
    return totals.get(currency, {})


def rows(world, table):
    with world.services.db.read() as session:
        return session.exec(select(table)).all()


def ended(world, order):
    """Return an order's state when its researcher's session is long over."""
    return next(one.state for one in rows(world, Order) if one.id == order)


def agree(world):
    """Book, ledger and Stripe say the same (twice: what is under way has arrived by then)."""
    world.clock.forward(60_000)
    world.turn()
    for _ in range(2):
        run = reconcile.run(world.services, since=0)
    assert run.report["open"] == []
    said = run.report["totals"].get("gbp")
    assert said is None or (said["difference"] == 0 and said["ledger"] == said["book"])
    return run


def test_a_dispute_before_the_answer_refuses_the_order_and_waits_for_the_bank(world, paid):
    researcher, order, session, _owner = paid
    dispute = world.payments.dispute(session)
    world.webhook(world.payments.event("charge.dispute.created", dispute))
    world.turn()
    assert world.state(researcher, order) == "refused"
    assert not world.payments.refunds  # Stripe would refuse it; nothing is asked for
    assert balances(world)["disputed"] > 0
    world.payments.decide(dispute, "lost")
    world.webhook(world.payments.event("charge.dispute.closed", dispute))
    world.turn()
    assert world.state(researcher, order) == "refunded"
    assert balances(world) == {}
    types = world.ledger.types(order)
    assert types.count("payment.disputed") == types.count("payment.refunded") == 1
    agree(world)


def test_a_dispute_nobody_told_us_of_is_learnt_from_the_refusal_of_its_refund(world, paid):
    _researcher, order, session, _owner = paid
    dispute = world.payments.dispute(session)  # its webhook is lost
    world.outcome(world.job(), state="failed", code="internal")
    world.turn()
    assert [one.state for one in rows(world, Dispute)] == ["open"]
    assert [one.state for one in rows(world, Refund)] == ["planned"]  # held, not given up
    asked = world.payments.calls["refund"]
    world.turn()
    assert world.payments.calls["refund"] == asked  # nor asked for again and again
    world.payments.decide(dispute, "won")
    world.clock.forward(40 * DAY)  # so is this; and lists by date do not have it any more
    world.turn()
    assert ended(world, order) == "refunded"
    assert len(world.payments.refunds) == 1
    agree(world)


def test_a_refund_refused_very_often_is_still_sent_in_the_end(world, paid):
    _researcher, order, session, _owner = paid
    dispute = world.payments.dispute(session)
    with pytest.MonkeyPatch.context() as patch:  # the provider's list of disputes lags behind
        patch.setattr(world.payments, "list_disputes", lambda _intent: [])
        patch.setattr(world.payments, "disputes_since", lambda _since: [])
        world.outcome(world.job(), state="failed", code="internal")
        for _ in range(50):
            world.clock.forward(2 * DAY)
            world.turn(1)
        assert rows(world, Refund)[0].attempts > 20
    world.payments.decide(dispute, "won")
    for _ in range(3):
        world.clock.forward(2 * DAY)
        world.turn(1)
    assert ended(world, order) == "refunded"
    agree(world)


def test_the_reconciler_looks_back_over_the_time_it_did_not_run(world, paid):
    _researcher, _order, session, _owner = paid
    reconcile.run(world.services)
    world.clock.forward(HOUR)
    dispute = world.payments.dispute(session)
    world.clock.forward(10 * DAY)  # the market was down, and the webhook was given up
    run = reconcile.run(world.services)
    assert {"dispute not booked"} == {one["what"] for one in run.report["closed"]}
    assert [one.id for one in rows(world, Dispute)] == [dispute]


def test_a_dispute_won_gives_the_refund_back_by_card(world, paid):
    researcher, order, session, _owner = paid
    dispute = world.payments.dispute(session)
    world.webhook(world.payments.event("charge.dispute.created", dispute))
    world.turn()
    world.payments.decide(dispute, "won")
    world.webhook(world.payments.event("charge.dispute.closed", dispute))
    world.turn()
    assert world.state(researcher, order) == "refunded"
    assert len(world.payments.refunds) == 1
    assert balances(world) == {}
    agree(world)


def test_a_chargeback_after_the_answer_is_our_loss_and_owners_keep_theirs(world, paid):
    researcher, order, session, owner = paid
    world.answer(order, [owner])
    world.turn()
    assert world.state(researcher, order) == "settled"
    before = balances(world)
    dispute = world.payments.dispute(session)
    world.payments.decide(dispute, "lost")
    for kind in ("charge.dispute.closed", "charge.dispute.created"):  # out of order
        world.webhook(world.payments.event(kind, dispute))
    world.turn()
    after = balances(world)
    assert world.state(researcher, order) == "settled"
    assert after["owners_payable"] == before["owners_payable"]
    assert after["dispute_loss"] == rows(world, Dispute)[0].amount
    assert after.get("stripe_clearing", 0) == 0
    agree(world)


def test_an_order_that_fails_while_disputed_covers_the_loss(world, paid):
    researcher, order, session, _owner = paid
    job = world.job()
    dispute = world.payments.dispute(session)
    world.payments.decide(dispute, "lost")
    world.webhook(world.payments.event("charge.dispute.closed", dispute))
    world.turn()
    assert balances(world)["dispute_loss"] > 0
    world.outcome(job, state="failed", code="internal")
    world.turn(5)
    assert world.state(researcher, order) == "refunded"
    assert not world.payments.refunds
    assert balances(world) == {}
    agree(world)


def test_fewer_people_than_the_quoted_bucket_means_a_part_goes_back(world):
    researcher, order = world.answered_by_fewer()
    world.turn(5)
    assert world.state(researcher, order) == "settled"
    settled = world.ledger.state.orders[order].settlement.payload
    (refund,) = rows(world, Refund)
    (payment,) = rows(world, Payment)
    assert (refund.reason, refund.state) == ("fewer_people", "sent")
    assert 0 < settled["gross"] == payment.amount - refund.net
    assert world.ledger.state.orders[order].paid() == settled["gross"]
    assert balances(world)["stripe_clearing"] == settled["gross"]
    agree(world)


def test_a_refund_made_by_hand_at_stripe_is_booked_and_ends_the_order(world, paid):
    researcher, order, session, _owner = paid
    intent = world.payments.sessions[session].payment_intent
    world.payments.refund(intent, 100, "by hand in the dashboard")
    run = reconcile.run(world.services, since=0)
    assert [one["what"] for one in run.report["closed"]] == ["refund not booked"]
    world.turn(5)
    assert world.state(researcher, order) == "refunded"
    assert (
        sum(one.amount for one in world.payments.refunds.values()) == rows(world, Payment)[0].amount
    )
    assert balances(world) == {}
    agree(world)


def test_a_refund_by_hand_after_the_answer_is_our_loss(world, paid):
    researcher, order, session, owner = paid
    world.answer(order, [owner])
    world.turn()
    intent = world.payments.sessions[session].payment_intent
    world.payments.refund(intent, 100, "by hand in the dashboard")
    reconcile.run(world.services, since=0)
    world.turn()
    assert world.state(researcher, order) == "settled"
    assert balances(world)["dispute_loss"] == 100
    assert world.ledger.types(order)[-1] == "payment.refunded"
    agree(world)


def test_a_refund_whose_answer_was_lost_days_ago_is_found_and_not_made_again(world):
    """Of a part of the price: Stripe would give such a part back a second time."""
    world.answered_by_fewer()
    world.payments.fail_after = 1
    world.turn(1)
    assert [one.state for one in rows(world, Refund)] == ["planned"]
    assert len(world.payments.refunds) == 1  # made, and we never heard
    world.clock.forward(2 * 86_400_000)  # the market was down; Stripe forgot the key meanwhile
    world.turn()
    assert len(world.payments.refunds) == 1
    assert [one.state for one in rows(world, Refund)] == ["sent"]
    agree(world)


def test_a_refund_that_comes_back_is_owed_and_sent_again(world, paid):
    researcher, order, _session, _owner = paid
    world.outcome(world.job(), state="failed", code="internal")
    world.turn(5)
    (provider,) = world.payments.refunds
    with world.payments.unit() as unit:  # the card was closed: Stripe takes the refund back
        body = unit.save({**unit.get("refund", provider), "status": "failed"})
        unit.add_balance("gbp", body["amount"])
        charge = unit.get("charge", body["charge"])
        unit.save({**charge, "amount_refunded": 0, "refunded": False})
    with world.services.db.write() as session:
        refunds.apply(world.services, session, world.payments.fetch_refund(provider))
    assert balances(world) == {
        "refunds_payable": -body["amount"],
        "stripe_clearing": body["amount"],
    }
    reconcile.run(world.services, since=0)
    world.turn()
    assert len(world.payments.refunds) == 2
    assert balances(world) == {}
    assert world.state(researcher, order) == "refunded"


def test_tax_and_fees_are_booked_beside_the_price(tmp_path):
    world = World(
        tmp_path, stripe={"fee_bps": 290, "options": CheckoutOptions(tax=True, receipts=True)}
    )
    world.payments.set_tax(20)
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    (payment,) = rows(world, Payment)
    assert payment.tax == payment.amount * 20 // 100
    assert payment.receipt_url
    assert payment.method == "card"
    held = balances(world)
    assert held["tax_payable"] == -payment.tax
    assert held["processing_fees"] == ((payment.amount + payment.tax) * 290 + 5000) // 10000
    agree(world)
    world.outcome(world.job(), state="failed", code="internal")
    world.turn(5)
    assert world.state(researcher, order) == "refunded"
    (refund,) = world.payments.refunds.values()
    assert refund.amount == payment.amount + payment.tax
    left = balances(world)
    assert left["processing_fees"] == -left["stripe_clearing"]  # Stripe keeps its fee: ours to bear
    agree(world)
    world.close()


@pytest.mark.parametrize("currency", ["jpy", "usd"])
def test_an_order_in_another_currency_has_its_own_minor_unit(world, currency):
    owner, researcher = world.owner(upload=False, currency=currency), world.researcher()
    world.owner(upload=False)  # asks in pounds: not part of this order
    order = world.place(researcher, currency=currency, scope=SCOPE)
    world.pay(researcher, order)
    world.answer(order, [owner])
    world.turn()
    assert world.state(researcher, order) == "settled"
    with world.services.db.read() as session:
        owed = book_store.balance(session, Account.OWNERS_PAYABLE, owner.id, currency)
    assert owed == 19 * 200
    assert set(settlement.trial_balance(world.services)) == {currency}
    agree(world)
