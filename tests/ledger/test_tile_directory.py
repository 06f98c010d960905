"""Auditing a directory of static tiles, in Python and by `omic audit ledger --tiles`."""

import gzip
import json
from functools import partial

import pytest

from ledger.audit import audit_ledger
from ledger.errors import FormatError, LedgerError, NotFoundError
from ledger.merkle import leaf_hash, leaves_reader, range_hash, verify_consistency
from ledger.tile_directory import TileDirectory
from ledger.tiles import Bundle, encode_bundle
from tests.ledger.ledger_scenes import TRUST, Scene
from tests.ledger.plain_tiles import changed_tiles
from tests.ledger.test_audit import Source

COUNT = 300


@pytest.fixture(scope="module")
def scene():
    scene = Scene()
    scene.put("grant")
    while len(scene.leaves) < COUNT:
        name = f"web {len(scene.leaves)}"
        scene.add(scene.entry("web.released", {"digest": "11" * 32}, ["marketplace"], name))
    return scene


@pytest.fixture
def directory(scene, tmp_path):
    return write(scene, tmp_path / "copy")


def write(scene, directory):
    hashes = [leaf_hash(leaf) for leaf in scene.leaves]
    read = leaves_reader(hashes)
    files = {"checkpoint": scene.checkpoint().encode()}
    for tile in changed_tiles(0, len(hashes)):
        wide = 256**tile.level
        first = tile.index * 256
        spans = [(at * wide, (at + 1) * wide) for at in range(first, first + tile.width)]
        files[tile.path] = b"".join(range_hash(read, *span) for span in spans)
    for tile in changed_tiles(0, len(hashes)):
        if tile.level:
            break
        bundle, start = Bundle(tile.index, tile.width), tile.index * 256
        files[bundle.path] = encode_bundle(scene.leaves[start : start + bundle.width])
    for path, data in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)
    return directory


def audit(directory, scene):
    now = scene.now // 1000 * 1000 + 5000
    return audit_ledger(TileDirectory(directory), TRUST, now=now)


def test_a_sound_directory_passes_also_gzipped(directory, scene):
    assert audit(directory, scene).verdict == "pass"
    bundle = directory / "tile/entries/000"
    bundle.write_bytes(gzip.compress(bundle.read_bytes()))
    report = audit(directory, scene)
    assert (report.verdict, report.size) == ("pass", COUNT)
    assert report.root == audit_ledger(Source(scene), TRUST, now=scene.now).root


@pytest.mark.parametrize("index", [100, 255, 256, 299])
def test_the_first_changed_entry_is_named(index, directory, scene):
    path = directory / ("tile/entries/000" if index < 256 else f"tile/entries/001.p/{COUNT - 256}")
    leaves = list(scene.leaves)
    leaves[index] = leaves[index].replace(b'"time":1', b'"time":2', 1)
    first = 0 if index < 256 else 256
    path.write_bytes(encode_bundle(leaves[first : first + 256]))
    report = audit(directory, scene)
    assert (report.verdict, report.first_bad) == ("fail", index)
    assert f"first entry {index}" in report.words()


def test_tiles_bent_to_fit_name_nothing_but_do_not_pass(directory, scene):
    tile = directory / "tile/0/000"
    bundle = directory / "tile/entries/000"
    leaves = list(scene.leaves[:256])
    leaves[9] = leaves[9].replace(b'"time":1', b'"time":2', 1)
    bundle.write_bytes(encode_bundle(leaves))
    data = bytearray(tile.read_bytes())
    data[9 * 32 : 10 * 32] = leaf_hash(leaves[9])
    tile.write_bytes(bytes(data))
    report = audit(directory, scene)
    assert report.verdict == "fail"
    assert any("do not hash to the root" in p.reason for p in report.problems)


def test_what_is_not_there_or_damaged_is_told(directory, scene):
    source = TileDirectory(directory)
    (directory / "tile/entries/000").write_bytes(b"\x1f\x8bno gzip")
    with pytest.raises(FormatError, match="neither plain nor a gzip file"):
        source.entries(0, 10)
    (directory / "tile/entries/000").unlink()
    with pytest.raises(NotFoundError, match="tile/entries/000"):
        source.entries(0, COUNT)
    (directory / "checkpoint").write_bytes(b"\xff")
    with pytest.raises(LedgerError):
        source.checkpoint()


def test_consistency_from_the_tiles(directory, scene):
    source, read = TileDirectory(directory), leaves_reader([leaf_hash(x) for x in scene.leaves])
    for old in (1, 255, 256, 257, 299):
        proof = source.consistency(old, COUNT)
        verify_consistency(old, COUNT, proof, range_hash(read, 0, old), range_hash(read, 0, COUNT))


@pytest.fixture
def omic(monkeypatch, capsys):
    from tests.marketplace.client.program import run_omic

    return partial(run_omic, monkeypatch, capsys, "--json")


def test_omic_audit_ledger_on_a_directory(omic, directory, scene, tmp_path):
    trust, report = tmp_path / "trust.json", tmp_path / "report.json"
    trust.write_bytes(TRUST.format())
    usual = ["audit", "ledger", "--trust", trust, "--tiles", directory]
    status, out, _ = omic(*usual, "--report", report)
    assert status == 0
    assert json.loads(report.read_text()) == json.loads(out)
    assert json.loads(out)["size"] == COUNT
    bundle = directory / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b'"time":1', b'"time":2', 5))
    status, out, _ = omic(*usual)
    assert (status, json.loads(out)["first_bad"]) == (1, 0)
    status, _, err = omic(*usual, "--url", "http://127.0.0.1:1")
    assert (status, "give --tiles alone" in err) == (2, True)
    status, _, err = omic(*usual, "--anchors", "http://127.0.0.1:1")
    assert (status, "--contract" in err) == (2, True)


@pytest.mark.parametrize("verb", ["witness", "mirror", "anchor"])
def test_omic_runs_the_ledgers_own_programs(verb, omic):
    status, out, _ = omic(verb, "--help")
    assert (status, out.startswith(f"usage: omic {verb}")) == (0, True)


def test_omic_witness_makes_its_own_key(omic, tmp_path):
    status, out, _ = omic("witness", "init", "--dir", tmp_path / "w", "--name", "w.example",
                          "--port", "7001", "--mldsa")  # fmt: skip
    public = json.loads(out)
    assert status == 0 and public["witness_mldsa44"].startswith("w.example+")
    status, _, err = omic("witness", "init", "--dir", tmp_path / "w", "--name", "w", "--port", "1")
    assert status == 2 and "never overwritten" in err
