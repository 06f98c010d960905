"""Disputes (chargebacks): opened by a test card, won or lost by the evidence sent.

As in Stripe's test mode, `evidence[uncategorized_text]=winning_evidence` wins and
`losing_evidence` loses; closing accepts the loss. Spec: https://docs.stripe.com/disputes.
"""

from marketplace.devstripe.errors import wrong_state
from marketplace.devstripe.events import book, emit
from marketplace.devstripe.params import Params, merged_metadata
from marketplace.devstripe.store import Json, Unit, new_id, public

DAY = 86_400
OPEN = ("needs_response", "warning_needs_response", "under_review")
EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy",
    "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication",
    "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
    "duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id",
    "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address",
    "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
    "uncategorized_file", "uncategorized_text",
)  # fmt: skip


def open_dispute(unit: Unit, charge: Json, reason: str) -> Json:
    """Open a dispute over a whole charge and withdraw its amount (and the fee, if one is set)."""
    dispute_id = new_id("du")
    fee = int(unit.setting("dispute_fee", 0))
    entry = book(
        unit, "adjustment", -charge["amount"], charge["currency"], dispute_id, fee=fee,
        category="dispute", description=f"Chargeback withdrawal for {charge['id']}",
    )  # fmt: skip
    dispute = unit.put(
        {
            "id": dispute_id,
            "object": "dispute",
            "amount": charge["amount"],
            "balance_transactions": [public(entry)],
            "charge": charge["id"],
            "created": unit.now,
            "currency": charge["currency"],
            "enhanced_eligibility_types": [],
            "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
            "evidence_details": {
                "due_by": unit.now + 7 * DAY,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
                "submission_method": "manual",
            },
            "is_charge_refundable": False,
            "livemode": False,
            "metadata": {},
            "payment_intent": charge["payment_intent"],
            "reason": reason,
            "status": "needs_response",
        }
    )
    charge["disputed"] = True
    unit.save(charge)
    emit(unit, "charge.dispute.created", dispute)
    emit(unit, "charge.dispute.funds_withdrawn", dispute)
    return dispute


def update(unit: Unit, params: Params, dispute_id: str) -> Json:
    """Answer POST /v1/disputes/<id>: keep evidence; with `submit` (the default) decide the case."""
    dispute = unit.get("dispute", dispute_id)
    evidence = params.sub("evidence")
    evidence.only(EVIDENCE)
    dispute["metadata"] = merged_metadata(dispute["metadata"], params.metadata())
    if not evidence.values:
        return unit.save(dispute)
    require_open(dispute)
    dispute["evidence"].update(evidence.values)
    dispute["evidence_details"]["has_evidence"] = True
    if not params.boolean("submit", default=True):
        return unit.save(dispute)
    dispute["evidence_details"]["submission_count"] += 1
    dispute["status"] = "under_review"
    emit(unit, "charge.dispute.updated", unit.save(dispute))
    verdict = {"winning_evidence": "won", "losing_evidence": "lost"}
    outcome = verdict.get(str(dispute["evidence"]["uncategorized_text"]))
    return decide(unit, dispute, outcome) if outcome else dispute


def close(unit: Unit, _params: Params, dispute_id: str) -> Json:
    """Answer POST /v1/disputes/<id>/close: accept the loss."""
    dispute = unit.get("dispute", dispute_id)
    require_open(dispute)
    return decide(unit, dispute, "lost")


def decide(unit: Unit, dispute: Json, outcome: str) -> Json:
    """End a dispute as `won` (the amount comes back) or `lost`."""
    dispute["status"] = outcome
    if outcome == "won":
        entry = book(
            unit, "adjustment", dispute["amount"], dispute["currency"], dispute["id"],
            category="dispute_reversal", description=f"Chargeback reversal for {dispute['charge']}",
        )  # fmt: skip
        dispute["balance_transactions"].append(public(entry))
        charge = unit.get("charge", dispute["charge"])
        unit.save({**charge, "_dispute_won": True})
        emit(unit, "charge.dispute.funds_reinstated", dispute)
    emit(unit, "charge.dispute.closed", unit.save(dispute))
    return dispute


def require_open(dispute: Json) -> None:
    """Refuse a dispute that is already decided."""
    if dispute["status"] not in OPEN:
        raise wrong_state("This dispute is already closed.", "dispute_already_closed")
