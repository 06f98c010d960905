"""The market's one look at the ledger: shared by many who ask at once, never an older one."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from ledger import FollowedCheckpoint, State, UnavailableError
from marketplace import errors, view
from marketplace.errors import NotYetError
from marketplace.view import LedgerView
from tests.ledger.ledger_scenes import TRUST, Scene


class SlowFollower:
    """Folds one more entry at each look, which lasts until it is let go."""

    def __init__(self):
        scene = Scene().need("owner", "dataset", "second dataset")
        self.records = [scene.record(at) for at in range(len(scene.leaves))]
        self.state, self.looks, self.down = State(TRUST), 0, False
        self.inside, self.go_on = threading.Event(), threading.Event()

    def sync(self):
        self.looks += 1
        self.inside.set()
        self.go_on.wait()
        if self.down:
            raise UnavailableError("the ledger does not answer")
        self.state.apply(self.records[self.looks - 1])


class Door:
    """A lock that tells how many came to it."""

    def __init__(self):
        self.came, self.lock = threading.Semaphore(0), threading.Lock()

    def __enter__(self):
        self.came.release()
        self.lock.acquire()

    def __exit__(self, *_error):
        self.lock.release()


def test_many_who_ask_during_a_look_share_the_next_one():
    follower = SlowFollower()
    view = LedgerView(follower, lambda: 0)
    view._lock = door = Door()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(view.refresh)
        follower.inside.wait()
        others = [pool.submit(view.refresh) for _ in range(8)]
        for _ in range(9):
            door.came.acquire()
        follower.go_on.set()
        assert first.result().size == 1
        assert {one.result().size for one in others} == {2}
    assert follower.looks == 2


def test_a_look_that_failed_is_shared_by_nobody():
    follower = SlowFollower()
    view = LedgerView(follower, lambda: 0)
    follower.go_on.set()
    view.refresh()
    follower.down = True
    for _ in range(2):
        with pytest.raises(errors.UnavailableError):
            view.refresh()
    assert follower.looks == 3


def test_when_each_witness_signed_last_is_kept_though_it_falls_silent():
    looks = iter([{"w1": 5, "w2": 6}, {"w1": 9}, {"w1": 8}])
    found = lambda: FollowedCheckpoint(0, b"", 0, "", next(looks))  # noqa: E731
    view = LedgerView(SimpleNamespace(state=State(TRUST), sync=found), lambda: 1)
    for _ in range(3):
        view.refresh()
    assert [view.last_cosigned(name) for name in ("w1", "w2", "w3")] == [9, 6, None]


def still():
    """A view of an empty ledger that nothing comes to."""
    return LedgerView(SimpleNamespace(state=State(TRUST), sync=lambda: None), lambda: 1)


def test_a_few_may_wait_for_an_entry_and_the_rest_are_told_to_come_back_at_once():
    waiting = still()
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(waiting.covering, 5, 1.5) for _ in range(12)]
        time.sleep(0.7)
        assert sum(one.done() for one in asked) == 12 - view.WAITERS
        assert all(isinstance(one.exception(), NotYetError) for one in asked)


def test_an_entry_far_beyond_the_ledger_is_not_waited_for():
    began = time.monotonic()
    with pytest.raises(NotYetError):
        still().covering(view.AHEAD + 1, 5.0)
    assert time.monotonic() - began < 2
