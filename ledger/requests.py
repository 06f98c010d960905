"""Requests on their way to the sequencer: a bounded queue that is emptied in batches.

Any thread puts requests in and waits; only the sequencer takes them out. Holds nothing durable.
"""

import queue
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from ledger.admission import Prepared
from ledger.errors import LedgerError, StoreError

MAX_BATCH_ENTRIES = 4096
MAX_WAITING = 1000
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Sequenced:
    """Where an entry stands, durably. time: Unix ms."""

    index: int
    leaf: bytes
    time: int


@dataclass(frozen=True, slots=True)
class Request:
    """Prepared entries, to be taken whole or refused whole, and where the answer goes."""

    entries: Sequence[Prepared]
    answer: "Future[list[Sequenced]]"


class Requests:
    """The queue between callers and the sequencer."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Request | None] = queue.Queue(MAX_WAITING)

    def ask(self, entries: Sequence[Prepared]) -> list[Sequenced]:
        """Wait for the sequencer's answer. Raises its error, or StoreError when it is too busy."""
        request = Request(entries, Future())
        try:
            self._waiting.put(request, timeout=ANSWER_SECONDS)
            return request.answer.result(ANSWER_SECONDS)
        except (queue.Full, TimeoutError):
            # Not known whether it is in: a repeat finds it by its commitment.
            raise StoreError("the log is too busy to answer; send the same entries again") from None

    def close(self) -> None:
        """Let `gather` return None after all that wait now."""
        self._waiting.put(None)

    def gather(self) -> list[Request] | None:
        """Wait for a request, then take all that have gathered meanwhile; None after `close`."""
        requests: list[Request] = []
        count = 0
        while count < MAX_BATCH_ENTRIES:
            try:
                request = self._waiting.get(block=not requests)
            except queue.Empty:
                break
            if request is None:
                # The last of all: put back, to be found after these are served.
                if not requests:
                    return None
                self._waiting.put(None)
                break
            requests.append(request)
            count += len(request.entries)
        return requests


def fail(requests: Sequence[Request], error: Exception) -> None:
    """Tell all who still wait that their batch failed."""
    told = (
        error if isinstance(error, LedgerError) else StoreError("the log failed; see its own log")
    )
    for request in requests:
        if not request.answer.done():
            request.answer.set_exception(told)
