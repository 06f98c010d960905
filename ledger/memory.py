"""The newest checkpoint a client has verified, kept in a file: how it notices a changed past."""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from ledger.checkpoint import parse_checkpoint
from ledger.errors import FormatError, LedgerError
from ledger.note import parse_note


@dataclass(frozen=True, slots=True)
class Remembered:
    """A checkpoint as it was verified, with its note for evidence."""

    size: int
    root: bytes
    note: str


def load_checkpoint(path: Path, origin: str) -> Remembered | None:
    """Read what `save_checkpoint` kept for this log; None if there is no file.

    Raises FormatError for a damaged file: forgetting it silently would hide a fork.
    """
    try:
        note = str(json.loads(path.read_bytes())["note"])
        checkpoint = parse_checkpoint(parse_note(note.encode()).text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, LedgerError):
        raise FormatError(
            f"{path} is damaged; put it back from a copy. Deleting it gives up noticing whether "
            "the ledger changed its past"
        ) from None
    if checkpoint.origin != origin:
        raise FormatError(f"{path} belongs to another log, {checkpoint.origin!r}")
    return Remembered(checkpoint.size, checkpoint.root, note)


def save_checkpoint(path: Path, origin: str, seen: Remembered) -> None:
    """Replace the file in one step, durably. Raises OSError; the one before then still stands.

    Each writes a file of its own first: several may follow a log from one directory, and of two
    that write at once the last one's checkpoint stays, whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    value = {"origin": origin, "size": seen.size, "root": seen.root.hex(), "note": seen.note}
    try:
        with fresh.open("x") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
