"""The witness process: statuses of C2SP tlog-witness, durability before the answer, memory."""

import signal
import threading

import httpx
import pytest

from ledger import witness
from ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.config import load_witness
from ledger.errors import FormatError, LedgerError, StoreError
from ledger.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, tree_root
from ledger.note import (
    Ed25519Signer,
    Note,
    parse_note,
    parse_signatures,
    parse_vkey,
    sign_note,
    verify_note,
)
from ledger.vkey import format_vkey
from ledger.witness_core import format_add_checkpoint, parse_add_checkpoint
from ledger.witness_store import WitnessStore
from tests.ledger.ledger_world import World, eventually, memory_kib

HASHES = [leaf_hash(b"%d" % i) for i in range(40)]
LOG = Ed25519Signer("w.test/log", b"7" * 32)


def note_at(size, signer=LOG, hashes=HASHES, origin="w.test/log"):
    root = tree_root(hashes[:size]) if size else EMPTY_ROOT
    return sign_note(format_checkpoint(Checkpoint(origin, size, root)), [signer])


def request(old, size, hashes=HASHES, **options):
    proof = consistency_proof(old, hashes[:size]) if 0 < old < size else []
    return format_add_checkpoint(old, proof, note_at(size, hashes=hashes, **options))


@pytest.fixture
def core(tmp_path):
    public = witness.init(tmp_path / "w", "w1", 1, [format_vkey(LOG.vkey)], mldsa=False)
    core, store = witness.open_witness(load_witness(tmp_path / "w"))
    core.vkey = parse_vkey(public["witness"])
    yield core
    store.close()


def status(core, body):
    return core.add_checkpoint(body).status


def test_grows_and_cosigns(core):
    for old, size in ((0, 0), (0, 3), (3, 3), (3, 17), (17, 40)):
        outcome = core.add_checkpoint(request(old, size))
        assert outcome.status == 200
        text = parse_add_checkpoint(request(old, size)).note.text
        (verified,) = verify_note(Note(text, parse_signatures(outcome.body)), [core.vkey])
        assert verified.time > 1_700_000_000


def test_statuses(core):
    assert status(core, request(0, 5)) == 200
    assert status(core, b"nonsense") == 400
    assert status(core, request(0, 5, signer=Ed25519Signer("w.test/log", b"8" * 32))) == 403
    stranger = Ed25519Signer("other/log", b"7" * 32)
    assert status(core, request(0, 5, signer=stranger, origin="other/log")) == 404
    conflict = core.add_checkpoint(request(3, 17))
    assert (conflict.status, conflict.body, conflict.content_type) == (
        409, b"5\n", "text/x.tlog.size",
    )  # fmt: skip
    assert status(core, request(0, 17)) == 409
    assert status(core, request(17, 5)) == 400
    other = [leaf_hash(b"other %d" % i) for i in range(40)]
    assert status(core, request(5, 17, hashes=other)) == 422
    assert status(core, request(5, 5, hashes=other)) == 422
    assert status(core, request(5, 17)) == 200


def test_going_back_is_impossible_even_by_restart(core, tmp_path):
    assert status(core, request(0, 17)) == 200
    again, store = witness.open_witness(load_witness(tmp_path / "w"))
    try:
        assert status(again, request(0, 5)) == 409
        assert status(again, request(17, 40)) == 200
    finally:
        store.close()
    # The first process kept nothing in memory that could bring the old size back.
    assert status(core, request(17, 20)) == 409


def test_monitoring_shows_the_newest_with_our_cosignature_only(core):
    from hashlib import sha256

    name = sha256(b"w.test/log").hexdigest()
    assert core.checkpoint(name) is None
    good = parse_add_checkpoint(request(0, 3))
    junk = Ed25519Signer("junk", b"9" * 32).sign(good.note.text)
    noisy = Note(good.note.text, (*good.note.signatures, junk))
    assert status(core, format_add_checkpoint(0, [], noisy)) == 200
    note = parse_note(core.checkpoint(name))
    assert parse_checkpoint(note.text).size == 3
    assert {one.name for one in note.signatures} == {"w.test/log", "w1"}
    assert len(verify_note(note, [core.vkey, LOG.vkey])) == 2


def test_two_at_once_cannot_both_move_it(core):
    """Two histories race from the same size: at most one is ever cosigned."""
    assert status(core, request(0, 5)) == 200
    fork = HASHES[:5] + [leaf_hash(b"fork %d" % i) for i in range(35)]
    for _ in range(5):
        got = {}
        bodies = {"a": request(5, 20), "b": request(5, 20, hashes=fork)}
        threads = [
            threading.Thread(target=lambda n=n, b=b: got.update({n: status(core, b)}))
            for n, b in bodies.items()
        ]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert sorted(got.values()) in ([200, 409], [409, 409])


def test_swap_is_a_compare_and_swap(tmp_path):
    store = WitnessStore(tmp_path / "w.db")
    assert store.swap("o", None, (1, b"r"), b"n")
    assert not store.swap("o", None, (2, b"s"), b"n")
    assert not store.swap("o", (1, b"x"), (2, b"s"), b"n")
    assert store.swap("o", (1, b"r"), (2, b"s"), b"n")
    assert store.last("o") == (2, b"s")
    store.close()


def test_no_cosignature_when_it_cannot_be_stored(core):
    core._store._db.execute("PRAGMA query_only=ON")
    with pytest.raises(StoreError):
        core.add_checkpoint(request(0, 5))
    core._store._db.execute("PRAGMA query_only=OFF")
    assert status(core, request(0, 5)) == 200


def test_mldsa_too(tmp_path):
    from ledger.cosignature import mldsa44_available

    assert mldsa44_available()
    public = witness.init(tmp_path / "w", "w1", 1, [format_vkey(LOG.vkey)], mldsa=True)
    core, store = witness.open_witness(load_witness(tmp_path / "w"))
    outcome = core.add_checkpoint(request(0, 5))
    store.close()
    keys = [parse_vkey(public["witness"]), parse_vkey(public["witness_mldsa44"])]
    note = Note(parse_add_checkpoint(request(0, 5)).note.text, parse_signatures(outcome.body))
    assert len(verify_note(note, keys)) == 2


def test_a_quorum_of_mldsa_cosignatures_alone(tmp_path):
    """Three witnesses that are trusted by their post-quantum keys only, over a real log."""
    from dataclasses import replace

    from ledger.follower import Follower
    from tests.ledger.ledger_world import World

    world = World(tmp_path, mldsa=True)
    try:
        policy = world.trust.witness_policy
        for one in world.witness_public:
            policy = policy.replace(str(one["witness"]), str(one["witness_mldsa44"]))
        world.trust = replace(world.trust, witness_policy=policy)
        world.trust_path.write_bytes(world.trust.format())
        world.start_witnesses()
        service = world.start()
        world.serve(service)
        world.wait_healthy()
        (place,) = world.client().append([world.keys.note()], wait=True)
        assert place.receipt
        assert Follower(world.client(), world.trust).sync().size == 1
    finally:
        world.close()


def test_init_never_overwrites_a_key_and_keeps_it_private(tmp_path):
    witness.init(tmp_path / "w", "w1", 1, [], mldsa=False)
    assert (tmp_path / "w" / witness.KEY_NAME).stat().st_mode & 0o077 == 0
    with pytest.raises(LedgerError, match="never overwritten"):
        witness.init(tmp_path / "w", "w1", 1, [], mldsa=False)
    with pytest.raises(FormatError):
        witness.init(tmp_path / "v", "w1", 1, ["no vkey"], mldsa=False)
    (tmp_path / "w" / witness.KEY_NAME).write_text("{}")
    assert witness.main(["--dir", str(tmp_path / "nothing")]) == 2


def test_trust_file_may_come_later(tmp_path):
    witness.init(tmp_path / "w", "w1", 1, [], mldsa=False)
    core, store = witness.open_witness(load_witness(tmp_path / "w"))
    assert status(core, request(0, 5)) == 404
    (tmp_path / "trust").mkdir()
    text = f"log {format_vkey(LOG.vkey)}\nquorum none\n"
    import json

    (tmp_path / "trust" / "trust.json").write_text(json.dumps({"witness_policy": text}))
    assert status(core, request(0, 5)) == 200
    store.close()


def test_process_over_http_stops_cleanly_and_stays_small(tmp_path):
    world = World(tmp_path, witnesses=1)
    try:
        process = world.spawn(directory=world.witness_dirs[0], module="ledger.witness")
        url = world.url_of(world.witness_ports[0])
        world.wait_healthy(url)
        with httpx.Client(timeout=5) as http:
            assert http.get(f"{url}/{'0' * 64}/checkpoint").status_code == 404
            assert http.get(f"{url}/nothing").status_code == 404
            assert http.post(f"{url}/nothing", content=b"x").status_code == 404
            assert http.post(f"{url}/add-checkpoint", content=b"x").status_code == 400
            assert http.post(f"{url}/add-checkpoint", content=request(0, 5)).status_code == 404
            huge = http.post(f"{url}/add-checkpoint", content=b"x" * (1 << 21))
            assert huge.status_code == 413
        assert memory_kib(process.pid) < 45 * 1024
        process.send_signal(signal.SIGTERM)
        eventually(lambda: process.poll() is not None)
        assert process.returncode == 0
    finally:
        world.close()


def test_config_is_private(tmp_path):
    witness.init(tmp_path / "w", "w1", 1, [], mldsa=False)
    assert (tmp_path / "w" / "config.toml").stat().st_mode & 0o077 == 0
