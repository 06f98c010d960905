"""Keys, versions, idempotency, errors, lists, expansion and broken networks."""

import threading

import pytest
import stripe

from marketplace.devstripe import DevStripe, create_app
from tests.marketplace.devstripe_harness import HTTP, KEY, sdk

INTENT = {"amount": 1000, "currency": "usd"}


def post(dev, path, data=None, **headers):
    return HTTP.post(
        f"{dev.url}/v1/{path}", data=data, headers={"Authorization": f"Bearer {KEY}", **headers}
    )


def test_the_same_key_and_request_is_answered_once_and_replayed(dev):
    first = post(dev, "payment_intents", INTENT, **{"Idempotency-Key": "k-same"})
    again = post(dev, "payment_intents", INTENT, **{"Idempotency-Key": "k-same"})
    assert again.content == first.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == first.headers["Request-Id"]


def test_a_key_is_forgotten_after_a_day(tmp_path):
    clock = [1_800_000_000.0]
    server = DevStripe(tmp_path, clock=lambda: clock[0], key="sk_test_day")
    client = create_app(server).test_client()

    def made(key):
        headers = {"Authorization": "Bearer sk_test_day", "Idempotency-Key": key}
        return client.post("/v1/customers", data={"name": "A"}, headers=headers).json["id"]

    first = made("k")
    clock[0] += 86_000
    assert made("k") == first
    clock[0] += 86_000
    again = made("k")
    assert again != first
    assert made("k") == again
    server.store.close()


def test_the_same_key_with_another_request_is_an_idempotency_error(dev):
    options = {"idempotency_key": "k-other"}
    dev.v1.payment_intents.create(INTENT, options)
    with pytest.raises(stripe.IdempotencyError) as caught:
        dev.v1.payment_intents.create({**INTENT, "amount": 1001}, options)
    assert caught.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError):
        dev.v1.customers.create({}, options)


def test_a_decline_is_replayed_and_charges_nobody_twice(dev):
    intent = dev.v1.payment_intents.create(INTENT)
    for _ in range(2):
        with pytest.raises(stripe.CardError):
            dev.v1.payment_intents.confirm(
                intent.id,
                {"payment_method": "pm_card_chargeDeclined"},
                {"idempotency_key": "k-decline"},
            )
    assert len(dev.v1.charges.list({"payment_intent": intent.id}).data) == 1


def test_a_refund_repeated_with_its_key_is_one_refund(dev, pay):
    intent = pay(1000)
    made = {
        dev.v1.refunds.create(
            {"payment_intent": intent.id, "amount": 400}, {"idempotency_key": "k-refund"}
        ).id
        for _ in range(3)
    }
    assert len(made) == 1
    assert dev.v1.charges.retrieve(intent.latest_charge).amount_refunded == 400


def test_a_request_that_failed_validation_does_not_use_up_its_key(dev):
    options = {"idempotency_key": "k-invalid"}
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.payment_intents.create({"amount": 1, "currency": "usd"}, options)
    assert dev.v1.payment_intents.create(INTENT, options).amount == 1000


def test_ten_calls_at_once_with_one_key_make_one_payment(dev):
    made, start = [], threading.Barrier(10)

    def call():
        client = sdk(dev.url)
        start.wait()
        made.append(
            client.v1.payment_intents.create(
                {**INTENT, "metadata": {"n": "ten"}}, {"idempotency_key": "k-ten"}
            ).id
        )

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 10
    assert len(set(made)) == 1


@pytest.mark.parametrize("key", ["none", "sk_live_" + "x" * 24, "sk_test_wrong", "pk_test_x"])
def test_other_keys_are_refused(dev, key):
    answer = HTTP.get(f"{dev.url}/v1/balance", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert (
        HTTP.post(
            f"{dev.url}/_dev/webhooks/flush", headers={"Authorization": f"Bearer {key}"}
        ).status_code
        == 401
    )


def test_a_wrong_key_is_the_sdks_authentication_error_and_basic_works(dev):
    with pytest.raises(stripe.AuthenticationError):
        sdk(dev.url, "sk_test_wrong").v1.balance.retrieve()
    assert HTTP.get(f"{dev.url}/v1/balance", auth=(KEY, "")).status_code == 200


def test_every_answer_has_a_request_id_the_version_and_the_test_money_mark(dev):
    answer = post(
        dev, "customers", {"email": "a@b.example"}, **{"Stripe-Version": "2025-01-27.acacia"}
    )
    assert answer.headers["Request-Id"].startswith("req_")
    assert answer.headers["Stripe-Version"] == "2025-01-27.acacia"
    assert answer.headers["X-Test-Money"] == "true"
    assert answer.json()["livemode"] is False
    refused = post(dev, "customers", {}, **{"Stripe-Version": "yesterday"})
    assert refused.status_code == 400
    assert refused.headers["Request-Id"].startswith("req_")


def test_errors_are_stripes_objects(dev):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.payment_intents.retrieve("pi_none")
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (
        404,
        "resource_missing",
        "id",
    )
    assert caught.value.error.type == "invalid_request_error"
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.payment_intents.create({"currency": "usd"})
    assert (caught.value.code, caught.value.param) == ("parameter_missing", "amount")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.payment_intents.create({**INTENT, "amonut": 3})
    assert (caught.value.code, caught.value.param) == ("parameter_unknown", "amonut")
    assert post(dev, "nothing/here").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        "a[=1",
        "amount[x]=1&amount=2&currency=usd",
        "[]=1",
        "amount=%ff%fe",
        "metadata=x",
        "metadata[a][b]=1",
    ],
)
def test_malformed_forms_are_stripe_errors(dev, body):
    answer = HTTP.post(
        f"{dev.url}/v1/payment_intents",
        content=body,
        headers={
            "Authorization": f"Bearer {KEY}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_lists_page_both_ways_and_the_sdk_walks_them(fresh):
    made = [fresh.v1.customers.create({"name": f"c{i}"}).id for i in range(7)][::-1]
    page = fresh.v1.customers.list({"limit": 3})
    assert ([one.id for one in page.data], page.has_more, page.url) == (
        made[:3],
        True,
        "/v1/customers",
    )
    after = fresh.v1.customers.list({"limit": 3, "starting_after": made[2]})
    assert [one.id for one in after.data] == made[3:6]
    before = fresh.v1.customers.list({"limit": 2, "ending_before": made[3]})
    assert [one.id for one in before.data] == made[1:3]
    assert [one.id for one in fresh.v1.customers.list({"limit": 2}).auto_paging_iter()] == made
    for bad in (0, 101):
        with pytest.raises(stripe.InvalidRequestError):
            fresh.v1.customers.list({"limit": bad})
    with pytest.raises(stripe.InvalidRequestError):
        fresh.v1.customers.list({"starting_after": "cus_none"})


def test_lists_filter_by_time(fresh):
    fresh.v1.customers.create({"name": "old"})
    fresh.clock.shift = 1000
    new = fresh.v1.customers.create({"name": "new"})
    found = fresh.v1.customers.list({"created": {"gte": new.created}})
    assert [one.name for one in found.data] == ["new"]
    assert [one.name for one in fresh.v1.customers.list({"created": {"lt": new.created}}).data] == [
        "old"
    ]


def test_customers_change_and_go(dev):
    made = dev.v1.customers.create({"email": "a@b.example", "metadata": {"a": "1", "b": "2"}})
    changed = dev.v1.customers.update(made.id, {"name": "N", "metadata": {"a": "", "c": "3"}})
    assert (changed.name, changed.email, changed.metadata.to_dict()) == (
        "N",
        "a@b.example",
        {"b": "2", "c": "3"},
    )
    assert dev.v1.customers.delete(made.id).deleted
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.customers.retrieve(made.id)


def test_expansion_names_what_cannot_be_expanded(dev, pay):
    intent = pay()
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.payment_intents.retrieve(intent.id, {"expand": ["nonsense"]})
    found = dev.v1.charges.list({"payment_intent": intent.id, "expand": ["data.payment_intent"]})
    assert found.data[0].payment_intent.id == intent.id


@pytest.mark.parametrize(
    "kind", ["cut_before", "cut_after", "error_before", "error_after", "rate_limit"]
)
def test_a_cut_call_repeated_with_its_key_happens_once(dev, kind):
    name = f"fault-{kind}"
    dev.dev("faults", kind=kind, path="customers")
    with pytest.raises((stripe.APIConnectionError, stripe.APIError, stripe.RateLimitError)):
        dev.v1.customers.create({"email": f"{name}@x.example"}, {"idempotency_key": name})
    happened = len(dev.v1.customers.list({"email": f"{name}@x.example"}).data)
    assert happened == (1 if kind.endswith("_after") else 0)
    dev.v1.customers.create({"email": f"{name}@x.example"}, {"idempotency_key": name})
    assert len(dev.v1.customers.list({"email": f"{name}@x.example"}).data) == 1


def test_bodies_have_a_limit(dev):
    assert post(dev, "customers", {"name": "x" * 300_000}).status_code == 413


def test_a_stored_payment_method_can_be_reused_and_holds_four_digits_only(dev, pay):
    method = dev.v1.payment_methods.create({"type": "card", "card": {"number": "4000000000000002"}})
    assert (method.card.last4, "4000000000000002" in str(method)) == ("0002", False)
    with pytest.raises(stripe.CardError):
        pay(method=method.id)
    with pytest.raises(stripe.CardError) as caught:
        dev.v1.payment_methods.create({"type": "card", "card": {"number": "4111111111111111"}})
    assert caught.value.code == "incorrect_number"
