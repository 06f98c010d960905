"""The identity file: a person's keys, records and receipts in one locked document.

The key origin's pages write and read the same document (their vault), so that a browser and the
omic command can be one identity. AES-256-GCM under a vault key that a passphrase wraps
(PBKDF2-SHA256, 600,000 rounds). The vault key is kept among the keys, so that every copy of an
identity, wherever it was written, is of one vault: a browser joins what each copy knows.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from ledger import LedgerError, b64, unb64
from marketplace.client.errors import HomeError
from marketplace.client.home import Home

VAULT = "vault"  # 32 random bytes, kept like a signing key; nothing is signed with it
ROUNDS = 600_000
MAX_ROUNDS = 5_000_000
FOLDERS = ("datasets", "grants", "entries", "orders", "passport", "handed")
SINGLE = ("identity.json", "enrolled.json", "attestations.json", "passkeys.json")
MIN_PASSPHRASE = 12


def export(home: Home, passphrase: str) -> bytes:
    """Return the identity file of a home. Raises HomeError for a short passphrase."""
    if len(passphrase) < MIN_PASSPHRASE:
        raise HomeError(f"choose a passphrase of {MIN_PASSPHRASE} characters or more")
    if not home.keys.has(VAULT):
        home.keys.create(VAULT, "sign")
    key, salt = home.keys.signing(VAULT).private.private_bytes_raw(), os.urandom(16)
    wrap = {
        "kind": "passphrase",
        "salt": b64(salt),
        "rounds": ROUNDS,
        "box": _box(_wrapping(_stretched(passphrase, salt, ROUNDS)), key),
    }
    content = {"documents": _documents(home), "keys": home.keys.secrets()}
    plain = json.dumps(content, separators=(",", ":")).encode()
    return json.dumps({"v": 1, "wraps": [wrap], "box": _box(key, plain)}).encode() + b"\n"


def _documents(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = {n: v for n in SINGLE if (v := home.read(n)) is not None}
    for folder in FOLDERS:
        for path in sorted((home.path / folder).glob("*.json")):
            found[f"{folder}/{path.name}"] = json.loads(path.read_text())
    for path in sorted((home.path / "receipts").glob("*.tlog-proof")):
        found[f"receipts/{path.name}"] = path.read_text()
    return found


def restore(home: Home, trust_file: bytes, data: bytes, passphrase: str) -> str:
    """Make a home out of an identity file; return its party. Raises HomeError."""
    content = _opened(data, passphrase)
    documents, keys = content["documents"], content["keys"]
    identity = documents["identity.json"]
    home.create_from(trust_file, str(identity["role"]), str(identity["party"]), new_keys=False)
    if home.trust.origin != identity["origin"]:
        raise HomeError("the identity is of another ledger than the trust file names")
    home.keys.restore(keys)
    for name, value in documents.items():
        _place(home, name, value)
    return str(identity["party"])


def _place(home: Home, name: str, value: Any) -> None:
    folder, _, file = name.rpartition("/")
    plain = file == Path(file).name and not file.startswith(".")
    if folder == "receipts" and plain and file.endswith(".tlog-proof"):
        home.keep_receipt(int(file.removesuffix(".tlog-proof")), str(value))
    elif name in SINGLE or (folder in FOLDERS and plain and file.endswith(".json")):
        home.write(name, value)


def _opened(data: bytes, passphrase: str) -> Mapping[str, Any]:
    try:
        document = json.loads(data)
        if document["v"] != 1:
            raise HomeError("this identity file is newer than this program; update it")
        key = _vault_key(document["wraps"], passphrase)
        opened = _unbox(key, document["box"]) if key is not None else None
    except (ValueError, KeyError, TypeError, LedgerError):
        raise HomeError("this is not an identity file (omic-identity.json)") from None
    if opened is None:
        raise HomeError("the passphrase does not open this identity file")
    content: Mapping[str, Any] = json.loads(opened)
    return content


def _vault_key(wraps: Iterable[Mapping[str, Any]], passphrase: str) -> bytes | None:
    for wrap in wraps:
        if wrap["kind"] == "passphrase" and 1_000 <= wrap["rounds"] <= MAX_ROUNDS:
            secret = _stretched(passphrase, unb64(wrap["salt"]), wrap["rounds"])
            if (key := _unbox(_wrapping(secret), wrap["box"])) is not None:
                return key
    return None


def _stretched(passphrase: str, salt: bytes, rounds: int) -> bytes:
    kdf = PBKDF2HMAC(algorithm=hashes.SHA256(), length=32, salt=salt, iterations=rounds)
    return kdf.derive(passphrase.encode())


def _wrapping(secret: bytes) -> bytes:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"omic/vault/wrap/v1")
    return kdf.derive(secret)


def _box(key: bytes, plain: bytes) -> str:
    nonce = os.urandom(12)
    return b64(nonce + AESGCM(key).encrypt(nonce, plain, None))


def _unbox(key: bytes, text: str) -> bytes | None:
    data = unb64(text)
    try:
        return AESGCM(key).decrypt(data[:12], data[12:], None)
    except InvalidTag:
        return None
