"""Audit of a whole log, offline or live, by anyone.

*Public*: checkpoint, cosignatures, tree, public entries, stops, totals. *Full*: with envelopes
also commitments, personal signatures and transitions. Reads the log once, in chunks; memory does
not grow with the log apart from the fold. Knows no clock: `now` is an argument.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Protocol, runtime_checkable

from ledger import collector
from ledger.audit_report import MAX_PROBLEMS, PASS, UNDECIDED, AuditReport
from ledger.entry_types import PERSONAL, RULES
from ledger.envelope import parse_entry_bytes
from ledger.errors import LedgerError
from ledger.fold_model import Record, Tables
from ledger.leaf import Leaf, parse_leaf
from ledger.merkle import HASH_SIZE, Frontier, leaf_hash, tree_root
from ledger.policy import VerifiedCheckpoint, verify_checkpoint
from ledger.records import RecordCheck
from ledger.state import State
from ledger.tiles import TILE_WIDTH, Tile, decode_hash_tile, tile_for_size
from ledger.trust import CLOCK_TOLERANCE_MS, TrustPolicy
from ledger.verifiers import Verifiers

CHUNK = 768

Progress = Callable[[int, int], None]
"""Called with (entries read, entries in all)."""


class LeafSource(Protocol):
    """A log to read: live URL, mirror, or directory of tiles. A LedgerClient is one."""

    def checkpoint(self) -> str:
        """Return the newest checkpoint, a signed note."""
        ...

    def entries(self, start: int, end: int) -> list[bytes]:
        """Return the leaves [start, end)."""
        ...


@runtime_checkable
class TileSource(Protocol):
    """A log that serves its hash tiles too, as every C2SP log does."""

    def tile(self, tile: Tile) -> bytes:
        """Return a hash tile's bytes (c2sp.org/tlog-tiles)."""
        ...


class EnvelopeLike(Protocol):
    """An envelope as served; entry and salt are None once erased."""

    @property
    def index(self) -> int:
        """Return its leaf's index."""
        ...

    @property
    def entry(self) -> bytes | None:
        """Return the entry's bytes."""
        ...

    @property
    def salt(self) -> bytes | None:
        """Return the key of the leaf's commitment, 32 bytes."""
        ...


class EnvelopeSource(Protocol):
    """Where an auditor reads envelopes of personal entries."""

    def envelopes(self, indexes: Sequence[int] | range) -> Sequence[EnvelopeLike]:
        """Return the envelopes of some leaves, erased ones too."""
        ...


def audit_ledger(
    source: LeafSource,
    trust: TrustPolicy,
    *,
    envelopes: EnvelopeSource | None = None,
    progress: Progress | None = None,
    now: int,
) -> AuditReport:
    """Audit a log up to its checkpoint: public, or full when `envelopes` is given.

    now: Unix ms, only to state the checkpoint's age. What is wrong with the log stands in the
    report; an error is raised only when the source itself fails. DESIGN section 3.1, "Two audits".
    """
    report = AuditReport("public" if envelopes is None else "full", origin=trust.origin)
    verified = _checkpoint(source, trust, report, now)
    if verified is None:
        return report
    with collector.paused(), closing(Verifiers(trust.passkeys)) as verifiers:
        walk = _Walk(trust, report, envelopes, verifiers)
        for start in range(0, report.size, CHUNK):
            end = min(start + CHUNK, report.size)
            walk.chunk(start, end, source.entries(start, end))
            if progress is not None:
                progress(end, report.size)
        walk.finish(verified, lambda: _first_altered(source, report.size, report.root))
    return report


def _first_altered(source: LeafSource, size: int, root: bytes) -> int | None:
    """Name the first leaf that is not the one in the signed tree, from the log's own hash tiles.

    None where there are none, or where they do not hash to the signed root either.
    """
    if not isinstance(source, TileSource):
        return None
    count = -(-size // TILE_WIDTH)
    try:
        tiles = [source.tile(tile_for_size(0, at, size)) for at in range(count)]
        hashes = [one for data in tiles for one in decode_hash_tile(data, len(data) // HASH_SIZE)]
        if tree_root(hashes) != root:
            return None
        for at in range(count):
            end = min(size, (at + 1) * TILE_WIDTH)
            for index, data in enumerate(source.entries(at * TILE_WIDTH, end), at * TILE_WIDTH):
                if leaf_hash(data) != hashes[index]:
                    return index
    except LedgerError:
        return None
    return None


def _checkpoint(
    source: LeafSource, trust: TrustPolicy, report: AuditReport, now: int
) -> VerifiedCheckpoint | None:
    text = source.checkpoint()
    try:
        verified = verify_checkpoint(trust.policy, text.encode())
    except LedgerError as error:
        report.note(None, f"the checkpoint does not count: {error}")
        return None
    report.size = verified.checkpoint.size
    report.root = verified.checkpoint.root
    report.quorum_time = verified.quorum_time
    report.age_ms = now - verified.quorum_time * 1000
    report.fresh = report.age_ms <= trust.max_checkpoint_age_ms
    return verified


class _Walk:
    """One pass over the log: tree, signatures, fold and totals together."""

    def __init__(
        self,
        trust: TrustPolicy,
        report: AuditReport,
        envelopes: EnvelopeSource | None,
        verifiers: Verifiers,
    ) -> None:
        self._verifiers = verifiers
        self._waiting: tuple[list[Record], RecordCheck] | None = None
        self._found: list[tuple[int, str]] = []
        self._report = report
        self._envelopes = envelopes
        self._state = State(trust, personal=envelopes is not None)
        self._frontier = Frontier()
        self._broken = False
        self._newest = report.quorum_time * 1000 + CLOCK_TOLERANCE_MS

    def chunk(self, start: int, end: int, leaves: list[bytes]) -> None:
        """Read the leaves of one chunk and, while they are verified, fold the one before."""
        if len(leaves) != end - start:
            self._note(start, f"the log holds back leaves {start} to {end - 1}")
            self._broken = True
        self._frontier = self._frontier.extend(map(leaf_hash, leaves))
        following = None
        if not self._broken:
            records = self._records(list(self._parsed(start, leaves)))
            following = (records, RecordCheck(records, self._verifiers))
        self._fold_waiting()
        self._waiting = following

    def _note(self, index: int, reason: str) -> None:
        """Keep a problem of a chunk until the one before it is folded: problems stay in order."""
        self._found.append((index, reason))

    def _fold_waiting(self) -> None:
        records, check = self._waiting or ([], None)
        self._waiting = None
        bad = {} if check is None else check.bad()
        for record in records:
            self._fold(record, bad.get(record.index))
        for index, reason in self._found:
            self._report.note(index, reason)
        self._found = []

    def finish(self, verified: VerifiedCheckpoint, first_altered: Callable[[], int | None]) -> None:
        """Compare the tree with the checkpoint and close the report."""
        self._fold_waiting()
        report, state = self._report, self._state
        if self._frontier.root() != verified.checkpoint.root:
            report.note(None, "the leaves do not hash to the root that the witnesses signed")
            if (index := first_altered()) is not None:
                report.note(index, "this leaf is not the one in the tree that the witnesses signed")
        for index in sorted(state.missing)[:MAX_PROBLEMS]:
            report.note(index, "the envelope is missing and no erasure names it")
        report.problem_count += max(0, len(state.missing) - MAX_PROBLEMS)
        report.erased = len(state.erased)
        report.unreadable = len(state.missing)
        report.dangling = len(state.dangling)
        if state.undecidable is not None:
            report.undecided = state.undecidable
            report.verdict = UNDECIDED if report.verdict == PASS else report.verdict

    def _parsed(self, start: int, leaves: list[bytes]) -> Iterator[tuple[int, Leaf]]:
        for index, data in enumerate(leaves, start):
            try:
                yield index, parse_leaf(data)
            except LedgerError as error:
                # What follows cannot be folded in its place; the tree is still checked.
                self._note(index, f"the leaf cannot be read: {error}")
                self._broken = True
                return

    def _records(self, leaves: list[tuple[int, Leaf]]) -> list[Record]:
        closed = [index for index, leaf in leaves if leaf.entry is None]
        if self._envelopes is None or not closed:
            return [Record(index, leaf, leaf.entry) for index, leaf in leaves]
        found = {item.index: item for item in self._envelopes.envelopes(closed)}
        return [self._opened(index, leaf, found.get(index)) for index, leaf in leaves]

    def _opened(self, index: int, leaf: Leaf, envelope: EnvelopeLike | None) -> Record:
        if leaf.entry is not None or envelope is None or envelope.entry is None:
            return Record(index, leaf, leaf.entry)
        self._report.opened += 1
        try:
            return Record(index, leaf, parse_entry_bytes(envelope.entry), envelope.salt)
        except LedgerError as error:
            self._note(index, f"the envelope cannot be read: {error}")
            return Record(index, leaf)

    def _fold(self, record: Record, bad: LedgerError | None) -> None:
        state, report = self._state, self._report
        seen = len(state.violations)
        if bad is not None:
            state.refuse(record, str(bad))
        else:
            state.apply(record)
        for index, reason in state.violations[seen:]:
            report.note(index, reason)
        if record.leaf.time > self._newest:
            report.note(record.index, "it says it is younger than the witnesses' signatures")
        if any(at >= record.index for at in record.leaf.stops):
            report.note(record.index, "it stops a leaf that does not exist yet")
        _count(report, state, record, len(state.violations) == seen)


def _count(report: AuditReport, state: Tables, record: Record, admitted: bool) -> None:
    leaf = record.leaf
    report.entries[f"{leaf.type}/{leaf.version}"] += 1
    report.personal += leaf.entry is None
    rule = RULES.get((leaf.type, leaf.version))
    report.stops += len(leaf.stops)
    if not admitted or rule is None or rule.visibility == PERSONAL or record.leaf.entry is None:
        return
    payload = record.leaf.entry.payload
    if leaf.type == "access.recorded":
        report.uses += payload["cohort_size"]
    if leaf.type.startswith("payment."):
        sums = report.money.setdefault(payload["currency"], Counter())
        sums[leaf.type.removeprefix("payment.")] += payload["amount"]
    if leaf.type == "settlement.made":
        sums = report.money.setdefault(payload["currency"], Counter())
        for name in ("gross", "platform_fee", "compute_fee", "owners_total"):
            sums[name] += payload[name]
