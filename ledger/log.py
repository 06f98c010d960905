"""The log: admits, sequences durably, and publishes witnessed checkpoints.

Three kinds of thread: callers prepare their own submissions; one sequencer owns the state and the
head and commits whatever has gathered in one durable step; one publisher signs the newest head,
has it cosigned and publishes it. An entry is acknowledged only after its step is durable; it
counts for followers only once published. Never rewrites, reorders or drops a leaf.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ledger import collector
from ledger.admission import (
    Draft,
    EntryError,
    Prepared,
    all_identities,
    leaf_at,
    prepare_all,
    require_known_owner,
)
from ledger.checkpoint import parse_checkpoint
from ledger.entries import PasskeyPolicy
from ledger.envelope import Submission
from ledger.errors import LedgerError, RefusedError, StaleError, StoreError
from ledger.growth import grow_tiles, load_edge
from ledger.leaf import parse_leaf
from ledger.merkle import Frontier, leaf_hash
from ledger.note import parse_note
from ledger.publish import Publisher
from ledger.replay import replay
from ledger.requests import Request, Requests, Sequenced, fail
from ledger.snapshot import Snapshot, Snapshots
from ledger.state import State
from ledger.store import Batch, Head, Store
from ledger.verifiers import Verifiers

MAX_REQUEST_ENTRIES = 1000
CADENCE_SECONDS = 0.05
RECOSIGN_SECONDS = 2.0
RETRY_SECONDS = 0.25
WITNESS_WAIT_SECONDS = 20.0
logger = logging.getLogger("ledger.log")


@dataclass(frozen=True, slots=True)
class Published:
    """The newest published checkpoint."""

    size: int
    root: bytes
    note: bytes


class Log:
    """One log on one store. clock: Unix ms; new_state: an empty fold under the pinned keys."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        new_state: Callable[[], State],
        passkeys: PasskeyPolicy | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        snapshots: Snapshots | None = None,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._publisher = publisher
        self._new_state = new_state
        self._verifiers = Verifiers(passkeys)
        self._clock = clock
        self._requests = Requests()
        self._changed = threading.Condition()
        self._stopping = False
        self._broken = True
        self._scrub_due = False
        self._head = Head()
        self._state = new_state()
        self._edge: dict[int, bytes] = {}
        self._published: Published | None = None
        self._threads: list[threading.Thread] = []

    @property
    def head(self) -> Head:
        """The newest durable head."""
        return self._head

    @property
    def published(self) -> Published | None:
        """The newest published checkpoint, None before the first."""
        return self._published

    def start(self, wait_seconds: float = WITNESS_WAIT_SECONDS) -> None:
        """Load the store, compare it with the witnesses, then serve.

        Raises StoreError (damaged, or too few witnesses) or ConsistencyError (behind, forked).
        """
        with collector.paused():
            self._load()
        self._publisher.check_against_witnesses(self._head, wait_seconds)
        # A crash may have come between an erasure and its scrubbing.
        self._store.scrub()
        if (note := self._store.published()) is not None:
            checkpoint = parse_checkpoint(parse_note(note).text)
            self._published = Published(checkpoint.size, checkpoint.root, note)
        for target in (self._sequence_loop, self._publish_loop):
            thread = threading.Thread(target=target, name=target.__name__, daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Finish what is waiting, then stop both loops. The store stays open."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._requests.close()
        for thread in self._threads:
            thread.join()
        if not self._broken:
            self._keep_snapshot(self._state, self._head.frontier)
        self._publisher.close()
        self._verifiers.close()

    def submit(self, submissions: Sequence[Submission]) -> list[Sequenced]:
        """Append all or none, durably; a repeated identical submission keeps its first place.

        Raises EntryError around FormatError, VerificationError or RefusedError; StoreError.
        """
        if not 1 <= len(submissions) <= MAX_REQUEST_ENTRIES:
            raise RefusedError(f"a request holds 1..{MAX_REQUEST_ENTRIES} entries")
        prepared = prepare_all(submissions, self._verifiers)
        if self._stopping:
            raise StoreError("the log is stopping; send the entries again in a moment")
        return self._requests.ask(prepared)

    def wait_published(self, size: int, seconds: float) -> Published:
        """Wait until a published checkpoint covers `size` leaves. Raises StaleError."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while self._published is None or self._published.size < size:
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping:
                    raise StaleError(
                        "the entries are durable, but no witnessed checkpoint covers them yet; "
                        "ask for their receipts later"
                    )
                self._changed.wait(left)
            return self._published

    def _load(self) -> None:
        head = self._store.head()
        found = self._snapshot(head.size)
        state, frontier = self._replay(head.size, found)
        if frontier.root() != head.root and found is not None:
            # Of another history: only a shortcut, so the leaves themselves decide.
            state, frontier = self._replay(head.size, None)
        if frontier.root() != head.root:
            raise StoreError("the stored leaves do not hash to the stored head; restore a backup")
        self._edge = load_edge(head.size, lambda level, at: self._store.tile(level, at) or b"")
        self._head, self._state, self._broken = head, state, False

    def _replay(self, size: int, found: Snapshot | None) -> tuple[State, Frontier]:
        state = self._new_state() if found is None else found.state
        frontier = Frontier() if found is None else found.frontier
        for leaves, records in replay(self._store, size, frontier.size):
            frontier = frontier.extend(leaf_hash(leaf) for leaf in leaves)
            for record in records:
                state.apply(record)
            self._keep_snapshot(state, frontier)
        return state, frontier

    def _snapshot(self, size: int) -> Snapshot | None:
        if self._snapshots is None:
            return None
        pins = self._new_state().pins
        found = self._snapshots.load(pins, personal=True)
        return None if found is None or found.frontier.size > size else found

    def _keep_snapshot(self, state: State, frontier: Frontier) -> None:
        if self._snapshots is None or not self._snapshots.due(frontier.size):
            return
        try:
            self._snapshots.save(Snapshot(state, frontier, [], [], ""))
        except OSError as error:
            logger.warning("the snapshot was not kept: %s", error.strerror)

    def _sequence_loop(self) -> None:
        while (requests := self._requests.gather()) is not None:
            try:
                self._sequence(requests)
            except Exception as error:
                # Whatever it is, nobody may wait for ever.
                logger.exception("a batch failed")
                self._broken = not self._matches_store()
                fail(requests, error)

    def _matches_store(self) -> bool:
        """Tell whether head and state are still the store's; if not, they are loaded again."""
        try:
            return self._store.head() == self._head
        except StoreError:
            return False

    def _sequence(self, requests: list[Request]) -> None:
        if self._broken:
            self._load()
        mark = self._state.savepoint()
        try:
            draft, answers = self._admit_all(requests)
            self._commit(draft)
        except BaseException:
            self._state.rollback(mark)
            raise
        self._state.release(mark)
        self._clean(draft)
        for request, places in answers:
            request.answer.set_result(self._places(places, draft))
        with self._changed:
            self._changed.notify_all()

    def _admit_all(
        self, requests: Sequence[Request]
    ) -> tuple[Draft, list[tuple[Request, list[int]]]]:
        """Admit requests one after another; each is taken whole or refused whole."""
        known = self._store.find(list(all_identities([one.entries for one in requests])))
        draft = Draft(self._head.size, max(self._clock(), self._head.time))
        answers = []
        for request in requests:
            count = len(draft.rows)
            mark = self._state.savepoint()
            try:
                answers.append((request, self._admit(request, draft, known)))
            except EntryError as error:
                self._state.rollback(mark)
                draft.cut(count)
                request.answer.set_exception(error)
            else:
                self._state.release(mark)
        return draft, answers

    def _admit(self, request: Request, draft: Draft, known: dict[bytes, int]) -> list[int]:
        places = []
        for number, prepared in enumerate(request.entries):
            try:
                place = draft.find(prepared, known)
                places.append(self._admit_one(prepared, draft) if place is None else place)
            except LedgerError as error:
                raise EntryError(number, error) from None
        return places

    def _admit_one(self, prepared: Prepared, draft: Draft) -> int:
        leaf = leaf_at(prepared, draft.time)
        require_known_owner(prepared, self._state)
        self._state.admit(prepared.submission.entry, leaf)
        return draft.add(prepared, leaf, self._state.ended_by(leaf))

    def _commit(self, draft: Draft) -> None:
        if not draft.rows:
            return
        old = self._head
        frontier, made = old.frontier.grow(leaf_hash(row.leaf) for row in draft.rows)
        tiles, edge = grow_tiles(self._edge, old.size, made)
        new = Head(frontier, draft.time)
        batch = Batch(draft.rows, tiles, draft.access_trees(), draft.erase(), draft.drop())
        self._store.append(old, new, batch)
        self._edge, self._head = edge, new

    def _clean(self, draft: Draft) -> None:
        """Scrub after an erasure. The entries are durable: a failure is tried again, not told."""
        if draft.erase() and self._snapshots is not None:
            self._snapshots.forget()
        if not (self._scrub_due or draft.erase() or draft.drop()):
            return
        try:
            self._store.scrub()
            self._scrub_due = False
        except StoreError as error:
            self._scrub_due = True
            logger.warning("erased bytes are not scrubbed yet: %s", error)

    def _places(self, places: Sequence[int], draft: Draft) -> list[Sequenced]:
        return [self._place(index, draft) for index in places]

    def _place(self, index: int, draft: Draft) -> Sequenced:
        if index >= draft.size:
            return Sequenced(index, draft.rows[index - draft.size].leaf, draft.time)
        (data,) = self._store.leaves(index, index + 1)
        return Sequenced(index, data, parse_leaf(data).time)

    def _publish_loop(self) -> None:
        while self._wait_for_news():
            head = self._head
            try:
                note = self._publisher.publish(head)
            except LedgerError as error:
                logger.warning("not published at %d entries: %s", head.size, error)
                time.sleep(RETRY_SECONDS)
                continue
            except Exception:
                # Unpublished is safe, followers refuse a silent log; a dead loop would be for ever.
                logger.exception("not published at %d entries", head.size)
                time.sleep(RETRY_SECONDS)
                continue
            with self._changed:
                self._published = Published(head.size, head.root, note)
                self._changed.notify_all()
            time.sleep(CADENCE_SECONDS)

    def _wait_for_news(self) -> bool:
        """Wait for a longer log, or until it is time to have the same head cosigned again."""

        def news() -> bool:
            published = self._published
            return self._stopping or published is None or published.size < self._head.size

        with self._changed:
            self._changed.wait_for(news, RECOSIGN_SECONDS)
            return not self._stopping
