"""A mirror's copy: fetched from a log, checked against what its witnesses signed, then kept.

It believes the tree, not the log: a leaf is stored only once it is proven to be in a checkpoint
that meets the witness policy and continues what was stored before. It judges no entry (an
unknown type never stops a mirror), and it obeys every erasure that stands in the log.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from ledger.access_tree import format_access_tree, tree_root_of
from ledger.admission import ACCESS_TREE, identities
from ledger.checkpoint import parse_checkpoint
from ledger.client import Envelope, LedgerClient, UnavailableError
from ledger.entry_types import FINAL, REPLACE, RULES, Rule
from ledger.envelope import Entry, commitment, entry_bytes, parse_entry_bytes
from ledger.errors import FormatError, LedgerError, VerificationError
from ledger.freshness import FollowedCheckpoint, fetch_checkpoint, now_ms, require_growth
from ledger.growth import grow_tiles, load_edge
from ledger.leaf import Leaf, parse_leaf
from ledger.log import Published
from ledger.memory import Remembered
from ledger.merkle import Frontier, leaf_hash, verify_consistency
from ledger.note import parse_note
from ledger.reader import MAX_INDEXES, SEALED_GRANT
from ledger.store import Batch, Head, Row, Store
from ledger.trust import TrustPolicy

STEP = 16 * 256
logger = logging.getLogger("ledger.mirror")


class Keeps(StrEnum):
    """What a mirror copies. All but leaves makes it a processor of personal data."""

    LEAVES = "leaves"
    ENVELOPES = "envelopes"
    GRANTS = "grants"


@dataclass(frozen=True, slots=True)
class _Item:
    """One leaf on its way into the store; leaf None: of a form this program does not know."""

    index: int
    data: bytes
    leaf: Leaf | None
    entry: Entry | None = None
    salt: bytes | None = None

    @property
    def rule(self) -> Rule | None:
        return None if self.leaf is None else RULES.get((self.leaf.type, self.leaf.version))

    def commits_to(self, attachment: str) -> bool:
        """Tell whether its entry is at hand and came with this attachment."""
        return (
            self.entry is not None
            and self.rule is not None
            and (attachment in self.rule.attachments)
        )


class Source(Protocol):
    """Where a copy is made from: a log over HTTP, or another copy's store. Nothing is believed."""

    def entries(self, start: int, end: int) -> list[bytes]:
        """Return the leaves [start, end)."""
        ...

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of `new` continues that of `old` (RFC 6962, 2.1.2)."""
        ...

    def envelopes(self, indexes: Sequence[int]) -> list[Envelope]:
        """Return the envelopes of some leaves, erased ones too."""
        ...

    def grants(self, indexes: Sequence[int]) -> dict[int, bytes]:
        """Return the sealed grants of those leaves that have one."""
        ...

    def access_tree(self, root: bytes) -> list[bytes]:
        """Return the sorted leaves of an access tree."""
        ...


class Mirror:
    """Copies one log into a store. keeps other than leaves needs a client with that token."""

    def __init__(
        self,
        client: LedgerClient,
        trust: TrustPolicy,
        store: Store,
        keeps: Keeps = Keeps.LEAVES,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._client = client
        self._trust = trust
        self._store = store
        self._clock = clock
        self._copy = Copy(client, store, keeps)
        self._published = stored_checkpoint(store)

    def published(self) -> Published | None:
        """Return the newest checkpoint this mirror holds every leaf of."""
        return self._published

    def sync(self) -> FollowedCheckpoint:
        """Copy everything up to the log's newest checkpoint, and erase what it erases.

        Raises ConsistencyError (the log changed its past), VerificationError, PolicyError,
        StaleError, FormatError, UnavailableError or StoreError; what is stored stays good.
        """
        new = fetch_checkpoint(self._client, self._trust, self._clock())
        if self._published is not None:
            old = self._published
            require_growth(self._client, Remembered(old.size, old.root, old.note.decode()), new)
        self._copy.extend(new.size, new.root)
        note = new.note.encode()
        self._store.publish(new.size, new.root, note, self._clock())
        self._published = Published(new.size, new.root, note)
        return new


class Copy:
    """A store that is brought up to a tree somebody else has: leaves, and what `keeps` says."""

    def __init__(self, source: Source, store: Store, keeps: Keeps) -> None:
        self._source = source
        self._store = store
        self._keeps = keeps
        self._head = store.head()
        self._edge = load_edge(self._head.size, lambda level, at: store.tile(level, at) or b"")

    def extend(self, size: int, root: bytes) -> None:
        """Copy up to a tree of this size and root, which the caller has verified.

        Raises VerificationError or StoreError; what is stored stays good.
        """
        while self._head.size < size:
            self._step(size, root)

    def _step(self, size: int, root: bytes) -> None:
        start = self._head.size
        end = min(size, (start // STEP + 1) * STEP)
        leaves = self._source.entries(start, end)
        frontier, made = self._head.frontier.grow(map(leaf_hash, leaves))
        self._require_in_tree(frontier, size, root)
        items = self._opened([_read(at, data) for at, data in enumerate(leaves, start)])
        tiles, edge = grow_tiles(self._edge, start, made)
        times = [item.leaf.time for item in items if item.leaf is not None]
        head = Head(frontier, max(self._head.time, *times, 0))
        batch = self._batch(items, tiles)
        self._store.append(self._head, head, batch)
        self._head, self._edge = head, edge
        if batch.erase or batch.drop:
            self._store.scrub()

    def _batch(self, items: Sequence[_Item], tiles: Mapping[tuple[int, int], bytes]) -> Batch:
        grants = self._grants([item.index for item in items if item.commits_to(SEALED_GRANT)])
        trees = [item for item in items if item.commits_to(ACCESS_TREE)]
        return Batch(
            [_row(item, grants.get(item.index)) for item in items],
            tiles,
            dict(tree for item in trees if (tree := self._access_tree(item)) is not None),
            {at for item in items if item.leaf is not None for at in item.leaf.erases},
            {at for item in items for at in self._ended_by(item, items)},
        )

    def _ended_by(self, item: _Item, items: Sequence[_Item]) -> list[int]:
        """Return where sealed grants go: those a leaf ends for good, and one that is replaced."""
        rule = item.rule
        if item.leaf is None or self._keeps is not Keeps.GRANTS:
            return []
        if rule is not None and rule.stop not in (FINAL, REPLACE):
            return []
        ended = list(item.leaf.stops)
        if rule is None or rule.stop == FINAL:  # an unknown kind of stop is a final one
            held = {*self._store.attachments(ended, SEALED_GRANT), *(one.index for one in items)}
            # Not here any more: it was replaced, and what replaced it goes.
            for at in [at for at in ended if at not in held]:
                ended += self._replaced_by(at, items)
        return ended

    def _replaced_by(self, index: int, items: Sequence[_Item]) -> list[int]:
        """Return the later leaves of a grant, looked for in the log: a stop seldom names old ones.

        A leaf that replaces says in the clear what it replaces.
        """
        found, wanted = [], index
        for at, leaf in self._leaves_after(index, items):
            rule = RULES.get((leaf.type, leaf.version))
            if wanted in leaf.stops and rule is not None and rule.stop == REPLACE:
                found.append(at)
                wanted = at
        return found

    def _leaves_after(self, index: int, items: Sequence[_Item]) -> Iterator[tuple[int, Leaf]]:
        for start in range(index + 1, self._head.size, STEP):
            end = min(start + STEP, self._head.size)
            for at, data in enumerate(self._store.leaves(start, end), start):
                if (leaf := _read(at, data).leaf) is not None:
                    yield at, leaf
        yield from ((one.index, one.leaf) for one in items if one.leaf is not None)

    def _require_in_tree(self, grown: Frontier, size: int, root: bytes) -> None:
        if grown.size < size:
            proof = self._source.consistency(grown.size, size)
            verify_consistency(grown.size, size, proof, grown.root(), root)
        elif grown.root() != root:
            raise VerificationError(
                "the log serves other leaves than its witnesses signed; nothing was stored"
            )

    def _opened(self, items: Sequence[_Item]) -> list[_Item]:
        """Put envelopes beside the personal leaves; what the log has erased has none."""
        wanted = [i.index for i in items if i.leaf is not None and i.leaf.commitment is not None]
        if self._keeps is Keeps.LEAVES:
            return list(items)
        found = {one.index: one for one in self._source.envelopes(wanted)}
        return [_with_envelope(item, found.get(item.index)) for item in items]

    def _grants(self, indexes: Sequence[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        if self._keeps is Keeps.GRANTS:
            for at in range(0, len(indexes), MAX_INDEXES):
                found |= self._source.grants(indexes[at : at + MAX_INDEXES])
        return found

    def _access_tree(self, item: _Item) -> tuple[bytes, bytes] | None:
        """Fetch the access tree of an access; without it the leaf is kept all the same."""
        try:
            root = bytes.fromhex(item.entry.payload["cohort_root"] if item.entry else "")
            tags = self._source.access_tree(root)
            if tree_root_of(tags) != root:
                raise VerificationError("its tags do not have this root")
            return root, format_access_tree(tags)
        except UnavailableError:
            raise
        except (LedgerError, KeyError, TypeError, ValueError) as error:
            logger.warning("no access tree of entry %d: %s", item.index, error)
            return None


def personal_among(store: Store, start: int, end: int) -> int:
    """Return how many of the leaves [start, end) keep their envelope beside the log."""
    count = 0
    for at in range(start, end, STEP):
        for index, data in enumerate(store.leaves(at, min(at + STEP, end)), at):
            leaf = _read(index, data).leaf
            count += leaf is not None and leaf.commitment is not None
    return count


def stored_checkpoint(store: Store) -> Published | None:
    """Return the newest checkpoint a store keeps, as it was published."""
    note = store.published()
    if note is None:
        return None
    checkpoint = parse_checkpoint(parse_note(note).text)
    return Published(checkpoint.size, checkpoint.root, note)


def _read(index: int, data: bytes) -> _Item:
    try:
        leaf = parse_leaf(data)
    except FormatError as error:
        # Newer than this program: it is in the tree, so it is kept; but it cannot be obeyed.
        logger.warning("leaf %d cannot be read, update this program: %s", index, error)
        return _Item(index, data, None)
    return _Item(index, data, leaf, leaf.entry)


def _with_envelope(item: _Item, found: Envelope | None) -> _Item:
    if item.leaf is None or found is None or found.entry is None or found.salt is None:
        return item
    entry = parse_entry_bytes(found.entry)
    if commitment(found.salt, entry, found.entry) != item.leaf.commitment:
        raise VerificationError(f"the envelope of entry {item.index} is not the committed one")
    return _Item(item.index, item.data, item.leaf, entry, found.salt)


def _row(item: _Item, grant: bytes | None) -> Row:
    attached = {} if grant is None else {SEALED_GRANT: grant}
    if item.entry is None or item.salt is None:
        return Row(item.index, item.data, _names(item), None, attached)
    return Row(item.index, item.data, _names(item), (entry_bytes(item.entry), item.salt), attached)


def _names(item: _Item) -> tuple[bytes, ...]:
    """Return what the log asks for when an entry comes a second time, as far as it is known."""
    if item.leaf is None:
        return (leaf_hash(item.data),)
    if item.entry is None:
        return (item.leaf.commitment or leaf_hash(item.data),)
    data = entry_bytes(item.entry)
    try:
        return identities(item.leaf, data, item.entry.payload["id"])
    except (LedgerError, KeyError, TypeError, ValueError):
        return (item.leaf.commitment or sha256(data).digest(),)
