"""Charges: what one attempt to take a card's money left.

Spec: https://docs.stripe.com/api/charges.
"""

from marketplace.devstripe.cards import Card
from marketplace.devstripe.store import Json, Unit, new_id

# Of Stripe's charge; nothing at first, most of it never on this server.
_NOTHING_YET = (
    "application", "application_fee", "application_fee_amount", "balance_transaction",
    "failure_balance_transaction", "on_behalf_of", "receipt_number", "review", "shipping", "source",
    "source_transfer", "statement_descriptor_suffix", "transfer_data",
)  # fmt: skip


def new_charge(unit: Unit, intent: Json, method: Json, card: Card) -> Json:
    """Store the charge of one attempt: paid, or failed as the card says."""
    ok = card.code is None
    return unit.put(
        {
            "id": new_id("ch"),
            "object": "charge",
            **dict.fromkeys(_NOTHING_YET),
            "amount": intent["amount"],
            "amount_captured": 0,
            "amount_refunded": 0,
            "billing_details": method["billing_details"],
            "calculated_statement_descriptor": "TEST MONEY",
            "captured": False,
            "created": unit.now,
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_code": card.code,
            "failure_message": None if ok else card.message,
            "fraud_details": {},
            "livemode": False,
            "metadata": dict(intent["metadata"]),
            "outcome": _outcome(card),
            "paid": ok,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": _details(method, intent),
            "receipt_email": intent["receipt_email"],
            "receipt_url": _receipt(unit, intent) if ok else None,
            "refunded": False,
            "statement_descriptor": intent["statement_descriptor"],
            "status": "succeeded" if ok else "failed",
            "transfer_group": intent["transfer_group"],
        }
    )


def _receipt(unit: Unit, intent: Json) -> str:
    return f"{unit.request.get('base', '')}/receipts/{intent['id']}"


def _details(method: Json, intent: Json) -> Json:
    if method["type"] == "card":
        return {"card": _charged(method["card"], intent), "type": "card"}
    wallet = {
        "buyer_address": "0x" + "0" * 40,
        "network": "base",
        "token_currency": "usdc",
        "transaction_hash": "0x" + "0" * 64,
    }
    return {"crypto": wallet, "type": "crypto"}


def _charged(card: Json, intent: Json) -> Json:
    return {
        "amount_authorized": intent["amount"],
        "authorization_code": None,
        "brand": card["brand"],
        "checks": card["checks"],
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "network": card["brand"],
        "three_d_secure": None,
        "wallet": None,
    }


def _outcome(card: Card) -> Json:
    ok = card.code is None
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network" if ok else "declined_by_network",
        "reason": None if ok else card.decline_code,
        "risk_level": "normal",
        "seller_message": "Payment complete." if ok else "The bank declined the payment.",
        "type": "authorized" if ok else "issuer_declined",
    }
