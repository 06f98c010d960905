"""The adapter against the development server, through the real SDK and real webhooks."""

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from marketplace.devstripe.webhooks import signature_header
from marketplace.errors import (
    ConfigError,
    MarketError,
    PaymentRefusedError,
    PaymentUnavailableError,
    WebhookRefusedError,
)
from marketplace.payments import API_VERSION, Payments
from tests.marketplace.devstripe_harness import KEY, SECRET, running, wait_for


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    with running(tmp_path_factory.mktemp("payments")) as server:
        yield server


def adapter(url, key=KEY, **options):
    return Payments(
        key,
        base_url=url,
        webhook_secret=SECRET,
        success_url="http://localhost:8080/done",
        cancel_url="http://localhost:8080/back",
        **{"network_retries": 0, **options},
    )


@pytest.fixture
def payments(dev):
    return adapter(dev.url)


@pytest.fixture
def paid(dev, payments):
    def order(name, amount=1000, currency="usd"):
        checkout = payments.create_checkout(name, amount, currency, "Answer", f"checkout:{name}")
        dev.dev(f"checkout/{checkout.session_id}/pay")
        return payments.fetch_checkout(checkout.session_id)

    return order


def test_an_order_is_paid_once_and_read_back(dev, payments):
    first = payments.create_checkout("order-1", 500, "JPY", "Allele counts", "checkout:order-1")
    again = payments.create_checkout("order-1", 500, "JPY", "Allele counts", "checkout:order-1")
    assert first == again
    assert first.url.startswith(f"{dev.url}/pay/")
    state = payments.fetch_checkout(first.session_id)
    assert (state.status, state.payment_status, state.is_paid) == ("open", "unpaid", False)
    dev.dev(f"checkout/{first.session_id}/pay")
    state = payments.fetch_checkout(first.session_id)
    assert (state.status, state.payment_status, state.is_paid) == ("complete", "paid", True)
    assert (state.amount, state.currency, state.order_id) == (500, "jpy", "order-1")
    assert state.payment_intent.startswith("pi_")


def test_the_same_key_for_another_amount_is_refused(payments):
    payments.create_checkout("order-2", 500, "usd", "x", "checkout:order-2")
    with pytest.raises(PaymentRefusedError):
        payments.create_checkout("order-2", 501, "usd", "x", "checkout:order-2")


def test_an_open_session_expires_and_a_paid_one_says_that_it_is_paid(payments, paid):
    made = payments.create_checkout("order-3", 500, "usd", "x", "checkout:order-3")
    assert payments.expire_checkout(made.session_id, "expire:order-3").status == "expired"
    assert payments.expire_checkout(made.session_id, "expire:order-3").status == "expired"
    done = paid("order-4")
    assert payments.expire_checkout(done.session_id, "expire:order-4").is_paid


def test_refunds_are_idempotent_and_never_more_than_was_paid(payments, paid):
    intent = paid("order-5", 1000).payment_intent
    part = payments.refund(intent, 400, "refund:order-5:1")
    assert payments.refund(intent, 400, "refund:order-5:1") == part
    assert (part.status, part.amount, part.payment_intent) == ("succeeded", 400, intent)
    with pytest.raises(PaymentRefusedError):
        payments.refund(intent, 601, "refund:order-5:2")
    payments.refund(intent, 600, "refund:order-5:3")
    with pytest.raises(PaymentRefusedError, match="charge_already_refunded"):
        payments.refund(intent, 1, "refund:order-5:4")
    assert [one.amount for one in payments.list_refunds(intent)] == [600, 400]
    assert payments.fetch_refund(part.refund_id) == part
    assert payments.find_refund(intent, "refund:order-5:1") == part
    assert payments.find_refund(intent, "refund:order-5:4") is None


def test_an_owner_is_onboarded_paid_and_the_transfer_taken_back(dev, payments, paid):
    paid("order-6", 5000, "gbp")
    account = payments.create_account("owner-1", "KE", "account:owner-1")
    assert (account.can_receive, account.payouts_enabled) == (False, False)
    with pytest.raises(PaymentRefusedError, match="insufficient_capabilities"):
        payments.transfer(account.account_id, 100, "gbp", "period-1", "transfer:early")
    link = payments.onboarding_link(
        account.account_id, "http://x.example/r", "http://x.example/f", "link:1"
    )
    assert link.startswith(f"{dev.url}/connect/")
    dev.dev(f"accounts/{account.account_id}/onboard")
    now = payments.fetch_account(account.account_id)
    assert (now.can_receive, now.payouts_enabled, now.details_submitted) == (True, True, True)
    sent = payments.transfer(account.account_id, 3000, "GBP", "period-1", "transfer:1")
    assert payments.transfer(account.account_id, 3000, "GBP", "period-1", "transfer:1") == sent
    assert payments.find_transfer(account.account_id, "period-1", "transfer:1") == sent
    assert payments.find_transfer(account.account_id, "period-1", "transfer:2") is None
    back = payments.reverse_transfer(sent.transfer_id, 1000, "reverse:1")
    assert (back.amount, back.reversed, back.group) == (3000, 1000, "period-1")
    assert payments.list_transfers("period-1") == [back]
    with pytest.raises(PaymentRefusedError, match="balance_insufficient"):
        payments.transfer(account.account_id, 9_999_999, "gbp", "period-1", "transfer:much")


def test_payments_are_listed_for_reconciliation_without_declined_ones(dev, payments, paid):
    start = datetime.now(UTC) - timedelta(seconds=2)
    intent = paid("order-7", 900).payment_intent
    payments.refund(intent, 100, "refund:order-7")
    declined = payments.create_checkout("order-8", 900, "usd", "x", "checkout:order-8")
    dev.dev(f"checkout/{declined.session_id}/pay", card="4000000000000002")
    found = {one.order_id: one for one in payments.list_payments(start)}
    assert (found["order-7"].amount, found["order-7"].refunded, found["order-7"].disputed) == (
        900,
        100,
        False,
    )
    assert "order-8" not in found
    assert payments.list_payments(datetime.now(UTC) + timedelta(days=1)) == []


def test_webhooks_are_verified_on_the_raw_body_and_reduced_to_ids(dev, payments, paid):
    state = paid("order-9")
    payments.refund(state.payment_intent, 10, "refund:order-9")

    def mine():
        events = [payments.parse_webhook(body, sign) for body, sign in dev.receiver.got]
        return {
            event.type: event for event in events if event.payment_intent == state.payment_intent
        }

    found = wait_for(lambda: "refund.created" in mine() and mine())
    completed = found["checkout.session.completed"]
    assert (completed.object_id, completed.order_id) == (state.session_id, "order-9")
    assert found["payment_intent.succeeded"].object_id == state.payment_intent
    assert found["charge.refunded"].order_id == "order-9"
    assert found["refund.created"].object_id.startswith("re_")


def test_a_dispute_is_found_from_its_event(dev, payments):
    made = payments.create_checkout("order-10", 900, "usd", "x", "checkout:order-10")
    dev.dev(f"checkout/{made.session_id}/pay", card="4000000000000259")
    intent = payments.fetch_checkout(made.session_id).payment_intent

    def event():
        events = [payments.parse_webhook(body, sign) for body, sign in dev.receiver.got]
        return next(
            (
                e
                for e in events
                if e.type == "charge.dispute.created" and e.payment_intent == intent
            ),
            None,
        )

    dispute = payments.fetch_dispute(wait_for(event).object_id)
    assert (dispute.status, dispute.amount, dispute.payment_intent) == (
        "needs_response",
        900,
        intent,
    )


def test_forged_old_and_malformed_webhooks_are_refused(payments):
    body = json.dumps(
        {
            "id": "evt_1",
            "object": "event",
            "type": "x.y",
            "data": {"object": {"id": "o", "object": "x"}},
        }
    ).encode()
    now = int(time.time())
    good = signature_header(SECRET, body, now)
    assert payments.parse_webhook(body, good).object_id == "o"
    refused = [
        (body + b" ", good),
        (body, signature_header("whsec_other", body, now)),
        (body, signature_header(SECRET, body, now - 301)),
        (body, good.replace("v1=", "v0=")),
        (body, ""),
        (body, "t=now,v1=00"),
        (body, "nonsense"),
        (b"\xff\xfe", good),
    ]
    for other in (
        b"[]",
        b"{}",
        b"not json",
        b'{"object":"event","id":"e"}',
        b'{"id":"e","type":"t","data":{"object":3}}',
        b"null",
    ):
        refused.append((other, signature_header(SECRET, other, now)))
    for raw, header in refused:
        with pytest.raises(WebhookRefusedError):
            payments.parse_webhook(raw, header)


def test_an_object_without_an_id_is_still_an_event(payments):
    body = b'{"id":"e","object":"event","type":"balance.available","data":{"object":{"object":"balance"}}}'
    assert (
        payments.parse_webhook(body, signature_header(SECRET, body, int(time.time()))).object_id
        == ""
    )


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "rate_limit", "error_before"])
def test_an_unsure_call_is_unavailable_and_its_repetition_pays_once(dev, payments, paid, kind):
    intent = paid(f"order-{kind}", 1000).payment_intent
    dev.dev("faults", kind=kind, path="refunds")
    with pytest.raises(PaymentUnavailableError):
        payments.refund(intent, 700, f"refund:{kind}")
    assert payments.refund(intent, 700, f"refund:{kind}").amount == 700
    assert len(payments.list_refunds(intent)) == 1


def test_nobody_at_the_address_is_unavailable():
    with pytest.raises(PaymentUnavailableError):
        adapter("http://127.0.0.1:9").fetch_checkout("cs_test_x")


def test_a_wrong_key_is_our_problem_and_stays_out_of_the_message(dev):
    with pytest.raises(PaymentUnavailableError) as caught:
        adapter(dev.url, "sk_test_wrong_secret").fetch_checkout("cs_test_x")
    assert "wrong_secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "url", "options"),
    [
        ("sk_live_x", None, {}),
        ("rk_live_x", None, {}),
        ("sk_live_x", "http://127.0.0.1:1", {"allow_live": True}),
        ("nonsense", None, {}),
        ("", None, {}),
    ],
)
def test_live_and_unknown_keys_are_refused(key, url, options):
    with pytest.raises(ConfigError):
        adapter(url, key, **options)


def test_a_live_key_works_only_when_asked_for_and_only_at_stripe():
    assert adapter(None, "sk_live_x", allow_live=True).is_live
    assert not adapter(None, KEY).is_live


def test_a_secret_of_another_kind_is_refused():
    with pytest.raises(ConfigError):
        Payments(
            KEY, base_url=None, webhook_secret="x", success_url="http://a", cancel_url="http://a"
        )


def test_the_pinned_version_is_sent_and_errors_are_of_our_package(dev, payments):
    made = payments.create_checkout("order-v", 500, "usd", "x", "checkout:order-v")
    assert (
        payments._v1.checkout.sessions.retrieve(made.session_id).last_response.headers[
            "Stripe-Version"
        ]
        == API_VERSION
    )
    assert all(
        issubclass(cls, MarketError)
        for cls in (PaymentRefusedError, PaymentUnavailableError, WebhookRefusedError)
    )
    with pytest.raises(PaymentRefusedError, match="resource_missing"):
        payments.fetch_checkout("cs_test_none")
