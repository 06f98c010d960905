"""Sealed grants: a header packet and an activity key that open only under the exact terms.

HPKE with the hybrid KEM ML-KEM-768 + X25519: both must be broken to open one. `info` binds owner,
dataset, grant, every word of the terms and the suite, so a changed term is a packet that does not
open, and only the holder of the data key can make a new one.
Spec: RFC 9180 (HPKE), draft-ietf-hpke-pq (MLKEM768-X25519); DESIGN section 3.1.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from compute.crypt.header import packet_count
from compute.errors import CryptError
from compute.terms import Terms, canonical_terms

SUITE = "hpke-mlkem768x25519-hkdf-sha256-chacha20poly1305"
SECRET_BYTES = 64 + 32  # ML-KEM-768 seed, X25519 secret
PUBLIC_BYTES = 1184 + 32
ACTIVITY_KEY_BYTES = 32
_CONTEXT = b"omic/grant/v1"


class SealedGrant(NamedTuple):
    """What a sealed grant holds: a one-packet Crypt4GH header and the 32-byte activity key."""

    header: bytes
    activity_key: bytes

    def __repr__(self) -> str:
        return "SealedGrant(...)"


def generate_keypair() -> tuple[bytes, bytes]:
    """Draw a hybrid key pair: (secret: 64-byte seed and 32 bytes, public: 1,216 bytes)."""
    secret = os.urandom(SECRET_BYTES)
    return secret, public_of(secret)


def public_of(secret: bytes) -> bytes:
    """Return the public key of a secret: ML-KEM-768 (1,184 bytes) then X25519 (32 bytes)."""
    kem, curve = _secret_parts(secret)
    return kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()


def grant_info(
    owner: str, dataset: str, grant: str, terms: Terms | Mapping[str, Any], suite: str = SUITE
) -> bytes:
    """Return the HPKE info of a grant: SHA-256 over its length-prefixed parts, 32 bytes.

    Parts: context, owner, dataset, grant id, canonical terms, suite. Raises TermsError.
    """
    parts = (
        _CONTEXT,
        owner.encode(),
        dataset.encode(),
        grant.encode(),
        canonical_terms(terms),
        suite.encode(),
    )
    joined = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hashlib.sha256(joined).digest()


def seal_grant(header: bytes, activity_key: bytes, public: bytes, info: bytes) -> bytes:
    """Seal a header with exactly one packet, and the activity key, to a compute epoch's key.

    Raises CryptError.
    """
    _check_content(header, activity_key)
    return seal(activity_key + header, public, info)


def open_grant(sealed: bytes, secret: bytes, info: bytes) -> SealedGrant:
    """Open a sealed grant under the terms in `info`. Raises CryptError when anything differs."""
    content = unseal(sealed, secret, info)
    header, activity_key = content[ACTIVITY_KEY_BYTES:], content[:ACTIVITY_KEY_BYTES]
    _check_content(header, activity_key)
    return SealedGrant(header, activity_key)


def seal(data: bytes, public: bytes, info: bytes) -> bytes:
    """Seal bytes to a hybrid public key under `info`. Raises CryptError."""
    try:
        return _suite().encrypt(data, _public(public), info=info)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CryptError("the recipient's hybrid key is not usable", code="key") from error


def unseal(sealed: bytes, secret: bytes, info: bytes) -> bytes:
    """Open what `seal` made. Raises CryptError for another key, another info or a changed byte."""
    try:
        return _suite().decrypt(sealed, MLKEM768X25519PrivateKey(*_secret_parts(secret)), info=info)
    except (InvalidTag, ValueError):
        raise CryptError(
            "the sealed grant does not open with this key under these terms", code="sealed"
        ) from None


def probe() -> None:
    """Prove by a round trip that this machine has the hybrid suite. Raises CryptError.

    Importing is not proof: some builds of `cryptography` import it and cannot make a key.
    """
    try:
        secret, public = generate_keypair()
        if unseal(seal(b"probe", public, b"info"), secret, b"info") != b"probe":
            raise CryptError("the hybrid suite did not return what it sealed", code="suite")
    except (UnsupportedAlgorithm, AttributeError, TypeError) as error:
        raise CryptError(
            f"{SUITE} is missing here: install cryptography 48 or newer from its wheel",
            code="suite",
        ) from error


def _suite() -> Suite:
    return Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def _secret_parts(secret: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(secret) != SECRET_BYTES:
        raise CryptError(f"a hybrid secret is {SECRET_BYTES} bytes", code="key")
    return (
        MLKEM768PrivateKey.from_seed_bytes(secret[:64]),
        X25519PrivateKey.from_private_bytes(secret[64:]),
    )


def _public(public: bytes) -> MLKEM768X25519PublicKey:
    if len(public) != PUBLIC_BYTES:
        raise CryptError(f"a hybrid public key is {PUBLIC_BYTES} bytes", code="key")
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:1184]),
        X25519PublicKey.from_public_bytes(public[1184:]),
    )


def _check_content(header: bytes, activity_key: bytes) -> None:
    if len(activity_key) != ACTIVITY_KEY_BYTES:
        raise CryptError("an activity key is 32 bytes", code="sealed")
    if packet_count(header) != 1:
        raise CryptError("a grant's header holds exactly one packet", code="sealed")
