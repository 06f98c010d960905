"""Timestamped cosignatures on checkpoints. Spec: C2SP tlog-cosignature.

Two kinds: Ed25519 `cosignature/v1` (0x04) and ML-DSA-44 `subtree/v1` (0x06), the latter where
the installed `cryptography` offers it (ask `mldsa44_available`). Never reads a clock: the time
is an argument, POSIX seconds. A time of 0 makes no statement about freshness and is refused.
"""

import struct
from functools import cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from ledger.checkpoint import Checkpoint, parse_checkpoint
from ledger.errors import FormatError, VerificationError
from ledger.signatures import verify_ed25519
from ledger.vkey import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    NoteSignature,
    VerifierKey,
    encode_text,
)

MAX_TIME = 2**63 - 1
_TIME = struct.Struct(">Q")
_RANGE = struct.Struct(">QQ")


def cosignature_message(text: str, time: int) -> bytes:
    """Build the bytes an Ed25519 cosigner signs. Section "Ed25519 signed message"."""
    return b"cosignature/v1\ntime %d\n" % time + encode_text(text)


def subtree_message(
    cosigner: str, time: int, origin: str, span: tuple[int, int], root: bytes
) -> bytes:
    """Build the bytes an ML-DSA-44 cosigner signs. Section "ML-DSA-44 signed message"."""
    start, end = span
    if start != 0 and time != 0:
        raise FormatError("a subtree that does not start at 0 is signed with time 0")
    head = b"subtree/v1\n\x00" + _opaque(cosigner) + _TIME.pack(time)
    return head + _opaque(origin) + _RANGE.pack(start, end) + root


def _opaque(text: str) -> bytes:
    raw = encode_text(text)
    if not 1 <= len(raw) <= 255:
        raise FormatError("an ML-DSA-44 cosignature needs names of 1..255 bytes")
    return bytes([len(raw)]) + raw


def _checkpoint_message(cosigner: str, time: int, checkpoint: Checkpoint) -> bytes:
    return subtree_message(cosigner, time, checkpoint.origin, (0, checkpoint.size), checkpoint.root)


class Ed25519Cosigner:
    """Makes `cosignature/v1` lines. One key per cosigner: the message does not name it."""

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != 32:
            raise FormatError("an Ed25519 seed must be 32 bytes")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        public_key = self._key.public_key().public_bytes_raw()
        self.vkey = VerifierKey(name, COSIGNATURE_ED25519, public_key)

    def cosign(self, text: str, time: int) -> NoteSignature:
        """Cosign the text of a checkpoint at `time` (POSIX seconds). Raises FormatError."""
        _check_time(time)
        parse_checkpoint(text)
        signature = _TIME.pack(time) + self._key.sign(cosignature_message(text, time))
        return NoteSignature(self.vkey.name, self.vkey.key_id, signature)


class MLDSA44Cosigner:
    """Makes `subtree/v1` lines over whole checkpoints, from a 32-byte FIPS 204 seed."""

    def __init__(self, name: str, seed: bytes) -> None:
        if len(seed) != 32:
            raise FormatError("an ML-DSA-44 seed must be 32 bytes")
        try:
            self._key = MLDSA44PrivateKey.from_seed_bytes(seed)
        except UnsupportedAlgorithm:
            raise FormatError("the installed cryptography has no ML-DSA-44; use Ed25519") from None
        public_key = self._key.public_key().public_bytes_raw()
        self.vkey = VerifierKey(name, COSIGNATURE_MLDSA44, public_key)

    def cosign(self, text: str, time: int) -> NoteSignature:
        """Cosign the text of a checkpoint at `time` (POSIX seconds). Raises FormatError."""
        _check_time(time)
        message = _checkpoint_message(self.vkey.name, time, parse_checkpoint(text))
        signature = _TIME.pack(time) + self._key.sign(message)
        return NoteSignature(self.vkey.name, self.vkey.key_id, signature)


def verify_cosignature(key: VerifierKey, text: str, signature: bytes) -> int:
    """Check a 0x04 or 0x06 signature on a checkpoint's text; return its time in POSIX seconds.

    Raises VerificationError.
    """
    if len(signature) <= _TIME.size:
        raise VerificationError(f"the cosignature of {key.name} is too short")
    time = int.from_bytes(signature[: _TIME.size], "big")
    try:
        _check_time(time)
        checkpoint = parse_checkpoint(text)
        _verify_kind(key, text, checkpoint, time, signature[_TIME.size :])
    except FormatError as error:
        raise VerificationError(f"the cosignature of {key.name}: {error}") from None
    return time


def _verify_kind(
    key: VerifierKey, text: str, checkpoint: Checkpoint, time: int, signature: bytes
) -> None:
    if key.key_type == COSIGNATURE_ED25519:
        verify_ed25519(key.public_key, cosignature_message(text, time), signature)
    elif key.key_type == COSIGNATURE_MLDSA44:
        _verify_mldsa44(key, _checkpoint_message(key.name, time, checkpoint), signature)
    else:
        raise VerificationError(f"key {key.name} does not make cosignatures")


def _verify_mldsa44(key: VerifierKey, message: bytes, signature: bytes) -> None:
    try:
        MLDSA44PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise VerificationError(f"the ML-DSA-44 signature of {key.name} is wrong") from None
    except UnsupportedAlgorithm:
        raise VerificationError("the installed cryptography has no ML-DSA-44") from None


@cache
def mldsa44_available() -> bool:
    """Tell whether ML-DSA-44 works here, by signing and verifying once."""
    text = "probe\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    try:
        cosigner = MLDSA44Cosigner("probe", bytes(32))
        return verify_cosignature(cosigner.vkey, text, cosigner.cosign(text, 1).signature) == 1
    except (FormatError, VerificationError):
        return False


def _check_time(time: int) -> None:
    if not 0 < time <= MAX_TIME:
        raise FormatError(f"a checkpoint is cosigned at a time of 1..2^63-1, not {time}")
