"""Customers: a name, an e-mail and metadata. Spec: https://docs.stripe.com/api/customers."""

from marketplace.devstripe.events import emit
from marketplace.devstripe.params import Params, merged_metadata
from marketplace.devstripe.store import Json, Unit, new_id

FIELDS = ("description", "email", "name", "phone")


def create(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/customers."""
    customer = unit.put(
        {
            "id": new_id("cus", 14),
            "object": "customer",
            "address": None,
            "balance": 0,
            "created": unit.now,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "discount": None,
            "invoice_prefix": "TESTMONY",
            "invoice_settings": {
                "custom_fields": None,
                "default_payment_method": None,
                "footer": None,
                "rendering_options": None,
            },
            "livemode": False,
            "metadata": params.metadata(),
            "next_invoice_sequence": 1,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
            "test_clock": None,
            **{name: params.text(name) for name in FIELDS},
        }
    )
    emit(unit, "customer.created", customer)
    return customer


def update(unit: Unit, params: Params, customer_id: str) -> Json:
    """Answer POST /v1/customers/<id>."""
    customer = unit.get("customer", customer_id)
    changes = {name: params.text(name) for name in FIELDS if name in params.values}
    customer.update(changes, metadata=merged_metadata(customer["metadata"], params.metadata()))
    emit(unit, "customer.updated", unit.save(customer))
    return customer


def delete(unit: Unit, _params: Params, customer_id: str) -> Json:
    """Answer DELETE /v1/customers/<id>."""
    emit(unit, "customer.deleted", unit.get("customer", customer_id))
    unit.db.execute("DELETE FROM object WHERE id = ?", (customer_id,))
    return {"id": customer_id, "object": "customer", "deleted": True}
