"""Stripe's published test cards and payment methods, and what each one does.

Only these numbers are accepted, so no real card number can be used here; the number itself is
never stored, only its last four digits. Spec: https://docs.stripe.com/testing.
"""

import re
from dataclasses import dataclass

from marketplace.devstripe.errors import StripeFault
from marketplace.devstripe.params import Params
from marketplace.devstripe.store import Json, Unit, new_id


@dataclass(frozen=True, slots=True)
class Card:
    """A test card: how it is declined (`code`, `decline_code`) or disputed (`dispute`)."""

    number: str
    token: str
    brand: str = "visa"
    code: str | None = None
    decline_code: str | None = None
    message: str = "Your card was declined."
    dispute: str | None = None


CARDS = (
    Card("4242424242424242", "pm_card_visa"),
    Card("4000056655665556", "pm_card_visa_debit"),
    Card("5555555555554444", "pm_card_mastercard", "mastercard"),
    Card("378282246310005", "pm_card_amex", "amex"),
    Card("4000000000000077", "pm_card_bypassPending"),
    Card(
        "4000000000000002",
        "pm_card_visa_chargeDeclined",
        "visa",
        "card_declined",
        "generic_decline",
    ),
    Card(
        "4000000000009995",
        "pm_card_visa_chargeDeclinedInsufficientFunds",
        "visa",
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    Card(
        "4000000000000069",
        "pm_card_chargeDeclinedExpiredCard",
        "visa",
        "expired_card",
        "expired_card",
        "Your card has expired.",
    ),
    Card("4000000000000259", "pm_card_createDispute", dispute="fraudulent"),
    Card(
        "4000000000002685",
        "pm_card_createDisputeProductNotReceived",
        dispute="product_not_received",
    ),
)
# A stablecoin wallet in place of a card; Stripe takes it for prices in US dollars.
USDC = Card("usdc", "pm_crypto_usdc", "usdc")
BY_NUMBER = {card.number: card for card in CARDS}
BY_LAST4 = {card.number[-4:]: card for card in CARDS}
BY_TOKEN = {card.token: card for card in (*CARDS, USDC)} | {
    "pm_card_chargeDeclined": BY_NUMBER["4000000000000002"],
    "pm_card_chargeDeclinedInsufficientFunds": BY_NUMBER["4000000000009995"],
}


def card_by_number(number: str) -> Card:
    """Return the test card with this number (blanks allowed). Raises the card error."""
    card = BY_NUMBER.get(re.sub(r"[\s-]", "", number))
    if card is None:
        raise StripeFault(
            "Only Stripe's test card numbers work here (TEST MONEY), for example 4242424242424242.",
            status=402,
            kind="card_error",
            code="incorrect_number",
            param="number",
        )
    return card


def new_method(unit: Unit, card: Card, metadata: dict[str, str] | None = None) -> Json:
    """Store a PaymentMethod for a test card, or a stablecoin wallet, and return it."""
    kind: Json = {"type": "crypto", "crypto": {}}
    if card is not USDC:
        kind = {"type": "card", "card": card_details(card, unit.now)}
    return unit.put(
        {
            "id": new_id("pm"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {
                "address": None,
                "email": None,
                "name": None,
                "phone": None,
                "tax_id": None,
            },
            "created": unit.now,
            "customer": None,
            "livemode": False,
            "metadata": metadata or {},
            **kind,
        }
    )


def card_details(card: Card, now: int) -> Json:
    """Return the `card` hash of a PaymentMethod: brand, last four digits, an expiry to come."""
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "country": "US",
        "display_brand": card.brand,
        "exp_month": 12,
        "exp_year": 1970 + now // 31_556_952 + 2,
        "fingerprint": f"testmoney{card.number[-4:]}",
        "funding": "credit",
        "generated_from": None,
        "last4": card.number[-4:],
        "networks": {"available": [card.brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def resolve(unit: Unit, name: str, param: str = "payment_method") -> tuple[Json, Card]:
    """Return the PaymentMethod for `pm_card_visa` and its like, or a stored one, and its card."""
    if name in BY_TOKEN:
        return new_method(unit, BY_TOKEN[name]), BY_TOKEN[name]
    method = unit.get("payment_method", name, param)
    if method["type"] == "crypto":
        return method, USDC
    return method, BY_LAST4[method["card"]["last4"]]


def create_method(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/payment_methods for a test card given by number or token."""
    params.choice("type", ("card",), "card")
    card = params.sub("card")
    token = card.text("token")
    if token is not None:
        return new_method(unit, _by_token(token), params.metadata())
    return new_method(unit, card_by_number(card.required("number")), params.metadata())


def _by_token(token: str) -> Card:
    name = token.replace("tok_", "pm_card_", 1)
    if name not in BY_TOKEN:
        raise StripeFault(
            f"No such token: '{token[:80]}'", code="resource_missing", param="card[token]"
        )
    return BY_TOKEN[name]
