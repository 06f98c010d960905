"""The fold, kept in a file between runs, so that a follower goes on instead of starting over.

A snapshot is only a shortcut: it stands in a tree its witnesses cosigned, it is read back only by
the very program and pins that wrote it, and only under a secret of its owner, because whoever could
write it could invent a consent. Anything else about it, and it is left aside and the log is folded
from the first entry.

A file is lines of canonical JSON (`ledger.fold_rows`), each behind an HMAC-SHA256 over it and the
line before, checked before the line is read; so it is written and read in one pass, in little
memory. What was erased is not in it: an erased dataset and its grants keep their ids and leaf
indexes, as the leaves do, and nothing more.
"""

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import IO

import orjson

from ledger import collector
from ledger.errors import LedgerError
from ledger.fold_rows import CHUNK, Chunk, Rebuilt, rows_of
from ledger.merkle import Frontier
from ledger.state import State
from ledger.trust import Pins

MAGIC = b"omic fold snapshot 2\n"
KEY_BYTES = 32
MAC_DIGITS = 64
EVERY = 20_000
SHARE = 20
# What bad bytes can raise on the way to a state; the HMAC lets only our own bytes get there.
_UNREADABLE = (LedgerError, ValueError, TypeError, KeyError, IndexError, AttributeError)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A fold and where it stands: the tree so far, and a cosigned checkpoint of it or beyond it.

    proof: that the checkpoint's tree continues this one (RFC 6962); empty when they are the same.
    """

    state: State
    frontier: Frontier
    tile_roots: list[bytes]
    tail: list[bytes]
    note: str
    proof: list[bytes] = field(default_factory=list)


class Snapshots:
    """One snapshot file. key: at least 32 secret bytes that only the file's owner has."""

    def __init__(self, path: Path, key: bytes, clock: Callable[[], float] = time.monotonic) -> None:
        if len(key) < KEY_BYTES:
            raise ValueError("a snapshot needs a key of 32 secret bytes")
        self.path = path
        self._key = hmac.digest(key, b"omic/fold-snapshot/v2", "sha256")
        self._clock = clock
        self._size = 0
        self._not_before = 0.0

    def load(self, pins: Pins, personal: bool) -> Snapshot | None:
        """Return what was kept, if it is whole, ours, and of this program, pins and kind."""
        try:
            with self.path.open("rb") as file, collector.paused():
                found = _read(self._lines(file, pins, personal), pins)
        except (OSError, *_UNREADABLE):
            return None
        self._size = found.state.size
        return found

    def due(self, size: int) -> bool:
        """Tell whether enough was folded since the last one, and time enough has passed."""
        return size - self._size >= max(EVERY, self._size // SHARE) and (
            self._clock() >= self._not_before
        )

    def save(self, snapshot: Snapshot) -> None:
        """Replace the file in one step. Raises OSError; the one before then still stands."""
        start = self._clock()
        state = snapshot.state
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.path.with_name(self.path.name + ".new")
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(MAGIC)
            mac = self._mac(state.pins, state.personal)
            for line in _written(snapshot):
                mac = self._next(mac, line)
                file.write(b"%b %b\n" % (mac.hex().encode(), line))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self._size = state.size
        # At most a twentieth of the time goes into keeping it.
        self._not_before = self._clock() + SHARE * (self._clock() - start)

    def forget(self) -> None:
        """Delete the file: something in it was erased."""
        self.path.unlink(missing_ok=True)
        self.path.with_name(self.path.name + ".new").unlink(missing_ok=True)
        self._size = 0

    def _lines(self, file: IO[bytes], pins: Pins, personal: bool) -> Iterator[bytes]:
        """Yield each line that is authentic and in its place. Raises ValueError at one that is not.

        A file cut short ends without its last line, which `_read` asks for.
        """
        if file.readline() != MAGIC:
            raise ValueError("this is no snapshot of this program")
        mac = self._mac(pins, personal)
        for whole in file:
            line = whole[MAC_DIGITS + 1 : -1]
            mac = self._next(mac, line)
            if whole != b"%b %b\n" % (mac.hex().encode(), line):
                raise ValueError("a line of the snapshot is not what its owner wrote")
            yield line

    def _mac(self, pins: Pins, personal: bool) -> bytes:
        mac = hmac.new(self._key, b"", "sha256")
        for part in (program_digest(), repr(pins).encode(), b"%d" % personal):
            mac.update(len(part).to_bytes(8, "big") + part)
        return mac.digest()

    def _next(self, before: bytes, line: bytes) -> bytes:
        return hmac.digest(self._key, before + line, "sha256")


def _written(snapshot: Snapshot) -> Iterator[bytes]:
    for chunk in chain(_place(snapshot), rows_of(snapshot.state), [("end", [])]):
        yield orjson.dumps(chunk)


def _place(snapshot: Snapshot) -> Iterator[Chunk]:
    yield "place", [snapshot.frontier.to_bytes().hex(), snapshot.note]
    for name, hashes in (
        ("tile_roots", snapshot.tile_roots),
        ("tail", snapshot.tail),
        ("proof", snapshot.proof),
    ):
        for at in range(0, len(hashes), CHUNK):
            yield name, [one.hex() for one in hashes[at : at + CHUNK]]


def _read(lines: Iterable[bytes], pins: Pins) -> Snapshot:
    """Put a snapshot together. Raises ValueError and the like for one that is not whole."""
    rebuilt = Rebuilt(pins)
    hashes: dict[str, list[bytes]] = {"tile_roots": [], "tail": [], "proof": []}
    place: list[str] = []
    for name, rows in map(orjson.loads, lines):
        if name == "place":
            place = rows
        elif name in hashes:
            hashes[name] += map(bytes.fromhex, rows)
        elif name == "end":
            frontier, note = place
            return Snapshot(
                rebuilt.state, Frontier.from_bytes(bytes.fromhex(frontier)), note=note, **hashes
            )
        else:
            rebuilt.add(name, rows)
    raise ValueError("the snapshot is cut short")


@cache
def program_digest() -> bytes:
    """Return the SHA-256 of this package's code: another program may fold otherwise."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.digest()
