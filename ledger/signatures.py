"""The one rule for accepted signatures: log, follower, witness and offline audit all use it.

Never holds a private key, and never decides who a key belongs to. Two kinds of signature:
Ed25519 (RFC 8032 section 5.1.7, narrowed below) and WebAuthn assertions (WebAuthn level 3,
section 7.2).

Ed25519 libraries disagree on unusual keys and signatures, so a batch accepted by one could be
refused by another. Before any arithmetic this module refuses S >= L, points whose y is not
reduced, and small-order A and R; what is left is decided by the cofactorless equation
R = S*B - h*A, on which libsodium and OpenSSL agree (the tests ask both about published edge cases).
"""

import base64
import binascii
import json
from collections.abc import Collection
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

from ledger.errors import VerificationError

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_Y_MASK = 2**255 - 1
# y of every point whose order divides 8: 0 (order 4), 1 (order 1), p-1 (order 2), two of order 8.
_SMALL_ORDER_Y = frozenset(
    (
        0,
        1,
        _P - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    )
)


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check one Ed25519 signature by the rule of this module. Raises VerificationError."""
    _check_encodings(public_key, signature)
    _verify_with_sodium(public_key, message, signature)


def _check_encodings(public_key: bytes, signature: bytes) -> None:
    if len(public_key) != 32 or len(signature) != 64:
        raise VerificationError("an Ed25519 key has 32 bytes and a signature 64")
    _check_point(public_key, "public key")
    _check_point(signature[:32], "R of the signature")
    if int.from_bytes(signature[32:], "little") >= _L:
        raise VerificationError("S of the Ed25519 signature is not reduced")


def _check_point(encoded: bytes, what: str) -> None:
    y = int.from_bytes(encoded, "little") & _Y_MASK
    if y >= _P:
        raise VerificationError(f"the Ed25519 {what} is not canonically encoded")
    if y in _SMALL_ORDER_Y:
        raise VerificationError(f"the Ed25519 {what} is a point of small order")


def _verify_with_sodium(public_key: bytes, message: bytes, signature: bytes) -> None:
    try:
        crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, ValueError):
        raise VerificationError("the Ed25519 signature does not verify") from None


# WebAuthn assertions ---------------------------------------------------------------------------

# The two COSE_Key encodings an authenticator makes in CTAP2 canonical CBOR: (head, between x
# and y). Matching them byte for byte needs no CBOR parser and leaves one encoding per key.
_COSE_ES256 = (bytes.fromhex("a5010203262001215820"), bytes.fromhex("225820"))
_COSE_ED25519 = bytes.fromhex("a4010103272006215820")

_USER_PRESENT, _USER_VERIFIED, _BACKUP_ELIGIBLE = 0x01, 0x04, 0x08
_BACKED_UP, _ATTESTED_DATA, _EXTENSIONS = 0x10, 0x40, 0x80
_MAX_CLIENT_DATA = 4096


def verify_passkey(
    public_key: bytes,
    *,
    challenge: bytes,
    authenticator_data: bytes,
    client_data_json: bytes,
    signature: bytes,
    rp_id: str,
    origins: Collection[str],
) -> None:
    """Check a WebAuthn assertion over `challenge`, SHA-256 of the DSSE pre-authentication bytes.

    The public key is a COSE_Key or SPKI DER; ES256 or Ed25519. Presence and verification of the
    user are required, cross-origin use is refused. WebAuthn section 7.2, steps 10-21.
    Raises VerificationError.
    """
    _check_client_data(client_data_json, challenge, origins)
    _check_authenticator_data(authenticator_data, rp_id)
    signed = authenticator_data + sha256(client_data_json).digest()
    key = load_passkey(public_key)
    if isinstance(key, bytes):
        verify_ed25519(key, signed, signature)
        return
    try:
        key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        raise VerificationError("the passkey's ES256 signature does not verify") from None


def load_passkey(public_key: bytes) -> ec.EllipticCurvePublicKey | bytes:
    """Read a COSE_Key or SPKI: a P-256 key, or the 32 bytes of an Ed25519 one.

    Raises VerificationError.
    """
    try:
        if public_key[:1] == b"\x30":
            return _load_spki(public_key)
        return _load_cose(public_key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise VerificationError("the passkey's public key is not a valid point or SPKI") from None


def _load_spki(public_key: bytes) -> ec.EllipticCurvePublicKey | bytes:
    key = load_der_public_key(public_key)
    if isinstance(key, Ed25519PublicKey):
        return key.public_bytes_raw()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise VerificationError("a passkey must be ES256 on P-256 or Ed25519")


def _load_cose(public_key: bytes) -> ec.EllipticCurvePublicKey | bytes:
    head, between = _COSE_ES256
    x, y = public_key[len(head) :][:32], public_key[-32:]
    if public_key == head + x + between + y and len(x) == len(y) == 32:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
    if public_key.startswith(_COSE_ED25519) and len(public_key) == len(_COSE_ED25519) + 32:
        return public_key[-32:]
    raise VerificationError("a passkey must be a canonical COSE_Key for ES256 or Ed25519")


def _check_client_data(client_data_json: bytes, challenge: bytes, origins: Collection[str]) -> None:
    data = _parse_client_data(client_data_json)
    if data.get("type") != "webauthn.get":
        raise VerificationError("the client data is not of type webauthn.get")
    if len(challenge) != 32 or _decode_challenge(data.get("challenge")) != challenge:
        raise VerificationError("the passkey signed another challenge")
    origin = data.get("origin")
    if not isinstance(origin, str) or origin not in origins:
        raise VerificationError("the passkey was used on an origin that is not allowed")
    if data.get("crossOrigin", False) is not False or "topOrigin" in data:
        raise VerificationError("the passkey was used inside another origin's page")


def _parse_client_data(client_data_json: bytes) -> dict[str, Any]:
    if len(client_data_json) > _MAX_CLIENT_DATA:
        raise VerificationError(f"client data is longer than {_MAX_CLIENT_DATA} bytes")
    try:
        data = json.loads(client_data_json.decode("utf-8"), object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError):
        raise VerificationError("client data is not a JSON object in UTF-8") from None
    if not isinstance(data, dict):
        raise VerificationError("client data is not a JSON object in UTF-8")
    return data


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise VerificationError("client data repeats a key")
    return dict(pairs)


def _decode_challenge(text: Any) -> bytes:
    if not isinstance(text, str) or len(text) != 43:
        raise VerificationError("the challenge is not 32 bytes in unpadded base64url")
    try:
        raw = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise VerificationError("the challenge is not 32 bytes in unpadded base64url") from None
    if base64.urlsafe_b64encode(raw).decode().rstrip("=") != text:
        raise VerificationError("the challenge is not in canonical base64url")
    return raw


def _check_authenticator_data(data: bytes, rp_id: str) -> None:
    if len(data) < 37 or data[:32] != sha256(rp_id.encode()).digest():
        raise VerificationError("the passkey belongs to another relying party")
    flags = data[32]
    if not flags & _USER_PRESENT or not flags & _USER_VERIFIED:
        raise VerificationError("the passkey did not verify its user")
    if flags & _BACKED_UP and not flags & _BACKUP_ELIGIBLE:
        raise VerificationError("the passkey's backup flags contradict each other")
    if flags & _ATTESTED_DATA or (len(data) > 37) != bool(flags & _EXTENSIONS):
        raise VerificationError("the authenticator data has an unexpected length")
