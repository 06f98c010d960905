"""Restored backups, second writers, split views, edited databases.

Each is detected or survived; where a defence is claimed, a control shows what happens without it.
"""

import shutil
import sqlite3
import threading

import pytest

from ledger.config import read_secret
from ledger.errors import ConsistencyError, LedgerError, PolicyError, StoreError, VerificationError
from ledger.follower import Follower
from ledger.note import parse_private_key
from ledger.policy import parse_policy, verify_checkpoint
from ledger.publish import Publisher
from tests.ledger.ledger_world import ORIGIN, Owner, World, eventually


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
