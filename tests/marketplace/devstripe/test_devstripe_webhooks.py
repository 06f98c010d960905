"""Events and their delivery: signed, retried, repeated, held and re-ordered."""

import json
import time

import pytest
import stripe

from marketplace.devstripe.webhooks import backoff_seconds, signature_header
from tests.marketplace.devstripe_harness import SECRET, wait_for


def customer(dev, name="x"):
    """Make one event and return its id."""
    made = dev.v1.customers.create({"name": name})
    events = dev.v1.events.list({"type": "customer.created"})
    return next(event.id for event in events.data if event.data.object.id == made.id)


def test_events_arrive_signed_with_the_object_as_it_was(fresh):
    made = fresh.v1.customers.create({"name": "A"}, {"idempotency_key": "k-event"})
    event = fresh.waiting("customer.created")[0]
    assert (event.data.object.id, event.livemode, event.request.idempotency_key) == (
        made.id,
        False,
        "k-event",
    )
    body, header = fresh.receiver.got[0]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, header, "whsec_wrong")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body.replace(b'"A"', b'"B"'), header, SECRET)
    old = signature_header(SECRET, body, int(time.time()) - 301)
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        stripe.Webhook.construct_event(body, old, SECRET)
    wait_for(lambda: fresh.v1.events.retrieve(event.id).pending_webhooks == 0)


def test_our_signature_is_the_sdks_own():
    body = json.dumps({"a": "é"}).encode()
    assert signature_header(
        SECRET, body, 1_700_000_000
    ) == stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, 1_700_000_000)


def test_a_paid_checkout_tells_its_whole_story(fresh):
    price = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "x"}}
    made = fresh.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price_data": price, "quantity": 1}],
            "success_url": "http://x.example",
        }
    )
    fresh.dev(f"checkout/{made.id}/pay")
    fresh.waiting("checkout.session.completed")
    assert [event.type for event in fresh.receiver.events()] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


def test_failed_deliveries_are_retried_until_a_2xx_with_growing_waits(fresh):
    fresh.receiver.answers = [500, 302, 404]
    event = customer(fresh)
    wait_for(lambda: len(fresh.receiver.got) == 4)
    delivery = wait_for(
        lambda: [one for one in fresh.deliveries(event) if one["status"] == "delivered"]
    )[0]
    assert (delivery["attempts"], delivery["last_status"]) == (4, 200)
    assert len({body for body, _sign in fresh.receiver.got}) == 1
    assert {one.id for one in fresh.receiver.events()} == {event}


def test_the_wait_doubles_and_is_bounded():
    assert [backoff_seconds(n, 1.0) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert backoff_seconds(10_000, 1.0) == 300


def test_an_endpoint_that_does_not_answer_keeps_its_events(fresh):
    made = fresh.v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9/none", "enabled_events": ["customer.created"]}
    )
    assert made.secret.startswith("whsec_")
    event = customer(fresh)

    def tried():
        return [
            one
            for one in fresh.deliveries(event)
            if one["endpoint"] == made.id and one["attempts"] >= 1
        ]

    delivery = wait_for(tried)[0]
    assert (delivery["status"], delivery["last_status"]) == ("pending", None)
    assert delivery["last_error"] == "ConnectionRefusedError"
    wait_for(lambda: fresh.v1.events.retrieve(event).pending_webhooks == 1)
    fresh.v1.webhook_endpoints.update(made.id, {"url": fresh.receiver.url})
    fresh.dev("webhooks/flush")
    wait_for(lambda: fresh.v1.events.retrieve(event).pending_webhooks == 0)


def test_held_events_are_let_go_in_another_order(fresh):
    fresh.dev("webhooks", hold="true")
    ids = [customer(fresh, str(i)) for i in range(5)]
    assert fresh.receiver.got == []
    assert fresh.v1.events.retrieve(ids[0]).pending_webhooks == 1
    assert fresh.dev("webhooks/release", order="reversed")["released"] == 5
    wait_for(lambda: len(fresh.receiver.got) == 5)
    assert [event.id for event in fresh.receiver.events()] == ids[::-1]
    assert customer(fresh, "after")
    wait_for(lambda: len(fresh.receiver.got) == 6)


def test_shuffled_events_all_arrive(fresh):
    fresh.dev("webhooks", hold="true")
    ids = {customer(fresh, str(i)) for i in range(5)}
    fresh.dev("webhooks/release", order="shuffled")
    wait_for(lambda: len(fresh.receiver.got) == 5)
    assert {event.id for event in fresh.receiver.events()} == ids


def test_duplicates_and_delay(fresh):
    fresh.dev("webhooks", copies=3)
    event = customer(fresh)
    wait_for(lambda: len(fresh.receiver.got) == 3)
    assert {one.id for one in fresh.receiver.events()} == {event}
    fresh.dev("webhooks", delay=500)
    late = customer(fresh, "late")
    assert fresh.deliveries(late)[0]["due"] > time.time() + 400
    fresh.clock.shift = 501
    wait_for(lambda: len(fresh.receiver.got) == 4)


def test_an_event_is_sent_again_on_request(fresh):
    event = customer(fresh)
    wait_for(lambda: len(fresh.receiver.got) == 1)
    fresh.dev(f"events/{event}/deliver", copies=9)
    wait_for(lambda: len(fresh.receiver.got) == 10)
    assert len({body for body, _sign in fresh.receiver.got}) >= 1
    assert fresh.dev("events/evt_none/deliver")["status"] == 404
    assert fresh.dev(f"events/{event}/deliver", copies=101)["status"] == 400
    assert fresh.dev(f"events/{event}/deliver", delay="soon")["status"] == 400
    assert fresh.dev("nothing")["status"] == 404


def test_endpoints_hear_what_they_asked_for(fresh):
    url = fresh.receiver.url
    made = fresh.v1.webhook_endpoints.create(
        {"url": url, "enabled_events": ["payout.paid"], "connect": True}
    )
    event = customer(fresh)
    assert [one["endpoint"] for one in fresh.deliveries(event)] == ["we_fromthecommandline"]
    account = fresh.v1.accounts.create({"type": "express"}).id
    fresh.dev(f"accounts/{account}/onboard")
    fresh.v1.payment_intents.create(
        {"amount": 900, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    )
    fresh.v1.transfers.create({"amount": 900, "currency": "usd", "destination": account})
    fresh.v1.payouts.create({"amount": 900, "currency": "usd"}, {"stripe_account": account})
    paid = fresh.v1.events.list({"type": "payout.paid"}, {"stripe_account": account}).data[0]
    assert paid.account == account
    assert {one["endpoint"] for one in fresh.deliveries(paid.id)} == {
        "we_fromthecommandline",
        made.id,
    }
    assert fresh.v1.webhook_endpoints.update(made.id, {"disabled": True}).status == "disabled"
    assert fresh.v1.webhook_endpoints.delete(made.id).deleted
    assert len(fresh.v1.webhook_endpoints.list().data) == 1


def test_the_secret_of_an_endpoint_is_told_once(fresh):
    made = fresh.v1.webhook_endpoints.create({"url": fresh.receiver.url, "enabled_events": ["*"]})
    text = str(fresh.v1.webhook_endpoints.retrieve(made.id)) + str(
        fresh.v1.webhook_endpoints.list()
    )
    assert made.secret not in text
    assert SECRET not in text


def test_events_are_listed_by_types_and_without_secrets(fresh):
    customer(fresh)
    fresh.v1.payment_intents.create({"amount": 900, "currency": "usd"})
    kinds = [
        event.type
        for event in fresh.v1.events.list(
            {"types": ["customer.created", "payment_intent.created"]}
        ).data
    ]
    assert kinds == ["payment_intent.created", "customer.created"]
