"""Checkout Sessions and the hosted page, with and without a browser."""

import pytest
import stripe

from tests.marketplace.devstripe_harness import HTTP


@pytest.fixture
def session(dev):
    def made(**more):
        price = {
            "currency": "gbp",
            "unit_amount": 1250,
            "product_data": {"name": "Allele counts <b>"},
        }
        return dev.v1.checkout.sessions.create(
            {
                "mode": "payment",
                "line_items": [{"price_data": price, "quantity": 2}],
                "success_url": "http://localhost:8080/done?s={CHECKOUT_SESSION_ID}",
                "cancel_url": "http://localhost:8080/back",
                "client_reference_id": "order-7",
                "metadata": {"order_id": "order-7"},
                "payment_intent_data": {
                    "metadata": {"order_id": "order-7"},
                    "transfer_group": "order-7",
                },
                **more,
            }
        )

    return made


def test_a_session_is_opened_paid_without_a_browser_and_read_back(dev, session):
    made = session()
    assert (made.status, made.payment_status, made.amount_total) == ("open", "unpaid", 2500)
    assert made.payment_intent is None
    assert made.id.startswith("cs_test_")
    paid = dev.dev(f"checkout/{made.id}/pay")
    assert paid["payment_status"] == "paid"
    again = dev.v1.checkout.sessions.retrieve(made.id, {"expand": ["payment_intent", "line_items"]})
    assert (again.status, again.url, again.payment_intent.amount_received) == (
        "complete",
        None,
        2500,
    )
    assert again.payment_intent.metadata["order_id"] == "order-7"
    assert again.payment_intent.transfer_group == "order-7"
    assert again.line_items.data[0].quantity == 2
    items = dev.v1.checkout.sessions.line_items.list(made.id)
    assert items.data[0].price.unit_amount == 1250
    assert dev.dev(f"checkout/{made.id}/pay")["status"] == 400
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.checkout.sessions.expire(made.id)


def test_the_page_declines_then_pays_and_goes_back(dev, session):
    made = session()
    page = HTTP.get(made.url)
    assert page.status_code == 200
    assert "TEST MONEY" in page.text
    assert "25.00 GBP" in page.text
    assert "Allele counts &lt;b&gt;" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self' http://localhost:8080" in policy
    declined = HTTP.post(made.url, data={"card": "4000 0000 0000 0002", "action": "pay"})
    assert declined.status_code == 402
    assert "Your card was declined." in declined.text
    assert dev.v1.checkout.sessions.retrieve(made.id).status == "open"
    paid = HTTP.post(
        made.url, data={"card": "4242424242424242", "action": "pay", "email": "a@b.example"}
    )
    assert paid.status_code == 303
    assert paid.headers["Location"] == f"http://localhost:8080/done?s={made.id}"
    after = dev.v1.checkout.sessions.retrieve(made.id)
    assert (after.payment_status, after.customer_details.email) == ("paid", "a@b.example")
    charges = dev.v1.charges.list({"payment_intent": after.payment_intent})
    assert [charge.status for charge in charges.data] == ["succeeded", "failed"]
    assert "is paid" in HTTP.get(made.url).text
    assert (
        HTTP.post(made.url, data={"card": "4242424242424242", "action": "pay"}).status_code == 400
    )


def test_cancel_goes_back_and_leaves_the_session_open(dev, session):
    made = session()
    left = HTTP.post(made.url, data={"action": "cancel"})
    assert (left.status_code, left.headers["Location"]) == (303, "http://localhost:8080/back")
    assert dev.v1.checkout.sessions.retrieve(made.id).status == "open"


def test_a_real_card_number_is_never_taken(dev, session):
    made = session()
    refused = HTTP.post(made.url, data={"card": "4111111111111111", "action": "pay"})
    assert refused.status_code == 402
    assert "test card numbers" in refused.text
    assert dev.v1.checkout.sessions.retrieve(made.id).payment_intent is None


def test_expire_closes_the_page(dev, session):
    made = session()
    assert dev.v1.checkout.sessions.expire(made.id).status == "expired"
    assert dev.dev(f"checkout/{made.id}/pay")["status"] == 400
    assert "expired" in HTTP.get(made.url).text


def test_a_session_expires_by_itself_even_if_a_card_was_declined(fresh):
    dev = fresh
    price = {"currency": "jpy", "unit_amount": 500, "product_data": {"name": "x"}}
    made = dev.v1.checkout.sessions.create(
        {
            "line_items": [{"price_data": price, "quantity": 1}],
            "mode": "payment",
            "success_url": "http://x.example",
        }
    )
    assert (
        dev.dev(f"checkout/{made.id}/pay", card="4000000000000002")["error"]["code"]
        == "card_declined"
    )
    tried = dev.v1.checkout.sessions.retrieve(made.id).payment_intent
    dev.clock.shift = 86_401
    assert dev.v1.checkout.sessions.retrieve(made.id).status == "expired"
    assert dev.v1.payment_intents.retrieve(tried).status == "canceled"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"line_items": []}, "line_items"),
        ({"mode": "subscription"}, "mode"),
        ({"expires_at": 1}, "expires_at"),
        ({"line_itemz": "x"}, "line_itemz"),
        ({"payment_intent_data": {"metadatas": {"a": "b"}}}, "payment_intent_data[metadatas]"),
        ({"customer": "cus_none"}, "customer"),
    ],
)
def test_malformed_sessions_are_refused_and_the_parameter_named(session, change, param):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        session(**change)
    assert caught.value.param == param


def test_sessions_are_listed_by_payment_intent(dev, session):
    made = session()
    dev.dev(f"checkout/{made.id}/pay")
    intent = dev.v1.checkout.sessions.retrieve(made.id).payment_intent
    found = dev.v1.checkout.sessions.list({"payment_intent": intent})
    assert [one.id for one in found.data] == [made.id]


def test_pages_and_health_say_test_money(dev):
    assert "TEST MONEY" in HTTP.get(dev.url + "/").text
    assert HTTP.get(dev.url + "/healthz").json() == {"ok": True, "livemode": False}
    assert HTTP.get(dev.url + "/pay/cs_test_none").status_code == 404


def test_the_receipt_of_a_payment_on_the_page_can_be_opened(dev, session):
    made = session()
    HTTP.post(made.url, data={"card": "4242424242424242", "action": "pay"})
    expand = {"expand": ["payment_intent.latest_charge"]}
    paid = dev.v1.checkout.sessions.retrieve(made.id, expand)
    page = HTTP.get(paid.payment_intent.latest_charge.receipt_url)
    assert page.status_code == 200
    assert "received (TEST MONEY)" in page.text
