"""The ledger's HTTP face (Flask): C2SP resources, appending, and token-guarded reads.

Decides nothing: every rule is in `log`, `reader` and the fold. Errors are problem details
(RFC 9457). Never logs a body, a token or an envelope.
"""

import gzip
import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from ledger.admission import EntryError
from ledger.auditors import Auditors
from ledger.config import Tokens
from ledger.entries import sign_entry
from ledger.envelope import Submission, b64, parse_json, submission_from_json
from ledger.errors import FormatError, LedgerError
from ledger.frames import pack_envelopes
from ledger.log import Log
from ledger.problems import CONTENT_TYPE, document, problem
from ledger.reader import Reader, parse_indexes
from ledger.requests import Sequenced
from ledger.tiles import Bundle, parse_tile_path

MAX_BODY_BYTES = 8 << 20
WAIT_SECONDS = 15.0
IMMUTABLE = "public, max-age=31536000, immutable"
NO_STORE = "no-store"
GZIP_LEVEL = 1
TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"


class TokenError(LedgerError):
    """The request's token does not allow it: status 401 (none) or 403 (another scope)."""

    def __init__(self, status: int, said: str = "") -> None:
        super().__init__(said or "send a token of the right scope as Authorization: Bearer")
        self.status = status


class Operator:
    """Puts on the log, signed by the operator's key, what the operator's process lets happen."""

    def __init__(self, log: Log, seed: bytes) -> None:
        self._log = log
        self._seed = seed

    def acted(self, action: str, details: dict[str, Any]) -> None:
        """Append operator.acted and wait until it is durable. Raises LedgerError."""
        fields = {"id": secrets.token_hex(16), "time": time.time_ns() // 1_000_000}
        fields |= {"action": action, "details": details}
        entry = sign_entry(self._seed, "operator.acted", fields)
        try:
            self._log.submit([Submission(entry)])
        except EntryError as error:
            raise error.error from None


class Guard:
    """Compares bearer tokens in constant time; returns the scope that matched."""

    def __init__(self, tokens: Tokens, auditors: Auditors) -> None:
        self._auditors = auditors
        self._tokens = {
            "envelopes": tokens.envelopes.encode(),
            "grants": tokens.grants.encode(),
        }

    def auditor(self) -> str | None:
        """Return the auditor whose token the request has; None if it is nobody's.

        Raises TokenError when that auditor's access has ended.
        """
        found = self._auditors.find(_bearer())
        if found is not None and self._auditors.has_ended(found):
            raise TokenError(
                403, f"the access of auditor {found.name} has ended; ask the operator for more time"
            )
        return None if found is None else found.name

    def scope(self, *allowed: str) -> str:
        """Return which of the allowed scopes the request's token has. Raises TokenError."""
        given = _bearer()
        matches = [
            name for name, token in self._tokens.items() if hmac.compare_digest(given, token)
        ]
        for name in matches:
            if name in allowed:
                return name
        known = bool(matches) or self._auditors.find(given) is not None
        raise TokenError(403 if known else 401)


def _bearer() -> bytes:
    header = request.headers.get("Authorization", "")
    given = header.removeprefix("Bearer ").strip().encode()
    if not given or not header.startswith("Bearer "):
        raise TokenError(401)
    return given


def make_app(
    log: Log, reader: Reader, operator: Operator, tokens: Tokens, auditors: Auditors
) -> Flask:
    """Build the application on a log that was started."""
    app = make_public_app(reader)
    _append_route(app, log, reader)
    _guarded_routes(app, reader, operator, Guard(tokens, auditors))
    return app


def make_public_app(reader: Reader) -> Flask:
    """Build what anybody may read, and nothing else: all that a mirror serves."""
    app = Flask("ledger", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    _public_routes(app, reader)
    app.register_error_handler(LedgerError, _ledger_problem)
    app.register_error_handler(EntryError, _entry_problem)
    app.register_error_handler(HTTPException, _http_problem)
    app.after_request(_harden)
    return app


def _public_routes(app: Flask, reader: Reader) -> None:
    def checkpoint() -> Response:
        return _answer(reader.published().note, TEXT)

    def tile(path: str) -> Response:
        wanted = parse_tile_path(f"tile/{path}")
        # A partial tile's bytes never change either: its width is part of its name.
        response = _answer(reader.resource(wanted), BINARY, IMMUTABLE)
        return _packed(response) if isinstance(wanted, Bundle) else response

    def receipt(index: int) -> Response:
        return _answer(reader.receipt(index), TEXT)

    def inclusion() -> dict[str, Any]:
        return _hashes(reader.inclusion(_number("index"), _number("size")))

    def consistency() -> dict[str, Any]:
        return _hashes(reader.consistency(_number("old"), _number("new")))

    def access_tree(root: str) -> Any:
        try:
            leaves = reader.access_tree(bytes.fromhex(root))
        except ValueError:
            raise FormatError("the root of an access tree is hex") from None
        return {"leaves": leaves}, 200, {"Cache-Control": IMMUTABLE}

    def healthz() -> dict[str, Any]:
        return {"status": "ok", "size": reader.published().size}

    _get(app, "/checkpoint", checkpoint)
    _get(app, "/tile/<path:path>", tile)
    _get(app, "/receipt/<int:index>", receipt)
    _get(app, "/proof/inclusion", inclusion)
    _get(app, "/proof/consistency", consistency)
    _get(app, "/access-trees/<root>", access_tree)
    _get(app, "/healthz", healthz)


def _append_route(app: Flask, log: Log, reader: Reader) -> None:
    def entries() -> dict[str, Any]:
        submissions = _submissions(_body())
        places = log.submit(submissions)
        answers = [_place(place) for place in places]
        if request.args.get("wait") == "1":
            published = log.wait_published(max(p.index for p in places) + 1, WAIT_SECONDS)
            receipts = reader.receipts([place.index for place in places], published)
            for answer, receipt in zip(answers, receipts, strict=True):
                answer["receipt"] = receipt.decode()
        return {"entries": answers}

    app.add_url_rule("/entries", "entries", entries, methods=["POST"])


def _guarded_routes(app: Flask, reader: Reader, operator: Operator, guard: Guard) -> None:
    def envelopes() -> Response:
        auditor = guard.auditor()
        if auditor is None:
            guard.scope("envelopes", "grants")
        indexes = parse_indexes(_body())
        if auditor is not None and indexes:
            # On the log first: an access that cannot be recorded does not happen.
            details: dict[str, Any] = {"first": min(indexes), "last": max(indexes)}
            details |= {"count": len(indexes), "auditor": auditor}
            operator.acted("auditor.read-envelopes", details)
        return _answer(pack_envelopes(reader.envelopes(indexes)), BINARY)

    def grants() -> dict[str, Any]:
        guard.scope("grants")
        return {"grants": reader.grants(parse_indexes(_body()))}

    app.add_url_rule("/envelopes", "envelopes", envelopes, methods=["POST"])
    app.add_url_rule("/grants", "grants", grants, methods=["POST"])


def _get(app: Flask, rule: str, view: Callable[..., Any]) -> None:
    app.add_url_rule(rule, view.__name__, view, methods=["GET"])


def _body() -> dict[str, Any]:
    return parse_json(request.get_data(cache=False))


def _submissions(body: dict[str, Any]) -> list[Submission]:
    items = body.get("entries")
    if not isinstance(items, list):
        raise FormatError('the body must be {"entries": [...]}')
    submissions = []
    for number, item in enumerate(items):
        try:
            submissions.append(submission_from_json(item))
        except LedgerError as error:
            raise EntryError(number, error) from None
    return submissions


def _place(place: Sequenced) -> dict[str, Any]:
    return {"index": place.index, "leaf": b64(place.leaf), "time": place.time}


def _number(name: str) -> int:
    text = request.args.get(name, "")
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FormatError(f"the parameter {name} must be a whole number")
    return int(text)


def _hashes(hashes: list[bytes]) -> dict[str, Any]:
    return {"hashes": [one.hex() for one in hashes]}


def _answer(data: bytes, content_type: str, cache: str = NO_STORE) -> Response:
    response = Response(data, content_type=content_type)
    response.headers["Cache-Control"] = cache
    return response


def _packed(response: Response) -> Response:
    """Compress an entry bundle for who accepts it (tlog-tiles); hashes would not get smaller."""
    response.headers["Vary"] = "Accept-Encoding"
    if request.accept_encodings.quality("gzip") > 0:
        response.set_data(gzip.compress(response.get_data(), GZIP_LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _problem(body: dict[str, Any], status: int) -> Response:
    response = Response(json.dumps(body), status, content_type=CONTENT_TYPE)
    response.headers["Cache-Control"] = NO_STORE
    return response


def _ledger_problem(error: LedgerError) -> Response:
    if isinstance(error, TokenError):
        return _problem(document("token", error.status, "Not allowed", str(error)), error.status)
    return _problem(*problem(error))


def _entry_problem(error: EntryError) -> Response:
    body, status = problem(error.error)
    return _problem({**body, "entry": error.number}, status)


def _http_problem(error: HTTPException) -> Response:
    status = error.code or 500
    return _problem(document("http", status, error.name, str(error.description)), status)


def _harden(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", NO_STORE)
    response.headers["X-Content-Type-Options"] = "nosniff"
    # Any page may read and append: both are public. Tokens are of no use to a page, since a browser
    # sends Authorization across origins only where it is allowed by name.
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type"
    return response
