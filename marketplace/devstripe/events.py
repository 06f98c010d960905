"""Events and balance transactions: what every change of money or state leaves behind.

Both are written in the transaction of the change itself. Sending events is `webhooks.py`'s job.
Spec: https://docs.stripe.com/api/events, https://docs.stripe.com/api/balance_transactions.
"""

from marketplace.devstripe.store import Json, Unit, new_id, public

API_VERSION = "2026-10-28.endive"

# Deliveries made while webhooks are held wait for `POST /_dev/webhooks/release`.
PENDING, HELD, DELIVERED = "pending", "held", "delivered"


def emit(unit: Unit, kind: str, body: Json, previous: Json | None = None) -> Json:
    """Record an event with the object as it is now and queue it for every endpoint that asked."""
    data: Json = {"object": public(body)}
    if previous is not None:
        data["previous_attributes"] = previous
    event: Json = {
        "id": new_id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": unit.now,
        "data": data,
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": unit.request.get("id"), "idempotency_key": unit.request.get("key")},
        "type": kind,
    }
    if unit.account:
        event["account"] = unit.account
    unit.put(event)
    _queue(unit, event)
    return event


def _queue(unit: Unit, event: Json) -> None:
    how = unit.setting("webhooks", {})
    for endpoint in unit.scoped("").where("webhook_endpoint", {"status": "enabled"}):
        if not _wants(endpoint, event):
            continue
        for _ in range(int(how.get("copies", 1))):
            queue_delivery(
                unit, event["id"], endpoint["id"], how.get("delay", 0.0), how.get("hold", False)
            )


def queue_delivery(unit: Unit, event: str, endpoint: str, delay: float, hold: bool) -> None:
    """Queue one sending of an event to an endpoint, `delay` seconds from now."""
    unit.db.execute(
        "INSERT INTO delivery (event, endpoint, due, status) VALUES (?, ?, ?, ?)",
        (event, endpoint, unit.clock + delay, HELD if hold else PENDING),
    )


def _wants(endpoint: Json, event: Json) -> bool:
    kinds = endpoint["enabled_events"]
    if "*" not in kinds and event["type"] not in kinds:
        return False
    # the endpoint named at the start hears both; others only their own side, as at Stripe
    return bool(endpoint["_both"]) or endpoint["_connect"] == bool(event.get("account"))


def with_pending(unit: Unit, event: Json) -> Json:
    """Return an event with the number of deliveries not yet answered by a 2xx."""
    row = unit.db.execute(
        "SELECT count(DISTINCT endpoint) FROM delivery WHERE event = ? AND status <> ?",
        (event["id"], DELIVERED),
    ).fetchone()
    return {**event, "pending_webhooks": int(row[0])}


def book(
    unit: Unit,
    kind: str,
    amount: int,
    currency: str,
    source: str,
    *,
    fee: int = 0,
    category: str | None = None,
    description: str | None = None,
) -> Json:
    """Write a balance transaction (`amount` signed) and move the balance by its net."""
    unit.add_balance(currency, amount - fee)
    return unit.put(
        {
            "id": new_id("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": unit.now,
            "balance_type": "payments",
            "created": unit.now,
            "currency": currency,
            "description": description,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [_processing_fee(fee, currency)] if fee else [],
            "livemode": False,
            "net": amount - fee,
            "reporting_category": category or kind,
            "source": source,
            "status": "available",
            "type": kind,
        }
    )


def _processing_fee(fee: int, currency: str) -> Json:
    return {
        "amount": fee,
        "application": None,
        "currency": currency,
        "description": "Processing fees (TEST MONEY)",
        "type": "stripe_fee",
    }
