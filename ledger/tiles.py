"""Tiles: how a log's hashes and entries are cut into immutable resources. Spec: C2SP tlog-tiles.

Pure: names, widths and bytes of tiles; whoever stores or fetches them hands in a reader.
"""

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from ledger.errors import FormatError, NotFoundError
from ledger.merkle import HASH_SIZE, MAX_SIZE, HashReader, node_hash

TILE_HEIGHT = 8
TILE_WIDTH = 256
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 65_535

_LENGTH = struct.Struct(">H")
_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """Hashes of `width` complete subtrees of 256^level leaves, the first at index*256."""

    level: int
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        if not 0 <= self.level <= MAX_LEVEL:
            raise FormatError(f"a tile's level must be 0..63, not {self.level}")
        _check_place(self.index, self.width)

    @property
    def path(self) -> str:
        """The path below the log's prefix: tile/<L>/<N>[.p/<W>]."""
        return f"tile/{self.level}/{_format_place(self.index, self.width)}"

    def full(self) -> "Tile":
        """Return the full tile at the same place, to fall back on."""
        return Tile(self.level, self.index)


@dataclass(frozen=True, slots=True)
class Bundle:
    """The `width` entries starting at index*256."""

    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        _check_place(self.index, self.width)

    @property
    def path(self) -> str:
        """The path below the log's prefix: tile/entries/<N>[.p/<W>]."""
        return f"tile/entries/{_format_place(self.index, self.width)}"

    def full(self) -> "Bundle":
        """Return the full bundle at the same place, to fall back on."""
        return Bundle(self.index)


def _check_place(index: int, width: int) -> None:
    if not 0 <= index <= MAX_SIZE or not 1 <= width <= TILE_WIDTH:
        raise FormatError(f"no tile has index {index} and width {width}")


def _format_place(index: int, width: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return "/".join(reversed(groups)) + partial


def parse_tile_path(path: str) -> Tile | Bundle:
    """Parse the path of a tile or bundle below the prefix. Section "APIs". Raises FormatError."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise FormatError("not a tile path: tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]")
    index = int(match["index"].replace("x", "").replace("/", ""))
    width = int(match["width"]) if match["width"] else TILE_WIDTH
    if match["width"] and width >= TILE_WIDTH:
        raise FormatError("a partial tile has a width of 1..255")
    level = match["level"]
    tile = Bundle(index, width) if level == "entries" else Tile(int(level), index, width)
    # One resource has one name: x000/001 and 001 must not both be served.
    if tile.path != path:
        raise FormatError("a tile index has needless leading zeros")
    return tile


def partial_width(level: int, size: int) -> int:
    """Return the width of the partial tile at a level for a tree size; 0 where there is none."""
    return (size >> (TILE_HEIGHT * level)) % TILE_WIDTH


def tile_for_size(level: int, index: int, size: int) -> Tile:
    """Return the tile as it is for this tree size. Raises NotFoundError if it is empty."""
    width = min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)
    if width <= 0 or index < 0:
        raise NotFoundError(f"tile {index} of level {level} is empty at size {size}")
    return Tile(level, index, width)


def bundle_for_size(index: int, size: int) -> Bundle:
    """Return the entry bundle as it is for this tree size. Raises NotFoundError if it is empty."""
    return Bundle(index, tile_for_size(0, index, size).width)


def encode_hash_tile(hashes: Sequence[bytes]) -> bytes:
    """Concatenate 1..256 hashes of 32 bytes into the bytes of a tile. Raises FormatError."""
    if not 1 <= len(hashes) <= TILE_WIDTH or any(len(one) != HASH_SIZE for one in hashes):
        raise FormatError("a hash tile holds 1..256 hashes of 32 bytes")
    return b"".join(hashes)


def decode_hash_tile(data: bytes, width: int) -> list[bytes]:
    """Cut a tile into exactly `width` hashes. Raises FormatError."""
    if len(data) != width * HASH_SIZE or not 1 <= width <= TILE_WIDTH:
        raise FormatError(f"a tile of width {width} has {width * HASH_SIZE} bytes, not {len(data)}")
    return [data[i : i + HASH_SIZE] for i in range(0, len(data), HASH_SIZE)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Encode 1..256 entries, each with a uint16 big-endian length. Section "Log Entries".

    Raises FormatError for an entry above 65,535 bytes.
    """
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise FormatError(f"an entry bundle holds 1..256 entries, not {len(entries)}")
    parts: list[bytes] = []
    for number, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY_BYTES:
            raise FormatError(f"entry {number} of the bundle is {len(entry)} bytes, above 65535")
        parts += (_LENGTH.pack(len(entry)), entry)
    return b"".join(parts)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Cut a bundle into exactly `width` entries. Raises FormatError."""
    entries: list[bytes] = []
    offset = 0
    while offset < len(data) and len(entries) < width:
        if offset + _LENGTH.size > len(data):
            raise FormatError(f"the bundle ends inside the length of entry {len(entries)}")
        (length,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size + length
        entries.append(data[offset - length : offset])
    if offset != len(data) or len(entries) != width:
        raise FormatError(f"the bundle does not hold exactly {width} entries")
    return entries


TileNodes = Callable[[Tile], list[list[bytes]]]
"""Return `tile_nodes` of a tile; a tile of one width never changes."""


def tile_nodes(data: bytes, width: int) -> list[list[bytes]]:
    """Return the complete subtrees in a tile by height: its hashes, the pairs of them, and so on.

    Raises FormatError.
    """
    rows = [decode_hash_tile(data, width)]
    while len(row := rows[-1]) > 1:
        rows.append([node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)])
    return rows


def hash_reader(read_tile: Callable[[Tile], bytes], size: int) -> HashReader:
    """Make a HashReader over the tiles of a log of `size` entries.

    `read_tile` gets each tile at its width for `size`; every tile is read and hashed at most once.
    The reader does not check the hashes: proofs and roots made from them must be verified.
    """
    return node_reader(cache(lambda tile: tile_nodes(read_tile(tile), tile.width)), size)


def node_reader(nodes: TileNodes, size: int) -> HashReader:
    """Make a HashReader as `hash_reader` does, of nodes that many readers may share."""

    def read(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        first = index << height
        rows = nodes(tile_for_size(tile_level, first // TILE_WIDTH, size))
        at = (first % TILE_WIDTH) >> height
        if height >= len(rows) or at >= len(rows[height]):
            raise NotFoundError(f"no complete subtree at level {level}, index {index}")
        return rows[height][at]

    return read
