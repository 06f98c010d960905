"""What the log keeps, as a port: the promises a store makes. `store_sql` keeps them.

Two kinds of rows: what is for ever (leaves, tiles, identities, heads) and what can be erased
(envelopes, attachments). Never interprets an entry: `log` decides what is written and erased.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ledger.merkle import Frontier


@dataclass(frozen=True, slots=True)
class Head:
    """The newest sequenced tree; time is the Unix ms of its last leaf, 0 when empty."""

    frontier: Frontier = field(default_factory=Frontier)
    time: int = 0

    @property
    def size(self) -> int:
        """Return how many leaves are sequenced."""
        return self.frontier.size

    @property
    def root(self) -> bytes:
        """Return the tree's root hash (RFC 6962), 32 bytes."""
        return self.frontier.root()


@dataclass(frozen=True, slots=True)
class Row:
    """One entry to append. envelope: (entry bytes, salt) of a personal one, else None."""

    index: int
    leaf: bytes
    identities: tuple[bytes, ...]
    envelope: tuple[bytes, bytes] | None = None
    attachments: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """Everything one durable step writes and erases.

    tiles: (level, index) -> bytes at their new width. erase: leaf indexes whose envelope and
    attachments go; drop: those whose attachments go. Both act after the rows are in.
    """

    rows: Sequence[Row]
    tiles: Mapping[tuple[int, int], bytes]
    access_trees: Mapping[bytes, bytes] = field(default_factory=dict)
    erase: Collection[int] = ()
    drop: Collection[int] = ()


class Store(Protocol):
    """Where a log lives. Every method may raise StoreError."""

    def head(self) -> Head:
        """Return the newest durable head."""

    def append(self, expected: Head, new: Head, batch: Batch) -> None:
        """Move the head from `expected` to `new` with the batch: all of it or nothing.

        PROMISE: when this returns, all of it survives a crash and a power cut. When it raises,
        either nothing was written or (connection lost at commit) all of it: read `head` again.
        Raises StoreError if the head is not `expected` by (size, root): somebody else wrote.
        """

    def find(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """Return the leaf index of each identity that is already in the log."""

    def leaves(self, start: int, end: int) -> list[bytes]:
        """Return the leaves [start, end). Raises NotFoundError, naming the first that is gone."""

    def envelopes(self, indexes: Collection[int]) -> dict[int, tuple[bytes, bytes]]:
        """Return (entry bytes, salt) of those indexes that have an envelope."""

    def attachments(self, indexes: Collection[int], name: str) -> dict[int, bytes]:
        """Return the named attachment of those indexes that have it."""

    def access_tree(self, root: bytes) -> bytes | None:
        """Return the sorted leaves of an access tree, concatenated."""

    def tile(self, level: int, index: int) -> bytes | None:
        """Return a hash tile at its present width."""

    def published(self) -> bytes | None:
        """Return the newest published checkpoint."""

    def publish(self, size: int, root: bytes, note: bytes, now_ms: int) -> None:
        """Keep a checkpoint as the newest published. PROMISE: durable when this returns."""

    def scrub(self) -> None:
        """Make what was deleted unreadable in the database's own files.

        PROMISE (SQLite): pages, free list and write-ahead log hold it no more when this returns.
        PostgreSQL: deleted rows are vacuumed away, but bytes may stay in the page's free space
        and in the write-ahead log until both are reused; use an encrypted volume there.
        """

    def close(self) -> None:
        """Let go of the database and of the writer's lock."""
