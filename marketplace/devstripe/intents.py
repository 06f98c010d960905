"""PaymentIntents and the charges they make.

States: requires_payment_method -> requires_confirmation -> (requires_capture ->) succeeded, or
canceled; a declined card goes back to requires_payment_method and leaves a failed charge.
Spec: https://docs.stripe.com/payments/paymentintents/lifecycle.
"""

from typing import Any

from marketplace.devstripe import cards, disputes
from marketplace.devstripe.charges import new_charge
from marketplace.devstripe.errors import StripeFault, invalid, wrong_state
from marketplace.devstripe.events import book, emit
from marketplace.devstripe.money import check_minimum
from marketplace.devstripe.params import Params
from marketplace.devstripe.store import Json, Unit, new_id, public

ATTACHABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
CANCELABLE = (*ATTACHABLE, "requires_capture", "processing")
CANCEL_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")


def create(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/payment_intents; with `confirm=true` the card is charged at once."""
    currency = params.currency()
    amount = check_minimum(params.amount("amount", currency), currency)
    if (customer := params.text("customer")) is not None:
        unit.get("customer", customer, "customer")
    intent = new_intent(
        unit,
        amount,
        currency,
        capture_method=params.choice(
            "capture_method", ("automatic", "automatic_async", "manual"), "automatic_async"
        ),
        customer=customer,
        description=params.text("description", 1000),
        metadata=params.metadata(),
        payment_method_types=params.texts("payment_method_types") or ["card"],
        receipt_email=params.text("receipt_email"),
        statement_descriptor=params.text("statement_descriptor", 22),
        transfer_group=params.text("transfer_group"),
    )
    if (method := params.text("payment_method")) is not None:
        _attach(unit, intent, method)
    return _confirm(unit, intent) if params.boolean("confirm") else intent


def new_intent(unit: Unit, amount: int, currency: str, **fields: Any) -> Json:
    """Store a fresh PaymentIntent and its event."""
    intent_id = new_id("pi")
    intent = unit.put(
        {
            "id": intent_id,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": None,
            "canceled_at": None,
            "cancellation_reason": None,
            "client_secret": f"{intent_id}_secret_{new_id('x')[2:]}",
            "confirmation_method": "automatic",
            "created": unit.now,
            "currency": currency,
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_options": {},
            "processing": None,
            "review": None,
            "setup_future_usage": None,
            "shipping": None,
            "source": None,
            "statement_descriptor_suffix": None,
            "status": "requires_payment_method",
            "transfer_data": None,
            **fields,
        }
    )
    emit(unit, "payment_intent.created", intent)
    return intent


def _attach(unit: Unit, intent: Json, method: str) -> None:
    stored, _card = cards.resolve(unit, method)
    intent["payment_method"] = stored["id"]
    intent["status"] = "requires_confirmation"
    unit.save(intent)


def update(unit: Unit, params: Params, intent_id: str) -> Json:
    """Answer POST /v1/payment_intents/<id>: the amount and card before confirmation."""
    intent = unit.get("payment_intent", intent_id)
    if params.text("amount") is not None:
        _require(intent, ATTACHABLE, "updated")
        amount = params.amount("amount", intent["currency"])
        intent["amount"] = check_minimum(amount, intent["currency"])
    if (method := params.text("payment_method")) is not None:
        _require(intent, ATTACHABLE, "updated")
        _attach(unit, intent, method)
    return unit.save(intent)


def confirm(unit: Unit, params: Params, intent_id: str) -> Json:
    """Answer POST /v1/payment_intents/<id>/confirm. Raises the card error of a declined card."""
    intent = unit.get("payment_intent", intent_id)
    _require(intent, ATTACHABLE, "confirmed")
    if (method := params.text("payment_method")) is not None:
        _attach(unit, intent, method)
    return _confirm(unit, intent)


def _confirm(unit: Unit, intent: Json) -> Json:
    if intent["payment_method"] is None:
        raise invalid(
            "payment_method", "attach one before confirming.", "payment_intent_unexpected_state"
        )
    fault = attempt(unit, intent)
    if fault is not None:
        raise fault
    return intent


def attempt(unit: Unit, intent: Json) -> StripeFault | None:
    """Charge the intent's card once; return the card error of a decline, state already stored."""
    method, card = cards.resolve(unit, intent["payment_method"])
    charge = new_charge(unit, intent, method, card)
    intent["latest_charge"] = charge["id"]
    if card.code is not None:
        return _decline(unit, intent, method, card, charge)
    intent["last_payment_error"] = None
    if intent["capture_method"] == "manual":
        intent.update(status="requires_capture", amount_capturable=intent["amount"])
        unit.save(intent)
        emit(unit, "charge.succeeded", charge)
        emit(unit, "payment_intent.amount_capturable_updated", intent)
        return None
    _settle(unit, intent, charge, intent["amount"])
    emit(unit, "charge.succeeded", charge)
    emit(unit, "payment_intent.succeeded", intent)
    if card.dispute is not None:
        disputes.open_dispute(unit, charge, card.dispute)
    return None


def _settle(unit: Unit, intent: Json, charge: Json, amount: int) -> None:
    entry = book(
        unit,
        "charge",
        amount,
        charge["currency"],
        charge["id"],
        fee=fee_of(unit, amount),
        description=charge["description"],
    )
    charge.update(
        captured=True,
        amount_captured=amount,
        amount_refunded=charge["amount"] - amount,
        balance_transaction=entry["id"],
    )
    unit.save(charge)
    intent.update(status="succeeded", amount_capturable=0, amount_received=amount)
    unit.save(intent)


def fee_of(unit: Unit, amount: int) -> int:
    """Return the processing fee: basis points rounded half up, zero unless set at the start."""
    return (amount * int(unit.setting("fee_bps", 0)) + 5_000) // 10_000


def _decline(unit: Unit, intent: Json, method: Json, card: cards.Card, charge: Json) -> StripeFault:
    error = {
        "type": "card_error",
        "charge": charge["id"],
        "code": card.code,
        "decline_code": card.decline_code,
        "doc_url": f"https://docs.stripe.com/error-codes/{card.code}",
        "message": card.message,
        "payment_method": public(method),
    }
    intent.update(status="requires_payment_method", payment_method=None, last_payment_error=error)
    unit.save(intent)
    emit(unit, "charge.failed", charge)
    emit(unit, "payment_intent.payment_failed", intent)
    fields = {
        name: value for name, value in error.items() if name not in ("type", "message", "code")
    }
    return StripeFault(
        card.message, status=402, kind="card_error", code=card.code, kept=True,
        payment_intent=public(intent), **fields,
    )  # fmt: skip


def capture(unit: Unit, params: Params, intent_id: str) -> Json:
    """Answer POST /v1/payment_intents/<id>/capture, in full or a smaller `amount_to_capture`."""
    intent = unit.get("payment_intent", intent_id)
    _require(intent, ("requires_capture",), "captured")
    amount = intent["amount_capturable"]
    if params.text("amount_to_capture") is not None:
        amount = params.amount("amount_to_capture", intent["currency"])
    if amount > intent["amount_capturable"]:
        raise invalid("amount_to_capture", "more than the amount capturable.", "amount_too_large")
    charge = unit.get("charge", intent["latest_charge"])
    _settle(unit, intent, charge, amount)
    emit(unit, "charge.captured", charge)
    emit(unit, "payment_intent.succeeded", intent)
    return intent


def cancel(unit: Unit, params: Params, intent_id: str) -> Json:
    """Answer POST /v1/payment_intents/<id>/cancel; an uncaptured charge is released."""
    intent = unit.get("payment_intent", intent_id)
    _require(intent, CANCELABLE, "canceled")
    reason = params.text("cancellation_reason")
    if reason is not None and reason not in CANCEL_REASONS:
        raise invalid("cancellation_reason", f"must be one of {', '.join(CANCEL_REASONS)}.")
    if intent["status"] == "requires_capture":
        charge = unit.get("charge", intent["latest_charge"])
        charge.update(refunded=True, amount_refunded=charge["amount"])
        emit(unit, "charge.refunded", unit.save(charge))
    intent.update(
        status="canceled", canceled_at=unit.now, cancellation_reason=reason, amount_capturable=0
    )
    emit(unit, "payment_intent.canceled", unit.save(intent))
    return intent


def _require(intent: Json, states: tuple[str, ...], verb: str) -> None:
    if intent["status"] not in states:
        raise wrong_state(
            f"This PaymentIntent could not be {verb} because it has a status of"
            f" {intent['status']}.",
            "payment_intent_unexpected_state",
            payment_intent=public(intent),
        )
