"""Torn writes, a full disk, entries placed twice, old checkpoints, and the operator's own key.

Each test has its control: the same thing undamaged, or the damage with the defence taken away.
"""

import json
import os
import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass

import pytest

from ledger import Envelope, Follower, Record, entry_bytes, format_leaf, parse_leaf
from ledger.audit import audit_ledger
from ledger.errors import ConsistencyError, LedgerError, StaleError, StoreError, VerificationError
from ledger.growth import grow_tiles
from ledger.merkle import leaf_hash
from ledger.records import verify_records
from ledger.store import Batch, Head, Row
from ledger.store_sql import SqlStore
from tests.ledger.ledger_scenes import START, TRUST, Scene
from tests.ledger.ledger_world import REPO, eventually, now_ms

ENTRIES = 5
LAST = 3


@dataclass
class Written:
    """The files of a store with five entries, of which the log file holds the last three."""

    database: bytes
    log: bytes
    ends: list  # where each of the last three ends in the log file
    heads: list  # (size, root) after each of the five, and before


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    place = tmp_path_factory.mktemp("written")
    path = place / "ledger.db"
    with closing(sqlite3.connect(path)) as db:
        # Small pages: fewer bytes to tear, and more frames to tear between.
        db.execute("PRAGMA page_size=512")
        db.execute("VACUUM")
    store = SqlStore(f"sqlite:///{path}")
    assert store.engine.url.database == str(path)
    heads, ends = [(0, Head().root)], []
    for number in range(ENTRIES):
        if number == ENTRIES - LAST:
            store.scrub()
            database = path.read_bytes()
        heads.append(_append(store))
        ends.append((place / "ledger.db-wal").stat().st_size)
    log = (place / "ledger.db-wal").read_bytes()
    store.close()
    return Written(database, log, ends[-LAST:], heads)


def _append(store):
    old = store.head()
    data = b"leaf %d" % old.size
    frontier, made = old.frontier.grow([leaf_hash(data)])
    envelope = (os.urandom(40), os.urandom(32))
    row = Row(old.size, data, (os.urandom(32),), envelope)
    store.append(old, Head(frontier, old.size + 1), Batch([row], grow_tiles({}, 0, made)[0]))
    return frontier.size, frontier.root()


def recovered(place, database, log):
    """Return (size, root) and leaves of what SQLite makes of these files."""
    for old in place.iterdir():
        old.unlink()
    (place / "l.db").write_bytes(database)
    (place / "l.db-wal").write_bytes(log)
    with closing(sqlite3.connect(place / "l.db")) as db:
        size, root = db.execute("SELECT size, root FROM heads WHERE name='sequenced'").fetchone()
        leaves = [row[0] for row in db.execute("SELECT data FROM leaves ORDER BY leaf_index")]
    return (size, root), leaves


def expected(written, cut):
    whole = ENTRIES - LAST + sum(cut >= end for end in written.ends)
    return written.heads[whole], [b"leaf %d" % i for i in range(whole)]


def test_a_write_torn_at_every_byte_of_the_last_three_entries(written, tmp_path):
    cuts = range(len(written.log) + 1)
    assert len(cuts) > 5_000
    for cut in cuts:
        found = recovered(tmp_path, written.database, written.log[:cut])
        assert found == expected(written, cut), f"torn at byte {cut}"
    # Control: the whole file gives all five, so a lost entry would have been seen.
    assert found[0] == written.heads[ENTRIES]


def test_a_byte_changed_in_the_last_entry_loses_that_entry_whole(written, tmp_path):
    begin = written.ends[-2]
    for at in range(begin, len(written.log), 29):
        damaged = bytearray(written.log)
        damaged[at] ^= 0xFF
        head, leaves = recovered(tmp_path, written.database, bytes(damaged))
        assert (head, leaves) in (expected(written, begin), expected(written, len(written.log)))
    assert recovered(tmp_path, written.database, written.log)[0][0] == ENTRIES


def test_the_store_itself_opens_what_was_torn(written, tmp_path):
    for cut in range(0, len(written.log) + 1, 1009):
        place = tmp_path / str(cut)
        place.mkdir()
        (place / "ledger.db").write_bytes(written.database)
        (place / "ledger.db-wal").write_bytes(written.log[:cut])
        store = SqlStore(f"sqlite:///{place}/ledger.db")
        head = store.head()
        assert (head.size, head.root) == expected(written, cut)[0]
        _append(store)
        assert store.head().size == head.size + 1
        store.close()


SMALL = """
import resource, sys
from ledger import server
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
sys.exit(server.main(sys.argv[1:]))
"""


def test_a_full_disk_refuses_and_loses_nothing_that_was_acknowledged(world):
    """No file of the process may grow beyond 400 KB: what a full disk looks like from inside."""
    script = world.path / "small.py"
    script.write_text(SMALL)
    process = subprocess.Popen(
        [sys.executable, str(script), str(400 << 10), "--dir", str(world.ledger_dir)],
        cwd=REPO,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stderr=subprocess.DEVNULL,
    )
    world.stack.callback(process.wait)
    world.stack.callback(process.kill)
    world.wait_healthy()
    client = world.client()
    kept = []
    with pytest.raises(LedgerError):
        for _ in range(400):
            notes = [world.keys.note() for _ in range(10)]
            kept += client.append(notes)
    assert kept  # control: it did work before
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    again = eventually(lambda: _try(lambda: client.append(notes)))  # space again: it heals
    leaves = _fetch(world, client, again[-1].index + 1)
    for place in [*kept, *again]:
        assert leaves[place.index] == place.leaf_bytes
    assert len({parse_leaf(leaf).entry.payload_bytes for leaf in leaves}) == len(leaves)
    assert Follower(client, world.trust).sync().size == len(leaves)


def _try(action):
    try:
        return action()
    except LedgerError:
        return None


def _fetch(world, client, size):
    eventually(lambda: int(client.checkpoint().split("\n")[1]) >= size)
    return client.entries(0, size)


def test_a_place_is_given_once(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/ledger.db")
    _append(store)
    old = store.head()
    frontier, made = old.frontier.grow([leaf_hash(b"a"), leaf_hash(b"b")])
    tiles = grow_tiles({}, 0, made)[0]

    def rows(*places):
        return [Row(place, b"x%d" % n, (bytes([n]) * 32,)) for n, place in enumerate(places)]

    for places in ((1, 1), (0, 1), (1, 0)):
        with pytest.raises(StoreError):
            store.append(old, Head(frontier, 2), Batch(rows(*places), tiles))
        assert store.head() == old
    store.append(old, Head(frontier, 2), Batch(rows(1, 2), tiles))  # control
    store.close()


def test_an_entry_shown_in_two_places_is_named(running):
    """The log serves leaf 2 again in the place of leaf 3."""
    client = running.client()
    client.append([running.keys.note() for _ in range(8)], wait=True)
    assert Follower(client, running.trust).sync().size == 8  # control
    with closing(sqlite3.connect(running.ledger_dir / "ledger.db", timeout=10)) as db:
        db.execute(
            "UPDATE leaves SET data = (SELECT data FROM leaves WHERE leaf_index = 2) "
            "WHERE leaf_index = 3"
        )
        db.commit()
    with pytest.raises(VerificationError, match="leaf 3 is not"):
        Follower(client, running.trust).sync()


def test_an_entry_sequenced_twice_is_a_violation():
    """A rogue log gives one signed entry two places; the tree and its cosignatures are in order."""
    scene = Scene()
    scene.put("grant")
    for name in ("grant", "owner", "dataset"):
        again = scene.leaves[scene.at[name]]
        opened = scene.opened[scene.at[name]]
        source = Rogue(scene, [*scene.leaves, again], {len(scene.leaves): opened})
        report = audit_ledger(source, TRUST, envelopes=source, now=START)
        assert (report.verdict, report.first_bad) == ("fail", len(scene.leaves))
    control = Rogue(scene, scene.leaves, {})
    assert audit_ledger(control, TRUST, envelopes=control, now=START).ok


@dataclass
class Rogue:
    """A log whose operator wrote what he liked and had it cosigned: witnesses read no entries."""

    scene: Scene
    leaves: list
    more: dict

    def checkpoint(self):
        return self.scene.checkpoint(self.leaves)

    def entries(self, start, end):
        return self.leaves[start:end]

    def envelopes(self, indexes):
        opened = {**self.scene.opened, **self.more}
        return [Envelope(i, *opened[i]) if i in opened else Envelope(i) for i in indexes]


@pytest.mark.parametrize("signers", [["operator"], ["marketplace"], ["compute"], ["attester"]])
@pytest.mark.parametrize("label", ["grant", "rekeyed", "resumed", "order", "objection lifted"])
def test_what_the_operator_signs_for_somebody_has_no_effect(label, signers):
    """Re-signed with the operator's key (and every other service's): noted, and not folded."""
    scene = Scene()
    scene.need(*_needs(label))
    entry = scene.example(label, signers)
    leaf, salt = scene.leaf(entry)
    index = len(scene.leaves)
    more = {} if salt is None else {index: (entry_bytes(entry), salt)}
    source = Rogue(scene, [*scene.leaves, format_leaf(leaf)], more)
    report = audit_ledger(source, TRUST, envelopes=source, now=START)
    assert (report.verdict, report.first_bad) == ("fail", index)
    before, after = scene.refold(), scene.refold()
    after.apply(Record(index, leaf, entry, salt))
    # A stop always stops, whoever signed it; but no consent comes of it.
    assert {g.id for g in after.live_grants()} <= {g.id for g in before.live_grants()}
    assert after.objections == before.objections
    assert after.orders.keys() == before.orders.keys()
    # Control: signed by whom it should be, it passes and has its effect.
    good = Scene()
    good.put(label)
    control = Rogue(good, good.leaves, {})
    assert audit_ledger(control, TRUST, envelopes=control, now=START).ok


def _needs(label):
    from tests.ledger.ledger_scenes import STEPS

    return STEPS[label][1]


def test_a_signature_moved_to_changed_bytes_is_refused():
    """The operator keeps the owner's signature and changes what it stands under."""
    from dataclasses import replace

    scene = Scene()
    at = scene.put("grant")
    record = scene.record(at)
    payload = json.loads(record.entry.payload_bytes)
    payload["terms"]["prices"]["non_profit_research"] = 1
    changed = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    entry = replace(record.entry, payload_bytes=changed)
    from ledger.entries import make_leaf

    forged = Record(at, make_leaf(entry, record.salt, START), entry, record.salt)
    (bad,) = verify_records([forged], None).items()
    assert bad[0] == at
    assert isinstance(bad[1], VerificationError)
    assert verify_records([record], None) == {}  # control


def test_an_old_checkpoint_replayed(running):
    """To who saw a newer one: a changed past. To a newcomer: silence, once it is too old."""
    client = running.client()
    client.append([running.keys.note()], wait=True)
    old = client.checkpoint()
    seen = Follower(client, running.trust)
    client.append([running.keys.note()], wait=True)
    seen.sync()
    client.checkpoint = lambda: old
    with pytest.raises(ConsistencyError, match="changed its past"):
        seen.sync()
    late = now_ms() + running.trust.max_checkpoint_age_ms + 1000
    with pytest.raises(StaleError):
        Follower(client, running.trust, clock=lambda: late).sync()
    del client.checkpoint
    assert seen.sync().size == 2  # control: the newest is taken
    assert Follower(client, running.trust).sync().size == 2


def test_a_witness_does_not_cosign_an_old_checkpoint_again(running, world):
    """Even with the log's own signature a checkpoint behind the last one gets no cosignature."""
    import httpx

    from ledger.checkpoint import Checkpoint, format_checkpoint
    from ledger.config import read_secret
    from ledger.note import parse_private_key, sign_note
    from ledger.witness_core import format_add_checkpoint

    client = running.client()
    client.append([running.keys.note()], wait=True)
    first = client.checkpoint().split("\n")
    client.append([running.keys.note()], wait=True)
    signer = parse_private_key(read_secret(world.ledger_dir / "log.key"))
    import base64

    old = Checkpoint(first[0], int(first[1]), base64.b64decode(first[2]))
    note = sign_note(format_checkpoint(old), [signer])
    url = world.url_of(world.witness_ports[0])

    def caught_up():
        body = format_add_checkpoint(0, [], note)
        return httpx.post(f"{url}/add-checkpoint", content=body).text == "2\n"

    eventually(caught_up)
    for claimed, status in ((0, 409), (1, 409), (2, 400)):
        body = format_add_checkpoint(claimed, [], note)
        answer = httpx.post(f"{url}/add-checkpoint", content=body)
        assert answer.status_code == status
    running.log.log.submit([running.keys.note()])  # control: what grows is cosigned
    assert running.log.log.wait_published(3, 20).size == 3
