"""How a batch of new leaves widens the hash tiles at the right edge of the log.

Pure. Spec: C2SP tlog-tiles.
"""

from collections.abc import Callable, Mapping, Sequence

from ledger.merkle import HASH_SIZE
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, partial_width

TILE_BYTES = TILE_WIDTH * HASH_SIZE
Edge = Mapping[int, bytes]
"""The partial tile of each level that has one."""


def load_edge(size: int, read_tile: Callable[[int, int], bytes]) -> dict[int, bytes]:
    """Read the partial tiles of a log of `size` leaves; read_tile: (level, index) -> bytes."""
    edge = {}
    level = 0
    while size >> (TILE_HEIGHT * level):
        if width := partial_width(level, size):
            index = (size >> (TILE_HEIGHT * level)) // TILE_WIDTH
            edge[level] = read_tile(level, index)[: width * HASH_SIZE]
        level += 1
    return edge


def grow_tiles(
    edge: Edge, old_size: int, made: Sequence[Sequence[bytes]]
) -> tuple[dict[tuple[int, int], bytes], dict[int, bytes]]:
    """Return the tiles that are new or wider, and the new edge.

    made: the complete subtrees by level, as `Frontier.grow` returns them.
    """
    tiles: dict[tuple[int, int], bytes] = {}
    new_edge = dict(edge)
    for height in range(0, len(made), TILE_HEIGHT):
        level = height // TILE_HEIGHT
        if not made[height]:
            continue
        data = new_edge.pop(level, b"") + b"".join(made[height])
        first = (old_size >> height) // TILE_WIDTH
        for at in range(0, len(data), TILE_BYTES):
            tiles[level, first + at // TILE_BYTES] = data[at : at + TILE_BYTES]
        if rest := len(data) % TILE_BYTES:
            new_edge[level] = data[-rest:]
    return tiles, new_edge
