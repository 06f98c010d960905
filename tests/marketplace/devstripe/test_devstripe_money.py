"""PaymentIntents, charges, refunds, disputes and the balance, driven by the real SDK."""

import pytest
import stripe


def balance(dev, currency="usd", **options):
    found = dev.v1.balance.retrieve(None, options or None)
    return {part.currency: part.amount for part in found.available}.get(currency, 0)


def test_a_payment_intent_is_confirmed_and_leaves_a_charge_and_a_balance_transaction(dev):
    before = balance(dev)
    intent = dev.v1.payment_intents.create(
        {"amount": 1234, "currency": "USD", "metadata": {"order_id": "o1"}}
    )
    assert (intent.status, intent.livemode, intent.currency) == (
        "requires_payment_method",
        False,
        "usd",
    )
    done = dev.v1.payment_intents.confirm(
        intent.id,
        {"payment_method": "pm_card_visa", "expand": ["latest_charge.balance_transaction"]},
    )
    assert (done.status, done.amount_received) == ("succeeded", 1234)
    charge = done.latest_charge
    assert charge.metadata["order_id"] == "o1"
    assert (charge.captured, charge.amount_captured, charge.balance_transaction.net) == (
        True,
        1234,
        1234,
    )
    assert balance(dev) == before + 1234


@pytest.mark.parametrize(
    ("method", "code", "decline"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
def test_a_declined_card_is_a_card_error_and_can_be_tried_again(dev, method, code, decline):
    intent = dev.v1.payment_intents.create({"amount": 900, "currency": "usd"})
    with pytest.raises(stripe.CardError) as caught:
        dev.v1.payment_intents.confirm(intent.id, {"payment_method": method})
    assert caught.value.http_status == 402
    assert (caught.value.code, caught.value.error.decline_code) == (code, decline)
    assert caught.value.error.payment_intent.id == intent.id
    after = dev.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert (after.status, after.latest_charge.status) == ("requires_payment_method", "failed")
    assert after.last_payment_error.code == code
    again = dev.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (again.status, again.last_payment_error) == ("succeeded", None)
    charges = dev.v1.charges.list({"payment_intent": intent.id})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]


def test_manual_capture_in_part_releases_the_rest(dev):
    before = balance(dev)
    intent = dev.v1.payment_intents.create(
        {
            "amount": 1000,
            "currency": "usd",
            "capture_method": "manual",
            "confirm": True,
            "payment_method": "pm_card_visa",
        }
    )
    assert (intent.status, intent.amount_capturable, balance(dev)) == (
        "requires_capture",
        1000,
        before,
    )
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1001})
    done = dev.v1.payment_intents.capture(intent.id, {"amount_to_capture": 600})
    assert (done.status, done.amount_received, balance(dev)) == ("succeeded", 600, before + 600)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        dev.v1.refunds.create({"payment_intent": intent.id, "amount": 601})


def test_cancel_ends_an_intent_and_a_paid_one_cannot_be_cancelled(dev, pay):
    intent = dev.v1.payment_intents.create({"amount": 500, "currency": "eur"})
    gone = dev.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    for call in (
        dev.v1.payment_intents.confirm,
        dev.v1.payment_intents.cancel,
        dev.v1.payment_intents.capture,
    ):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(intent.id)
        assert caught.value.code == "payment_intent_unexpected_state"
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.payment_intents.cancel(pay().id)


def test_refunds_in_part_then_all_then_no_more(dev, pay):
    before = balance(dev)
    intent = pay(1000)
    first = dev.v1.refunds.create(
        {"payment_intent": intent.id, "amount": 300, "reason": "requested_by_customer"}
    )
    assert (first.status, first.amount, first.charge) == ("succeeded", 300, intent.latest_charge)
    with pytest.raises(stripe.InvalidRequestError) as over:
        dev.v1.refunds.create({"payment_intent": intent.id, "amount": 701})
    assert over.value.param == "amount"
    rest = dev.v1.refunds.create({"charge": intent.latest_charge})
    assert rest.amount == 700
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.refunds.create({"payment_intent": intent.id})
    assert caught.value.code == "charge_already_refunded"
    listed = dev.v1.refunds.list({"payment_intent": intent.id})
    assert [refund.amount for refund in listed.data] == [700, 300]
    charge = dev.v1.charges.retrieve(intent.latest_charge)
    assert (charge.refunded, charge.amount_refunded, balance(dev)) == (True, 1000, before)
    assert dev.v1.refunds.retrieve(first.id).amount == 300


def test_an_unpaid_intent_has_nothing_to_refund(dev):
    intent = dev.v1.payment_intents.create({"amount": 500, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.refunds.create({"payment_intent": intent.id})


@pytest.mark.parametrize(
    ("evidence", "status", "left"),
    [("winning_evidence", "won", 800), ("losing_evidence", "lost", 0)],
)
def test_a_dispute_takes_the_money_and_the_evidence_decides(dev, pay, evidence, status, left):
    before = balance(dev)
    intent = pay(800, method="pm_card_createDispute")
    dispute = dev.v1.disputes.list({"payment_intent": intent.id}).data[0]
    assert (dispute.status, dispute.reason, balance(dev)) == (
        "needs_response",
        "fraudulent",
        before,
    )
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.refunds.create({"payment_intent": intent.id})
    assert caught.value.code == "charge_disputed"
    kept = dev.v1.disputes.update(
        dispute.id, {"evidence": {"product_description": "counts"}, "submit": False}
    )
    assert kept.status == "needs_response"
    done = dev.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})
    assert (done.status, balance(dev)) == (status, before + left)
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.disputes.close(dispute.id)


def test_a_dispute_can_be_opened_on_purpose_and_its_loss_accepted(dev, pay):
    intent = pay(700)
    made = dev.dev("disputes", charge=intent.latest_charge, reason="duplicate")
    assert dev.v1.disputes.close(made["id"]).status == "lost"
    assert dev.dev("disputes", charge=intent.latest_charge)["status"] == 400
    assert dev.dev(f"disputes/{made['id']}/decide", outcome="won")["status"] == 400


@pytest.mark.parametrize(
    ("currency", "amount"), [("jpy", 500), ("krw", 50), ("kwd", 5120), ("gbp", 99_999_999)]
)
def test_zero_two_and_three_decimal_currencies_are_whole_numbers(dev, pay, currency, amount):
    before = balance(dev, currency)
    assert pay(amount, currency).amount_received == amount
    assert balance(dev, currency) == before + amount


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "usd", "amount_too_small"),
        (0, "usd", "parameter_invalid_integer"),
        (-5, "usd", "parameter_invalid_integer"),
        ("10.5", "usd", "parameter_invalid_integer"),
        (100_000_000, "usd", "amount_too_large"),
        (5124, "kwd", "parameter_invalid"),
        (500, "zzz", "parameter_invalid"),
    ],
)
def test_impossible_amounts_are_refused(dev, amount, currency, code):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.payment_intents.create({"amount": amount, "currency": currency})
    assert caught.value.code == code


def test_fees_are_taken_from_the_net_when_asked_for(tmp_path):
    from devstripe_harness import running

    with running(tmp_path, fee_bps=290) as server:
        intent = server.v1.payment_intents.create(
            {"amount": 1050, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
        )
        entry = server.v1.balance_transactions.list({"source": intent.latest_charge}).data[0]
        assert (entry.amount, entry.fee, entry.net) == (1050, 30, 1020)
        assert balance(server) == 1020
