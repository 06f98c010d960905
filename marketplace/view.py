"""What the marketplace sees of the ledger: one follower, verified, and snapshots for readers.

A sync fetches, verifies and folds under a lock; readers get the last finished snapshot and never
wait for the network. The marketplace judges offers and prices by it; whether data is opened is
judged again by the compute worker, on its own follower.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ledger import FollowedCheckpoint, LedgerError, State
from marketplace.errors import NotFoundError, NotYetError, UnavailableError
from marketplace.frozen import Frozen

LOG = logging.getLogger(__name__)
WAIT_SECONDS = 8.0
MAX_AGE_MS = 10_000
POLL_SECONDS = 0.1
# Half the server's threads: requests that name what will never be there must not take all.
WAITERS = 4
AHEAD = 10_000  # entries that may have come since the last look
NOT_YET = (
    "the ledger's published checkpoint does not show that entry yet; "
    "wait some seconds and send the request again"
)


class FollowerPort(Protocol):
    """The part of `ledger.Follower` used here."""

    state: State

    def sync(self) -> FollowedCheckpoint | None:
        """Follow the log to its newest checkpoint. Raises LedgerError."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The folded ledger at one size; nobody changes `state` any more. synced_at: Unix ms."""

    state: State
    size: int
    synced_at: int


class LedgerView:
    """One follower shared by the threads of this process."""

    def __init__(self, follower: FollowerPort, clock: Callable[[], int]) -> None:
        self._follower, self._clock = follower, clock
        self._lock = threading.Lock()
        self._frozen = Frozen()
        self._snapshot: Snapshot | None = None
        self._cosigned: dict[str, int] = {}
        self._waiting = threading.BoundedSemaphore(WAITERS)
        self._began = 0  # when the look that the snapshot is of began, by the monotonic clock

    def refresh(self) -> Snapshot:
        """Follow the ledger to its newest checkpoint. Raises UnavailableError.

        Many who ask at once share one look, as long as it began after they asked.
        """
        asked, waited = self._clock(), time.monotonic_ns()
        with self._lock:
            if self._snapshot is not None and self._began > waited:
                return self._snapshot
            began = time.monotonic_ns()
            try:
                found = self._follower.sync()
            except LedgerError as error:
                raise UnavailableError(
                    f"the ledger cannot be followed now ({error}); try again shortly"
                ) from error
            self._snapshot, self._began = self._next(asked), began
            if found is not None:
                self.saw(found.cosignatures)
            return self._snapshot

    def _next(self, asked: int) -> Snapshot:
        size, last = self._follower.state.size, self._snapshot
        if last is not None and last.size == size:
            return Snapshot(last.state, size, asked)
        return Snapshot(self._frozen.copy_of(self._follower.state), size, asked)

    def saw(self, cosignatures: Mapping[str, int]) -> None:
        """Keep when each witness signed last: a silent one is on no newer checkpoint."""
        for name, at in cosignatures.items():
            self._cosigned[name] = max(at, self._cosigned.get(name, 0))

    def last_cosigned(self, witness: str) -> int | None:
        """Return when a witness last signed (Unix seconds), or None: not since this start."""
        return self._cosigned.get(witness)

    def known(self) -> Snapshot | None:
        """Return the last snapshot, or None before the first."""
        return self._snapshot

    def fresh(self) -> Snapshot:
        """Return a snapshot young enough to decide on. Raises UnavailableError."""
        last = self._snapshot
        young = last is not None and self._clock() - last.synced_at <= MAX_AGE_MS
        return last if last is not None and young else self.refresh()

    def snapshot(self) -> Snapshot:
        """Return the last snapshot, following the ledger first if there is none yet."""
        return self._snapshot or self.refresh()

    def covering(self, index: int, seconds: float | None = None) -> Snapshot:
        """Return a snapshot that includes a leaf index. Raises NotYetError."""
        if index > self.snapshot().size + AHEAD:
            raise NotYetError(NOT_YET)
        return self.until(lambda snapshot: snapshot.size > index, seconds)

    def until(self, ready: Callable[[Snapshot], bool], seconds: float | None = None) -> Snapshot:
        """Follow the ledger until a snapshot is as wanted; a few callers at once may wait.

        Raises NotYetError.
        """
        snapshot = self.snapshot()
        if ready(snapshot):
            return snapshot
        if not self._waiting.acquire(blocking=False):
            raise NotYetError(NOT_YET)
        try:
            return self._wait(ready, WAIT_SECONDS if seconds is None else seconds)
        finally:
            self._waiting.release()

    def _wait(self, ready: Callable[[Snapshot], bool], seconds: float) -> Snapshot:
        deadline = time.monotonic() + seconds
        while not ready(snapshot := self.refresh()):
            if time.monotonic() > deadline:
                raise NotYetError(NOT_YET)
            time.sleep(POLL_SECONDS)
        return snapshot


def placed_order(snapshot: Snapshot, index: int) -> Mapping[str, Any]:
    """Return the payload of the order.placed entry at a ledger index. Raises NotFoundError."""
    for order in snapshot.state.orders.values():
        if order.index == index:
            return dict(order.payload)
    raise NotFoundError(
        f"the entry at ledger index {index} is not an order.placed entry the ledger accepted"
    )
