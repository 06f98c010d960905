"""Stops that reach the worker, by any path: the fold's, and those a heartbeat brings early.

A stop is honoured sequenced or not, so long as its signer may make it. What a final stop names is
destroyed at once in the store; a pause only keeps it shut. A malformed or unsigned stop is
nobody's word and changes nothing. Spec: DESIGN section 2.1 (stops).
"""

import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from compute.messages import JobMessage
from compute.progress import OnTicks, Progress
from compute.vault import is_over
from compute.worker_outcomes import (
    Code,
    JobRefusedError,
    LeaseLostError,
    MemberStoppedError,
    TryAgainError,
)
from compute.worker_ports import Beat, Workshop
from ledger import LedgerError, Submission, make_leaf, validate_payload, verify_signatures

FINAL_TYPES = frozenset(
    {"consent.withdrawn", "dataset.erased", "dataset.replaced", "objection.raised"}
)
PAUSING_TYPES = frozenset({"consent.paused"})
LOOK_S = 1.0  # how often a heart looks whether progress is to be told
FRESH_MS = 3000  # the log is cosigned again at least this often


def follow(shop: Workshop) -> None:
    """Fetch and verify the newest checkpoint, fold, and destroy what has been stopped for good.

    Raises JobRefusedError when the fold cannot decide, LedgerError when the log is silent.
    """
    shop.follower.sync()
    state = shop.follower.state
    if state.consent_blocked():
        raise JobRefusedError(Code.UNDECIDABLE, "the fold cannot decide consents now")
    destroy_stopped(shop)


class Watch:
    """Keeps the fold young while a job opens one person after another.

    Made right after `follow`. Not for several threads at once.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._followed = shop.clock()

    def refresh(self) -> bool:
        """Follow again when the last time was FRESH_MS ago, or its checkpoint is too old to use.

        By age and not for each person, whose turn takes milliseconds. Tells whether it did;
        raises as `follow`.
        """
        shop, now = self._shop, self._shop.clock()
        age = now - int(shop.follower.checkpoint.quorum_time)
        if now - self._followed < FRESH_MS and age < shop.trust.max_checkpoint_age_ms:
            return False
        follow(shop)
        self._followed = now
        return True


def destroy_stopped(shop: Workshop) -> int:
    """Destroy keys, copies and kept answers of every grant that is stopped or over; how many.

    Over is a consent past its end and data past its retention date, by the witnesses' time.
    """
    state, now = shop.follower.state, int(shop.follower.checkpoint.quorum_time)
    grants, ended = state.grants, []
    for name in shop.store.grants() | shop.store.answer_grants():
        grant = grants.get(name)
        if grant is None or grant.stopped_at is not None or is_over(state, grant, now):
            ended.append(name)
    if ended:
        shop.vault.destroy(ended)
        shop.book.note_destroyed(ended)
    return len(ended)


def stopped_by(shop: Workshop, stop: Submission) -> set[str]:
    """Return the grants an unsequenced stop ends now; empty when its signer may not stop them.

    A stop signed before a grant was rekeyed still stops it.
    """
    entry = stop.entry
    if entry.type not in FINAL_TYPES | PAUSING_TYPES:
        return set()
    state = shop.follower.state
    try:
        validate_payload(entry)
        verify_signatures(entry, shop.trust.passkeys)
        leaf = make_leaf(entry, stop.salt, shop.clock())
        return {grant.id for grant in state.stopped_by(entry, leaf)}
    except LedgerError:
        return set()


class Heart:
    """Keeps a job's lease alive and collects what the marketplace says meanwhile.

    With an interval it beats in a thread of its own, and where progress changed on a clock tick;
    without one it beats at every `check`.
    """

    def __init__(self, shop: Workshop, job: JobMessage, interval_s: float | None) -> None:
        self._shop, self._job, self._interval = shop, job, interval_s
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stops: list[Submission] = []
        self._lost = self._cancelled = False
        self._told: Progress | None = None
        self.stopped: set[str] = set()
        self.progress = OnTicks(shop.clock, shop.tick_ms)

    def __enter__(self) -> Self:
        if self._interval is not None:
            self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def check(self, members: Iterable[str] = ()) -> None:
        """Raise when the lease is lost, the order cancelled, or a member has stopped.

        members: a set where this is asked for each of many people.
        """
        if self._interval is None:
            self._beat()
        with self._lock:
            fresh, self._stops = self._stops, []
            lost, cancelled = self._lost, self._cancelled
        for stop in fresh:
            self._honour(stop)
        if lost:
            raise LeaseLostError("the lease of this job is lost")
        if cancelled:
            raise JobRefusedError(Code.CANCELLED, "the order was cancelled")
        if not self.stopped.isdisjoint(members):
            raise MemberStoppedError("a member of the cohort has stopped")

    def _honour(self, stop: Submission) -> None:
        grants = stopped_by(self._shop, stop)
        self.stopped |= grants
        if grants and stop.entry.type in FINAL_TYPES:
            self._shop.vault.destroy(grants)
            self._shop.book.note_destroyed(sorted(grants))

    def _run(self) -> None:
        interval = self._interval or LOOK_S
        look, waited = min(interval, LOOK_S), 0.0
        while not self._end.wait(look):
            waited += look
            if waited >= interval or self.progress.shown() != self._told:
                self._beat()
                waited = 0.0

    def _beat(self) -> None:
        self._told = self.progress.shown()
        try:
            beat = self._shop.market.heartbeat(self._job, self._told)
        except LeaseLostError:
            with self._lock:
                self._lost = True
            return
        except TryAgainError:
            return  # the lease outlives a missed beat; a lost one is told by the next answer
        self._take(beat)

    def _take(self, beat: Beat) -> None:
        with self._lock:
            self._stops.extend(beat.stops)
            self._cancelled = self._cancelled or beat.cancel
