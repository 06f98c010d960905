"""Connect: onboarding, transfers, reversals, payouts, each side's balance."""

import pytest
import stripe

from tests.marketplace.devstripe_harness import HTTP


def balance(dev, currency, account=None):
    options = {"stripe_account": account} if account else None
    found = dev.v1.balance.retrieve(None, options)
    return {part.currency: part.amount for part in found.available}.get(currency, 0)


def test_onboarding_is_one_click_and_the_link_works_once(dev):
    account = dev.v1.accounts.create(
        {
            "type": "express",
            "country": "KE",
            "capabilities": {"transfers": {"requested": True}},
            "metadata": {"owner_id": "w"},
        }
    )
    assert (account.details_submitted, account.capabilities.transfers) == (False, "inactive")
    link = dev.v1.account_links.create(
        {
            "account": account.id,
            "type": "account_onboarding",
            "return_url": "http://localhost/r",
            "refresh_url": "http://localhost/f",
        }
    )
    assert "TEST MONEY" in HTTP.get(link.url).text
    done = HTTP.post(link.url)
    assert (done.status_code, done.headers["Location"]) == (303, "http://localhost/r")
    now = dev.v1.accounts.retrieve(account.id)
    assert (now.payouts_enabled, now.capabilities.transfers, now.metadata["owner_id"]) == (
        True,
        "active",
        "w",
    )
    assert HTTP.post(link.url).status_code == 400
    assert HTTP.get(link.url).headers["Location"] == "http://localhost/f"
    told = dev.v1.events.list({"type": "account.updated"}, {"stripe_account": account.id})
    assert told.data[0].data.object.payouts_enabled is True


def test_transfer_reversal_and_payout_move_both_balances(dev, pay, owner):
    pay(5000, "gbp")
    account, before = owner(), balance(dev, "gbp")
    transfer = dev.v1.transfers.create(
        {"amount": 3000, "currency": "gbp", "destination": account, "transfer_group": "g1"}
    )
    assert (balance(dev, "gbp"), balance(dev, "gbp", account)) == (before - 3000, 3000)
    reversal = dev.v1.transfers.reversals.create(transfer.id, {"amount": 1000})
    assert (reversal.amount, reversal.transfer) == (1000, transfer.id)
    payout = dev.v1.payouts.create({"amount": 1500, "currency": "gbp"}, {"stripe_account": account})
    assert payout.status == "pending"
    assert dev.v1.payouts.retrieve(payout.id, None, {"stripe_account": account}).status == "paid"
    assert (balance(dev, "gbp"), balance(dev, "gbp", account)) == (before - 2000, 500)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.transfers.reversals.create(transfer.id)
    assert caught.value.code == "balance_insufficient"
    dev.v1.transfers.reversals.create(transfer.id, {"amount": 500})
    now = dev.v1.transfers.retrieve(transfer.id, {"expand": ["destination"]})
    assert (now.amount_reversed, now.reversed, now.destination.id) == (1500, False, account)
    assert [part.amount for part in now.reversals.data] == [500, 1000]
    assert [t.id for t in dev.v1.transfers.list({"transfer_group": "g1"}).data] == [transfer.id]
    assert len(dev.v1.transfers.reversals.list(transfer.id).data) == 2


def test_transfers_are_refused_before_onboarding_beyond_the_balance_and_to_nobody(dev, owner):
    account = dev.v1.accounts.create({"type": "express"})
    cases = [
        (
            {"destination": account.id, "amount": 1, "currency": "usd"},
            "insufficient_capabilities_for_transfer",
        ),
        ({"destination": owner(), "amount": 99_999_999, "currency": "sek"}, "balance_insufficient"),
        ({"destination": "acct_none", "amount": 1, "currency": "usd"}, "resource_missing"),
    ]
    for params, code in cases:
        with pytest.raises(stripe.InvalidRequestError) as caught:
            dev.v1.transfers.create(params)
        assert caught.value.code == code


def test_a_source_transaction_cannot_be_transferred_twice(dev, pay, owner):
    charge, account = pay(1000).latest_charge, owner()
    params = {
        "amount": 700,
        "currency": "usd",
        "destination": account,
        "source_transaction": charge,
    }
    dev.v1.transfers.create(params)
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.transfers.create(params)


def test_a_restricted_account_is_not_paid_out(dev, pay, owner):
    pay(1000)
    account = owner()
    dev.v1.transfers.create({"amount": 400, "currency": "usd", "destination": account})
    dev.dev(f"accounts/{account}/restrict")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.payouts.create({"amount": 400, "currency": "usd"}, {"stripe_account": account})
    assert caught.value.code == "payouts_not_allowed"
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.accounts.delete(account)


def test_accounts_do_not_see_each_other(dev, pay, owner):
    intent, account = pay(), owner()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        dev.v1.payment_intents.retrieve(intent.id, None, {"stripe_account": account})
    assert caught.value.http_status == 404
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.balance.retrieve(None, {"stripe_account": "acct_none"})


def test_an_unused_account_can_be_deleted_and_changed(dev, owner):
    account = owner()
    assert dev.v1.accounts.update(account, {"metadata": {"a": "1"}}).metadata["a"] == "1"
    assert dev.v1.accounts.update(account, {"metadata": {"a": ""}}).metadata.to_dict() == {}
    assert dev.v1.accounts.delete(account).deleted is True
    with pytest.raises(stripe.InvalidRequestError):
        dev.v1.accounts.retrieve(account)
