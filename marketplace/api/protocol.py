"""How the API behaves at any address: ETags, answers kept for a repeated request, pages of a list.

* A JSON answer to GET has an ETag; If-None-Match gets 304 while nothing changed (RFC 9110).
* A POST may carry an Idempotency-Key: the first answer is kept for a day and given again for the
  same request; another request under the same key is refused (IETF httpapi-idempotency-key).
* A list takes limit and after (the last id of the page before); `next` is the next `after`.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, cast

from flask import Flask, Response, current_app, g, request
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, delete

from marketplace.accounts import authenticate
from marketplace.api.common import bearer, problem, services
from marketplace.errors import AFTER_UNKNOWN, InputError, UnauthenticatedError
from marketplace.tables import KeptAnswer

KEEP_MS = 24 * 3600 * 1000
# Longer than a request can take: a key whose request died with its process may be used again.
BEGUN_MS = 5 * 60 * 1000
PAGE, MOST = 100, 500
FACE = "/api/v1/"
_KEY = re.compile(r"\A[!-~]{1,255}\Z")
# What must happen anew each time, or holds a secret that must not be kept.
NEVER_KEPT = ("/session", "/session/challenge", "/session/link", "/tokens", "/stops")


def install_protocol(app: Flask) -> None:
    """Add the behaviour to every address of the API."""
    app.before_request(_again)
    app.after_request(_keep)
    app.after_request(_tag)


def page_asked() -> tuple[int, str]:
    """Return (limit, after) of the request: how many, and after which item. Raises InputError."""
    limit, after = request.args.get("limit", str(PAGE)), request.args.get("after", "")
    if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:6]) <= MOST):
        raise InputError(f"limit must be a whole number from 1 to {MOST}")
    return int(limit), after


def paged(items: Sequence[dict[str, Any]], name: str, key: str) -> dict[str, Any]:
    """Return one page of a list as {name: items, next: id or None}. Raises InputError."""
    limit, after = page_asked()
    start = 0
    if after:
        places = [at for at, item in enumerate(items) if str(item[key]) == after]
        if not places:
            raise InputError(AFTER_UNKNOWN)
        start = places[-1] + 1
    page = list(items[start : start + limit])
    more = start + len(page) < len(items)
    return {name: page, "next": str(page[-1][key]) if more and page else None}


def _tag(response: Response) -> Response:
    plain = response.status_code == 200 and response.mimetype == "application/json"
    if request.method != "GET" or not plain or not request.path.startswith(FACE):
        return response
    if "ETag" not in response.headers:
        response.set_etag(hashlib.sha256(response.get_data()).hexdigest()[:32])
        response.headers["Cache-Control"] = "private, no-cache"
    response.make_conditional(request)
    return response


def _again() -> Response | None:
    key = request.headers.get("Idempotency-Key")
    wanted = request.method == "POST" and request.path.startswith(FACE)
    if key is None or not wanted or request.path.removeprefix(FACE[:-1]) in NEVER_KEPT:
        return None
    if not _KEY.match(key):
        raise InputError("an Idempotency-Key has 1 to 255 plain characters, without blanks")
    try:
        party = authenticate(services(), bearer()).party
    except UnauthenticatedError:
        return None  # the view says so itself
    return _begin(KeptAnswer(
        id=_digest(party, key), party=party, status=0, body="",
        request=_digest(request.method, request.full_path, request.get_data(as_text=True)),
        expires_at=services().clock() + BEGUN_MS,
    ))  # fmt: skip


def _begin(row: KeptAnswer) -> Response | None:
    """Take the key for this request, or return what was answered under it before."""
    now, wanted, name = services(), row.request, row.id
    try:
        with now.db.write() as session:
            session.exec(delete(KeptAnswer).where(col(KeptAnswer.expires_at) <= now.clock()))
            session.add(row)
    except IntegrityError:
        with now.db.read() as session:
            found = session.get(KeptAnswer, name)
        return _before(found, wanted)
    g.kept = name
    return None


def _before(found: KeptAnswer | None, wanted: str) -> Response | None:
    if found is None:
        return None
    if found.request != wanted:
        return problem(422, "key-reused", "This Idempotency-Key was used for another request",
                       "choose a new key for a new request")  # fmt: skip
    if found.status == 0:
        return problem(409, "in-progress", "The first request is still being answered",
                       "wait a moment, then send it again")  # fmt: skip
    response = cast("Response", current_app.json.response(json.loads(found.body)))
    response.status_code = found.status
    response.headers["Idempotency-Replayed"] = "true"
    return response


def _keep(response: Response) -> Response:
    """Keep a good answer; after any other the key may be used again."""
    name = g.pop("kept", None)
    if name is None:
        return response
    good = response.status_code < 300 and response.mimetype == "application/json"
    with services().db.write() as session:
        row = session.get(KeptAnswer, name)
        if row is not None and good:
            row.status, row.body = response.status_code, response.get_data(as_text=True)
            row.expires_at = services().clock() + KEEP_MS
            session.add(row)
        elif row is not None:
            session.delete(row)
    return response


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
