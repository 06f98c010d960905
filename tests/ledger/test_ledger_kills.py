"""The log killed without warning at every call of its store: nothing acknowledged is lost."""

import signal
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from ledger.errors import ConsistencyError, LedgerError
from ledger.follower import Follower
from ledger.leaf import parse_leaf
from ledger.store import Store
from tests.ledger.ledger_world import Owner, World, eventually

BOTH = ("before", "after")
CRASH = Path(__file__).with_name("ledger_crash.py")


class Writers:
    """Threads that append as fast as they can and remember what was acknowledged."""

    def __init__(self, world, count=4):
        self.acknowledged = []
        self.tried = []
        self._world = world
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(count)]
        [thread.start() for thread in self._threads]

    def _work(self):
        client = self._world.client()
        while not self._stop.is_set():
            notes = [self._world.keys.note() for _ in range(3)]
            self.tried += notes
            try:
                self.acknowledged += zip(notes, client.append(notes), strict=True)
            except LedgerError:
                self._stop.wait(0.1)

    def stop(self):
        self._stop.set()
        [thread.join() for thread in self._threads]


def verify_after_crash(world, writers, follower):
    """Start again: everything acknowledged is in its place, and the log only grew."""
    process = world.spawn()
    world.wait_healthy(process=process)
    client = world.client()
    places = client.append([note for note, _ in writers.tried_once()], wait=True)
    newest = follower.sync()
    leaves = client.entries(0, newest.size)
    for note, place in writers.acknowledged:
        assert leaves[place.index] == place.leaf_bytes
        assert parse_leaf(leaves[place.index]).entry == note.entry
    parsed = [parse_leaf(leaf) for leaf in leaves]
    assert len({leaf.entry or leaf.commitment for leaf in parsed}) == len(parsed)
    assert places
    process.send_signal(signal.SIGTERM)
    eventually(lambda: process.poll() is not None)


def tried_once(self):
    # Sending again what was not acknowledged is safe: it is found or appended, never doubled.
    return [(note, None) for note in self.tried[-50:]]


Writers.tried_once = tried_once


@pytest.mark.parametrize("size", [5, 40, 150])
def test_kill_9_in_the_middle_of_appends(world, size):
    process = world.spawn()
    world.wait_healthy()
    follower = Follower(world.client(), world.trust)
    writers = Writers(world)
    eventually(lambda: len(writers.acknowledged) >= size)
    follower.sync()
    process.send_signal(signal.SIGKILL)
    process.wait()
    writers.stop()
    verify_after_crash(world, writers, follower)


# Which call of each method of the store is the last of its process. Those that only read leave
# the same behind whether they were answered or not.
WRITING = {"append": 4, "publish": 3, "scrub": 2}
READING = {
    "head": 1, "published": 1, "leaves": 2, "tile": 6, "find": 5, "envelopes": 2,
    "attachments": 2, "access_tree": 2, "close": 1,
}  # fmt: skip


def test_every_method_of_the_store_is_killed_at():
    methods = {name for name in vars(Store) if not name.startswith("_")}
    assert methods == {*WRITING, *READING}


class Asking:
    """Asks for everything the log serves from its store, again and again; erases once."""

    def __init__(self, world):
        self._world = world
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _work(self):
        client, tokens = self._world.client(), self._world.tokens
        opening = self._world.client(tokens.envelopes)
        asks = (
            lambda: client.entries(0, 1),
            lambda: opening.envelopes([0]),
            lambda: self._world.client(tokens.grants).grants([0]),
            lambda: client.access_tree(bytes(32)),
            lambda: client.append(self._person(), wait=True),
        )
        while not self._stop.wait(0.1):
            for ask in asks:
                with suppress(LedgerError):
                    ask()

    def _person(self):
        """One who comes and goes: what is erased makes the log scrub."""
        keys = self._world.keys
        if not hasattr(self, "_owner"):
            self._owner = Owner(keys)
            self._first = [self._owner.register(), self._owner.register_dataset()]
        at = [place.index for place in self._world.client().append(self._first)]
        return [self._owner.erase([], at[1:])]

    def stop(self):
        self._stop.set()
        self._thread.join()


def crash(world, method, moment, count):
    """Run a log that dies at a call of its store, under load; returns the writers."""
    process = world.spawn(script=[CRASH, method, moment, count])
    writers, asking = Writers(world, 2), Asking(world)
    if method == "close":
        world.wait_healthy()
        eventually(lambda: writers.acknowledged)
        process.send_signal(signal.SIGTERM)
    eventually(lambda: process.poll() is not None)
    asking.stop()
    writers.stop()
    assert process.returncode == -signal.SIGKILL
    if not writers.tried:
        writers.tried.append(world.keys.note())
    return writers


@pytest.mark.parametrize("moment", BOTH)
@pytest.mark.parametrize(("method", "count"), WRITING.items())
def test_kill_9_at_each_store_call_that_writes(world, method, count, moment):
    writers = crash(world, method, moment, count)
    verify_after_crash(world, writers, Follower(world.client(), world.trust))


def survive(world, kills):
    """Let one log die at one call after the other; then all that was ever acknowledged is there."""
    follower = Follower(world.client(), world.trust)
    acknowledged = []
    for method, count, moment in kills:
        writers = crash(world, method, moment, count)
        acknowledged += writers.acknowledged
    writers.acknowledged = acknowledged
    verify_after_crash(world, writers, follower)
    return acknowledged


def test_kill_9_at_each_store_call_that_reads(world):
    assert survive(world, [(method, count, "after") for method, count in READING.items()])


@pytest.mark.service
def test_kill_9_at_the_store_calls_of_postgresql(world, postgres_database):
    world.write_config(database_url=postgres_database)
    kills = [(method, count, moment) for method, count in WRITING.items() for moment in BOTH]
    assert survive(world, [*kills, ("find", 5, "after"), ("close", 1, "after")])


def test_a_log_that_acknowledges_before_it_is_durable_is_caught(world):
    """The control of the kills above: an entry that was acknowledged and lost is noticed."""
    writers = crash(world, "append", "forgets", 4)
    with pytest.raises((AssertionError, IndexError, ConsistencyError)):
        verify_after_crash(world, writers, Follower(world.client(), world.trust))


def test_kill_9_between_an_erasure_and_its_scrub_leaves_no_byte(world):
    """The batch that erases is durable, the process dies before it scrubs: the next one does."""
    owner = Owner(world.keys)
    process = world.spawn(script=[CRASH, "scrub", "before", 2])
    world.wait_healthy()
    client = world.client()
    entries = [world.keys.compute_key(), owner.register(), owner.register_dataset()]
    at = [place.index for place in client.append(entries)]
    needle = entries[2].entry.payload_bytes
    with pytest.raises(LedgerError):
        client.append([owner.erase([], at[2:])])
    process.wait()

    def found():
        files = [path for path in world.ledger_dir.rglob("*") if path.is_file()]
        return [path.name for path in files if needle in path.read_bytes()]

    assert found()  # the control: it was there
    world.spawn()
    world.wait_healthy()
    assert not found()
    with sqlite3.connect(world.ledger_dir / "ledger.db") as db:
        assert db.execute("SELECT count(*) FROM leaves").fetchone() == (4,)
    db.close()


def test_kill_9_of_a_witness_and_its_return(tmp_path):
    world = World(tmp_path)
    try:
        witnesses = [world.spawn(directory=d, module="ledger.witness") for d in world.witness_dirs]
        for port in world.witness_ports:
            world.wait_healthy(world.url_of(port))
        service = world.start()
        note = world.keys.note
        service.log.submit([note()])
        service.log.wait_published(1, 10)
        witnesses[0].send_signal(signal.SIGKILL)  # one may fail
        service.log.submit([note()])
        service.log.wait_published(2, 10)
        witnesses[1].send_signal(signal.SIGKILL)  # two may not
        witnesses[1].wait()
        service.log.submit([note()])
        with pytest.raises(LedgerError):
            service.log.wait_published(3, 1)
        world.spawn(directory=world.witness_dirs[1], module="ledger.witness")
        assert service.log.wait_published(3, 20).size == 3
    finally:
        world.close()
