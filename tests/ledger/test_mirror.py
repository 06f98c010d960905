"""Mirrors: a full copy that believes only the witnesses, follows erasures, and can take over."""

import json
import shutil
import sqlite3

import httpx
import pytest

from ledger import Follower, audit_ledger, mirror
from ledger.errors import ConsistencyError, LedgerError, RefusedError, VerificationError
from ledger.leaf import parse_leaf
from ledger.merkle import Frontier, leaf_hash
from ledger.mirror_copy import Keeps, Mirror
from ledger.store import Batch, Head, Row
from ledger.store_sql import SqlStore
from tests.ledger.ledger_world import Owner, eventually, free_port, now_ms


@pytest.fixture
def published(running):
    """Waits until everything appended is witnessed."""
    return lambda: running.log.log.wait_published(running.log.log.head.size, 20)


class Copy:
    """A mirror with its own store, driven by hand."""

    def __init__(self, world, path, keeps=Keeps.LEAVES, token=None, url=None):
        self.path = path
        self.store = SqlStore(f"sqlite:///{path}")
        self.client = world.client(token, url)
        self.mirror = Mirror(self.client, world.trust, self.store, keeps)
        world.stack.callback(self.store.close)


def fill(running, published, grants=1):
    """An owner with a grant, an access with its tree, and enough leaves for several tiles."""
    owner = Owner(running.keys)
    client = running.client()
    sealed = b"THE-SEALED-CANARY" * 20
    grant = owner.grant(sealed)
    first = [running.keys.compute_key(), owner.register(), owner.register_dataset(), grant]
    at = [place.index for place in client.append(first)]
    client.append([running.keys.access([bytes([i]) * 32 for i in range(5)])])
    client.append([running.keys.note() for _ in range(600)])
    published()
    return owner, grant, at


def test_a_copy_is_the_whole_log_and_serves_it(running, published, tmp_path):
    fill(running, published)
    copy = Copy(running, tmp_path / "mirror.db")
    found = copy.mirror.sync()
    assert copy.mirror.published().size == found.size == 605
    assert copy.store.leaves(0, 605) == running.client().entries(0, 605)
    with sqlite3.connect(tmp_path / "mirror.db") as db:  # leaves only
        assert db.execute("SELECT count(*) FROM envelopes").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM attachments").fetchone() == (0,)
    for level, index in ((0, 0), (0, 1), (0, 2), (1, 0)):
        assert copy.store.tile(level, index) == running.log.store.tile(level, index)


def test_the_process_serves_readers_unchanged(running, published, tmp_path):
    fill(running, published)
    port = free_port()
    place = tmp_path / "mirror"
    mirror.init(place, running.url, port, str(running.trust_path))
    process = running.spawn(directory=place, module="ledger.mirror")
    url = running.url_of(port)
    running.wait_healthy(url)
    client = running.client(url=url)
    follower = Follower(client, running.trust)
    assert follower.sync().size == 605
    report = audit_ledger(client, running.trust, now=now_ms())
    assert report.ok
    leaf = parse_leaf(client.entries(4, 5)[0])
    root = bytes.fromhex(leaf.entry.payload["cohort_root"])
    assert client.access_tree(root) == running.client().access_tree(root)
    running.client().append([running.keys.note()], wait=True)
    eventually(lambda: client.checkpoint().split("\n")[1] == "606")
    http = httpx.get(f"{url}/tile/0/000", timeout=5)
    assert "immutable" in http.headers["cache-control"]
    assert httpx.post(f"{url}/entries", content=b"{}", timeout=5).status_code == 404
    assert httpx.post(f"{url}/envelopes", content=b"{}", timeout=5).status_code == 404
    process.terminate()
    eventually(lambda: process.poll() is not None)
    assert process.returncode == 0


def test_it_goes_on_where_it_stopped(running, published, tmp_path):
    fill(running, published)
    copy = Copy(running, tmp_path / "mirror.db")
    copy.mirror.sync()
    copy.store.close()
    running.client().append([running.keys.note()], wait=True)
    again = Copy(running, tmp_path / "mirror.db")
    assert again.mirror.published().size == 605
    assert again.mirror.sync().size == 606


def test_erasure_reaches_the_files_of_a_mirror_with_envelopes(running, published, tmp_path):
    owner, grant, at = fill(running, published)
    place = tmp_path / "mirror"
    place.mkdir()
    copy = Copy(running, place / "mirror.db", Keeps.GRANTS, running.tokens.grants)
    copy.mirror.sync()

    def found(needle):
        return any(needle in path.read_bytes() for path in place.iterdir())

    needles = (grant.salt, grant.entry.payload_bytes, b"THE-SEALED-CANARY")
    assert all(map(found, needles))  # control: they were there
    running.client().append([owner.erase([at[3]], at[2:])], wait=True)
    copy.mirror.sync()
    assert not any(map(found, needles))
    assert copy.store.envelopes(at) == running.log.store.envelopes(at)
    assert len(copy.store.envelopes(at)) == 1  # the enrolment of an open account stays
    late = Copy(running, tmp_path / "late.db", Keeps.GRANTS, running.tokens.grants)
    late.mirror.sync()  # one that comes after the erasure never sees them
    assert grant.salt not in (tmp_path / "late.db").read_bytes()


def test_a_withdrawal_drops_the_sealed_grant(running, published, tmp_path):
    owner, grant, at = fill(running, published)
    copy = Copy(running, tmp_path / "mirror.db", Keeps.GRANTS, running.tokens.grants)
    copy.mirror.sync()
    assert copy.store.attachments([at[3]], "sealed_grant")
    running.client().append([owner.withdraw(grant, at[3])], wait=True)
    copy.mirror.sync()
    assert not copy.store.attachments([at[3]], "sealed_grant")


def test_a_lying_log_is_not_copied(running, published, tmp_path):
    fill(running, published)
    copy = Copy(running, tmp_path / "mirror.db")
    entries = copy.client.entries
    copy.client.entries = lambda start, end: [b"{}", *entries(start, end)[1:]]
    with pytest.raises(VerificationError):
        copy.mirror.sync()
    assert copy.store.head().size == 0
    assert copy.mirror.published() is None
    copy.client.entries = entries  # control
    assert copy.mirror.sync().size == 605


def test_a_wrong_envelope_is_not_copied(running, published, tmp_path):
    _, _, at = fill(running, published)
    copy = Copy(running, tmp_path / "mirror.db", Keeps.ENVELOPES, running.tokens.envelopes)
    envelopes = copy.client.envelopes

    def swapped(indexes):
        found = envelopes(indexes)
        return [type(one)(one.index, found[0].entry, found[0].salt) for one in found]

    copy.client.envelopes = swapped
    with pytest.raises(VerificationError, match="not the committed one"):
        copy.mirror.sync()
    copy.client.envelopes = envelopes
    copy.mirror.sync()
    assert len(copy.store.envelopes(at)) == 3


def test_an_old_checkpoint_is_a_changed_past(running, published, tmp_path):
    running.client().append([running.keys.note()], wait=True)
    copy = Copy(running, tmp_path / "mirror.db")
    old = running.client().checkpoint()
    copy.mirror.sync()
    running.client().append([running.keys.note()], wait=True)
    copy.mirror.sync()
    copy.client.checkpoint = lambda: old
    with pytest.raises(ConsistencyError, match="changed its past"):
        copy.mirror.sync()
    assert copy.mirror.published().size == 2


@pytest.fixture
def primary(world):
    """A log in a process of its own, that can be lost."""
    world.process = world.spawn()
    world.wait_healthy()
    return world


def lose(world):
    world.process.kill()
    world.process.wait()
    keys = world.path / "key-backup"
    keys.mkdir()
    for name in ("log.key", "operator.key"):
        shutil.copy(world.ledger_dir / name, keys / name)
    shutil.rmtree(world.ledger_dir)
    return keys


def mirrored(world, keeps="leaves"):
    """A mirror's directory, synced once."""
    place = world.path / "mirror"
    mirror.init(place, world.url, free_port(), "../trust/trust.json", keeps)
    if keeps != "leaves":
        (place / "token").write_text(world.tokens.grants)
    sync(place)
    return place


def sync(place):
    service = mirror.Service(mirror.load_mirror(place))
    service.mirror.sync()
    service.close()


def test_a_mirror_is_promoted_without_a_fork(primary):
    owner = Owner(primary.keys)
    grant = owner.grant(b"sealed" * 30)
    entries = [primary.keys.compute_key(), owner.register(), owner.register_dataset(), grant]
    at = [place.index for place in primary.client().append(entries, wait=True)]
    follower = Follower(primary.client(primary.tokens.grants), primary.trust, personal=True)
    follower.sync()
    place = mirrored(primary, "grants")
    keys = lose(primary)
    made = mirror.promote(place, primary.ledger_dir, keys, primary.port)
    assert made["size"] == 4
    from ledger.config import load_tokens

    process = primary.spawn()
    primary.wait_healthy()
    tokens = load_tokens(primary.ledger_dir)
    again = primary.client(tokens.grants)
    (repeated,) = again.append([grant])  # found in its old place, not appended again
    assert repeated.index == at[3]
    again.append([owner.withdraw(grant, at[3])], wait=True)
    follower._client = again
    assert follower.sync().size == 5  # the same follower, and no changed past
    assert follower.state.consent_blocked() is None
    assert follower.state.live_grants() == []
    process.terminate()
    eventually(lambda: process.poll() is not None)


def test_a_mirror_behind_its_witnesses_is_not_promoted(primary):
    primary.client().append([primary.keys.note()], wait=True)
    place = mirrored(primary)
    primary.client().append([primary.keys.note()], wait=True)
    behind = shutil.copytree(place, primary.path / "behind")
    sync(place)
    keys = lose(primary)
    with pytest.raises(ConsistencyError, match="behind"):
        mirror.promote(behind, primary.path / "new", keys, primary.port)
    assert not (primary.path / "new").exists()
    # Control: the copy that is as far as the witnesses is promoted.
    assert mirror.promote(place, primary.path / "new", keys, primary.port)["size"] == 2


def test_a_mirror_of_another_history_is_not_promoted(primary, monkeypatch):
    primary.client().append([primary.keys.note()], wait=True)
    place = mirrored(primary)
    keys = lose(primary)
    with sqlite3.connect(place / "mirror.db") as db:
        db.execute("UPDATE tiles SET data = zeroblob(32)")
    with pytest.raises(ConsistencyError, match="another history"):
        mirror.promote(place, primary.path / "new", keys, primary.port)


def test_no_promotion_while_the_log_lives_or_with_another_key(primary, tmp_path):
    primary.client().append([primary.keys.note()], wait=True)
    place = mirrored(primary)
    with pytest.raises(RefusedError, match="still answers"):
        mirror.promote(place, primary.path / "new", primary.ledger_dir, primary.port)
    keys = lose(primary)
    from ledger.server import init

    init(primary.path / "other", primary.trust.origin, 1, [])
    with pytest.raises(LedgerError, match="not the key of the log"):
        mirror.promote(place, primary.path / "new", primary.path / "other", primary.port)
    assert mirror.promote(place, primary.path / "new", keys, primary.port)["size"] == 1


def stop(world):
    world.process.terminate()
    world.process.wait()


def start(world):
    world.process = world.spawn()
    world.wait_healthy()


class Backed:
    """A log whose backup is older than an erasure, a withdrawal and a grant; and its follower."""

    def __init__(self, world):
        self.world = world
        self.ann, self.bob = Owner(world.keys), Owner(world.keys)
        self.erased, self.withdrawn = self.ann.grant(b"ANN-SEALED" * 30), self.bob.grant(b"b" * 300)
        first = [
            world.keys.compute_key(),
            self.ann.register(), self.ann.register_dataset(), self.erased,
            self.bob.register(), self.bob.register_dataset(), self.withdrawn,
        ]  # fmt: skip
        self.at = [place.index for place in world.client().append(first, wait=True)]
        stop(world)
        self.backup = shutil.copytree(world.ledger_dir, world.path / "backup")
        start(world)
        self.granted = self.bob.grant(b"BOB-SEALED" * 30)
        later = [
            self.ann.erase([self.at[3]], self.at[2:4]),
            self.bob.withdraw(self.withdrawn, self.at[6]),
            self.granted,
        ]
        self.later = [place.index for place in world.client().append(later, wait=True)]
        client = world.client(world.tokens.grants)
        self.follower = Follower(client, world.trust, personal=True)
        self.follower.sync()

    def put_back(self):
        shutil.rmtree(self.world.ledger_dir)
        shutil.copytree(self.backup, self.world.ledger_dir)

    def holds(self, needle):
        return any(needle in path.read_bytes() for path in self.world.ledger_dir.iterdir())


def test_a_restored_backup_catches_up_by_the_command_its_refusal_names(primary, capsys):
    backed = Backed(primary)
    place = mirrored(primary, "grants")
    stop(primary)
    backed.put_back()
    assert backed.holds(backed.erased.salt)  # control: the backup has what was erased since
    refused = primary.spawn()
    refused.wait(30)
    told = refused.stderr.read().decode()
    assert "this store is behind" in told
    assert "`omic mirror catch-up --dir MIRROR --to DIR`" in told

    assert mirror.main(["catch-up", "--dir", str(place), "--to", str(primary.ledger_dir)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "origin": primary.trust.origin, "from": 7, "size": 10, "dir": str(primary.ledger_dir),
    }  # fmt: skip
    needles = (backed.erased.salt, backed.erased.entry.payload_bytes, b"ANN-SEALED")
    assert not any(map(backed.holds, needles))
    start(primary)  # the same keys, tokens and address
    primary.client().append([primary.keys.note()], wait=True)
    assert backed.follower.sync().size == 11  # and no changed past
    fresh = Follower(primary.client(primary.tokens.grants), primary.trust, personal=True)
    fresh.sync()
    assert fresh.state.consent_blocked() is None
    assert [grant.id for grant in fresh.state.live_grants()] == [
        backed.granted.entry.payload["grant"]
    ]
    held = primary.client(primary.tokens.grants).grants([backed.at[6], backed.later[2]])
    assert held == {backed.later[2]: b"BOB-SEALED" * 30}
    (repeated,) = primary.client().append([backed.granted])
    assert repeated.index == backed.later[2]
    stop(primary)


def test_a_backup_does_not_catch_up_from_what_cannot_complete_it(primary):
    backed = Backed(primary)
    place = mirrored(primary)
    with pytest.raises(RefusedError, match="still answers"):
        mirror.catch_up(place, primary.ledger_dir)
    stop(primary)
    with pytest.raises(RefusedError, match="nothing to catch up with"):
        mirror.catch_up(place, primary.ledger_dir)
    backed.put_back()
    with pytest.raises(RefusedError, match=r"leaves only, and 3 of the 3 entries"):
        mirror.catch_up(place, primary.ledger_dir)
    with sqlite3.connect(primary.ledger_dir / "ledger.db") as db:
        assert db.execute("SELECT max(leaf_index) FROM leaves").fetchone() == (6,)


def test_another_history_does_not_catch_up(primary):
    primary.client().append([primary.keys.note(), primary.keys.note()], wait=True)
    place = mirrored(primary)
    stop(primary)
    for path in primary.ledger_dir.glob("ledger.db*"):
        path.unlink()
    other = SqlStore(f"sqlite:///{primary.ledger_dir / 'ledger.db'}")
    hashed = leaf_hash(b"another first leaf")
    head = Head(Frontier().extend([hashed]), 1)
    other.append(
        Head(), head, Batch([Row(0, b"another first leaf", (b"its id",))], {(0, 0): hashed})
    )
    other.close()
    with pytest.raises(ConsistencyError, match=r"another history.*omic mirror promote"):
        mirror.catch_up(place, primary.ledger_dir)
    for path in primary.ledger_dir.glob("ledger.db*"):  # control: an empty one catches up
        path.unlink()
    assert mirror.catch_up(place, primary.ledger_dir)["from"] == 0
    start(primary)
    primary.client().append([primary.keys.note()], wait=True)
    assert Follower(primary.client(), primary.trust).sync().size == 3
    stop(primary)


def test_start_errors_are_told(tmp_path, capsys):
    assert mirror.main(["init", "--dir", str(tmp_path / "m"), "--port", "1"]) == 2
    assert "--source" in capsys.readouterr().err
    args = ["init", "--dir", str(tmp_path / "m"), "--port", "1", "--source", "http://x"]
    assert mirror.main(args) == 0
    assert json.loads(capsys.readouterr().out)["keeps"] == "leaves"
    assert mirror.main(["--dir", str(tmp_path / "m")]) == 2
    assert "trust" in capsys.readouterr().err
