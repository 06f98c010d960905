"""Checkout Sessions in payment mode: made, paid on our page, cancelled, expired.

The PaymentIntent is made at the first attempt to pay, as Stripe does since 2022-08-01.
Spec: https://docs.stripe.com/api/checkout/sessions.
"""

from marketplace.devstripe import cards, intents
from marketplace.devstripe.errors import StripeFault, invalid, missing, wrong_state
from marketplace.devstripe.events import emit
from marketplace.devstripe.money import check_amount, check_minimum
from marketplace.devstripe.params import Params
from marketplace.devstripe.store import Json, Unit, new_id

HALF_HOUR, DAY = 1_800, 86_400
SESSION_PLACEHOLDER = "{CHECKOUT_SESSION_ID}"
INTENT_PARAMS = (
    "capture_method", "description", "metadata", "receipt_email",
    "statement_descriptor", "transfer_group",
)  # fmt: skip


def create(unit: Unit, params: Params) -> Json:
    """Answer POST /v1/checkout/sessions for the hosted page with inline prices."""
    if params.choice("mode", ("payment", "setup", "subscription"), "payment") != "payment":
        raise invalid("mode", "this development server serves payment mode only.")
    session_id = new_id("cs_test", 58)
    items = _items(params, session_id)
    methods = _methods(params, items[0]["currency"])
    taxed = params.sub("automatic_tax").boolean("enabled")
    for item in items if taxed else ():
        _add_tax(item, int(unit.setting("tax_percent", 0)))
    total, currency = sum(item["amount_total"] for item in items), items[0]["currency"]
    check_minimum(check_amount(total, currency), currency)
    if (customer := params.text("customer")) is not None:
        unit.get("customer", customer, "customer")
    session = _session(unit, params, session_id, total, currency)
    session |= {"payment_method_types": methods, **_tax_fields(items, taxed=taxed)}
    if params.sub("invoice_creation").boolean("enabled"):
        session["invoice_creation"]["enabled"] = True
    if params.sub("tax_id_collection").boolean("enabled"):
        session["tax_id_collection"] = {"enabled": True, "required": "never"}
    return unit.put(session, line_items=items, intent_data=_intent_data(params))


def _methods(params: Params, currency: str) -> list[str]:
    """Return the payment methods of a session; without any named, all that fit the currency."""
    fitting = ["card", "crypto"] if currency == "usd" else ["card"]
    named = params.texts("payment_method_types")
    for method in named:
        if method not in fitting:
            raise invalid("payment_method_types", f"{method[:20]} is not available for {currency}.")
    return named or fitting


def _add_tax(item: Json, percent: int) -> None:
    """Put tax on top of a line, rounded half up (the rate is this server's `tax_percent`)."""
    item["amount_tax"] = (item["amount_subtotal"] * percent + 50) // 100
    item["amount_total"] = item["amount_subtotal"] + item["amount_tax"]


def _tax_fields(items: list[Json], *, taxed: bool) -> Json:
    tax = sum(item["amount_tax"] for item in items)
    fields: Json = {
        "amount_subtotal": sum(item["amount_subtotal"] for item in items),
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": tax},
    }
    if taxed:
        fields["automatic_tax"] = {
            "enabled": True, "liability": {"type": "self"}, "provider": "stripe",
            "status": "complete",
        }  # fmt: skip
    return fields


def _items(params: Params, session_id: str) -> list[Json]:
    given = params.subs("line_items")
    if not given:
        raise missing("line_items")
    items = [_item(item, session_id) for item in given]
    if len({item["currency"] for item in items}) > 1:
        raise invalid("line_items", "all prices must use the same currency.")
    return items


def _item(item: Params, session_id: str) -> Json:
    item.only(("price_data", "quantity", "metadata"))
    price = item.sub("price_data")
    price.only(("currency", "unit_amount", "product_data", "tax_behavior"))
    product = price.sub("product_data")
    product.only(("name", "description", "metadata", "tax_code"))
    currency, quantity = price.currency(), item.integer("quantity")
    if quantity is None or quantity < 1:
        raise missing(item.named("quantity"))
    unit_amount = price.amount("unit_amount", currency)
    name = product.required("name")
    total = unit_amount * quantity
    return {
        "id": new_id("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": total,
        "amount_tax": 0,
        "amount_total": total,
        "currency": currency,
        "description": name,
        "livemode": False,
        "metadata": item.metadata(),
        "price": _price(currency, unit_amount, product),
        "quantity": quantity,
        "_session": session_id,
    }


def _price(currency: str, unit_amount: int, product: Params) -> Json:
    return {
        "id": new_id("price"),
        "object": "price",
        "active": False,
        "billing_scheme": "per_unit",
        "created": 0,
        "currency": currency,
        "livemode": False,
        "lookup_key": None,
        "metadata": product.metadata(),
        "nickname": None,
        "product": new_id("prod", 14),
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }


def _intent_data(params: Params) -> Json:
    data = params.sub("payment_intent_data")
    data.only(INTENT_PARAMS)
    return {
        "capture_method": data.choice(
            "capture_method", ("automatic", "automatic_async", "manual"), "automatic_async"
        ),
        "description": data.text("description", 1000),
        "metadata": data.metadata(),
        "receipt_email": data.text("receipt_email"),
        "statement_descriptor": data.text("statement_descriptor", 22),
        "transfer_group": data.text("transfer_group"),
    }


def _expiry(unit: Unit, params: Params) -> int:
    at = params.integer("expires_at")
    if at is None:
        return unit.now + DAY
    if not unit.now + HALF_HOUR - 60 <= at <= unit.now + DAY + 60:
        raise invalid("expires_at", "must be between 30 minutes and 24 hours from now.")
    return at


def _session(unit: Unit, params: Params, session_id: str, total: int, currency: str) -> Json:
    success = params.url("success_url")
    if success is None:
        raise missing("success_url")
    email, customer = params.text("customer_email"), params.text("customer")
    return {
        "id": session_id,
        "object": "checkout.session",
        **_at_first(),
        "amount_subtotal": total,
        "amount_total": total,
        "billing_address_collection": params.text("billing_address_collection"),
        "cancel_url": params.url("cancel_url"),
        "client_reference_id": params.text("client_reference_id", 200),
        "created": unit.now,
        "currency": currency,
        "customer": customer,
        "customer_creation": None if customer else "if_required",
        "customer_email": email,
        "discounts": [],
        "expires_at": _expiry(unit, params),
        "livemode": False,
        "locale": params.text("locale"),
        "metadata": params.metadata(),
        "mode": "payment",
        "payment_method_collection": "if_required",
        "payment_status": "unpaid",
        "status": "open",
        "submit_type": params.text("submit_type"),
        "success_url": success,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{unit.request.get('base', '')}/pay/{session_id}",
    }  # fmt: skip


# Of Stripe's session; nothing at first, most of it never on this server.
_NOTHING_YET = (
    "adaptive_pricing", "after_expiration", "allow_promotion_codes", "client_secret",
    "collected_information", "consent", "consent_collection", "currency_conversion",
    "customer_details", "invoice", "payment_intent", "payment_link",
    "payment_method_configuration_details", "recovered_from", "saved_payment_method_options",
    "setup_intent", "shipping_address_collection", "shipping_cost", "subscription",
    "wallet_options",
)  # fmt: skip


def _at_first() -> Json:
    """Return what is alike in every new session: what is not there yet, or never on this server."""
    return {
        **dict.fromkeys(_NOTHING_YET),
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "invoice_creation": {
            "enabled": False,
            "invoice_data": {
                "account_tax_ids": None, "custom_fields": None, "description": None, "footer": None,
                "issuer": None, "metadata": {}, "rendering_options": None,
            },
        },
        "payment_method_options": {},
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
    }  # fmt: skip


def get(unit: Unit, session_id: str) -> Json:
    """Return a session, expired first if its time is over."""
    session = unit.get("checkout.session", session_id)
    if session["status"] == "open" and session["expires_at"] <= unit.now:
        return _expired(unit, session)
    return session


def expire(unit: Unit, _params: Params, session_id: str) -> Json:
    """Answer POST /v1/checkout/sessions/<id>/expire."""
    session = get(unit, session_id)
    _require_open(session, "expired")
    return _expired(unit, session)


def expire_due(unit: Unit) -> None:
    """Expire every open session of this account whose time is over."""
    for session in unit.where("checkout.session", {"status": "open"}):
        if session["expires_at"] <= unit.now:
            _expired(unit, session)


def _expired(unit: Unit, session: Json) -> Json:
    session.update(status="expired", url=None)
    if session["payment_intent"] is not None:
        intents.cancel(unit, Params({}), session["payment_intent"])
    emit(unit, "checkout.session.expired", unit.save(session))
    return session


def pay(unit: Unit, session_id: str, number: str, email: str | None = None) -> StripeFault | None:
    """Try to pay a session with a test card; return the card error of a decline, state stored."""
    session = get(unit, session_id)
    _require_open(session, "paid")
    try:
        wallet = number == cards.USDC.number and "crypto" in session["payment_method_types"]
        card = cards.USDC if wallet else cards.card_by_number(number)
        method = cards.new_method(unit, card)
    except StripeFault as unknown:
        return unknown
    intent = _intent(unit, session)
    intent.update(payment_method=method["id"], status="requires_confirmation")
    fault = intents.attempt(unit, intent)
    if fault is None:
        _complete(unit, session, email)
    return fault


def _intent(unit: Unit, session: Json) -> Json:
    if session["payment_intent"] is not None:
        return unit.get("payment_intent", session["payment_intent"])
    intent = intents.new_intent(
        unit,
        session["amount_total"],
        session["currency"],
        customer=session["customer"],
        payment_method_types=session["payment_method_types"],
        **session["_intent_data"],
    )
    session["payment_intent"] = intent["id"]
    unit.save(session)
    return intent


def _complete(unit: Unit, session: Json, email: str | None) -> None:
    manual = session["_intent_data"]["capture_method"] == "manual"
    session.update(
        status="complete",
        url=None,
        payment_status="unpaid" if manual else "paid",
        customer_details={
            "address": None, "business_name": None, "email": email or session["customer_email"],
            "individual_name": None, "name": None, "phone": None, "tax_exempt": "none",
            "tax_ids": [],
        },
    )  # fmt: skip
    emit(unit, "checkout.session.completed", unit.save(session))


def return_url(session: Json, paid: bool) -> str | None:
    """Return where the browser goes next, the session's id filled in."""
    url = session["success_url"] if paid else session["cancel_url"]
    return url.replace(SESSION_PLACEHOLDER, session["id"]) if url else None


def _require_open(session: Json, verb: str) -> None:
    if session["status"] != "open":
        raise wrong_state(
            f"Only Checkout Sessions with a status of open can be {verb}."
            f" This Checkout Session has a status of {session['status']}.",
            "checkout_session_not_open",
        )
