"""Verifier keys, key ids and signature lines of signed notes.

Never holds private keys and never verifies: `note` and `cosignature` do. Spec: C2SP signed-note,
sections "Signatures" and "Verifier keys".
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import FormatError

ED25519 = 0x01
COSIGNATURE_ED25519 = 0x04
COSIGNATURE_MLDSA44 = 0x06

_PUBLIC_KEY_SIZES = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_MLDSA44: 1312}
_KEY_ID_HEX = re.compile(r"[0-9a-f]{8}")
_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE_PREFIX = "\u2014 "


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A named public key with its signature type; the name and key id together identify it."""

    name: str
    key_type: int
    public_key: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        size = _PUBLIC_KEY_SIZES.get(self.key_type)
        if size is None:
            raise FormatError(
                f"key {self.name}: signature type {self.key_type:#04x} is not supported; "
                "use 0x01, 0x04 or 0x06"
            )
        if len(self.public_key) != size:
            raise FormatError(
                f"key {self.name}: the public key must be {size} bytes, not {len(self.public_key)}"
            )

    @property
    def key_id(self) -> bytes:
        """The first 4 bytes of SHA-256(name || 0x0A || type || public key)."""
        return key_id(self.name, self.key_type, self.public_key)


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: who claims to have signed, and the bytes after the key id."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line, newline included."""
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"{_SIGNATURE_PREFIX}{self.name} {encoded}\n"


def key_id(name: str, key_type: int, public_key: bytes) -> bytes:
    """Compute the recommended key id, 4 bytes. Signed-note, section "Signatures"."""
    return sha256(name.encode() + b"\n" + bytes([key_type]) + public_key).digest()[:4]


def check_key_name(name: str) -> None:
    """Refuse an empty name, spaces, '+' and control characters. Raises FormatError."""
    if not name or any(c.isspace() or c == "+" or c < " " for c in name):
        raise FormatError("a key name must be non-empty, without spaces, '+' or control characters")
    encode_text(name)


def parse_vkey(text: str) -> VerifierKey:
    """Parse `<name>+<key id>+<base64(type || public key)>`. Raises FormatError."""
    name, *rest = text.split("+", 2)
    if len(rest) != 2 or not _KEY_ID_HEX.fullmatch(rest[0]):
        raise FormatError("a verifier key must be <name>+<8 lower-case hex digits>+<base64>")
    encoded = decode_base64(rest[1], f"verifier key {name!r}")
    if not encoded:
        raise FormatError(f"verifier key {name!r} has no type byte")
    key = VerifierKey(name, encoded[0], encoded[1:])
    if key.key_id.hex() != rest[0]:
        raise FormatError(f"verifier key {name!r}: the key id should be {key.key_id.hex()}")
    return key


def format_vkey(key: VerifierKey) -> str:
    """Format a verifier key as `parse_vkey` reads it."""
    encoded = base64.b64encode(bytes([key.key_type]) + key.public_key).decode()
    return f"{key.name}+{key.key_id.hex()}+{encoded}"


def parse_signature_line(line: str) -> NoteSignature:
    """Parse one signature line without its newline. Raises FormatError."""
    if not line.startswith(_SIGNATURE_PREFIX):
        raise FormatError("a signature line must start with an em dash and a space")
    name, separator, encoded = line[len(_SIGNATURE_PREFIX) :].partition(" ")
    if not separator:
        raise FormatError("a signature line must be: em dash, key name, base64")
    check_key_name(name)
    # As other implementations do, unused low bits of the last character are not examined here:
    # the line is not signed, and a signature is compared by its bytes.
    raw = decode_base64(encoded, f"signature of {name!r}", canonical=False)
    if len(raw) < 5:
        raise FormatError(f"the signature of {name!r} is too short to hold a key id")
    return NoteSignature(name, raw[:4], raw[4:])


def decode_base64(text: str, what: str, *, canonical: bool = True) -> bytes:
    """Decode padded standard base64 (RFC 4648 section 4). Raises FormatError, naming `what`."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise FormatError(f"{what} is not standard base64") from None
    if canonical and base64.b64encode(raw).decode() != text:
        raise FormatError(f"{what} is not canonical base64")
    return raw


def decode_hash(text: str, what: str) -> bytes:
    """Decode a base64 SHA-256 hash, 32 bytes. Raises FormatError, naming `what`."""
    raw = decode_base64(text, what)
    if len(raw) != 32:
        raise FormatError(f"{what} is not 32 bytes long")
    return raw


def parse_decimal(text: str, what: str) -> int:
    """Parse ASCII decimal digits without leading zeros, 0..2^63-1. Raises FormatError."""
    if not _DECIMAL.fullmatch(text) or int(text) > 2**63 - 1:
        raise FormatError(f"{what} must be a decimal number without leading zeros, below 2^63")
    return int(text)


def decode_text(data: bytes, what: str, limit: int) -> str:
    """Decode UTF-8 without control characters other than newline. Raises FormatError."""
    if len(data) > limit:
        raise FormatError(f"{what} is longer than {limit} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{what} is not UTF-8") from None
    if _CONTROL.search(text):
        raise FormatError(f"{what} contains a control character")
    return text


def encode_text(text: str) -> bytes:
    """Encode as UTF-8. Raises FormatError where the text holds a lone surrogate."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise FormatError("the text cannot be encoded as UTF-8") from None
