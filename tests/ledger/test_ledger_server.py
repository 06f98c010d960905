"""The ledger over HTTP: what the contract promises to clients and to third-party readers."""

import gzip
import json
import os
import signal
import stat
import tomllib

import httpx
import pytest

from ledger import server
from ledger.client import LedgerClient
from ledger.config import load_ledger
from ledger.envelope import submission_to_json, unb64
from ledger.errors import FormatError, LedgerError, NotFoundError, PolicyError, RefusedError
from ledger.follower import Follower
from ledger.leaf import parse_leaf
from ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from ledger.policy import verify_checkpoint
from ledger.proof import verify_proof
from ledger.tiles import Tile, decode_bundle
from tests.ledger.ledger_world import ORIGIN, Owner, World, eventually, memory_kib, now_ms
from tests.ledger.plain_tiles import hash_tile_of_bundle


@pytest.fixture
def http(running):
    with httpx.Client(base_url=running.url, timeout=10) as http:
        yield http


def post(http, submissions, path="/entries"):
    return http.post(path, json={"entries": [submission_to_json(one) for one in submissions]})


def test_append_wait_gives_receipts_that_verify_offline(running):
    client = running.client()
    owner = Owner(running.keys)
    places = client.append([owner.register(), owner.register_dataset()], wait=True)
    assert [place.index for place in places] == [0, 1]
    for place in places:
        verified = verify_proof(place.leaf_bytes, running.trust.policy, place.receipt.encode())
        assert verified.checkpoint.size >= 2
        assert parse_leaf(place.leaf_bytes).time == place.time
    assert client.append([running.keys.note()])[0].receipt is None
    assert client.receipt(0).startswith("c2sp.org/tlog-proof@v1\n")
    with pytest.raises(NotFoundError):
        client.receipt(99)


def test_checkpoint_is_the_witnessed_note(running, http):
    running.client().append([running.keys.note()], wait=True)
    answer = http.get("/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    verified = verify_checkpoint(running.trust.policy, answer.content)
    assert (verified.checkpoint.origin, verified.checkpoint.size) == (ORIGIN, 1)
    assert len(verified.cosignatures) >= 2


def test_tiles_and_bundles(running, http):
    running.log.log.submit([running.keys.note() for _ in range(300)])
    running.log.log.wait_published(300, 10)
    bundle = http.get("/tile/entries/000")
    assert bundle.headers["content-type"] == "application/octet-stream"
    assert "immutable" in bundle.headers["cache-control"]
    assert http.get("/tile/0/000").content == hash_tile_of_bundle(bundle.content, 256)
    part = http.get("/tile/entries/001.p/44").content
    assert http.get("/tile/0/001.p/44").content == hash_tile_of_bundle(part, 44)
    assert len(http.get("/tile/1/000.p/1").content) == 32
    # The partial tile of an earlier checkpoint is still served, cut from the wider one.
    assert http.get("/tile/0/001.p/7").content == http.get("/tile/0/001.p/44").content[: 7 * 32]
    assert http.get("/tile/entries/000.p/3").status_code == 200
    for missing in ("/tile/0/001", "/tile/0/001.p/45", "/tile/1/000.p/2", "/tile/2/000.p/1",
                    "/tile/entries/002.p/1"):  # fmt: skip
        assert http.get(missing).status_code == 404, missing
    for malformed in ("/tile/0/1", "/tile/0/x000/001", "/tile/0/000.p/256", "/tile/64/000", "/tile/a/000",
                      "/tile/0/000.p/0"):  # fmt: skip
        assert http.get(malformed).status_code == 400, malformed


def test_bundles_are_packed_for_who_accepts_it(running, http):
    running.log.log.submit([running.keys.note() for _ in range(40)])
    running.log.log.wait_published(40, 10)

    def get(path, accepts):
        with http.stream("GET", path, headers={"Accept-Encoding": accepts}) as answer:
            return answer.headers, b"".join(answer.iter_raw())

    path = "/tile/entries/000.p/40"
    headers, plain = get(path, "identity")
    assert "content-encoding" not in headers
    assert len(decode_bundle(plain, 40)) == 40
    headers, packed = get(path, "gzip")
    assert (headers["content-encoding"], headers["vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(packed) == plain
    assert len(packed) < len(plain)
    assert "immutable" in headers["cache-control"]
    assert get(path, "gzip;q=0")[1] == plain
    # Hash tiles are never packed, and a client of ours asks for plain bytes.
    assert "content-encoding" not in get("/tile/0/000.p/40", "gzip")[0]
    assert running.client().entries(0, 40) == decode_bundle(plain, 40)


def test_proofs(running):
    running.log.log.submit([running.keys.note() for _ in range(70)])
    size = running.log.log.wait_published(70, 10).size
    client = running.client()
    leaves = client.entries(0, size)
    root = running.log.log.head.root
    verify_inclusion(33, size, leaf_hash(leaves[33]), client.inclusion(33, size), root)
    old = running.log.log.head.frontier.from_bytes(b"\0" * 8).extend(map(leaf_hash, leaves[:20]))
    verify_consistency(20, size, client.consistency(20, size), old.root(), root)
    for bad in (lambda: client.inclusion(70, 70), lambda: client.inclusion(0, 71),
                lambda: client.consistency(0, 70), lambda: client.consistency(60, 50)):  # fmt: skip
        with pytest.raises(NotFoundError):
            bad()
    assert client.tile(Tile(0, 0, 70)) == b"".join(map(leaf_hash, leaves))


def test_problem_documents(running, http):
    note, stranger = running.keys.note(), Owner(running.keys)
    answer = post(http, [note, stranger.register_dataset()])
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["entry"] == 1
    assert body.keys() == {"type", "title", "status", "detail", "entry"}
    assert running.log.log.head.size == 0
    for content in (b"", b"[]", b"{}", b'{"entries": 1}', b'{"entries": [1]}', b"\xff", b"{" * 9999,
                    b'{"entries": []}', b'{"entries": [{"payload_type": 5}]}', b'{"a":1,"a":2}'):  # fmt: skip
        bad = http.post("/entries", content=content)
        assert 400 <= bad.status_code < 500, content
        assert bad.headers["content-type"] == "application/problem+json"
    assert http.get("/nothing").json()["status"] == 404
    assert http.get("/entries").status_code == 405
    assert http.get("/proof/inclusion?index=x&size=1").status_code == 400
    assert http.get("/access-trees/zz").status_code == 400
    assert http.get("/access-trees/" + "00" * 32).status_code == 404
    with pytest.raises(RefusedError, match="entry 0"):
        running.client().append([stranger.register_dataset()])


def test_bodies_are_bounded(http):
    assert http.post("/entries", content=b"x" * (9 << 20)).status_code == 413


def test_tokens(running, http):
    owner = Owner(running.keys)
    grant = owner.grant(b"sealed")
    client = running.client()
    client.append([running.keys.compute_key(), owner.register(), owner.register_dataset(), grant])
    tokens = running.tokens

    def status(path, token, body=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return http.post(path, json=body or {"indexes": [3]}, headers=headers).status_code

    assert [status("/envelopes", t) for t in (None, "wrong", "", "x" * 43)] == [401] * 4
    assert [status("/grants", t) for t in (None, "x" * 43, tokens.envelopes, tokens.auditor)] == [
        401,
        401,
        403,
        403,
    ]
    assert status("/envelopes", tokens.envelopes) == 200
    assert status("/envelopes", tokens.grants) == 200  # compute reads both
    assert status("/grants", tokens.grants) == 200
    (found,) = running.client(tokens.envelopes).envelopes([3])
    assert found.salt == grant.salt
    assert running.client(tokens.grants).grants([0, 3]) == {3: b"sealed"}
    for bad in ({"indexes": ["a"]}, {"indexes": [-1]}, {"start": 0}, {"start": 0, "end": 5000},
                {"indexes": list(range(2000))}, {"indexes": 5}):  # fmt: skip
        assert status("/envelopes", tokens.envelopes, bad) == 400
    client.append([owner.withdraw(grant, 3)])
    assert running.client(tokens.grants).grants([3]) == {}


def test_an_auditors_reading_is_on_the_log_first(running):
    owner = Owner(running.keys)
    running.client().append([owner.register()], wait=True)
    auditor = running.client(running.tokens.auditor)
    (found,) = auditor.envelopes([0])
    assert found.entry
    leaf = parse_leaf(running.log.store.leaves(1, 2)[0])
    assert leaf.type == "operator.acted"
    assert leaf.entry.payload["action"] == "auditor.read-envelopes"
    details = {"first": 0, "last": 0, "count": 1, "auditor": "first"}
    assert leaf.entry.payload["details"] == details
    assert leaf.entry.signatures[0].public_key == unb64(running.public["operator"])
    running.client(running.tokens.envelopes).envelopes([0])
    assert running.log.log.head.size == 2  # the services' own reading is not


def test_an_auditors_access_has_a_name_and_an_end(running, capsys):
    running.client().append([Owner(running.keys).register()], wait=True)
    give = ["auditor", "--dir", str(running.ledger_dir), "--name", "ann-audits"]
    assert server.main([*give, "--days", "2"]) == 0
    token = json.loads(capsys.readouterr().out)["token"]
    auditor = running.client(token)
    assert auditor.envelopes([0])[0].entry  # given without a restart
    leaf = parse_leaf(running.log.store.leaves(1, 2)[0])
    assert leaf.entry.payload["details"]["auditor"] == "ann-audits"
    assert token not in (running.ledger_dir / "auditors.toml").read_text()
    with pytest.raises(LedgerError):
        auditor.grants([0])  # never sealed grants
    size = running.log.log.head.size
    running.log.auditors._clock = lambda: now_ms() + 2 * 24 * 3600 * 1000
    with pytest.raises(LedgerError, match="ann-audits has ended"):
        auditor.envelopes([0])
    assert running.log.log.head.size == size
    running.log.auditors._clock = now_ms
    assert auditor.envelopes([0])[0].entry  # the control: it was the date
    assert server.main([*give, "--days", "0"]) == 0  # ended at once
    with pytest.raises(LedgerError):
        auditor.envelopes([0])
    assert running.client(running.tokens.auditor).envelopes([0])[0].entry
    assert server.main(["auditor", "--dir", str(running.ledger_dir), "--name", "no name"]) == 2
    assert server.main([*give, "--days", "999"]) == 2


def test_no_record_no_reading(running):
    running.client().append([Owner(running.keys).register()])
    running.log.operator._seed = os.urandom(32)  # not the pinned key: it cannot be recorded
    with pytest.raises(RefusedError):
        running.client(running.tokens.auditor).envelopes([0])


def test_access_tree(running):
    tags = [os.urandom(32) for _ in range(9)]
    running.client().append([running.keys.note()])
    record = running.keys.access(tags)
    running.client().append([record])
    root = bytes.fromhex(record.entry.payload["cohort_root"])
    assert running.client().access_tree(root) == sorted(tags)


def test_nothing_is_served_before_it_is_witnessed(tmp_path):
    world = World(tmp_path)
    stops = [world.start_witness(directory) for directory in world.witness_dirs]
    try:
        service = world.start()
        world.serve(service)
        world.wait_healthy()
        client = world.client()
        client.append([world.keys.note()], wait=True)
        stops[0]()  # one of three is left: no quorum
        stops[1]()
        (place,) = client.append([world.keys.note()])
        assert place.index == 1
        for call in (
            lambda: client.receipt(1),
            lambda: client.entries(0, 2),
            lambda: client.inclusion(1, 2),
        ):
            with pytest.raises(NotFoundError):
                call()
        assert client.checkpoint().split("\n")[1] == "1"
        world.start_witness(world.witness_dirs[0])
        eventually(lambda: client.checkpoint().split("\n")[1] == "2")
        assert client.receipt(1)
    finally:
        world.close()


def test_init_prints_public_parts_only_and_keeps_secrets_private(tmp_path, capsys):
    args = [
        "init",
        "--dir",
        str(tmp_path / "l"),
        "--port",
        "1",
        "--origin",
        "o.test/l",
        "--witness",
        "http://w",
    ]
    assert server.main(args) == 0
    public = json.loads(capsys.readouterr().out)
    assert public.keys() == {"origin", "log", "vkey", "operator", "url", "port"}
    files = {path.name: path for path in (tmp_path / "l").iterdir()}
    assert files.keys() == {
        "log.key", "operator.key", "tokens.toml", "config.toml", "auditors.toml"
    }  # fmt: skip
    for path in files.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    tokens = tomllib.loads(files["tokens.toml"].read_text())
    assert tokens.keys() == {"envelopes", "grants", "auditor"}
    assert load_ledger(tmp_path / "l", {}).witnesses == ("http://w",)
    other = load_ledger(tmp_path / "l", {"OMIC_DATABASE_URL": "postgresql+psycopg://x/y"})
    assert other.database_url == "postgresql+psycopg://x/y"
    assert server.main(args) == 2
    assert "never overwritten" in capsys.readouterr().err


def test_start_errors_are_told(tmp_path, capsys):
    assert server.main(["--dir", str(tmp_path / "none")]) == 2
    assert "run init first" in capsys.readouterr().err
    world, other = World(tmp_path / "w"), World(tmp_path / "v")
    world.trust_path.unlink()
    with pytest.raises(PolicyError):
        world.service()
    world.trust_path.write_bytes(other.trust.format())
    with pytest.raises(FormatError, match="another log key"):
        world.service()
    (world.ledger_dir / "config.toml").write_text("port = 'x'")
    with pytest.raises(LedgerError, match="lacks"):
        world.service()


def test_process_stays_small_and_stops_cleanly(world):
    process = world.spawn()
    world.wait_healthy()
    client = world.client()
    for _ in range(5):
        client.append([world.keys.note() for _ in range(50)], wait=True)
    follower = Follower(world.client(world.tokens.envelopes), world.trust, personal=True)
    follower.sync()
    assert memory_kib(process.pid) < 110 * 1024
    process.send_signal(signal.SIGTERM)
    eventually(lambda: process.poll() is not None)
    assert process.returncode == 0
    logged = process.stderr.read().decode()
    assert "Traceback" not in logged
    assert world.tokens.envelopes not in logged


def test_bundle_of_http_is_what_was_acknowledged(running, http):
    places = running.client().append([running.keys.note() for _ in range(4)], wait=True)
    leaves = decode_bundle(http.get("/tile/entries/000.p/4").content, 4)
    assert leaves == [place.leaf_bytes for place in places]


def test_client_is_reusable_by_threads(running):
    from concurrent.futures import ThreadPoolExecutor

    client = LedgerClient(running.url)
    with ThreadPoolExecutor(16) as pool:
        notes = [running.keys.note() for _ in range(64)]
        places = list(pool.map(lambda note: client.append([note])[0].index, notes))
    client.close()
    assert sorted(places) == list(range(64))
