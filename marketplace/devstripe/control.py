"""`/_dev`: what only this development server has. Same key as the API.

POST /_dev/checkout/<id>/pay       card (default 4242...), email: pay without a browser
POST /_dev/accounts/<id>/onboard   onboard a connected account; .../restrict undoes it
POST /_dev/disputes                charge, reason: open a dispute over any paid charge
POST /_dev/disputes/<id>/decide    outcome won|lost
POST /_dev/events/<id>/deliver     copies, delay: send an event again to every endpoint
POST /_dev/webhooks                hold, delay, copies: how new events are queued
POST /_dev/webhooks/release        order sent|reversed|shuffled: send what is held, stop holding
POST /_dev/webhooks/flush          make every waiting retry due now
POST /_dev/faults                  kind, path, count: break the next calls on purpose
GET  /_dev/deliveries              event: attempts and last answers
"""

import re
from typing import TYPE_CHECKING

from flask import Blueprint, Response, request

from marketplace.devstripe import checkout, connect, disputes, refunds
from marketplace.devstripe.api import answer_json, check_key
from marketplace.devstripe.errors import StripeFault, invalid
from marketplace.devstripe.events import DELIVERED, PENDING, queue_delivery
from marketplace.devstripe.expand import expanded
from marketplace.devstripe.params import Params, parse_form
from marketplace.devstripe.routes import Route, match
from marketplace.devstripe.store import Json, Unit
from marketplace.devstripe.webhooks import release

if TYPE_CHECKING:
    from marketplace.devstripe.app import DevStripe

FAULTS = ("cut_before", "cut_after", "error_before", "error_after", "rate_limit")
ORDERS = ("sent", "reversed", "shuffled")
MAX_COPIES = 100
_SECONDS = re.compile(r"\A\d{1,5}(\.\d{1,3})?\Z")


def blueprint(server: "DevStripe") -> Blueprint:
    """Return the control routes."""
    control = Blueprint("control", __name__, url_prefix="/_dev")

    @control.route("/<path:path>", methods=["GET", "POST"])
    def call(path: str) -> Response:
        try:
            check_key(request, server.key)
            pairs = [*request.args.items(multi=True), *request.form.items(multi=True)]
            params = Params(parse_form(pairs))
            if path == "faults":
                return _faults(server, params)
            route, ids = match(request.method, path, ROUTES, "/_dev/")
            params.only(route.accepts)
            with server.store.unit(
                server.clock(), "", {"base": request.url_root.rstrip("/")}
            ) as unit:
                body = route.handler(unit, params, *ids)
                answer = answer_json(expanded(unit, body, []))
        except StripeFault as fault:
            return answer_json({"error": fault.error}, fault.status)
        server.deliverer.wake()
        return answer

    return control


def _pay(unit: Unit, params: Params, session_id: str) -> Json:
    number = params.text("card") or "4242424242424242"
    fault = checkout.pay(unit, session_id, number, params.text("email"))
    if fault is not None:
        fault.kept = True
        raise fault
    return checkout.get(unit, session_id)


def _dispute(unit: Unit, params: Params) -> Json:
    charge = unit.get("charge", params.required("charge"), "charge")
    if charge["disputed"] or not charge["captured"]:
        raise invalid("charge", "must be captured and not disputed yet.")
    return disputes.open_dispute(unit, charge, params.text("reason") or refunds.REASONS[1])


def _deliver(unit: Unit, params: Params, event_id: str) -> Json:
    row = unit.db.execute(
        "SELECT 1 FROM object WHERE id = ? AND kind = 'event'", (event_id,)
    ).fetchone()
    if row is None:
        unit.get("event", event_id)
    for endpoint in unit.where("webhook_endpoint", {"status": "enabled"}):
        for _ in range(_copies(params)):
            queue_delivery(unit, event_id, endpoint["id"], _seconds(params), hold=False)
    return _waiting(unit)


def _copies(params: Params) -> int:
    copies = params.integer("copies")
    if copies is None:
        return 1
    if not 1 <= copies <= MAX_COPIES:
        raise invalid("copies", f"must be between 1 and {MAX_COPIES}.")
    return copies


def _seconds(params: Params) -> float:
    text = params.text("delay") or "0"
    if not _SECONDS.match(text):
        raise invalid("delay", "must be seconds, for example 2 or 0.5.")
    return float(text)


def _webhooks(unit: Unit, params: Params) -> Json:
    how = {
        "hold": params.boolean("hold"), "delay": _seconds(params), "copies": _copies(params)
    }  # fmt: skip
    unit.set("webhooks", how)
    return how


def _release(unit: Unit, params: Params) -> Json:
    order = params.choice("order", ORDERS, "sent")
    unit.set("webhooks", {**unit.setting("webhooks", {}), "hold": False})
    return {"released": release(unit, order), "order": order}


def _waiting(unit: Unit) -> Json:
    row = unit.db.execute(
        "SELECT count(*) FROM delivery WHERE status <> ?", (DELIVERED,)
    ).fetchone()
    return {"waiting": int(row[0])}


def _faults(server: "DevStripe", params: Params) -> Response:
    params.only(("kind", "path", "count"))
    kind = params.choice("kind", FAULTS, "cut_after")
    count = params.integer("count")
    server.set_fault(kind, params.text("path") or "", 1 if count is None else count)
    return answer_json({"kind": kind, "count": 1 if count is None else count})


def _deliveries(unit: Unit, params: Params) -> Json:
    names = ("event", "endpoint", "due", "attempts", "status", "last_status", "last_error")
    event = params.text("event")
    rows = unit.db.execute(
        f"SELECT {', '.join(names)} FROM delivery WHERE ? IS NULL OR event = ? ORDER BY seq",  # noqa: S608
        (event, event),
    )
    return {"object": "list", "data": [dict(zip(names, row, strict=True)) for row in rows]}


def _decide(unit: Unit, params: Params, dispute_id: str) -> Json:
    outcome = params.choice("outcome", ("won", "lost"), "lost")
    dispute = unit.get("dispute", dispute_id)
    disputes.require_open(dispute)
    return disputes.decide(unit, dispute, outcome)


def _flush(unit: Unit, _params: Params) -> Json:
    unit.db.execute("UPDATE delivery SET due = 0 WHERE status = ?", (PENDING,))
    return _waiting(unit)


ROUTES = (
    Route("POST", "checkout/<>/pay", _pay, ("card", "email")),
    Route("POST", "accounts/<>/onboard", lambda unit, _params, it: connect.onboard(unit, it)),
    Route("POST", "accounts/<>/restrict", lambda unit, _params, it: connect.restrict(unit, it)),
    Route("POST", "disputes", _dispute, ("charge", "reason")),
    Route("POST", "disputes/<>/decide", _decide, ("outcome",)),
    Route("POST", "events/<>/deliver", _deliver, ("copies", "delay")),
    Route("POST", "webhooks", _webhooks, ("hold", "delay", "copies")),
    Route("POST", "webhooks/release", _release, ("order",)),
    Route("POST", "webhooks/flush", _flush),
    Route("GET", "deliveries", _deliveries, ("event",)),
)
