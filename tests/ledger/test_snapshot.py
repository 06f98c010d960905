"""Snapshots of the fold: going on gives the same as starting over, and a bent one is left aside."""

import json
from dataclasses import fields, replace

import pytest

from ledger import fold_rows
from ledger import follower as follower_module
from ledger import snapshot as module
from ledger.errors import ConsistencyError, VerificationError
from ledger.fold_model import Tables
from ledger.follower import Follower
from ledger.merkle import Frontier, leaf_hash
from ledger.snapshot import Snapshot, Snapshots
from ledger.state import State
from ledger.trust import Pins
from tests.ledger.ledger_scenes import STEPS, TRUST, Scene
from tests.ledger.ledger_world import Owner
from tests.ledger.test_ledger_follower import Between

KEY = b"k" * 32


def tables(state):
    return {f.name: getattr(state, f.name) for f in fields(Tables) if f.compare}


def kept(state, path, key=KEY, pins=TRUST.pins, personal=True):
    Snapshots(path, KEY).save(Snapshot(state, Frontier(), [], [], "note"))
    return Snapshots(path, key).load(pins, personal)


@pytest.mark.parametrize("label", STEPS)
def test_a_fold_comes_back_as_it_was(label, tmp_path):
    scene = Scene()
    scene.put(label)
    state = scene.refold()
    if any(dataset.erased for dataset in state.datasets.values()):
        return  # the next test
    assert tables(kept(state, tmp_path / "s").state) == tables(state)


@pytest.mark.parametrize("label", STEPS)
def test_going_on_is_folding_from_the_first_entry(label, tmp_path):
    """Cut every history before its last entry: the rest has the same effect on both."""
    scene = Scene()
    scene.put(label)
    state = scene.refold()
    before = type(state)(TRUST)
    last = len(scene.leaves) - 1
    for index in range(last):
        before.apply(scene.record(index))
    resumed = kept(before, tmp_path / "s").state
    resumed.apply(scene.record(last))
    assert tables(resumed) == tables(state)


def test_what_was_erased_is_in_no_byte_of_it(tmp_path):
    scene = Scene()
    scene.put("erased")
    state = scene.refold()
    (dataset,) = [one for one in state.datasets.values() if one.erased]
    grants = [grant for grant in state.grants.values() if grant.dataset == dataset.id]
    secrets = [dataset.participant, dataset.ciphertext_sha256, dataset.signing_key]
    secrets += [word for g in grants for word in (g.sealed_grant_sha256, g.activity_commitment)]
    assert grants and all(secrets)
    back = kept(state, tmp_path / "s").state
    data = (tmp_path / "s").read_bytes()
    assert not [word for word in secrets if word.encode() in data]
    # The control: they are in the state that was written, and would be found.
    assert all(word in repr((state.datasets, grants)) for word in secrets)
    assert back.datasets[dataset.id].erased
    assert [(g.index, g.stopped_at) for g in back.grants.values()] == [
        (g.index, g.stopped_at) for g in state.grants.values()
    ]
    assert [g.id for g in back.live_grants()] == [g.id for g in state.live_grants()]


@pytest.mark.parametrize(
    "at", ["magic", "mac", "first", "last", "cut", "key", "pins", "kind", "code"]
)
def test_a_bent_or_foreign_snapshot_is_left_aside(at, tmp_path, monkeypatch):
    scene = Scene()
    scene.put("grant")
    path = tmp_path / "s"
    assert kept(scene.refold(), path) is not None
    data = bytearray(path.read_bytes())
    place = {"magic": 0, "mac": 25, "first": len(module.MAGIC) + 70, "last": -1}.get(at)
    if place is not None:
        data[place] ^= 1
    path.write_bytes(bytes(data[: -1 if at == "cut" else None]))
    if at == "code":
        monkeypatch.setattr(module, "program_digest", lambda: b"another program")
    key = b"another key" * 3 if at == "key" else KEY
    pins = Pins() if at == "pins" else TRUST.pins
    assert Snapshots(path, key).load(pins, at != "kind") is None


@pytest.mark.parametrize("chunk", ['["nothing",[]]', '["grants",[[1]]]', '["end",[]]', "5", "x"])
def test_authentic_rows_that_make_no_fold_are_left_aside_too(chunk, tmp_path, monkeypatch):
    assert kept(Scene().state, tmp_path / "s") is not None
    whole = module._written
    monkeypatch.setattr(module, "_written", lambda found: [chunk.encode(), *whole(found)])
    assert kept(Scene().state, tmp_path / "s") is None


def test_every_line_is_plain_json_and_bound_to_the_line_before(tmp_path):
    scene = Scene()
    scene.put("grant")
    path = tmp_path / "s"
    assert kept(scene.refold(), path) is not None
    magic, *lines = path.read_bytes().splitlines(keepends=True)
    named = [json.loads(line[65:])[0] for line in lines]
    assert named[0] == "place" and named[-1] == "end"
    for other in (lines[:-1], [*lines[:1], *lines[2:]], [lines[1], lines[0], *lines[2:]]):
        path.write_bytes(magic + b"".join(other))
        assert Snapshots(path, KEY).load(TRUST.pins, True) is None
    path.write_bytes(magic + b"".join(lines))
    assert Snapshots(path, KEY).load(TRUST.pins, True) is not None


def test_every_table_of_the_fold_is_kept():
    """A table somebody adds must be written, or be one that follows from the others."""
    follows = {"pins", "shared", "participants", "grants", "mandate_at", "journal"}
    follows |= {"touched", "derived"}  # what a reader made of it
    written = {*fold_rows._TAKE, *fold_rows._SCALARS, *fold_rows._SETS, *fold_rows._PAIR_SETS}
    written |= {*fold_rows._DICTS, *fold_rows._LISTS}
    written = written - {"scalars", "values", "recovery_names", "grants"} | {"grant_at"}
    assert written | follows == {field.name for field in fields(Tables)}
    assert not written & follows


def test_many_rows_go_in_chunks_and_share_their_values_again(tmp_path, monkeypatch):
    monkeypatch.setattr(fold_rows, "CHUNK", 2)
    monkeypatch.setattr(module, "CHUNK", 2)
    scene = Scene()
    scene.put("grant")
    state = scene.refold()
    (grant,) = state.grants.values()
    for number in range(5):
        more = replace(grant, id=f"{number:032x}", index=grant.index + 100 + number)
        state.grants[more.id] = state.grant_at[more.index] = more
    hashes = [leaf_hash(b"%d" % at) for at in range(5)]
    Snapshots(tmp_path / "s", KEY).save(Snapshot(state, Frontier(), hashes, hashes[:3], "", hashes))
    back = Snapshots(tmp_path / "s", KEY).load(TRUST.pins, True)
    assert (back.tile_roots, back.tail, back.proof) == (hashes, hashes[:3], hashes)
    assert tables(back.state) == tables(state)
    assert len({id(one.body) for one in back.state.grants.values()}) == 1
    assert len({id(one.facets) for one in back.state.grants.values()}) == 1


def test_it_is_private_and_kept_seldom(tmp_path):
    now = [0.0]
    scene = Scene()
    snapshots = Snapshots(tmp_path / "deep" / "s", KEY, lambda: now[0])
    assert not snapshots.due(module.EVERY - 1)
    assert snapshots.due(module.EVERY)
    snapshots.save(Snapshot(scene.state, Frontier(), [], [], ""))
    assert snapshots.path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in snapshots.path.parent.iterdir()] == ["s"]
    with pytest.raises(ValueError, match="32 secret bytes"):
        Snapshots(tmp_path / "s", b"short")


class Counting(Between):
    def __init__(self, client):
        super().__init__(client)
        self.asked = []
        self.bend["entries"] = lambda real, start, end: self.asked.append(start) or real(start, end)


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(module, "EVERY", 1)
    monkeypatch.setattr(module, "SHARE", 1000)


def append(running, *submissions):
    places = running.log.log.submit(list(submissions))
    running.log.log.wait_published(places[-1].index + 1, 10)
    return [place.index for place in places]


def test_a_follower_goes_on_from_its_snapshot(running, tmp_path, often):
    client = Counting(running.client(running.tokens.envelopes))

    def follower():
        snapshots = Snapshots(tmp_path / "s", KEY)
        return Follower(client, running.trust, personal=True, snapshots=snapshots)

    owner = Owner(running.keys)
    append(running, running.keys.compute_key(), owner.register(), owner.register_dataset())
    first = follower()
    first.sync()
    grant = owner.grant(b"sealed")
    (index,) = append(running, grant)
    client.asked.clear()
    again = follower()
    again.sync()
    assert client.asked == [3]
    first.sync()
    assert tables(again.state) == tables(first.state)
    assert again.state.grant_in_force(grant.entry.payload["grant"])
    assert len(list(again.records(0, 4))) == 4
    # The control: without it the follower starts at the first entry.
    client.asked.clear()
    Follower(client, running.trust, personal=True).sync()
    assert client.asked == [0]
    # An erasure is in no snapshot afterwards, and a stop acts on what was resumed.
    erased = owner.erase([index], [2, 3])
    append(running, erased)
    third = follower()
    third.sync()
    assert third.state.live_grants() == []
    data = (tmp_path / "s").read_bytes() if (tmp_path / "s").exists() else b""
    participant = next(iter(first.state.datasets.values())).participant
    assert participant.encode() not in data


class KilledError(BaseException):
    """The process is gone."""


def test_a_follower_killed_in_a_long_catch_up_goes_on_from_where_it_was(
    running, tmp_path, often, monkeypatch
):
    monkeypatch.setattr(follower_module, "STEP", 2)
    client = Counting(running.client())
    append(running, *(running.keys.note() for _ in range(9)))

    def follower(progress=None):
        snapshots = Snapshots(tmp_path / "s", KEY, clock=lambda: 0.0)
        return Follower(client, running.trust, snapshots=snapshots, progress=progress)

    def die(done, _size):
        if done == 4:
            raise KilledError

    with pytest.raises(KilledError):
        follower(die).sync()
    append(running, running.keys.note())
    client.asked.clear()
    again = follower()
    again.sync()
    assert client.asked == [4, 6, 8]
    whole = Follower(client, running.trust)
    whole.sync()
    assert tables(again.state) == tables(whole.state)
    assert len(list(again.records(0, 10))) == 10
    # The control: a proof that is not of this tree is noticed.
    found = Snapshots(tmp_path / "s", KEY).load(running.trust.pins, False)
    wrong = replace(found, frontier=Frontier().extend([leaf_hash(b"x")]), proof=[bytes(32)])
    Snapshots(tmp_path / "s", KEY).save(wrong)
    with pytest.raises(VerificationError, match="not of the tree"):
        follower()


def test_a_log_that_forgot_what_the_snapshot_saw_is_a_changed_past(running, tmp_path, often):
    client = Counting(running.client())
    append(running, running.keys.note())
    old = client.checkpoint()
    append(running, running.keys.note())
    Follower(client, running.trust, snapshots=Snapshots(tmp_path / "s", KEY)).sync()
    late = Follower(client, running.trust, snapshots=Snapshots(tmp_path / "s", KEY))
    client.bend["checkpoint"] = lambda real: old
    with pytest.raises(ConsistencyError, match="2 entries before and 1 now"):
        late.sync()


def test_the_log_itself_starts_from_its_snapshot_or_from_the_leaves(world, often, monkeypatch):
    from ledger import log as log_module

    owner = Owner(world.keys)
    service = world.service()
    service.log.start(5)
    service.log.submit([world.keys.compute_key(), owner.register(), owner.register_dataset()])
    head = service.log.head
    service.close()
    path = world.ledger_dir / "fold.snapshot"
    assert path.exists()
    starts = []
    real = log_module.replay

    def replay(store, size, start=0):
        starts.append(start)
        return real(store, size, start)

    monkeypatch.setattr(log_module, "replay", replay)
    service = world.service()
    service.log.start(5)
    service.log.submit([owner.grant(b"sealed")])
    assert starts == [3]
    service.close()
    # Of another history of the same log: the leaves decide.
    key = (world.ledger_dir / "log.key").read_text().strip().encode()
    other = Frontier().extend([leaf_hash(b"%d" % i) for i in range(3)])
    state = State(world.trust.pins)
    state.size = 3
    Snapshots(path, key).save(Snapshot(state, other, [], [], ""))
    starts.clear()
    service = world.service()
    service.log.start(5)
    assert starts == [3, 0] and service.log.head.size == 4 > head.size
    service.close()
