"""Counters of requests by address, in this process's memory, for requests that come at once.

The library's own starts the timer that clears old counters without a lock: two threads can start
one timer, and one of their requests then ends as a fault of the server.
"""

import threading

from limits.storage import MemoryStorage

SCHEME = "one-at-a-time"


class OneAtATime(MemoryStorage):
    """The library's counters, with one thread in them at a time."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012  (the library's registry reads a list)

    def __init__(
        self, uri: str | None = None, wrap_exceptions: bool = False, **options: str
    ) -> None:
        self._turn = threading.Lock()
        super().__init__(uri, wrap_exceptions=wrap_exceptions, **options)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count a request; return how many there are under this key now. expiry: seconds."""
        with self._turn:
            return super().incr(key, expiry, amount)
