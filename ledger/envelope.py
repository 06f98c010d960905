"""The signed envelope of a ledger entry, its fixed bytes and its commitment.

An entry is a DSSE statement: canonical JSON (RFC 8785) signed over the DSSE
pre-authentication encoding (github.com/secure-systems-lab/dsse, protocol.md). DSSE's own JSON is
malleable, so everything we commit to is the fixed binary layout of `entry_bytes`.
No I/O, no clock, no randomness: salts and times are arguments.
"""

import base64
import binascii
import hashlib
import hmac
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from ledger.errors import FormatError

PAYLOAD_TYPE_PREFIX = "application/vnd.omic."
COMMITMENT_CONTEXT = b"omic/entry/v1"
MAX_SUBMISSION_BYTES = 4 << 20
SIGNATURE_PARTS = {"ed25519": 1, "webauthn": 3}


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature over an entry's pre-authentication encoding.

    kind "ed25519": public_key is 32 raw bytes, parts = (signature,).
    kind "webauthn": public_key is SubjectPublicKeyInfo DER,
    parts = (authenticator_data, client_data_json, signature).
    """

    kind: str
    public_key: bytes
    parts: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A signed statement; the first signature is the actor's, further ones are cosignatures."""

    type: str
    version: int
    payload_bytes: bytes
    signatures: tuple[Signature, ...]

    @property
    def payload(self) -> dict[str, Any]:
        """Return the payload parsed from the very bytes that were signed."""
        return parse_json(self.payload_bytes)

    @property
    def payload_type(self) -> str:
        return payload_type(self.type, self.version)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client posts: the entry, the salt of a personal one, and attachments it commits to."""

    entry: Entry
    salt: bytes | None = None
    attachments: Mapping[str, bytes] = field(default_factory=dict)


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value; floats are refused (money and ids are exact)."""
    _refuse_floats(value)
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        raise FormatError(f"this value has no canonical JSON form: {error}") from None


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise FormatError("a ledger payload holds integers and strings only; found a float")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)


def parse_json(data: bytes) -> dict[str, Any]:
    """Parse a JSON object, refusing duplicate keys, NaN, floats and anything not an object."""
    try:
        value = json.loads(
            data, object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not a JSON object we accept: {error}") from None
    if not isinstance(value, dict):
        raise FormatError("the payload must be a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key appears twice")
    return result


def _no_float(text: str) -> Any:
    raise ValueError(f"number {text[:20]!r} is not an integer")


def payload_type(type_: str, version: int) -> str:
    """Return the DSSE payloadType of an entry type, e.g. consent.granted version 1."""
    return f"{PAYLOAD_TYPE_PREFIX}{type_}.v{version}+json"


def pae(type_: str, version: int, payload_bytes: bytes) -> bytes:
    """Return the DSSE v1 pre-authentication encoding that signers sign."""
    name = payload_type(type_, version).encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload_bytes), payload_bytes)


def entry_bytes(entry: Entry) -> bytes:
    """Return the fixed binary layout an entry is committed to: length-prefixed (u32 BE) fields."""
    fields = [entry.payload_type.encode(), entry.payload_bytes]
    for signature in entry.signatures:
        fields += [signature.kind.encode(), signature.public_key, *signature.parts]
    return b"".join(struct.pack(">I", len(item)) + item for item in fields)


def parse_entry_bytes(data: bytes) -> Entry:
    """Parse `entry_bytes`; raises FormatError on anything that does not round-trip."""
    fields = _fields(data)
    if len(fields) < 2:
        raise FormatError("an entry needs a payload type and a payload")
    type_, version = parse_payload_type(fields[0].decode("utf-8", "replace"))
    signatures, rest = [], fields[2:]
    while rest:
        kind = rest[0].decode("utf-8", "replace")
        count = SIGNATURE_PARTS.get(kind)
        if count is None or len(rest) < 2 + count:
            raise FormatError(f"signature kind {kind[:20]!r} is unknown or cut short")
        signatures.append(Signature(kind, rest[1], tuple(rest[2 : 2 + count])))
        rest = rest[2 + count :]
    entry = Entry(type_, version, fields[1], tuple(signatures))
    if entry_bytes(entry) != data:
        raise FormatError("entry bytes are not in their only accepted form")
    return entry


def _fields(data: bytes) -> list[bytes]:
    fields, at = [], 0
    while at < len(data):
        if at + 4 > len(data):
            raise FormatError("entry bytes are cut inside a length")
        (length,) = struct.unpack_from(">I", data, at)
        if at + 4 + length > len(data):
            raise FormatError("entry bytes are cut inside a field")
        fields.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return fields


def parse_payload_type(text: str) -> tuple[str, int]:
    """Split a payloadType into entry type and version."""
    body = text.removeprefix(PAYLOAD_TYPE_PREFIX).removesuffix("+json")
    type_, _, version = body.rpartition(".v")
    if payload_type(type_, 0)[:-6] + f"{version}+json" != text or not version.isdigit():
        raise FormatError(f"payload type {text[:60]!r} is not one of ours")
    if str(int(version)) != version:
        raise FormatError(f"payload type {text[:60]!r} has a version with leading zeros")
    return type_, int(version)


def commitment(salt: bytes, entry: Entry) -> bytes:
    """Return HMAC-SHA256(salt, "omic/entry/v1" || entry bytes), 32 bytes (salt: 32 random bytes).

    It stands in the leaf of a personal entry; once salt and envelope are erased it means nothing.
    """
    if len(salt) != 32:
        raise FormatError(f"the salt of a personal entry is 32 bytes, not {len(salt)}")
    return hmac.new(salt, COMMITMENT_CONTEXT + entry_bytes(entry), hashlib.sha256).digest()


def fingerprint(public_key: bytes) -> str:
    """Return how a key is named in payloads: the first 32 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:32]


def submission_to_json(submission: Submission) -> dict[str, Any]:
    """Return the JSON a client posts to the ledger."""
    entry = submission.entry
    return {
        "payload_type": entry.payload_type,
        "payload": b64(entry.payload_bytes),
        "signatures": [
            {"kind": s.kind, "public_key": b64(s.public_key), "parts": [b64(p) for p in s.parts]}
            for s in entry.signatures
        ],
        "salt": b64(submission.salt) if submission.salt is not None else None,
        "attachments": {name: b64(data) for name, data in submission.attachments.items()},
    }


def submission_from_json(value: Any) -> Submission:
    """Parse what a client posted; raises FormatError naming the field."""
    try:
        type_, version = parse_payload_type(value["payload_type"])
        signatures = tuple(
            Signature(str(s["kind"]), unb64(s["public_key"]), tuple(unb64(p) for p in s["parts"]))
            for s in value["signatures"]
        )
        salt = value.get("salt")
        attachments = {str(k): unb64(v) for k, v in (value.get("attachments") or {}).items()}
        entry = Entry(type_, version, unb64(value["payload"]), signatures)
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"the submission lacks a field or has one of a wrong kind: {error}") from None
    return Submission(entry, None if salt is None else unb64(salt), attachments)


def b64(data: bytes) -> str:
    """Encode as standard base64 with padding."""
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """Decode standard base64; raises FormatError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise FormatError("a field is not standard base64") from None
