"""What the marketplace knows of Stripe's objects: small frozen values, read from the SDK's."""

from dataclasses import dataclass
from typing import Any

import stripe

# Stripe forgets an idempotency key after a day; what a call made says its key for ever.
MADE_WITH = "made_with"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A page where an order can be paid; the payment intent may not exist before it is paid."""

    session_id: str
    url: str
    payment_intent: str | None


@dataclass(frozen=True, slots=True)
class CheckoutState:
    """A session now. status: open, complete, expired; payment_status: paid, unpaid, ....

    amount: without tax; tax came on top. fee: Stripe's own, where it is in the same currency.
    """

    session_id: str
    status: str
    payment_status: str
    amount: int
    currency: str
    payment_intent: str | None
    order_id: str | None
    tax: int = 0
    fee: int = 0
    method: str | None = None
    receipt_url: str | None = None

    @property
    def is_paid(self) -> bool:
        """Tell whether the money is there."""
        return self.status == "complete" and self.payment_status == "paid"


@dataclass(frozen=True, slots=True)
class RefundState:
    """A refund now. status: pending, requires_action, succeeded, failed, canceled.

    key: the idempotency key it was made with, None for one made by hand.
    """

    refund_id: str
    status: str
    amount: int
    currency: str
    payment_intent: str | None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class AccountState:
    """A connected account now: whether transfers reach it and whether it is paid out."""

    account_id: str
    details_submitted: bool
    can_receive: bool
    payouts_enabled: bool


@dataclass(frozen=True, slots=True)
class TransferState:
    """A transfer now. key: the idempotency key it was made with, None for one made by hand."""

    transfer_id: str
    account: str
    amount: int
    reversed: int
    currency: str
    group: str | None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """One charge in Stripe's list. `created` in seconds since 1970.

    checkout: the idempotency key its page was made with. fee: where the list was asked for it.
    """

    charge_id: str
    payment_intent: str | None
    order_id: str | None
    amount: int
    refunded: int
    currency: str
    disputed: bool
    created: int
    checkout: str | None = None
    fee: int = 0
    method: str | None = None
    receipt_url: str | None = None


@dataclass(frozen=True, slots=True)
class DisputeState:
    """A dispute now. status: needs_response, under_review, won, lost, ...."""

    dispute_id: str
    status: str
    amount: int
    currency: str
    payment_intent: str | None
    fee: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PayoutState:
    """Money Stripe sent to our own bank."""

    payout_id: str
    status: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A verified event, reduced to what may be trusted: which object to fetch again."""

    id: str
    type: str
    object_id: str
    order_id: str | None
    payment_intent: str | None = None
    account: str | None = None
    created: int = 0


def id_of(value: Any) -> str | None:
    """Return the id of a field that is an id, an expanded object or nothing."""
    if value is None or isinstance(value, str):
        return value
    return str(value.id)


def checkout_state_from(session: stripe.checkout.Session) -> CheckoutState:
    """Read a Checkout Session: amount without tax, tax and fee apart, in minor units."""
    value = session.to_dict()
    tax = int((value.get("total_details") or {}).get("amount_tax") or 0)
    charge = _charge_of(value)
    return CheckoutState(
        session.id,
        str(session.status),
        str(session.payment_status),
        (session.amount_total or 0) - tax,
        session.currency or "",
        id_of(session.payment_intent),
        session.client_reference_id,
        tax,
        _fee_of(charge),
        _method_of(charge),
        charge.get("receipt_url"),
    )


def _charge_of(session: dict[str, Any]) -> dict[str, Any]:
    """Return the expanded charge of a session that was paid, or nothing."""
    intent = session.get("payment_intent")
    charge = intent.get("latest_charge") if isinstance(intent, dict) else None
    return charge if isinstance(charge, dict) else {}


def _fee_of(charge: dict[str, Any]) -> int:
    """Return Stripe's own fee, where it was asked for and is in the charge's currency."""
    entry = charge.get("balance_transaction")
    same = isinstance(entry, dict) and entry["currency"] == charge["currency"]
    return int(entry["fee"]) if isinstance(entry, dict) and same else 0


def _method_of(charge: dict[str, Any]) -> str | None:
    return (charge.get("payment_method_details") or {}).get("type")


def dispute_state_from(dispute: stripe.Dispute) -> DisputeState:
    """Read a Dispute, with the fees Stripe took for it."""
    entries = dispute.to_dict().get("balance_transactions") or []
    fee = sum(int(one["fee"]) for one in entries if one["currency"] == dispute.currency)
    return DisputeState(
        dispute.id,
        str(dispute.status),
        dispute.amount,
        dispute.currency,
        id_of(dispute.payment_intent),
        fee,
        str(dispute.reason),
    )


def refund_state_from(refund: stripe.Refund) -> RefundState:
    """Read a Refund, and the key it was asked for with."""
    intent = id_of(refund.payment_intent)
    return RefundState(
        refund.id, str(refund.status), refund.amount, refund.currency, intent, _key_of(refund)
    )


def _key_of(made: stripe.Refund | stripe.Transfer) -> str | None:
    found = (made.to_dict().get("metadata") or {}).get(MADE_WITH)
    return None if found is None else str(found)


def account_state_from(account: stripe.Account) -> AccountState:
    """Read a connected Account: what it has submitted, may receive and be paid."""
    capabilities = account.to_dict().get("capabilities") or {}
    return AccountState(
        account.id,
        bool(account.details_submitted),
        capabilities.get("transfers") == "active",
        bool(account.payouts_enabled),
    )


def transfer_state_from(transfer: stripe.Transfer) -> TransferState:
    """Read a Transfer, and the key it was asked for with."""
    return TransferState(
        transfer.id,
        id_of(transfer.destination) or "",
        transfer.amount,
        transfer.amount_reversed,
        transfer.currency,
        transfer.transfer_group,
        _key_of(transfer),
    )


def payment_from(charge: stripe.Charge) -> Payment:
    """Read a Charge as a payment of the order its metadata names."""
    value = charge.to_dict()
    return Payment(
        charge.id,
        id_of(charge.payment_intent),
        value["metadata"].get("order_id"),
        charge.amount_captured,
        charge.amount_refunded,
        charge.currency,
        charge.disputed,
        charge.created,
        value["metadata"].get("checkout"),
        _fee_of(value),
        _method_of(value),
        charge.receipt_url,
    )


def webhook_event_from(event: dict[str, Any]) -> WebhookEvent:
    """Read an Event: its id and type, and the order and payment it is about."""
    about = event["data"]["object"]
    intent = about.get("id") if about["object"] == "payment_intent" else about.get("payment_intent")
    order = (about.get("metadata") or {}).get("order_id") or about.get("client_reference_id")
    return WebhookEvent(
        str(event["id"]),
        str(event["type"]),
        str(about.get("id") or ""),
        order,
        intent,
        event.get("account"),
        int(event.get("created") or 0),
    )
