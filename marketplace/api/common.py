"""What every HTTP face shares: who is asking, problem documents, streams, security headers.

Errors are RFC 9457 problem documents that say what to do; none ever quotes a body or a token.
"""

import hmac
import logging
import re
from collections.abc import Iterator
from typing import IO, Any, cast

from apiflask import APIFlask
from flask import Flask, Response, current_app, g, request
from flask_limiter import RateLimitExceeded
from werkzeug.datastructures import Headers
from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed

from compute import ComputeError
from ledger import LedgerError
from marketplace import accounts, door_log
from marketplace.accounts import Principal
from marketplace.config import MarketConfig
from marketplace.errors import (
    ForbiddenError,
    InputError,
    MarketError,
    TooLargeError,
    UnauthenticatedError,
)
from marketplace.faults import described
from marketplace.objects import ObjectStore
from marketplace.services import Services
from marketplace.tables import StoredObject
from marketplace.texts import say_made

LOG = logging.getLogger(__name__)
STREAM_SLACK = 4 << 20
ASKING = ("/dry-run", "/quotes")  # what the scope "ask" may send
PROBLEM = "application/problem+json"
ERROR_BASE = "https://omic-market.org/errors/"
# What to do next, in place of the library's words.
PLAIN = {
    404: "there is nothing at this address; /docs/api lists what there is",
    405: "this address takes other methods; the header Allow names them",
    413: "the body is larger than this address accepts",
    415: "send the body as JSON with the header Content-Type: application/json",
    429: "too many requests came from your address; wait for the seconds Retry-After says",
}
SLUGS = {413: "too-large"}  # where our own errors say the same
_SHA256 = re.compile(r"\A[0-9a-f]{64}\Z")
_ID = re.compile(r"\A[0-9a-f]{32}\Z")
_RANGE = re.compile(r"\Abytes=(\d+)-(\d*)\Z")


def services() -> Services:
    """Return the server's services within a request."""
    return cast("Services", current_app.extensions["omic"])


def bearer() -> str:
    """Return the request's bearer token. Raises UnauthenticatedError."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise UnauthenticatedError(
            "send Authorization: Bearer <token>; get a token with POST /api/v1/session"
        )
    return token.strip()


def principal(*roles: str) -> Principal:
    """Return who is signed in, with one of these roles if any is given. Raises our errors."""
    who = accounts.authenticate(services(), bearer())
    if not any(who.may(scope) for scope in _scopes()):
        raise ForbiddenError(f"this token is for {', '.join(who.scopes)} only; sign in to do more")
    g.party = who.party
    if roles:
        who.require(*roles)
    return who


def _scopes() -> tuple[str, ...]:
    """Return the scopes that reach this request; an unscoped session reaches everything."""
    if request.method in ("GET", "HEAD"):
        return ("read",)
    return ("ask",) if request.path.endswith(ASKING) else ("all",)


def require_worker() -> None:
    """Raise UnauthenticatedError unless the request carries the worker token."""
    if not hmac.compare_digest(bearer().encode(), services().worker_token.encode()):
        raise UnauthenticatedError("the worker token is not the one this marketplace accepts")


def whole_number(name: str, default: int | None) -> int | None:
    """Return a parameter of the address, 0 or more; default where it is missing. InputError."""
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InputError(f"{name} must be a whole number from 0")
    return int(text)


def checked_id(value: str, what: str) -> str:
    """Return an id of 32 hex digits. Raises InputError."""
    if not _ID.match(value):
        raise InputError(f"{what} must be 32 lower-case hex digits")
    return value


def body_digest() -> str:
    """Return the SHA-256 a client announced for its body. Raises InputError."""
    digest = request.headers.get("X-Content-SHA256", "")
    if not _SHA256.match(digest):
        raise InputError("the header X-Content-SHA256 must hold the body's SHA-256 in hex")
    return digest


def body_stream(limit: int) -> IO[bytes]:
    """Return the body as a stream, not buffered here. Raises TooLargeError by its stated length."""
    if (request.content_length or 0) > limit:
        raise TooLargeError(f"the body has more than the {limit} bytes accepted here")
    # In place of the limit of JSON bodies; the object store counts while it streams, stops first
    # and says so in our words.
    request.max_content_length = limit + STREAM_SLACK
    return request.stream


def send_object(objects: ObjectStore, stored: StoredObject) -> Response:
    """Answer with an object's bytes, or one range of them (RFC 9110, bytes=a-b)."""
    start, end, status = _asked_range(stored.size)
    headers = Headers(
        {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(end - start),
            "Accept-Ranges": "bytes",
            "X-Content-SHA256": stored.sha256,
            "Content-Disposition": 'attachment; filename="data.c4gh"',
        }
    )
    if status == 206:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    if status == 416:
        return _beyond(stored.size)
    body: Iterator[bytes] = iter(()) if start == end else objects.read(stored.key, start, end)
    return Response(body, status=status, headers=headers)


def _beyond(size: int) -> Response:
    told = f"the file has {size} bytes; ask for a range within them"
    response = problem(416, "range-not-satisfiable", "The range is beyond the file", told)
    response.headers["Content-Range"] = f"bytes */{size}"
    return response


def _asked_range(size: int) -> tuple[int, int, int]:
    """Return start, end and status; a range we do not understand is ignored, as the RFC allows."""
    match = _RANGE.match(request.headers.get("Range", ""))
    if match is None:
        return 0, size, 200
    start = int(match[1])
    end = min(size, int(match[2]) + 1) if match[2] else size
    return (0, 0, 416) if start >= size or end <= start else (start, end, 206)


def problem(status: int, slug: str, title: str, detail: str, **more: Any) -> Response:
    """Return a problem document (RFC 9457), its words in the language spoken."""
    told = {"title": say_made(title), "status": status, "detail": say_made(detail)}
    value = {"type": ERROR_BASE + slug, **told, **more}
    response = cast("Response", current_app.json.response(value))
    response.status_code = status
    response.content_type = PROBLEM
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if status == 503 or slug == "not-yet":
        response.headers["Retry-After"] = "2"
    return response


def install_errors(app: APIFlask) -> None:
    """Make every error of the app a problem document."""
    # First: it takes the place of a handler of HTTPException.
    app.error_processor(_apiflask_error)
    app.register_error_handler(MarketError, _market_error)
    app.register_error_handler(ComputeError, _compute_error)
    app.register_error_handler(LedgerError, _ledger_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _market_error(error: MarketError) -> Response:
    if error.status >= 500:
        LOG.error("%s: %s", door_log.place(), error)
    door_log.refused(error.status, error.slug, _who())
    return problem(error.status, error.slug, error.title, str(error))


def _who() -> str:
    party = g.get("party")
    return door_log.tag(services(), party) if party else ""


def _compute_error(error: ComputeError) -> Response:
    return problem(400, "bad-input", "The request is not valid", str(error))


def _ledger_error(error: LedgerError) -> Response:
    LOG.error("%s: ledger: %s", door_log.place(), error)
    return problem(
        503, "ledger-unavailable", "The ledger does not answer",
        "the ledger cannot be used now; send the request again in some seconds",
    )  # fmt: skip


def _http_error(error: HTTPException) -> Response:
    if isinstance(error, BadRequest) and request.method in ("POST", "PUT"):
        return _unreadable()
    status = error.code or 500
    slug = SLUGS.get(status) or error.name.lower().replace(" ", "-")
    door_log.refused(status, slug)
    response = problem(status, slug, error.name, PLAIN.get(status) or error.description or "")
    if isinstance(error, RateLimitExceeded):
        response.headers["Retry-After"] = str(error.limit.limit.get_expiry())
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _unreadable() -> Response:
    """Say what is wrong with a body that no JSON could be read from."""
    if not request.is_json:
        return problem(415, "unsupported-media-type", "Unsupported Media Type", PLAIN[415])
    told = "the body is not JSON in UTF-8; /docs/api shows one of this address"
    return problem(400, "bad-input", "The request is not valid", told)


def _apiflask_error(error: Any) -> Response:
    detail = str(error.message)
    fields = (error.detail or {}).get("json") or (error.detail or {}).get("query") or {}
    if isinstance(fields, dict) and fields:
        detail = "; ".join(f"{_field(name)}: {' '.join(why)}" for name, why in fields.items())
    return problem(400, "bad-input", "The request is not valid", detail)


def _field(name: str) -> str:
    return "the body" if name == "_schema" else name


def _unexpected(error: Exception) -> Response:
    # Never its words: a text could quote what somebody sent.
    LOG.error("%s failed: %s", door_log.place(), described(error))
    return problem(
        500, "internal", "Something went wrong here",
        "this is a fault of the marketplace, not of the request; it was written to its log",
    )  # fmt: skip


def install_headers(app: Flask, config: MarketConfig) -> None:
    """Send strict security headers with everything; a page may tighten its own policy."""
    pay = f"{config.stripe.base_url} https://checkout.stripe.com https://connect.stripe.com"
    policy = (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' {pay}"
    )
    fixed = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    }
    if config.public_url.startswith("https://"):
        fixed["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"

    def add(response: Response) -> Response:
        for name, value in fixed.items():
            response.headers.setdefault(name, value)
        if request.path.startswith(("/api/", "/worker/", "/stripe/")):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.after_request(add)


def nudge() -> None:
    """Wake the background work once this request is answered."""
    g.nudge = True
    services().nudge.set()
