"""Signed notes: text with one or more signature lines. Spec: C2SP signed-note.

Never decides whom to trust: the caller hands in the known keys. Note text means nothing until
`verify_note` returned.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.cosignature import verify_cosignature
from ledger.errors import FormatError, VerificationError
from ledger.signatures import verify_ed25519
from ledger.vkey import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    ED25519,
    NoteSignature,
    VerifierKey,
    decode_base64,
    decode_text,
    encode_text,
    format_vkey,
    parse_signature_line,
    parse_vkey,
)

__all__ = [
    "COSIGNATURE_ED25519",
    "COSIGNATURE_MLDSA44",
    "ED25519",
    "Ed25519Signer",
    "Note",
    "NoteSignature",
    "Signer",
    "VerifiedSignature",
    "VerifierKey",
    "format_note",
    "format_private_key",
    "format_signatures",
    "format_vkey",
    "merge_signatures",
    "parse_note",
    "parse_private_key",
    "parse_signatures",
    "parse_vkey",
    "sign_note",
    "verify_note",
    "verify_signature",
]

MAX_SIGNATURES = 128  # the specification asks for at least 16
MAX_NOTE_BYTES = 512 * 1024  # room for that many ML-DSA-44 lines


@dataclass(frozen=True, slots=True)
class Note:
    """A parsed note: `text` with its final newline, and the signatures it claims."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """A signature that verified; `time` is None for a type that carries none."""

    key: VerifierKey
    time: int | None


class Signer(Protocol):
    """Signs note text with one named key."""

    @property
    def vkey(self) -> VerifierKey:
        """Return the public key signatures verify with."""
        ...

    def sign(self, text: str) -> NoteSignature:
        """Sign note text, its final newline included."""
        ...


class Ed25519Signer:
    """Signs note text with a plain Ed25519 key (type 0x01), from its 32-byte seed."""

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != 32:
            raise FormatError("an Ed25519 seed must be 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._vkey = VerifierKey(name, ED25519, self._key.public_key().public_bytes_raw())

    @property
    def vkey(self) -> VerifierKey:
        """Return the public key signatures verify with."""
        return self._vkey

    def sign(self, text: str) -> NoteSignature:
        """Sign note text, its final newline included."""
        return NoteSignature(self.vkey.name, self.vkey.key_id, self._key.sign(encode_text(text)))


def parse_private_key(text: str) -> Ed25519Signer:
    """Read Go's `PRIVATE+KEY+<name>+<key id>+<base64(0x01 || seed)>`. Raises FormatError."""
    parts = text.split("+", 4)
    if len(parts) != 5 or parts[:2] != ["PRIVATE", "KEY"]:
        raise FormatError("a private key must be PRIVATE+KEY+<name>+<key id>+<base64>")
    raw = decode_base64(parts[4], "the private key")
    if len(raw) != 33 or raw[0] != ED25519:
        raise FormatError("a private key must hold the type byte 0x01 and a 32-byte seed")
    signer = Ed25519Signer(parts[2], raw[1:])
    if signer.vkey.key_id.hex() != parts[3]:
        raise FormatError("the private key's key id does not match its name and seed")
    return signer


def format_private_key(name: str, seed: bytes) -> str:
    """Format an Ed25519 seed as `parse_private_key` reads it. The result is a secret."""
    signer = Ed25519Signer(name, seed)
    encoded = base64.b64encode(bytes([ED25519]) + seed).decode()
    return f"PRIVATE+KEY+{name}+{signer.vkey.key_id.hex()}+{encoded}"


def parse_note(data: bytes) -> Note:
    """Parse a signed note, verifying nothing. Section "Format". Raises FormatError."""
    whole = decode_text(data, "the note", MAX_NOTE_BYTES)
    text, separator, lines = whole.rpartition("\n\n")
    if not separator or not lines:
        raise FormatError("a note must be text, a blank line and signature lines")
    return Note(text + "\n", _parse_lines(lines))


def format_note(note: Note) -> bytes:
    """Format a note: text, blank line, signature lines. Raises FormatError."""
    if not note.text.endswith("\n") or not note.signatures:
        raise FormatError("a note needs text ending in a newline, and a signature")
    return encode_text(note.text) + b"\n" + format_signatures(note.signatures)


def parse_signatures(data: bytes) -> tuple[NoteSignature, ...]:
    """Parse bare signature lines, as a witness answers with. Raises FormatError."""
    return _parse_lines(decode_text(data, "the signature lines", MAX_NOTE_BYTES))


def format_signatures(signatures: Iterable[NoteSignature]) -> bytes:
    """Format signature lines, each ending in a newline."""
    return encode_text("".join(signature.line() for signature in signatures))


def _parse_lines(lines: str) -> tuple[NoteSignature, ...]:
    if not lines.endswith("\n"):
        raise FormatError("the last signature line does not end in a newline")
    split = lines[:-1].split("\n")
    if len(split) > MAX_SIGNATURES:
        raise FormatError(f"a note may carry at most {MAX_SIGNATURES} signatures")
    return tuple(parse_signature_line(line) for line in split)


def sign_note(text: str, signers: Iterable[Signer]) -> Note:
    """Sign text with each signer in order. Raises FormatError for text no note can hold."""
    if not text.endswith("\n") or decode_text(encode_text(text), "the text", MAX_NOTE_BYTES) == "":
        raise FormatError("note text must end in a newline")
    return Note(text, tuple(signer.sign(text) for signer in signers))


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> tuple[VerifiedSignature, ...]:
    """Check every signature made by a known key; return them, in the order of the note.

    Signatures by unknown keys are ignored. Section "Signatures". Raises VerificationError when a
    known key's signature is wrong, or no known key signed.
    """
    known = {(key.name, key.key_id): key for key in keys}
    verified = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            verified.append(verify_signature(key, note.text, signature.signature))
    if not verified:
        raise VerificationError("the note is not signed by any known key")
    return tuple(verified)


def merge_signatures(note: Note, answer: bytes, keys: Iterable[VerifierKey]) -> Note:
    """Add to a note the signature lines of an answer that are by known keys, each verified.

    Lines by unknown keys are dropped. Tlog-witness, "add-checkpoint". Raises FormatError, or
    VerificationError when a known key's line is wrong or no known key answered.
    """
    keys = tuple(keys)
    offered = parse_signatures(answer)
    verify_note(Note(note.text, offered), keys)
    known = {(key.name, key.key_id) for key in keys}
    kept = (one for one in offered if (one.name, one.key_id) in known)
    return Note(note.text, (*note.signatures, *kept))


def verify_signature(key: VerifierKey, text: str, signature: bytes) -> VerifiedSignature:
    """Check one signature by the rule of the key's type. Raises VerificationError."""
    if key.key_type in (COSIGNATURE_ED25519, COSIGNATURE_MLDSA44):
        return VerifiedSignature(key, verify_cosignature(key, text, signature))
    try:
        verify_ed25519(key.public_key, encode_text(text), signature)
    except VerificationError as error:
        raise VerificationError(f"the signature of {key.name}: {error}") from None
    return VerifiedSignature(key, None)
