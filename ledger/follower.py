"""The follower: one verified, folded view of the log, for marketplace, compute and auditors.

It believes nothing: log signature, witnesses' quorum, age, consistency with what it saw before,
every leaf against the root, every envelope against its leaf, every signature; only then is an
entry folded. It refuses (StaleError) a log that went silent, and is loud (ConsistencyError) about
one that changed its past. Never writes to the log.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ledger import collector
from ledger.client import LedgerClient
from ledger.envelope import parse_entry_bytes
from ledger.errors import (
    LedgerError,
    NotFoundError,
    StaleError,
    VerificationError,
)
from ledger.fold_model import Record
from ledger.freshness import (
    FollowedCheckpoint,
    fetch_checkpoint,
    now_ms,
    require_growth,
    require_past,
)
from ledger.leaf import Leaf, parse_leaf
from ledger.memory import Remembered, load_checkpoint, save_checkpoint
from ledger.merkle import (
    Frontier,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from ledger.policy import verify_checkpoint
from ledger.records import RecordCheck, verify_record
from ledger.snapshot import Snapshot, Snapshots
from ledger.state import State
from ledger.tiles import TILE_WIDTH
from ledger.trust import TrustPolicy
from ledger.verifiers import Verifiers

STEP = 3 * TILE_WIDTH  # small enough that what is under way stays in the cache
STEPS_AHEAD = 3
POLL_SECONDS = 0.05
logger = logging.getLogger("ledger.follower")
Progress = Callable[[int, int], None]


def require_verified(check: RecordCheck) -> None:
    """Raise what is wrong with the first bad record of a check, if any is bad."""
    if bad := check.bad():
        raise bad[min(bad)]


def _continues(frontier: Frontier, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a tree of this size and root continues the one read so far."""
    if frontier.size == 0:
        return size == 0 and frontier.root() == root
    try:
        verify_consistency(frontier.size, size, proof, frontier.root(), root)
    except VerificationError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Step:
    """Leaves that are in the signed tree, and their records, whose signatures are being checked.

    proof: that the signed tree continues the one after these leaves.
    """

    frontier: Frontier
    proof: list[bytes]
    hashes: list[bytes]
    records: list[Record]
    check: RecordCheck


class Follower:
    """Follows one log. `sync` may be called from several threads; one at a time works.

    personal=True needs a client with an envelopes token. path: where the newest verified
    checkpoint is kept between runs. snapshots: where the fold is kept, to go on from; without it
    the log is folded from the first entry. clock: Unix ms. progress is called with (entries done,
    entries to do).
    """

    def __init__(
        self,
        client: LedgerClient,
        trust: TrustPolicy,
        path: Path | None = None,
        personal: bool = False,
        clock: Callable[[], int] = now_ms,
        *,
        progress: Progress | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        self.state = State(trust, personal=personal)
        self.checkpoint: FollowedCheckpoint | None = None
        self._client = client
        self._trust = trust
        self._path = path
        self._personal = personal
        self._clock = clock
        self._progress = progress
        self._lock = threading.Lock()
        self._frontier = Frontier()
        self._tile_roots: list[bytes] = []
        self._tail: list[bytes] = []
        self._seen = None if path is None else load_checkpoint(path, trust.origin)
        self._snapshots = snapshots
        self._resumed: Remembered | None = None
        self._resume()

    def sync(self) -> FollowedCheckpoint:
        """Fetch the newest checkpoint, verify it and everything new below it, and fold that.

        Raises StaleError, ConsistencyError, VerificationError, PolicyError, FormatError or
        UnavailableError; the state then is that of an earlier verified checkpoint or step.
        """
        with self._lock:
            while True:
                new = fetch_checkpoint(self._client, self._trust, self._clock())
                if self._seen is not None:
                    require_growth(self._client, self._seen, new)
                if self._resumed is not None:
                    require_growth(self._client, self._resumed, new)
                    self._resumed = None
                self._remember(new)
                self._catch_up(new)
                self._keep_snapshot(new, [])
                self.checkpoint = new
                # After a long catch-up the checkpoint may have become too old to answer with.
                if self._clock() - new.quorum_time <= self._trust.max_checkpoint_age_ms:
                    return new

    def wait_for(self, index: int, deadline: int) -> FollowedCheckpoint:
        """Sync until entry `index` is covered; deadline: Unix ms. Raises StaleError after it."""
        while True:
            found = self.sync()
            if found.size > index:
                return found
            if self._clock() >= deadline:
                raise StaleError(f"no witnessed checkpoint covered entry {index} in time")
            time.sleep(POLL_SECONDS)

    def records(self, start: int, end: int) -> Iterator[Record]:
        """Fetch records [start, end) again, verified against the tree already followed.

        Raises NotFoundError beyond it, VerificationError if the log now serves other leaves.
        """
        if not 0 <= start <= end <= self._frontier.size:
            raise NotFoundError(f"this follower has read {self._frontier.size} entries")
        for tile in range(start // TILE_WIDTH, -(-end // TILE_WIDTH)):
            first = tile * TILE_WIDTH
            with self._lock:
                leaves = self._client.entries(first, min(first + TILE_WIDTH, self._frontier.size))
                self._require_same_tile(tile, leaves)
            records = self._read(first, leaves)
            for record in records:
                verify_record(record, self._trust.passkeys)
            yield from records[max(0, start - first) : end - first]

    def _require_same_tile(self, tile: int, leaves: Sequence[bytes]) -> None:
        hashes = [leaf_hash(leaf) for leaf in leaves]
        full = tile < len(self._tile_roots)
        if (tree_root(hashes) != self._tile_roots[tile]) if full else (hashes != self._tail):
            first = tile * TILE_WIDTH
            raise VerificationError(
                f"the log now serves other leaves at {first}..{first + len(leaves) - 1}"
            )

    def _resume(self) -> None:
        """Go on from a snapshot, if there is one and witnesses cosigned the tree it stands at."""
        found = self._snapshots and self._snapshots.load(self._trust.pins, self._personal)
        if not found:
            return
        checkpoint = verify_checkpoint(self._trust.policy, found.note.encode()).checkpoint
        frontier = found.frontier
        if not _continues(frontier, checkpoint.size, checkpoint.root, found.proof):
            raise VerificationError("the snapshot of the fold is not of the tree it names")
        self._resumed = Remembered(checkpoint.size, checkpoint.root, found.note)
        self.state, self._frontier = found.state, found.frontier
        self._tile_roots, self._tail = found.tile_roots, found.tail

    def _keep_snapshot(self, new: FollowedCheckpoint, proof: list[bytes]) -> None:
        if self._snapshots is None or not self._snapshots.due(self._frontier.size):
            return
        whole = Snapshot(self.state, self._frontier, self._tile_roots, self._tail, new.note, proof)
        try:
            self._snapshots.save(whole)
        except OSError as error:
            # Only a shortcut is lost.
            logger.warning("the snapshot was not kept: %s", error.strerror)

    def _remember(self, new: FollowedCheckpoint) -> None:
        """Keep what was shown before using it: a later lie about it must be noticed."""
        seen = Remembered(new.size, new.root, new.note)
        if self._path is not None and (self._seen is None or self._seen.size != seen.size):
            save_checkpoint(self._path, self._trust.origin, seen)
        self._seen = seen

    def _catch_up(self, new: FollowedCheckpoint) -> None:
        """Fetch some steps ahead of the one that is folded, so that the verifiers have work."""
        begun: deque[_Step] = deque()
        frontier = self._frontier
        with collector.paused(), closing(Verifiers(self._trust.passkeys)) as verifiers:
            while begun or frontier.size < new.size:
                if frontier.size < new.size and len(begun) <= STEPS_AHEAD:
                    begun.append(self._begin(frontier, new, verifiers))
                    frontier = begun[-1].frontier
                    continue
                step = begun.popleft()
                self._finish(step)
                # Also on the way: a follower that is killed in a long catch-up goes on from here.
                self._keep_snapshot(new, step.proof)
                if self._progress is not None:
                    self._progress(self._frontier.size, new.size)

    def _begin(self, frontier: Frontier, new: FollowedCheckpoint, verifiers: Verifiers) -> "_Step":
        start = frontier.size
        end = min(new.size, (start // STEP + 1) * STEP)
        leaves = self._client.entries(start, end)
        hashes = [leaf_hash(leaf) for leaf in leaves]
        grown = frontier.extend(hashes)
        proof = self._proof_of(grown, new, start, hashes)
        records = self._read(start, leaves)
        require_past(records, new.quorum_time)
        return _Step(grown, proof, hashes, records, RecordCheck(records, verifiers))

    def _finish(self, step: "_Step") -> None:
        require_verified(step.check)
        self._fold(step.records)
        if self._snapshots is not None and any(r.leaf.erases for r in step.records):
            self._snapshots.forget()
        self._frontier = step.frontier
        self._keep(step.hashes)

    def _proof_of(
        self, grown: Frontier, new: FollowedCheckpoint, start: int, hashes: Sequence[bytes]
    ) -> list[bytes]:
        """Check the leaves of one step against the signed root before anything is folded."""
        whole = grown.size == new.size
        proof = [] if whole else self._client.consistency(grown.size, new.size)
        if not _continues(grown, new.size, new.root, proof):
            raise VerificationError(self._first_bad(new, start, hashes))
        return proof

    def _first_bad(self, new: FollowedCheckpoint, start: int, hashes: Sequence[bytes]) -> str:
        """Name the first leaf that has no inclusion proof."""
        for index, one in enumerate(hashes, start):
            try:
                verify_inclusion(
                    index, new.size, one, self._client.inclusion(index, new.size), new.root
                )
            except LedgerError:
                return f"leaf {index} is not the one in the signed tree: the log altered it"
        return f"leaves {start}..{start + len(hashes) - 1} do not hash to the signed tree"

    def _read(self, start: int, leaves: Sequence[bytes]) -> list[Record]:
        parsed = [parse_leaf(data) for data in leaves]
        return list(self._with_envelopes(start, parsed))

    def _with_envelopes(self, start: int, leaves: Sequence[Leaf]) -> Iterator[Record]:
        personal = [i for i, leaf in enumerate(leaves, start) if leaf.entry is None]
        wanted = personal if self._personal else []
        found = {item.index: item for item in self._client.envelopes(wanted)}
        for index, leaf in enumerate(leaves, start):
            item = found.get(index)
            if item is None or item.entry is None:
                yield Record(index, leaf, leaf.entry, None)
            else:
                yield Record(index, leaf, parse_entry_bytes(item.entry), item.salt)

    def _fold(self, records: Sequence[Record]) -> None:
        mark = self.state.savepoint()
        try:
            for record in records:
                self.state.apply(record)
        except BaseException:
            self.state.rollback(mark)
            raise
        self.state.release(mark)

    def _keep(self, hashes: Sequence[bytes]) -> None:
        tail = [*self._tail, *hashes]
        full = len(tail) // TILE_WIDTH * TILE_WIDTH
        for at in range(0, full, TILE_WIDTH):
            self._tile_roots.append(tree_root(tail[at : at + TILE_WIDTH]))
        self._tail = tail[full:]
