"""Checkpoints: what a log signs about its tree. Spec: C2SP tlog-checkpoint.

Never judges a checkpoint: signatures are in `note`, trust in `policy`.
"""

import base64
from dataclasses import dataclass

from ledger.errors import FormatError
from ledger.merkle import HASH_SIZE, MAX_SIZE
from ledger.vkey import decode_hash, encode_text, parse_decimal


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size (entries) and root hash (32 bytes) of the log named by `origin`."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or any(c < " " for c in line):
                raise FormatError("a checkpoint's origin and extensions must be non-empty lines")
            encode_text(line)
        if not 0 <= self.size <= MAX_SIZE:
            raise FormatError(f"a checkpoint's size must be 0..2^63-1, not {self.size}")
        if len(self.root) != HASH_SIZE:
            raise FormatError(f"a checkpoint's root must be 32 bytes, not {len(self.root)}")


def parse_checkpoint(text: str) -> Checkpoint:
    """Parse the text of a checkpoint note, final newline included. Raises FormatError."""
    origin, *rest = text.split("\n")
    if len(rest) < 3 or rest[-1]:
        raise FormatError("a checkpoint must be origin, size and root lines, each ending in \\n")
    size = parse_decimal(rest[0], "the checkpoint's size")
    root = decode_hash(rest[1], "the checkpoint's root")
    return Checkpoint(origin, size, root, tuple(rest[2:-1]))


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """Format the text a log signs: origin, size, root, extensions. Tlog-checkpoint, "Format"."""
    root = base64.b64encode(checkpoint.root).decode()
    lines = (checkpoint.origin, str(checkpoint.size), root, *checkpoint.extensions)
    return "".join(f"{line}\n" for line in lines)
