"""The table of every API endpoint served: method, path, handler, accepted parameters.

A path not in this table answers 404 as Stripe does; a parameter not in its row answers
`parameter_unknown`, so a misspelt one is found here and not with live money.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from marketplace.devstripe import (
    cards,
    checkout,
    connect,
    customers,
    disputes,
    endpoints,
    intents,
    refunds,
    transfers,
)
from marketplace.devstripe.errors import StripeFault, invalid
from marketplace.devstripe.events import with_pending
from marketplace.devstripe.params import Params, merged_metadata
from marketplace.devstripe.store import Json, Unit

Handler = Callable[..., Json]
PAGING = ("limit", "starting_after", "ending_before", "created")
BOUNDS = {"gte": ">=", "gt": ">", "lte": "<=", "lt": "<"}


@dataclass(frozen=True, slots=True)
class Route:
    """One row: `<>` in the path is an id handed to the handler."""

    method: str
    path: str
    handler: Handler
    accepts: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)


def list_of(kind: str, url: str, filters: Mapping[str, str], fixed: str | None = None) -> Handler:
    """Return the handler of a list: `filters` maps a parameter to the field it must equal."""

    def handler(unit: Unit, params: Params, *ids: str) -> Json:
        where: dict[str, Any] = {fixed: ids[0]} if fixed else {}
        for name, column in filters.items():
            value = (
                params.texts(name)
                if isinstance(params.values.get(name), list)
                else params.text(name)
            )
            if value:
                where[column] = value
        limit = params.integer("limit")
        if limit is None:
            limit = 10
        if not 1 <= limit <= 100:
            raise invalid("limit", "must be between 1 and 100.", "parameter_invalid_integer")
        after, before = params.text("starting_after"), params.text("ending_before")
        data, more = unit.page(
            kind, where, _bounds(params), after=after, before=before, limit=limit
        )
        if kind == "event":
            data = [with_pending(unit, event) for event in data]
        return {
            "object": "list",
            "data": data,
            "has_more": more,
            "url": url.replace("<>", "".join(ids)),
        }

    return handler


def _bounds(params: Params) -> list[tuple[str, int]]:
    if isinstance(params.values.get("created"), str):
        return [("=", params.integer("created") or 0)]
    created = params.sub("created")
    created.only(BOUNDS)
    return [(BOUNDS[name], created.integer(name) or 0) for name in created.values]


def retrieve(kind: str) -> Handler:
    """Return the handler that answers one object by id."""
    return lambda unit, _params, object_id: unit.get(kind, object_id)


def describe(kind: str) -> Handler:
    """Return the handler of a plain update: metadata (merged) and description."""

    def handler(unit: Unit, params: Params, object_id: str) -> Json:
        body = unit.get(kind, object_id)
        body["metadata"] = merged_metadata(body["metadata"] or {}, params.metadata())
        if "description" in params.values:
            body["description"] = params.text("description", 1000)
        return unit.save(body)

    return handler


def _update_intent(unit: Unit, params: Params, intent_id: str) -> Json:
    describe("payment_intent")(unit, params, intent_id)
    return intents.update(unit, params, intent_id)


def _session(unit: Unit, _params: Params, session_id: str) -> Json:
    return checkout.get(unit, session_id)


def _session_items(unit: Unit, _params: Params, session_id: str) -> Json:
    items = checkout.get(unit, session_id)["_line_items"]
    url = f"/v1/checkout/sessions/{session_id}/line_items"
    return {"object": "list", "data": items, "has_more": False, "url": url}


def _event(unit: Unit, _params: Params, event_id: str) -> Json:
    return with_pending(unit, unit.get("event", event_id))


def _lists(path: str, kind: str, *filters: str, **renamed: str) -> list[Route]:
    """Return the list and retrieve rows of a kind."""
    columns = {name: name for name in filters} | renamed
    handler = list_of(kind, f"/v1/{path}", columns)
    return [
        Route("GET", path, handler, (*PAGING, *columns)),
        Route("GET", f"{path}/<>", retrieve(kind)),
    ]


_CUSTOMER = (*customers.FIELDS, "metadata")
_INTENT = (
    "amount", "currency", "payment_method", "payment_method_types", "automatic_payment_methods",
    "confirm", "capture_method", "customer", "description", "metadata", "receipt_email",
    "statement_descriptor", "transfer_group", "off_session", "return_url",
)  # fmt: skip
_SESSION = (
    "mode", "line_items", "success_url", "cancel_url", "client_reference_id", "customer",
    "customer_email", "metadata", "payment_intent_data", "payment_method_types", "expires_at",
    "locale", "submit_type", "billing_address_collection", "ui_mode", "automatic_tax",
    "tax_id_collection", "invoice_creation",
)  # fmt: skip
_MONEY = ("amount", "currency", "description", "metadata")

ROUTES: tuple[Route, ...] = (
    *_lists("customers", "customer", "email"),
    Route("POST", "customers", customers.create, _CUSTOMER),
    Route("POST", "customers/<>", customers.update, _CUSTOMER),
    Route("DELETE", "customers/<>", customers.delete),
    Route(
        "POST",
        "payment_methods",
        cards.create_method,
        ("type", "card", "metadata", "billing_details"),
    ),
    Route("GET", "payment_methods/<>", retrieve("payment_method")),
    Route("POST", "checkout/sessions", checkout.create, _SESSION),
    Route("GET", "checkout/sessions/<>", _session),
    Route("GET", "checkout/sessions/<>/line_items", _session_items, PAGING),
    Route("POST", "checkout/sessions/<>/expire", checkout.expire),
    Route(
        "GET",
        "checkout/sessions",
        list_of(
            "checkout.session",
            "/v1/checkout/sessions",
            {name: name for name in ("customer", "payment_intent", "status")},
        ),
        (*PAGING, "customer", "payment_intent", "status"),
    ),
    *_lists("payment_intents", "payment_intent", "customer"),
    Route("POST", "payment_intents", intents.create, _INTENT),
    Route(
        "POST",
        "payment_intents/<>",
        _update_intent,
        ("amount", "payment_method", "description", "metadata"),
    ),
    Route("POST", "payment_intents/<>/confirm", intents.confirm, ("payment_method", "return_url")),
    Route("POST", "payment_intents/<>/capture", intents.capture, ("amount_to_capture",)),
    Route("POST", "payment_intents/<>/cancel", intents.cancel, ("cancellation_reason",)),
    *_lists("charges", "charge", "customer", "payment_intent", "transfer_group"),
    Route("POST", "charges/<>", describe("charge"), ("description", "metadata")),
    *_lists("refunds", "refund", "charge", "payment_intent"),
    Route(
        "POST",
        "refunds",
        refunds.create,
        ("charge", "payment_intent", "amount", "reason", "metadata"),
    ),
    Route("POST", "refunds/<>", describe("refund"), ("metadata",)),
    *_lists("disputes", "dispute", "charge", "payment_intent"),
    Route("POST", "disputes/<>", disputes.update, ("evidence", "submit", "metadata")),
    Route("POST", "disputes/<>/close", disputes.close),
    *_lists("balance_transactions", "balance_transaction", "currency", "source", "type"),
    Route("GET", "balance", transfers.balance),
    *_lists("accounts", "account"),
    Route("POST", "accounts", connect.create, connect.ACCOUNT_PARAMS),
    Route("POST", "accounts/<>", connect.update, ("email", "metadata")),
    Route("DELETE", "accounts/<>", connect.delete),
    Route(
        "POST",
        "account_links",
        connect.create_link,
        ("account", "type", "return_url", "refresh_url", "collection_options"),
    ),
    *_lists("transfers", "transfer", "destination", "transfer_group"),
    Route(
        "POST",
        "transfers",
        transfers.create,
        (*_MONEY, "destination", "source_transaction", "transfer_group"),
    ),
    Route("POST", "transfers/<>", describe("transfer"), ("description", "metadata")),
    Route(
        "POST", "transfers/<>/reversals", transfers.reverse, ("amount", "description", "metadata")
    ),
    Route(
        "GET",
        "transfers/<>/reversals",
        list_of("transfer_reversal", "/v1/transfers/<>/reversals", {}, "transfer"),
        PAGING,
    ),
    *_lists("payouts", "payout", "status", "destination"),
    Route("POST", "payouts", transfers.create_payout, (*_MONEY, "method", "statement_descriptor")),
    Route("POST", "payouts/<>", describe("payout"), ("metadata",)),
    Route(
        "GET",
        "events",
        list_of("event", "/v1/events", {"type": "type", "types": "type"}),
        (*PAGING, "type", "types"),
    ),
    Route("GET", "events/<>", _event),
    *_lists("webhook_endpoints", "webhook_endpoint"),
    Route(
        "POST",
        "webhook_endpoints",
        endpoints.create,
        ("url", "enabled_events", "description", "connect", "metadata", "api_version"),
    ),
    Route(
        "POST",
        "webhook_endpoints/<>",
        endpoints.update,
        ("url", "enabled_events", "disabled", "description", "metadata"),
    ),
    Route("DELETE", "webhook_endpoints/<>", endpoints.delete),
)


def match(
    method: str, path: str, routes: tuple[Route, ...] = ROUTES, prefix: str = "/v1/"
) -> tuple[Route, list[str]]:
    """Return the row for a request and the ids in its path. Raises the 404 fault."""
    parts = path.strip("/").split("/")
    for route in routes:
        pattern = route.path.split("/")
        if route.method != method or len(pattern) != len(parts):
            continue
        if all(want in ("<>", got) for want, got in zip(pattern, parts, strict=True)):
            return route, [got for want, got in zip(pattern, parts, strict=True) if want == "<>"]
    raise StripeFault(f"Unrecognized request URL ({method}: {prefix}{path[:120]}).", status=404)
