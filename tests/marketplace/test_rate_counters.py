"""Requests that come at once are all counted, and none ends in an error."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from limits.storage import MemoryStorage

from marketplace.rate_counters import OneAtATime

THREADS = 8


def slowed(storage):
    """A storage whose threads change places between making a timer and starting it."""

    class Slowed(storage):
        STORAGE_SCHEME = None

        @property
        def timer(self):
            return self._timer

        @timer.setter
        def timer(self, value):
            self._timer = value
            time.sleep(0.01)

    return Slowed()


def hits(storage):
    made = slowed(storage)
    time.sleep(0.05)  # the timer of the start has ended
    with ThreadPoolExecutor(THREADS) as pool:
        return sorted(pool.map(lambda _: made.incr("address", 60), range(THREADS)))


def test_requests_that_come_at_once_are_counted_one_by_one():
    assert hits(OneAtATime) == list(range(1, THREADS + 1))


def test_the_librarys_own_counters_break_there():
    """What the class above is for: gone from the library, it can go from here."""
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        hits(MemoryStorage)
