"""What a browser that holds keys needs beside the rest of /api/v1.

Uploads in parts, vaults (ciphertext of a person's own keys), passkeys that sign in, and where on
the ledger compute's keys stand. Answers here prove nothing; the key origin checks what matters.
"""

from typing import Any

from apiflask import APIBlueprint
from flask import Flask, Response, jsonify, request

from marketplace import passkeys, upload_parts, vaults
from marketplace.api import models, models_keys
from marketplace.api.common import (
    bearer,
    body_digest,
    body_stream,
    checked_id,
    principal,
    services,
)
from marketplace.config import MarketConfig
from marketplace.errors import InputError

browser = APIBlueprint("v1-browser", __name__, url_prefix="/api/v1", tag="browsers")
ALLOWED_HEADERS = (
    "Authorization, Content-Type, X-Content-SHA256, X-Token-SHA256, If-Match, If-None-Match, "
    "Idempotency-Key"
)
ALLOWED_METHODS = "GET, POST, PUT, DELETE"
SHOWN_HEADERS = "ETag, X-Content-SHA256, Retry-After"
HOUR = "3600"


@browser.put("/uploads/<dataset>/parts/<number>")
@browser.output(models_keys.PartOut)
@browser.doc(security="session", summary="Send one part of a dataset's ciphertext")
def put_part(dataset: str, number: str) -> Any:
    """Send part number (from 0), with its SHA-256 in X-Content-SHA256; it may be sent again."""
    who, now = principal("owner"), services()
    body = body_stream(now.config.limits.part_bytes)
    name = checked_id(dataset, "dataset")
    at = part_number(number)
    stored = upload_parts.put(now, who.party, name, at, body, body_digest())
    return {"number": at, "size": stored.size, "sha256": stored.sha256}


def part_number(text: str) -> int:
    """Return a part's number. Raises InputError."""
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise InputError("a part's number is a whole number from 0")
    return int(text)


@browser.get("/uploads/<dataset>/parts")
@browser.output(models_keys.PartsOut)
@browser.doc(security="session")
def list_parts(dataset: str) -> Any:
    """See which parts of an upload have arrived."""
    who = principal("owner")
    found = upload_parts.listed(services(), who.party, checked_id(dataset, "dataset"))
    return {"parts": [{"number": n, "size": s.size, "sha256": s.sha256} for n, s in found]}


@browser.post("/uploads/<dataset>/complete")
@browser.input(models_keys.CompleteIn)
@browser.output(models.UploadOut)
@browser.doc(security="session")
def complete_upload(dataset: str, json_data: models_keys.CompleteIn) -> Any:
    """Make the parts one staged upload, as if it had been sent whole."""
    who, name = principal("owner"), checked_id(dataset, "dataset")
    stored, state = upload_parts.complete(
        services(), who.party, name,
        parts=json_data.parts, size=json_data.size, sha256=json_data.sha256,
    )  # fmt: skip
    return {
        "dataset": name,
        "sha256": stored.sha256,
        "size": stored.size,
        "state": state,
    }


@browser.put("/me/vault")
@browser.input(models_keys.VaultIn)
@browser.output(models_keys.VaultKeptOut)
@browser.doc(security="session")
def keep_vault(json_data: models_keys.VaultIn) -> Any:
    """Keep your vault (ciphertext). If-Match: the ETag you last saw, so that no device is lost."""
    who = principal()
    expected = request.headers.get("If-Match", "").strip('"') or None
    etag = vaults.keep(services(), who.party, json_data.model_dump(exclude_none=True), expected)
    return {"etag": etag}, 200, {"ETag": f'"{etag}"'}


@browser.get("/me/vault")
@browser.output(models_keys.VaultOut)
@browser.doc(security="session", summary="Fetch your vault")
def own_vault() -> Any:
    """Fetch your vault (ciphertext) as your last device left it, with its ETag."""
    body, etag = vaults.own(services(), principal().party)
    return body, 200, {"ETag": f'"{etag}"'}


@browser.get("/vaults/<locator>")
@browser.output(models_keys.VaultOut)
def find_vault(locator: str) -> Any:
    """Fetch the vault a way in finds: no session, since a new device has none."""
    body, etag = vaults.find(services(), checked_id(locator, "locator"))
    return body, 200, {"ETag": f'"{etag}"'}


@browser.post("/me/passkeys/options")
@browser.output(models_keys.OptionsOut)
@browser.doc(security="session")
def passkey_options() -> Any:
    """Get what a browser needs to make a passkey that signs you in."""
    return {"options": passkeys.creation_options(services(), principal().party)}


@browser.post("/me/passkeys")
@browser.input(models_keys.PasskeyIn)
@browser.output(models_keys.PasskeyOut, status_code=201)
@browser.doc(security="session")
def add_passkey(json_data: models_keys.PasskeyIn) -> Any:
    """Add a passkey that signs you in (it signs no consent)."""
    principal()  # a scoped token makes no passkey
    row = passkeys.add(services(), bearer(), json_data.credential)
    return {"credential": row.credential, "created_at": row.created_at, "used_at": None}


@browser.get("/me/passkeys")
@browser.output(models_keys.PasskeysOut)
@browser.doc(security="session")
def list_passkeys() -> Any:
    """List the passkeys that sign you in."""
    mine = passkeys.listed(services(), principal().party)
    return {
        "passkeys": [
            {"credential": p.credential, "created_at": p.created_at, "used_at": p.used_at}
            for p in mine
        ]
    }


@browser.delete("/me/passkeys/<credential>")
@browser.output({}, status_code=204)
@browser.doc(security="session")
def remove_passkey(credential: str) -> Any:
    """Let a passkey sign in no more."""
    passkeys.remove(services(), principal().party, credential)
    return ""


@browser.get("/compute-keys")
@browser.output(models_keys.ComputeKeysOut)
def compute_keys() -> Any:
    """See where on the ledger compute's keys stand; believe the entries, not this answer."""
    keys = services().view.snapshot().state.compute_keys.values()
    found = [{"index": k.index, "key_id": k.key_id, "region": k.region} for k in keys]
    return {"keys": sorted(found, key=lambda one: -one["index"])}


def allow_key_origin(app: Flask, config: MarketConfig) -> None:
    """Let the key origin's pages, and no other site's, read /api/v1 (no cookie is involved)."""
    if not config.keys_origin:
        return

    def preflight() -> Response | None:
        return jsonify() if request.method == "OPTIONS" and _from_there(config) else None

    def add(response: Response) -> Response:
        if request.path.startswith("/api/v1/"):
            response.vary.add("Origin")
            if _from_there(config):
                response.headers["Access-Control-Allow-Origin"] = config.keys_origin
                response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
                response.headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
                response.headers["Access-Control-Expose-Headers"] = SHOWN_HEADERS
                response.headers["Access-Control-Max-Age"] = HOUR
        return response

    app.before_request(preflight)
    app.after_request(add)


def _from_there(config: MarketConfig) -> bool:
    asked = request.headers.get("Origin") == config.keys_origin
    return asked and request.path.startswith("/api/v1/")
