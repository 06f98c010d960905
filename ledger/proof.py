"""Offline receipts: a proof, kept by whoever appended, that an entry is in the log.

Spec: C2SP tlog-proof. Never trusts the `extra` data, which nothing authenticates.
"""

import base64
from dataclasses import dataclass

from ledger.errors import FormatError
from ledger.merkle import leaf_hash, verify_inclusion
from ledger.policy import Policy, VerifiedCheckpoint, verify_checkpoint
from ledger.vkey import decode_base64, decode_hash, decode_text, encode_text, parse_decimal

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_BYTES = 1024 * 1024
MAX_PATH = 63


@dataclass(frozen=True, slots=True)
class LogProof:
    """A parsed proof: entry index, inclusion path (leaf's sibling first), checkpoint note, extra.

    `extra` is None where the proof has no such line.
    """

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def parse_proof(data: bytes) -> LogProof:
    """Parse a proof, verifying nothing. Section "Format". Raises FormatError."""
    text = decode_text(data, "the proof", MAX_PROOF_BYTES)
    head, separator, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or not checkpoint or lines.pop(0) != HEADER:
        raise FormatError(f"a proof must start with {HEADER}, and hold a blank line and a note")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "), "the proof's extra data")
    if not lines or not lines[0].startswith("index "):
        raise FormatError("the proof has no index line")
    index = parse_decimal(lines.pop(0).removeprefix("index "), "the proof's index")
    return LogProof(index, _parse_path(lines), encode_text(checkpoint), extra)


def _parse_path(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > MAX_PATH:
        raise FormatError(f"an inclusion path has at most {MAX_PATH} hashes")
    return tuple(decode_hash(line, "a hash of the inclusion path") for line in lines)


def format_proof(proof: LogProof) -> bytes:
    """Write a proof as `parse_proof` reads it."""
    lines = [HEADER]
    if proof.extra is not None:
        lines.append("extra " + base64.b64encode(proof.extra).decode())
    lines.append(f"index {proof.index}")
    lines += (base64.b64encode(one).decode() for one in proof.path)
    return "\n".join(lines).encode() + b"\n\n" + proof.checkpoint


def verify_proof(leaf: bytes, policy: Policy, data: bytes) -> VerifiedCheckpoint:
    """Check offline that the entry bytes `leaf` are in a log under `policy`.

    Returns the checkpoint the proof rests on. Raises FormatError, VerificationError or
    PolicyError.
    """
    proof = parse_proof(data)
    verified = verify_checkpoint(policy, proof.checkpoint)
    checkpoint = verified.checkpoint
    verify_inclusion(proof.index, checkpoint.size, leaf_hash(leaf), proof.path, checkpoint.root)
    return verified
