"""One running server per test module; tests make objects of their own and look only at those."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.marketplace.devstripe_harness import running


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    with running(tmp_path_factory.mktemp("devstripe"), hook=False) as server:
        yield server


@pytest.fixture
def fresh(tmp_path):
    """A server of its own, for tests that count everything."""
    with running(tmp_path) as server:
        yield server


@pytest.fixture
def pay(dev):
    """Pay an amount with a test payment method and return the PaymentIntent."""

    def paid(amount=1000, currency="usd", method="pm_card_visa", **more):
        return dev.v1.payment_intents.create(
            {
                "amount": amount,
                "currency": currency,
                "payment_method": method,
                "confirm": True,
                **more,
            }
        )

    return paid


@pytest.fixture
def owner(dev):
    """Make an onboarded connected account and return its id."""

    def made():
        account = dev.v1.accounts.create({"type": "express", "country": "GB"})
        dev.dev(f"accounts/{account.id}/onboard")
        return account.id

    return made
