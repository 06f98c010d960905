"""Tile names, widths and bytes, on published logs and by algebra."""

import contextlib
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import parse_checkpoint
from ledger.errors import FormatError, NotFoundError
from ledger.merkle import (
    consistency_proof_from_reader,
    inclusion_proof_from_reader,
    leaf_hash,
    leaves_reader,
    root_from_reader,
    tree_root,
    verify_inclusion,
)
from ledger.note import parse_note
from ledger.tiles import (
    Bundle,
    Tile,
    bundle_for_size,
    decode_bundle,
    decode_hash_tile,
    encode_bundle,
    encode_hash_tile,
    hash_reader,
    node_reader,
    parse_tile_path,
    partial_width,
    tile_for_size,
    tile_nodes,
)
from tests.ledger.plain_tiles import hash_tile_of_bundle

VECTORS = Path(__file__).parents[2] / "vectors" / "ledger"
tiles = st.builds(Tile, st.integers(0, 63), st.integers(0, 2**62), st.integers(1, 256))
bundles = st.builds(Bundle, st.integers(0, 2**62), st.integers(1, 256))


@pytest.mark.parametrize("size", range(1, 16))
def test_tessera_tiles_bundles_and_roots_agree(size):
    log = VECTORS / "tessera"
    bundle = bundle_for_size(0, size)
    tile = tile_for_size(0, 0, size)
    data = (log / bundle.path).read_bytes()
    leaves = [leaf_hash(entry) for entry in decode_bundle(data, bundle.width)]
    root = parse_checkpoint(parse_note((log / f"checkpoint.{size}").read_bytes()).text).root
    assert tree_root(leaves) == root
    assert (log / tile.path).read_bytes() == hash_tile_of_bundle(data, size)


def read_sunlight(tile):
    return (VECTORS / "sunlight" / tile.path).read_bytes()


def test_sunlight_root_is_reached_through_a_level_one_tile():
    (mirrored,) = (VECTORS / "sunlight" / "mirror").glob("*/checkpoint")
    checkpoint = parse_checkpoint(parse_note(mirrored.read_bytes()).text)
    asked = []

    def read(tile):
        asked.append(tile.path)
        return read_sunlight(tile)

    assert checkpoint.size == 300
    reader = hash_reader(read, 300)
    assert root_from_reader(reader, 300) == checkpoint.root
    assert asked == ["tile/1/000.p/1", "tile/0/001.p/44"]
    below = decode_hash_tile(read_sunlight(Tile(0, 0)), 256)
    assert tree_root(below) == read_sunlight(Tile(1, 0, 1))
    leaf = decode_hash_tile(read_sunlight(Tile(0, 1, 44)), 44)[43]
    proof = inclusion_proof_from_reader(reader, 299, 300)
    verify_inclusion(299, 300, leaf, proof, checkpoint.root)


def test_paths_of_the_specification():
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(1, 0, 17).path == "tile/1/000.p/17"
    assert Bundle(1234067, 8).path == "tile/entries/x001/x234/067.p/8"


@given(tiles | bundles)
def test_paths_round_trip(tile):
    assert parse_tile_path(tile.path) == tile


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/x001/x000",
        "tile/0/001/000",
        "tile/64/000",
        "tile/00/000",
        "tile/01/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000/",
        "/tile/0/000",
        "tile/data/000",
        "tile/0/000\n",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/../../etc/passwd",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
    ],
)
def test_other_paths_are_refused(bad):
    with pytest.raises(FormatError):
        parse_tile_path(bad)


@given(
    st.text(max_size=40) | st.text("tile/entries0123456789x.p", max_size=40).map("tile/".__add__)
)
def test_any_text_is_a_path_or_a_format_error(text):
    with contextlib.suppress(FormatError):
        assert parse_tile_path(text).path == text


def test_widths_of_the_specification():
    assert [partial_width(level, 70_000) for level in range(4)] == [112, 17, 1, 0]
    assert [partial_width(level, 256) for level in range(3)] == [0, 1, 0]
    assert tile_for_size(0, 272, 70_000).width == 256
    assert tile_for_size(0, 273, 70_000).width == 112
    with pytest.raises(NotFoundError):
        tile_for_size(0, 274, 70_000)


@pytest.mark.parametrize("kept", [False, True])
@given(st.integers(1, 140_000), st.data())
def test_tile_reader_equals_the_tree(kept, size, data):
    reader = READERS[kept](size)
    plain = PLAIN
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert inclusion_proof_from_reader(reader, index, size) == inclusion_proof_from_reader(
        plain, index, size
    )
    assert consistency_proof_from_reader(reader, old, size) == consistency_proof_from_reader(
        plain, old, size
    )


LEAVES = [leaf_hash(b"%d" % i) for i in range(140_000)]
PLAIN = leaves_reader(LEAVES)
ROWS = {0: LEAVES, 1: [PLAIN(8, i) for i in range(140_000 >> 8)], 2: [PLAIN(16, 0), PLAIN(16, 1)]}


def tile_bytes(rows, tile):
    return encode_hash_tile(rows[tile.level][tile.index * 256 :][: tile.width])


@lru_cache(1000)
def nodes_of(tile):
    return tile_nodes(tile_bytes(ROWS, tile), tile.width)


READERS = {
    False: lambda size: hash_reader(lambda tile: tile_bytes(ROWS, tile), size),
    True: lambda size: node_reader(nodes_of, size),
}


@pytest.mark.parametrize("kept", [False, True])
def test_reader_has_no_incomplete_subtree(kept):
    reader = READERS[kept](1000)
    for level, index in ((0, 1000), (6, 15), (8, 3), (9, 1), (10, 0)):
        with pytest.raises(NotFoundError):
            reader(level, index)
    assert reader(9, 0) == PLAIN(9, 0)
    with pytest.raises(FormatError):
        hash_reader(lambda tile: b"torn", 300)(0, 0)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundles_round_trip(entries):
    data = encode_bundle(entries)
    assert decode_bundle(data, len(entries)) == entries
    assert decode_hash_tile(hash_tile_of_bundle(data, len(entries)), len(entries)) == [
        leaf_hash(entry) for entry in entries
    ]
    with pytest.raises(FormatError):
        decode_bundle(data, len(entries) + 1)
    with pytest.raises(FormatError):
        decode_bundle(data, len(entries) - 1)
    with pytest.raises(FormatError):
        decode_bundle(data[:-1], len(entries))
    with pytest.raises(FormatError):
        decode_bundle(data + b"\x00", len(entries))


def test_the_largest_entry_fits_and_a_larger_one_does_not():
    assert decode_bundle(encode_bundle([bytes(65_535)]), 1) == [bytes(65_535)]
    with pytest.raises(FormatError):
        encode_bundle([bytes(65_536)])
    with pytest.raises(FormatError):
        encode_bundle([])
    with pytest.raises(FormatError):
        encode_bundle([b""] * 257)


@given(st.binary(max_size=200), st.integers(-1, 257))
def test_any_bytes_are_a_tile_or_bundle_or_a_format_error(data, width):
    for decode in (decode_bundle, decode_hash_tile):
        with contextlib.suppress(FormatError):
            decode(data, width)
