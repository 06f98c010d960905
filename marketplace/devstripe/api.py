"""`/v1`: authentication, versions, idempotency and errors around the handlers of `routes.py`.

Idempotency as Stripe's: the first answer to a key is stored with a digest of the request; the
same request gets it again with `Idempotent-Replayed: true`, another request gets
`idempotency_error`. A day after it was first used a key is forgotten, and the request done anew.
Spec: https://docs.stripe.com/api/idempotent_requests.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Blueprint, Request, Response, request

from marketplace.devstripe.errors import StripeFault, idempotency_reuse, invalid, no_such
from marketplace.devstripe.events import API_VERSION
from marketplace.devstripe.expand import expanded
from marketplace.devstripe.params import Params, parse_form
from marketplace.devstripe.routes import Route, match
from marketplace.devstripe.store import Json, Unit, new_id

if TYPE_CHECKING:
    from marketplace.devstripe.app import DevStripe

METHODS = ["GET", "POST", "DELETE"]
KEY_SECONDS = 86_400
_VERSION = re.compile(r"\A\d{4}-\d{2}-\d{2}(\.[a-z_]+)?\Z")


def blueprint(server: "DevStripe") -> Blueprint:
    """Return the `/v1` routes."""
    api = Blueprint("api", __name__)

    @api.route("/v1/<path:path>", methods=METHODS)
    def call(path: str) -> Response:
        request_id = new_id("req", 14)
        try:
            version = _check_version(request)
            check_key(request, server.key)
            if (cut := server.take_fault(path)) is not None:
                return _cut(cut, lambda: _answer(server, path, request_id))
            response = _answer(server, path, request_id)
        except StripeFault as fault:
            version = API_VERSION
            response = answer_json({"error": fault.error}, fault.status)
        response.headers.setdefault("Request-Id", request_id)
        response.headers["Stripe-Version"] = version
        response.headers["X-Test-Money"] = "true"
        return response

    return api


def answer_json(body: Json, status: int = 200) -> Response:
    """Return JSON as Stripe writes it: indented, ended by a newline."""
    return Response(json.dumps(body, indent=2) + "\n", status, mimetype="application/json")


def check_key(incoming: Request, expected: str | None) -> None:
    """Refuse a request without a test key (Bearer or Basic). Raises a 401 fault."""
    key = _given_key(incoming)
    if not key:
        raise StripeFault("You did not provide an API key.", status=401)
    if not key.startswith(("sk_test_", "rk_test_")):
        raise StripeFault("This server takes TEST MONEY keys (sk_test_...) only.", status=401)
    if expected is not None and not hmac.compare_digest(key.encode(), expected.encode()):
        raise StripeFault(f"Invalid API Key provided: sk_test_****{key[-4:]}", status=401)


def _given_key(incoming: Request) -> str:
    scheme, _, value = incoming.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode("ascii").partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _check_version(incoming: Request) -> str:
    version = incoming.headers.get("Stripe-Version", API_VERSION)
    if not _VERSION.match(version):
        raise invalid("Stripe-Version", f"{version[:40]} is not an API version.")
    return version


def _answer(server: "DevStripe", path: str, request_id: str) -> Response:
    route, ids = match(request.method, path)
    source = request.form if request.method == "POST" else request.args
    params = Params(parse_form(source.items(multi=True)))
    params.only(route.accepts)
    account = request.headers.get("Stripe-Account", "")
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
    context = {"id": request_id, "key": key, "base": request.url_root.rstrip("/")}
    if key is None:
        with server.store.unit(server.clock(), account, context) as unit:
            return _run(unit, route, params, ids)
    return _once(server, account, context, lambda unit: _run(unit, route, params, ids))


def _run(unit: Unit, route: Route, params: Params, ids: list[str]) -> Response:
    if unit.account and unit.scoped("").find(unit.account) is None:
        raise no_such("account", unit.account[:80], "Stripe-Account")
    body = route.handler(unit, params, *ids)
    return answer_json(expanded(unit, json.loads(json.dumps(body)), params.texts("expand")))


def _once(
    server: "DevStripe", account: str, context: Json, run: Callable[[Unit], Response]
) -> Response:
    key, digest = context["key"], _digest()
    if len(key) > 255:
        raise invalid("Idempotency-Key", "must be at most 255 characters.")
    with server.store.unit(server.clock(), account, context) as unit:
        stored = _stored(unit, key, digest)
        if stored is not None:
            return stored
        try:
            response = run(unit)
        except StripeFault as fault:
            if not fault.kept:
                raise
            response = answer_json({"error": fault.error}, fault.status)
        _keep(unit, key, digest, response)
        return response


def _stored(unit: Unit, key: str, digest: str) -> Response | None:
    row = unit.db.execute(
        "SELECT request, status, body, request_id FROM idempotency_key"
        " WHERE account = ? AND key = ? AND created > ?",
        (unit.account, key, unit.now - KEY_SECONDS),
    ).fetchone()
    if row is None:
        return None
    if row[0] != digest:
        raise idempotency_reuse(key)
    response = Response(row[2], int(row[1]), mimetype="application/json")
    response.headers["Idempotent-Replayed"] = "true"
    response.headers["Original-Request"] = row[3]
    return response


def _keep(unit: Unit, key: str, digest: str, response: Response) -> None:
    unit.db.execute(
        "INSERT OR REPLACE INTO idempotency_key VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            unit.account,
            key,
            digest,
            response.status_code,
            response.get_data(as_text=True),
            unit.request["id"],
            unit.now,
        ),
    )


def _digest() -> str:
    pairs = sorted(request.form.items(multi=True))
    text = json.dumps([request.method, request.path, pairs])
    return hashlib.sha256(text.encode()).hexdigest()


def _cut(kind: str, work: Callable[[], Response]) -> Response:
    """Answer as a failing network or server does; `*_after` does the work first."""
    if kind.endswith("_after"):
        try:
            work()
        except StripeFault:
            kind = kind.replace("error", "cut")  # a refusal nobody hears is a cut all the same
    if kind == "rate_limit":
        fault = StripeFault("Too many requests.", status=429, code="rate_limit")
        return answer_json({"error": fault.error}, 429)
    if kind.startswith("error"):
        fault = StripeFault("An unknown error occurred.", status=500, kind="api_error")
        return answer_json({"error": fault.error}, 500)
    # one byte of a longer body, then the connection closes: the client cannot know what happened
    response = Response(iter([b" "]), 200, mimetype="application/json")
    response.headers["Content-Length"] = "4096"
    return response
