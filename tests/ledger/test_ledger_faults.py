"""Crashes, restored backups, second writers, split views, edited databases.

Each is survived or detected; where a defence is claimed, a control shows what happens without it.
"""

import shutil
import signal
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from ledger.config import read_secret
from ledger.errors import ConsistencyError, LedgerError, PolicyError, StoreError, VerificationError
from ledger.follower import Follower
from ledger.leaf import parse_leaf
from ledger.note import parse_private_key
from ledger.policy import parse_policy, verify_checkpoint
from ledger.publish import Publisher
from ledger.store import Store
from tests.ledger.ledger_world import ORIGIN, Owner, World, eventually

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
    world.wait_healthy()
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


class Backups:
    """A log that can be stopped, copied, and put back."""

    def __init__(self, world):
        self.world = world
        self.service = None

    def run(self, *notes, witnesses=True):
        """Start, append, wait until published, stop. witnesses=False: as if there were none."""
        service = self.world.service()
        if not witnesses:
            service.log._publisher._policy = None
            service.log._publisher._witnesses.clear()
        try:
            service.log.start(5)
            if notes:
                places = service.log.submit(list(notes))
                service.log.wait_published(places[-1].index + 1, 10)
            return service.log.published
        finally:
            service.close()

    def copy(self, name):
        shutil.copytree(self.world.ledger_dir, self.world.path / name)

    def restore(self, name):
        shutil.rmtree(self.world.ledger_dir)
        shutil.copytree(self.world.path / name, self.world.ledger_dir)


@pytest.fixture
def backups(world):
    return Backups(world)


def test_a_restored_backup_does_not_serve_and_says_the_way_out(backups, world):
    note = world.keys.note
    backups.run(note(), note())
    backups.copy("backup")
    backups.run(note())
    backups.restore("backup")
    with pytest.raises(ConsistencyError) as caught:
        backups.run()
    message = str(caught.value)
    assert "cosigned 3 entries, the store holds 2" in message
    assert any(world.url_of(port) in message for port in world.witness_ports)
    assert "Way out" in message
    process = world.spawn()
    eventually(lambda: process.poll() is not None)
    assert process.returncode == 2
    assert "this store is behind" in process.stderr.read().decode()
    # Control: without witnesses nobody notices, and the log would fork.
    backups.run(note(), witnesses=False)


def test_the_same_store_starts_again(backups, world):
    """The control of the refusals here: an honest restart is served."""
    note = world.keys.note
    first = backups.run(note(), note())
    assert backups.run().root == first.root
    assert backups.run(note()).size == 3


def test_another_history_of_the_same_length_does_not_serve(backups, world):
    note = world.keys.note
    backups.run(note())
    backups.copy("backup")
    backups.run(note())
    backups.restore("backup")
    # The operator writes another past, and signs it.
    backups.run(note(), note(), witnesses=False)
    with pytest.raises(ConsistencyError, match=r"another history: at [12] entries"):
        backups.run()


def test_too_few_witnesses_to_know(tmp_path):
    world = World(tmp_path)
    try:
        world.start_witness(world.witness_dirs[0])
        service = world.service()
        with pytest.raises(StoreError, match="too few witnesses"):
            service.log.start(0.3)
        service.close()
        world.start_witness(world.witness_dirs[1])
        service = world.service()
        service.log.start(5)  # two of three: the third alone can make no quorum
        service.close()
    finally:
        world.close()


def test_a_second_writer_is_refused(running):
    with pytest.raises(StoreError, match="another process already writes"):
        running.service()
    process = running.spawn()
    eventually(lambda: process.poll() is not None)
    assert process.returncode == 2
    assert b"another process already writes" in process.stderr.read()


def test_a_second_writer_past_the_lock_loses_by_the_head(running):
    from ledger.log import Log
    from ledger.state import State
    from ledger.store_sql import SqlStore

    running.client().append([running.keys.note()])
    store = SqlStore(running.log.store.engine.url.render_as_string(), writer=False)
    publisher = Publisher(store, parse_private_key(read_secret(running.ledger_dir / "log.key")))
    second = Log(store, publisher, lambda: State(running.trust))
    second._load()
    running.client().append([running.keys.note()])
    prepared = threading.Thread(target=second._sequence_loop, daemon=True)
    prepared.start()
    with pytest.raises(StoreError, match="another writer moved it"):
        second.submit([running.keys.note()])
    assert running.log.store.head().size == 2
    second._threads.append(prepared)
    second.stop()
    store.close()


def test_split_view_needs_the_witnesses(backups, world):
    """An operator with the log's key shows two histories of one length to two followers."""
    note = world.keys.note
    backups.run(note())
    backups.copy("left")
    backups.copy("right")
    shown = {}
    for side in ("left", "right"):
        backups.restore(side)
        backups.run(note(), witnesses=False)
        service = world.service()
        service.log._load()
        signer = parse_private_key(read_secret(world.ledger_dir / "log.key"))
        urls = [world.url_of(port) for port in world.witness_ports]
        asking = Publisher(service.store, signer, urls, world.trust.policy)
        try:
            shown[side] = asking.publish(service.log.head)
        except PolicyError:
            shown[side] = None
        asking.close()
        shown[side + " alone"] = service.store.published()
        service.log._threads.clear()
        service.close()
    assert verify_checkpoint(world.trust.policy, shown["left"]).checkpoint.size == 2
    assert shown["right"] is None  # the witnesses saw the left one first
    # Control: where no witness is asked for, both histories are believed.
    weak = f"log {world.public['log']}\nquorum none\n".encode()
    believed = [
        verify_checkpoint(parse_policy(weak, allow_weak=True), shown[f"{side} alone"]).checkpoint
        for side in ("left", "right")
    ]
    assert believed[0].size == believed[1].size
    assert believed[0].root != believed[1].root
    # A log's note alone, without cosignatures, is believed by no follower.
    with pytest.raises(PolicyError):
        verify_checkpoint(world.trust.policy, shown["right alone"])


def edit(world, statement, *values):
    with sqlite3.connect(world.ledger_dir / "ledger.db", timeout=10) as db:
        db.execute(statement, values)
    db.close()


def test_a_leaf_rewritten_in_the_database_is_named(running):
    client = running.client()
    client.append([running.keys.note() for _ in range(8)], wait=True)
    before = Follower(client, running.trust)
    before.sync()
    (forged,) = client.append([running.keys.note()], wait=True)
    edit(running, "UPDATE leaves SET data = ? WHERE leaf_index = 5", forged.leaf_bytes)
    with pytest.raises(VerificationError, match="leaf 5 is not the one in the signed tree"):
        Follower(client, running.trust).sync()
    with pytest.raises(VerificationError, match="now serves other leaves"):
        list(before.records(4, 7))


def test_leaves_reordered_in_the_database_are_named(running):
    client = running.client()
    client.append([running.keys.note() for _ in range(8)], wait=True)
    edit(running, "UPDATE leaves SET leaf_index = -1 WHERE leaf_index = 2")
    edit(running, "UPDATE leaves SET leaf_index = 2 WHERE leaf_index = 3")
    edit(running, "UPDATE leaves SET leaf_index = 3 WHERE leaf_index = -1")
    with pytest.raises(VerificationError, match="leaf 2 is not"):
        Follower(client, running.trust).sync()


def test_a_leaf_dropped_from_the_database_is_noticed(running):
    client = running.client()
    client.append([running.keys.note() for _ in range(8)], wait=True)
    edit(running, "DELETE FROM leaves WHERE leaf_index = 3")
    with pytest.raises(LedgerError, match="3"):
        Follower(client, running.trust).sync()


def test_a_whole_past_rewritten_and_signed_again_is_not_cosigned(running, world):
    """Leaves, tiles and head made consistent again by the operator: the witnesses refuse."""
    client = running.client()
    client.append([running.keys.note() for _ in range(4)], wait=True)
    running.log.log.stop()
    from ledger.growth import grow_tiles
    from ledger.merkle import Frontier, leaf_hash
    from ledger.store import Batch, Head, Row
    from ledger.store_sql import SqlStore

    leaves = running.log.store.leaves(0, 4)
    leaves[1] = leaves[2]
    frontier, made = Frontier().grow(map(leaf_hash, leaves))
    forged = SqlStore(f"sqlite:///{world.path}/forged.db")
    rows = [Row(i, leaf, (bytes([i]) * 32,)) for i, leaf in enumerate(leaves)]
    forged.append(Head(), Head(frontier, 1), Batch(rows, grow_tiles({}, 0, made)[0]))
    signer = parse_private_key(read_secret(world.ledger_dir / "log.key"))
    urls = [world.url_of(port) for port in world.witness_ports]
    publisher = Publisher(forged, signer, urls, world.trust.policy)
    with pytest.raises(PolicyError):
        publisher.publish(forged.head())
    with pytest.raises(ConsistencyError, match="another history"):
        publisher.check_against_witnesses(forged.head(), 5)
    publisher.close()
    forged.close()


def test_personal_bytes_are_gone_from_every_file_of_the_process(running):
    """Through HTTP, with the server running: database, write-ahead log, and all the rest."""
    owner = Owner(running.keys)
    client = running.client()
    grant = owner.grant(b"THE-SEALED-CANARY" * 20)
    entries = [running.keys.compute_key(), owner.register(), owner.register_dataset(), grant]
    at = [place.index for place in client.append(entries)]

    def found(needle):
        files = [path for path in running.ledger_dir.rglob("*") if path.is_file()]
        return any(needle in path.read_bytes() for path in files)

    needles = (grant.salt, grant.entry.payload_bytes, b"THE-SEALED-CANARY")
    assert all(map(found, needles))
    client.append([owner.erase([at[3]], at[2:])], wait=True)
    assert not any(map(found, needles))
    follower = Follower(running.client(running.tokens.envelopes), running.trust, personal=True)
    follower.sync()  # and the log still verifies
    assert follower.state.consent_blocked() is None


def test_origin_is_the_configured_one(world):
    assert world.trust.origin == ORIGIN
    world.write_config(origin="other.test/log")
    with pytest.raises(LedgerError, match="log key is for"):
        world.service()
