"""Refunds: full or partial, never more than was paid.

Spec: https://docs.stripe.com/api/refunds.
"""

from marketplace.devstripe.errors import StripeFault, missing, wrong_state
from marketplace.devstripe.events import book, emit
from marketplace.devstripe.money import show
from marketplace.devstripe.params import Params
from marketplace.devstripe.store import Json, Unit, new_id

REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/refunds; without `amount`, all that is left is refunded."""
    charge = _charge(unit, params)
    left = charge["amount"] - charge["amount_refunded"]
    _check_refundable(charge, left)
    amount = left
    if params.text("amount") is not None:
        amount = params.amount("amount", charge["currency"])
    if amount > left:
        raise StripeFault(
            f"Refund amount ({show(amount, charge['currency'])}) is greater than unrefunded amount"
            f" on charge ({show(left, charge['currency'])})",
            param="amount",
            kept=True,
        )
    reason = (
        params.choice("reason", REASONS, "requested_by_customer") if params.text("reason") else None
    )
    return _refund(unit, charge, amount, reason, params.metadata())


def _charge(unit: Unit, params: Params) -> Json:
    if (charge := params.text("charge")) is not None:
        return unit.get("charge", charge, "charge")
    if params.text("payment_intent") is None:
        raise missing("payment_intent")
    intent = unit.get("payment_intent", params.required("payment_intent"), "payment_intent")
    if intent["status"] != "succeeded":
        raise wrong_state(
            f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
            "payment_intent_unexpected_state",
        )
    return unit.get("charge", intent["latest_charge"])


def _check_refundable(charge: Json, left: int) -> None:
    if not charge["captured"]:
        raise wrong_state(f"Charge {charge['id']} was not captured.", "charge_not_refundable")
    if charge["disputed"] and not charge.get("_dispute_won"):
        raise wrong_state(f"Charge {charge['id']} has been charged back.", "charge_disputed")
    if left == 0:
        raise wrong_state(
            f"Charge {charge['id']} has already been refunded.", "charge_already_refunded"
        )


def _refund(
    unit: Unit, charge: Json, amount: int, reason: str | None, metadata: dict[str, str]
) -> Json:
    refund_id = new_id("re")
    entry = book(
        unit, "refund", -amount, charge["currency"], refund_id, description="REFUND FOR CHARGE"
    )
    refund = unit.put(
        {
            "id": refund_id,
            "object": "refund",
            "amount": amount,
            "balance_transaction": entry["id"],
            "charge": charge["id"],
            "created": unit.now,
            "currency": charge["currency"],
            "destination_details": _destination(charge),
            "livemode": False,
            "metadata": metadata,
            "payment_intent": charge["payment_intent"],
            "reason": reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": "succeeded",
            "transfer_reversal": None,
        }
    )
    before = charge["amount_refunded"]
    charge["amount_refunded"] = before + amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    unit.save(charge)
    emit(unit, "charge.refunded", charge, {"amount_refunded": before})
    emit(unit, "refund.created", refund)
    return refund


def _destination(charge: Json) -> Json:
    if charge["payment_method_details"]["type"] == "crypto":
        return {"crypto": {}, "type": "crypto"}
    return {
        "card": {
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        },
        "type": "card",
    }
