"""The signed envelope of a ledger entry, its fixed bytes and its commitment.

An entry is a DSSE statement: canonical JSON (RFC 8785) signed over the DSSE
pre-authentication encoding (github.com/secure-systems-lab/dsse, protocol.md). DSSE's own JSON is
malleable, so everything we commit to is the fixed binary layout of `entry_bytes`.
No I/O, no clock, no randomness: salts and times are arguments.
"""

import binascii
import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson
import rfc8785

from ledger.errors import FormatError

PAYLOAD_TYPE_PREFIX = "application/vnd.omic."
COMMITMENT_CONTEXT = b"omic/entry/v1"
ABOUT_CONTEXT = b"omic/about/v1"
MAX_INTEGER = 2**53 - 1
SIGNATURE_PARTS = {"ed25519": 1, "webauthn": 3}
_KINDS = {name.encode(): (name, parts) for name, parts in SIGNATURE_PARTS.items()}
_INNER, _OUTER = bytes(i ^ 0x36 for i in range(256)), bytes(i ^ 0x5C for i in range(256))
_U32 = struct.Struct(">I")
_LENGTH = _U32.pack


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
    payload_bytes: bytes = field(repr=False)
    signatures: tuple[Signature, ...] = field(repr=False)
    _parsed: dict[str, Any] | None = field(default=None, init=False, repr=False, compare=False)
    _rule: object = field(default=None, init=False, repr=False, compare=False)
    _bytes: bytes | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def payload(self) -> dict[str, Any]:
        """Return the payload parsed from the very bytes that were signed; do not change it.

        Raises FormatError unless they are canonical JSON (RFC 8785).
        """
        if self._parsed is None:
            # Parsed once: admission, fold and audit all read it, and parsing costs like a hash.
            object.__setattr__(self, "_parsed", parse_canonical(self.payload_bytes))
        return self._parsed or {}

    @property
    def payload_type(self) -> str:
        """Return DSSE's payload type of this entry's type and version."""
        return payload_type(self.type, self.version)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client posts: the entry, the salt of a personal one, and attachments it commits to."""

    entry: Entry
    salt: bytes | None = field(default=None, repr=False)
    attachments: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def remembered_rule(entry: Entry) -> object:
    """Return what `remember_rule` noted: the form of an immutable entry is checked only once."""
    return entry._rule


def remember_rule(entry: Entry, rule: object) -> None:
    """Note that an entry's form was checked against this rule."""
    object.__setattr__(entry, "_rule", rule)


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a JSON value; floats are refused (money and ids are exact)."""
    try:
        _refuse_inexact(value)
        return canonical_parsed(value)
    except (rfc8785.CanonicalizationError, UnicodeError, TypeError, ValueError) as error:
        raise FormatError(f"this value has no canonical JSON form: {error}") from None
    except RecursionError:
        raise FormatError("this value is nested too deeply") from None


def canonical_parsed(value: Any) -> bytes:
    """Return the RFC 8785 bytes of a value that came out of `parse_json` (already exact)."""
    data = orjson.dumps(value, option=_SORTED)
    # orjson and RFC 8785 agree byte for byte on ASCII; they sort other keys differently.
    return data if data.isascii() else rfc8785.dumps(value)


def is_canonical(data: bytes, value: Any) -> bool:
    """Tell whether data is the RFC 8785 form of value, which was read from data."""
    try:
        return data == canonical_parsed(value)
    except (rfc8785.CanonicalizationError, TypeError, ValueError, RecursionError):
        return False


def parse_canonical(data: bytes) -> dict[str, Any]:
    """Parse a JSON object that must be in its RFC 8785 form. Raises FormatError."""
    if (quick := _parse_plain(data)) is not None:
        return quick
    value = parse_to_compare(data)
    if not is_canonical(data, value):
        raise FormatError("not canonical JSON (RFC 8785)")
    return value


def _parse_plain(data: bytes) -> dict[str, Any] | None:
    """Parse nearly every payload there is at a fifth of the cost; None: let the careful way judge.

    Takes only what orjson writes back byte for byte: ASCII, no float, integers up to 2^53 - 1.
    """
    if not data.isascii() or _AFTER_KEY(data) or _AFTER_COMMA(data) or _FIRST_OF_LIST(data):
        return None
    try:
        value = orjson.loads(data)
        exact = orjson.dumps(value, option=_EXACT) == data
    except (ValueError, TypeError, RecursionError):
        return None
    return value if exact and isinstance(value, dict) else None


def parse_to_compare(data: bytes) -> dict[str, Any]:
    """Parse a JSON object for a caller who writes it again and compares the bytes.

    That is why a repeated key goes unnoticed here: written again, it is there once.
    """
    return _parse_object(data, _PLAIN)


def _refuse_inexact(value: Any) -> None:
    if value is None or isinstance(value, str):
        return
    if isinstance(value, float):
        raise FormatError("a ledger payload holds integers and strings only; found a float")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise FormatError("a ledger payload holds integers up to 2^53 - 1; found a larger one")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise FormatError("a key of a JSON object must be text")
            _refuse_inexact(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_inexact(item)
    elif not isinstance(value, int):
        raise FormatError(f"a ledger payload holds JSON values only; found {type(value).__name__}")


def parse_json(data: bytes) -> dict[str, Any]:
    """Parse a JSON object, refusing duplicate keys, NaN, floats and anything not an object."""
    return _parse_object(data, _DECODER)


def _parse_object(data: bytes, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        if data.count(b"{") + data.count(b"[") > _SURELY_SHALLOW:
            # It refuses deep nesting by itself; json relies on the interpreter's recursion limit,
            # which a library may have raised beyond what the stack holds.
            orjson.loads(data)
        value = decoder.decode(data.decode())
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


def _no_float(_text: str) -> Any:
    raise ValueError("a number in it is not an integer")


def _exact(text: str) -> int:
    if len(text) > 17 or abs(value := int(text)) > MAX_INTEGER:
        raise ValueError("a number in it is larger than 2^53 - 1")
    return value


# Made once: json.loads builds a new one for every call.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_no_float, parse_int=_exact, parse_constant=_no_float
)
_PLAIN = json.JSONDecoder(parse_float=_no_float, parse_int=_exact, parse_constant=_no_float)
_SURELY_SHALLOW = 400
# A fraction or an exponent after what a number may follow; inside a text it is a false alarm.
# Three searches for a fixed first byte take half the time of one for any of the three.
_AFTER_KEY = re.compile(rb":-?[0-9]+[.eE]").search
_AFTER_COMMA = re.compile(rb",-?[0-9]+[.eE]").search
_FIRST_OF_LIST = re.compile(rb"\[-?[0-9]+[.eE]").search
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS
_EXACT = _SORTED | orjson.OPT_STRICT_INTEGER


def payload_type(type_: str, version: int) -> str:
    """Return the DSSE payloadType of an entry type, e.g. consent.granted version 1."""
    return f"{PAYLOAD_TYPE_PREFIX}{type_}.v{version}+json"


def pae(type_: str, version: int, payload_bytes: bytes) -> bytes:
    """Return the DSSE v1 pre-authentication encoding that signers sign."""
    name = payload_type(type_, version).encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload_bytes), payload_bytes)


def entry_bytes(entry: Entry) -> bytes:
    """Return the fixed binary layout an entry is committed to: length-prefixed (u32 BE) fields."""
    if entry._bytes is not None:
        return entry._bytes
    fields = [entry.payload_type.encode(), entry.payload_bytes]
    for signature in entry.signatures:
        fields += (signature.kind.encode(), signature.public_key, *signature.parts)
    data = b"".join([_LENGTH(len(item)) + item for item in fields])
    object.__setattr__(entry, "_bytes", data)
    return data


def parse_entry_bytes(data: bytes) -> Entry:
    """Parse `entry_bytes`, which has one form for each entry. Raises FormatError."""
    fields = _fields(data)
    if len(fields) < 2:
        raise FormatError("an entry needs a payload type and a payload")
    type_, version = _payload_type_of(fields[0])
    signatures, at, count = [], 2, len(fields)
    while at < count:
        kind, parts = _KINDS.get(fields[at], (None, 0))
        end = at + 2 + parts
        if kind is None or count < end:
            raise FormatError(f"signature kind {fields[at][:20]!r} is unknown or cut short")
        signatures.append(Signature(kind, fields[at + 1], tuple(fields[at + 2 : end])))
        at = end
    entry = Entry(type_, version, fields[1], tuple(signatures))
    # It has this one form, so whoever checks its commitment need not write it again.
    object.__setattr__(entry, "_bytes", data)
    return entry


@lru_cache(256)
def _payload_type_of(data: bytes) -> tuple[str, int]:
    try:
        return parse_payload_type(data.decode("ascii"))
    except UnicodeDecodeError:
        raise FormatError("a name in entry bytes is not ASCII") from None


def _fields(data: bytes) -> list[bytes]:
    fields, at, size = [], 0, len(data)
    number = int.from_bytes
    while at < size:
        start = at + 4
        at = start + number(data[at:start], "big")
        if at > size:
            where = "a length" if start > size else "a field"
            raise FormatError(f"entry bytes are cut inside {where}")
        fields.append(data[start:at])
    return fields


def parse_payload_type(text: str) -> tuple[str, int]:
    """Split a payloadType into entry type and version."""
    body = text.removeprefix(PAYLOAD_TYPE_PREFIX).removesuffix("+json")
    type_, _, version = body.rpartition(".v")
    if payload_type(type_, 0)[:-6] + f"{version}+json" != text or not type_:
        raise FormatError(f"payload type {text[:60]!r} is not one of ours")
    if not (version.isascii() and version.isdecimal()) or len(version) > 9:
        raise FormatError(f"payload type {text[:60]!r} has no version number")
    if str(int(version)) != version:
        raise FormatError(f"payload type {text[:60]!r} has a version with leading zeros")
    return type_, int(version)


def commitment(salt: bytes, entry: Entry, data: bytes | None = None) -> bytes:
    """Return HMAC-SHA256(salt, "omic/entry/v1" || entry bytes), 32 bytes (salt: 32 random bytes).

    It stands in the leaf of a personal entry; once salt and envelope are erased it means nothing.
    data: the entry bytes, if the caller has made them of this entry already.
    """
    if len(salt) != 32:
        raise FormatError(f"the salt of a personal entry is 32 bytes, not {len(salt)}")
    message = COMMITMENT_CONTEXT + (entry_bytes(entry) if data is None else data)
    # RFC 2104 by its definition: hmac.digest gives up the interpreter lock each time, which costs
    # a busy log more than the hashing; a short sha256 does not.
    block = salt.ljust(64, b"\0")
    inner = hashlib.sha256(block.translate(_INNER) + message).digest()
    return hashlib.sha256(block.translate(_OUTER) + inner).digest()


def about_tag(party: str, committed: bytes) -> bytes:
    """Return the 16 bytes by which a personal leaf says whom it is about to who knows the party.

    SHA-256("omic/about/v1" || party id || commitment), cut. A party's id is 128 random bits that
    stand in envelopes only, so nobody else can tell, nor that two leaves are about one party; but
    its owner's client finds every leaf about it, and a follower that nobody can let an entry of
    somebody else's disappear.
    """
    return hashlib.sha256(ABOUT_CONTEXT + party.encode() + committed).digest()[:16]


@lru_cache(4096)
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
        signatures = tuple(_signature(item) for item in value["signatures"])
        salt = value.get("salt")
        attachments = {str(k): unb64(v) for k, v in (value.get("attachments") or {}).items()}
        entry = Entry(type_, version, unb64(value["payload"]), signatures)
    except (KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"the submission lacks a field or has a wrong kind: {error}") from None
    return Submission(entry, None if salt is None else unb64(salt), attachments)


def _signature(value: Any) -> Signature:
    kind, parts = value["kind"], tuple(unb64(part) for part in value["parts"])
    if not isinstance(kind, str) or len(parts) != SIGNATURE_PARTS.get(kind):
        raise FormatError("a signature in the submission has an unknown kind or misses a part")
    return Signature(kind, unb64(value["public_key"]), parts)


def b64(data: bytes) -> str:
    """Encode as standard base64 with padding."""
    return binascii.b2a_base64(data, newline=False).decode()


def unb64(text: str) -> bytes:
    """Decode standard base64 in its only accepted spelling; raises FormatError."""
    try:
        given = text.encode("ascii")
        data = binascii.a2b_base64(given, strict_mode=True)
    except (binascii.Error, ValueError, AttributeError):
        raise FormatError("a field is not standard base64") from None
    # The unused last bits must be zero, or one value would have several spellings.
    if binascii.b2a_base64(data, newline=False) != given:
        raise FormatError("a field is not in the only accepted form of base64")
    return data
