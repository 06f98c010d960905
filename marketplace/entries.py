"""The statements the marketplace itself signs onto the ledger: all public, all about one order.

The key is the marketplace's own signing key, pinned in the trust policy; it can neither consent
for anybody nor sign the log. Spec: ledger entry table (order.*, payment.*, settlement.made).
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger import Entry, Signature, Submission, canonical, fingerprint, pae
from marketplace.config import read_secret
from marketplace.errors import ConfigError

VERSION = 1
REFERENCE_CONTEXT = b"omic/payment-reference/v1\n"


class EntrySigner:
    """Signs entries as the marketplace."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, type_: str, fields: Mapping[str, Any], *, now: int, id_: str) -> Submission:
        """Return a signed entry of this type; now in ms, id_ 32 hex digits."""
        payload = canonical(
            {
                "schema": f"{type_}/{VERSION}",
                "id": id_,
                "time": now,
                "actor": fingerprint(self.public_key),
                "subject": None,
                "basis": {"kind": "self"},
                **fields,
            }
        )
        signature = self._key.sign(pae(type_, VERSION, payload))
        signed = Signature("ed25519", self.public_key, (signature,))
        return Submission(Entry(type_, VERSION, payload, (signed,)))


def create_key(path: Path) -> bytes:
    """Create the signing key's file (mode 0600) unless it is there; return the public key."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32) + "\n")
    return load_signer(path).public_key


def load_signer(path: Path) -> EntrySigner:
    """Load the signing key. Raises ConfigError."""
    text = read_secret(path, "marketplace signing key")
    try:
        return EntrySigner(bytes.fromhex(text))
    except ValueError:
        raise ConfigError(f"{path} does not hold a 32-byte key in hex; restore it") from None


def reference_commitment(salt: str, reference: str) -> str:
    """Return the hex HMAC under which a provider's reference stands on the ledger."""
    message = REFERENCE_CONTEXT + reference.encode()
    return hmac.new(bytes.fromhex(salt), message, hashlib.sha256).hexdigest()


def new_id() -> str:
    """Return a fresh id: 128 random bits in hex."""
    return secrets.token_hex(16)
