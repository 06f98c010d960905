"""The local attester: a stand-in for the organisations that vouch for people.

It says yes to everyone, which is why it exists only in the embedded run. A real deployment pins
the keys of a university, a regulator or a GA4GH visa issuer instead. It holds one signing key.

`python -m marketplace.embedded.attester init --dir D --port P` / `--dir D`.
"""

import argparse
import json
import logging
import secrets
import signal
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify, request
from waitress import create_server

from ledger import (
    Entry,
    LedgerClient,
    LedgerError,
    b64,
    pae,
    sign_entry,
    submission_for,
    submission_from_json,
    validate_payload,
)
from marketplace.client.keys import KeyStore, SigningKey
from marketplace.errors import InputError
from marketplace.visas import Issuer, load_issuers, read_visas

COSIGNED = ("party.registered", "mandate.given")
CLAIM_YEARS = 2
_YEAR_MS = 365 * 24 * 3600 * 1000


def create_app(key: SigningKey, ledger: LedgerClient, issuers: Sequence[Issuer] = ()) -> Flask:
    """Return the attester's HTTP application. issuers: of GA4GH visas it accepts."""
    app = Flask(__name__)
    bound: dict[str, str] = {}
    app.config["MAX_CONTENT_LENGTH"] = 1 << 20

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify({"ok": True, "stand_in": True})

    @app.post("/cosign")
    def cosign() -> Response:
        return jsonify(_cosigned(key, _body()["submission"]))

    @app.post("/attest")
    def attest() -> Response:
        body = _body()
        entry = _attestation(key, body["party"], body["role"], body["claims"])
        return jsonify({"index": _appended(ledger, entry)})

    @app.post("/visas")
    def visas() -> Response:
        """State what GA4GH visas vouch for, of the first party that shows them."""
        body = _body()
        vouched = read_visas(list(body["visas"]), issuers, time.time_ns() // 1_000_000)
        if bound.setdefault(vouched.subject, body["party"]) != body["party"]:
            raise LedgerError("these visas were shown by another party before")
        claims = dict(vouched.claims)
        entry = _attestation(key, body["party"], "researcher", claims, vouched.expires_at)
        return jsonify({"index": _appended(ledger, entry), "claims": claims})

    app.after_request(_for_browsers)
    for kind in (InputError, LedgerError):
        app.register_error_handler(kind, _refused)
    return app


def _for_browsers(response: Response) -> Response:
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type"
    return response


def _refused(error: Exception) -> tuple[Response, int]:
    problem = {"type": "about:blank", "title": "Not attested", "status": 400}
    response = jsonify({**problem, "detail": str(error)})
    response.content_type = "application/problem+json"
    return response, 400


def _cosigned(key: SigningKey, submission: Any) -> dict[str, Any]:
    """Return the attester's signature over what its holder signed. Raises LedgerError."""
    entry = submission_from_json(submission).entry
    if entry.type not in COSIGNED or len(entry.signatures) != 1:
        raise LedgerError(f"the attester cosigns {' or '.join(COSIGNED)} its holder signed")
    signature = key.sign(pae(entry.type, entry.version, entry.payload_bytes))
    parts = [b64(part) for part in signature.parts]
    return {"kind": signature.kind, "public_key": b64(key.public), "parts": parts}


def _appended(ledger: LedgerClient, entry: Entry) -> int:
    """Append an entry under a fresh key; return its index."""
    (done,) = ledger.append([submission_for(entry, secrets.token_bytes(32))])
    return done.index


def _body() -> dict[str, Any]:
    value = request.get_json(silent=True)
    if not isinstance(value, dict) or not value:
        raise LedgerError("the request body must be a JSON object")
    return value


def _attestation(
    key: SigningKey, party: Any, role: Any, claims: Any, expires_at: int | None = None
) -> Entry:
    now = time.time_ns() // 1_000_000
    fields = {
        "id": secrets.token_hex(16),
        "time": now,
        "party": party,
        "role": role,
        "claims": claims,
        "expires_at": expires_at or now + CLAIM_YEARS * _YEAR_MS,
    }
    entry = sign_entry(key.private.private_bytes_raw(), "party.attested", fields)
    validate_payload(entry)
    return entry


def main() -> None:
    """Make the key (init) or serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["init", "run"], nargs="?", default="run")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    store = KeyStore(arguments.dir / "keys")
    if arguments.command == "init":
        if not store.has("sign"):
            store.create("sign", "sign")
        print(json.dumps({"attester": b64(store.signing().public)}))  # noqa: T201 - the answer
        return
    _serve(arguments.dir, store.signing())


def _serve(directory: Path, key: SigningKey) -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    config = tomllib.loads((directory / "config.toml").read_text())
    pinned = directory / "visa-issuers.json"
    issuers = load_issuers(pinned) if pinned.exists() else []
    app = create_app(key, LedgerClient(config["ledger_url"]), issuers)
    server = create_server(
        app, host="127.0.0.1", port=config["port"], threads=4, connection_limit=500
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run()


if __name__ == "__main__":
    main()
