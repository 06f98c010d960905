"""Money out: transfers to connected accounts, their reversals, payouts, the balance.

No balance goes below zero by a transfer, reversal or payout.
Spec: https://docs.stripe.com/api/transfers, /transfer_reversals, /payouts, /balance.
"""

from marketplace.devstripe.connect import receiving_account
from marketplace.devstripe.errors import StripeFault, invalid, wrong_state
from marketplace.devstripe.events import book, emit
from marketplace.devstripe.money import show
from marketplace.devstripe.params import Params
from marketplace.devstripe.store import Json, Unit, new_id, public


def _check_funds(unit: Unit, amount: int, currency: str) -> None:
    available = unit.balances().get(currency, 0)
    if amount > available:
        raise StripeFault(
            f"You have insufficient available funds in your Stripe account (TEST MONEY):"
            f" {show(available, currency)} available, {show(amount, currency)} needed.",
            code="balance_insufficient",
            kept=True,
        )


def create(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/transfers from the platform's balance to an onboarded account."""
    currency = params.currency()
    amount = params.amount("amount", currency)
    destination = receiving_account(unit, params.required("destination"))
    if (charge := params.text("source_transaction")) is not None:
        _check_source(unit, charge, amount, currency)
    _check_funds(unit, amount, currency)
    transfer_id = new_id("tr")
    text = params.text("description", 1000)
    entry = book(unit, "transfer", -amount, currency, transfer_id, description=text)
    arrival = _arrive(unit.scoped(destination["id"]), amount, currency, transfer_id)
    transfer = unit.put(
        {
            "id": transfer_id,
            "object": "transfer",
            "amount": amount,
            "amount_reversed": 0,
            "balance_transaction": entry["id"],
            "created": unit.now,
            "currency": currency,
            "description": text,
            "destination": destination["id"],
            "destination_payment": arrival["id"],
            "livemode": False,
            "metadata": params.metadata(),
            "reversals": _no_reversals(transfer_id),
            "reversed": False,
            "source_transaction": charge,
            "source_type": "card",
            "transfer_group": params.text("transfer_group"),
        }
    )
    emit(unit, "transfer.created", transfer)
    return transfer


def _no_reversals(transfer_id: str) -> Json:
    url = f"/v1/transfers/{transfer_id}/reversals"
    return {"object": "list", "data": [], "has_more": False, "total_count": 0, "url": url}


def _check_source(unit: Unit, charge_id: str, amount: int, currency: str) -> None:
    charge = unit.get("charge", charge_id, "source_transaction")
    sent = sum(
        transfer["amount"] - transfer["amount_reversed"]
        for transfer in unit.where("transfer", {"source_transaction": charge_id}, 100_000)
    )
    if charge["currency"] != currency or sent + amount > charge["amount_captured"]:
        raise invalid("amount", "more than the source transaction has left to transfer.")


def _arrive(unit: Unit, amount: int, currency: str, transfer_id: str) -> Json:
    payment_id = new_id("py")
    entry = book(unit, "payment", amount, currency, payment_id)
    return unit.put(
        {
            "id": payment_id,
            "object": "charge",
            "amount": amount,
            "amount_captured": amount,
            "amount_refunded": 0,
            "balance_transaction": entry["id"],
            "billing_details": dict.fromkeys(("address", "email", "name", "phone", "tax_id")),
            "captured": True,
            "created": unit.now,
            "currency": currency,
            "disputed": False,
            "livemode": False,
            "metadata": {},
            "paid": True,
            "payment_intent": None,
            "refunded": False,
            "source_transfer": transfer_id,
            "status": "succeeded",
        }
    )  # fmt: skip


def reverse(unit: Unit, params: Params, transfer_id: str) -> Json:
    """Answer POST /v1/transfers/<id>/reversals; without `amount`, all that is left."""
    transfer = unit.get("transfer", transfer_id)
    left = transfer["amount"] - transfer["amount_reversed"]
    if left == 0:
        raise wrong_state("This transfer is already fully reversed.", "transfer_already_reversed")
    amount = params.amount("amount", transfer["currency"]) if params.text("amount") else left
    if amount > left:
        raise invalid("amount", f"only {show(left, transfer['currency'])} is left to reverse.")
    account = unit.scoped(transfer["destination"])
    _check_funds(account, amount, transfer["currency"])
    book(account, "payment_refund", -amount, transfer["currency"], transfer["destination_payment"])
    return _reversed(unit, transfer, amount, params)


def _reversed(unit: Unit, transfer: Json, amount: int, params: Params) -> Json:
    reversal_id = new_id("trr")
    entry = book(unit, "transfer_refund", amount, transfer["currency"], reversal_id)
    reversal = unit.put(
        {
            "id": reversal_id,
            "object": "transfer_reversal",
            "amount": amount,
            "balance_transaction": entry["id"],
            "created": unit.now,
            "currency": transfer["currency"],
            "destination_payment_refund": None,
            "livemode": False,
            "metadata": params.metadata(),
            "source_refund": None,
            "transfer": transfer["id"],
        }
    )
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    transfer["reversals"]["data"].insert(0, public(reversal))
    transfer["reversals"]["total_count"] += 1
    emit(unit, "transfer.reversed", unit.save(transfer))
    return reversal


# Of Stripe's payout; never anything on this server.
_NEVER = (
    "application_fee", "application_fee_amount", "destination", "failure_balance_transaction",
    "failure_code", "failure_message", "original_payout", "payout_method", "reversed_by",
    "trace_id",
)  # fmt: skip


def create_payout(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/payouts for the platform or, with Stripe-Account, a connected account."""
    currency = params.currency()
    amount = params.amount("amount", currency)
    if unit.account:
        owner = unit.scoped("").get("account", unit.account)
        if not owner["payouts_enabled"]:
            raise wrong_state("Payouts are not enabled for this account.", "payouts_not_allowed")
    _check_funds(unit, amount, currency)
    payout_id = new_id("po")
    text = params.text("description", 1000)
    entry = book(unit, "payout", -amount, currency, payout_id, description=text)
    payout = unit.put(
        {
            "id": payout_id,
            "object": "payout",
            **dict.fromkeys(_NEVER),
            "amount": amount,
            "arrival_date": unit.now,
            "automatic": False,
            "balance_transaction": entry["id"],
            "created": unit.now,
            "currency": currency,
            "description": text,
            "livemode": False,
            "metadata": params.metadata(),
            "method": params.choice("method", ("standard", "instant"), "standard"),
            "reconciliation_status": "not_applicable",
            "source_type": "card",
            "statement_descriptor": params.text("statement_descriptor", 22),
            "status": "pending",
            "type": "bank_account",
        }
    )
    emit(unit, "payout.created", payout)
    # test banks are quick: the answer says pending, the next look says paid
    emit(unit, "payout.paid", unit.save({**payout, "status": "paid"}))
    return payout


def balance(unit: Unit, _params: Params) -> Json:
    """Answer GET /v1/balance: all money is available at once, none is pending."""
    amounts = unit.balances() or {"usd": 0}
    return {
        "object": "balance",
        "available": [_part(currency, amount) for currency, amount in amounts.items()],
        "livemode": False,
        "pending": [_part(currency, 0) for currency in amounts],
        "refund_and_dispute_prefunding": {
            "available": [_part(currency, 0) for currency in amounts],
            "pending": [_part(currency, 0) for currency in amounts],
        },
    }


def _part(currency: str, amount: int) -> Json:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}
