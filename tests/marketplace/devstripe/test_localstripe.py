"""Beside localstripe, another local Stripe server: the same calls give the same, where both have them.

localstripe is GPL-3: it runs as a program of its own, from a virtual environment of its own, and
nothing of it is imported here. OMIC_LOCALSTRIPE names that environment's Python (CI makes it).
"""

import os
import socket
import subprocess
import time

import pytest
import stripe

from tests.marketplace.devstripe_harness import sdk

pytestmark = pytest.mark.peer
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}


@pytest.fixture(scope="module")
def localstripe():
    python = os.environ.get("OMIC_LOCALSTRIPE")
    if not python:
        if os.environ.get("CI"):
            pytest.fail("OMIC_LOCALSTRIPE names no Python that has localstripe")
        pytest.skip("OMIC_LOCALSTRIPE names no Python that has localstripe")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        client = sdk(f"http://127.0.0.1:{port}")
        for _ in range(100):
            try:
                client.v1.balance.retrieve()
                break
            except stripe.APIConnectionError:
                time.sleep(0.1)
        yield client
    finally:
        process.terminate()
        process.wait(10)


def both(dev, localstripe, call):
    return call(dev.v1).to_dict(), call(localstripe.v1).to_dict()


def kind(value):
    return "id" if isinstance(value, str) and "_" in value else type(value).__name__


def same(ours, theirs, *, values=(), ignored=()):
    """Check the fields both have: of one kind, and equal where a value is not theirs to choose."""
    shared = (ours.keys() & theirs.keys()) - set(ignored)
    assert len(shared) >= 5, shared
    for name in sorted(shared):
        if ours[name] is not None and theirs[name] is not None:
            assert kind(ours[name]) == kind(theirs[name]), (name, ours[name], theirs[name])
    assert {name: ours[name] for name in values} == {name: theirs[name] for name in values}


def paid(v1):
    """Pay 10.00 USD by card and return the intent; each server wants its own few words for it."""
    card = {"number": CARD["number"]} if v1 is paid.ours else CARD
    method = v1.payment_methods.create({"type": "card", "card": card})
    wanted = {"amount": 1000, "currency": "usd", "payment_method": method.id, "confirm": True}
    return v1.payment_intents.create({**wanted, "metadata": {"order_id": "o1"}})


def test_a_payment_its_charge_and_a_part_of_it_back_are_the_same_on_both(fresh, localstripe):
    paid.ours = fresh.v1
    ours, theirs = both(fresh, localstripe, paid)
    # They expand the charge in the intent, as versions before 2022-11-15; here its id stands.
    fixed = ("object", "amount", "currency", "status", "livemode", "metadata")
    same(ours, theirs, values=fixed, ignored=("latest_charge", "charges", "capture_method"))
    services = (fresh.v1, localstripe.v1)
    charges = [v1.charges.list({"limit": 1}).data[0].to_dict() for v1 in services]
    said = ("object", "amount", "amount_refunded", "captured", "currency", "paid", "refunded")
    # Theirs keeps the intent's metadata to itself; Stripe copies it onto the charge, as ours does.
    same(*charges, values=(*said, "status", "livemode"), ignored=("metadata",))
    assert charges[0]["metadata"] == {"order_id": "o1"}
    refunds = [
        v1.refunds.create({"charge": charge["id"], "amount": 300}).to_dict()
        for v1, charge in zip(services, charges, strict=True)
    ]
    same(*refunds, values=("object", "amount", "currency", "status"))
    after = [
        v1.charges.retrieve(charge["id"]).amount_refunded
        for v1, charge in zip(services, charges, strict=True)
    ]
    assert after == [300, 300]


def test_customers_are_the_same_on_both(fresh, localstripe):
    ours, theirs = both(
        fresh, localstripe, lambda v1: v1.customers.create({"email": "a@b.example"})
    )
    same(ours, theirs, values=("object", "email", "livemode", "metadata"))


@pytest.mark.parametrize(
    "call",
    [
        lambda v1: v1.payment_intents.retrieve("pi_of_nobody"),
        lambda v1: v1.customers.retrieve("cus_of_nobody"),
        lambda v1: v1.payment_intents.create({"amount": 1000}),
        lambda v1: v1.refunds.create({"charge": "ch_of_nobody"}),
    ],
)
def test_what_is_wrong_is_refused_by_both(fresh, localstripe, call):
    for v1 in (fresh.v1, localstripe.v1):
        with pytest.raises(stripe.InvalidRequestError):
            call(v1)
