"""Finished jobs that wait for the clock tick, while their worker goes on with others.

One lock (`busy`) is held by whoever works on a job: the broker's thread for a new one, the thread
here for those that leave on a tick. All that wait leave on the same tick, in the order of their
ids, so neither how long one took nor who came first is seen. A worker that is busy when the tick
comes takes no new job until the next one: nothing leaves off a tick, and nothing waits for ever.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from compute.worker_run import LeasedJob

logger = logging.getLogger("compute.worker")
LATE_S = 0.25  # how long after a tick what leaves still leaves on it
IDLE_S = 0.05


class HeldJobs:
    """The jobs that wait. wait_for_tick: sleeps until the next tick."""

    def __init__(self, wait_for_tick: Callable[[], None], busy: threading.Lock) -> None:
        self._wait_for_tick, self._busy = wait_for_tick, busy
        self._jobs: dict[str, LeasedJob] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticks", daemon=True)

    def start(self) -> None:
        """Begin to let jobs leave."""
        self._thread.start()

    def work(self, leased: LeasedJob) -> None:
        """Take a job as far as it goes; hold it when it waits for a tick. Call with `busy` held."""
        if not leased.go_on():
            self._jobs[leased.id] = leased

    def end(self) -> None:
        """Let everybody who waits leave on the next ticks, then stop."""
        self._ended.set()
        self._thread.join()

    def leave_on_tick(self) -> None:
        """Wait for a tick, and let everything that waits leave on it."""
        self._wait_for_tick()
        asked = time.monotonic()
        with self._busy:
            if time.monotonic() - asked > LATE_S:
                self._wait_for_tick()
            jobs = [self._jobs.pop(name) for name in sorted(self._jobs)]
            for one in jobs:
                _safely(one.leave)
            for one in jobs:
                _safely(partial(self.work, one))

    def _run(self) -> None:
        while self._jobs or not self._ended.wait(IDLE_S):
            if self._jobs:
                self.leave_on_tick()


def _safely(work: Callable[[], None]) -> None:
    """Do one job's part; whatever goes wrong there must not keep the others from leaving."""
    try:
        work()
    except Exception as error:  # its text could quote a person's data: the type only
        logger.warning("a waiting job was given up: %s", type(error).__name__)
