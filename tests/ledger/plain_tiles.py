"""Which tiles a log of a size has, and what stands in them: as c2sp.org/tlog-tiles says it."""

from ledger.merkle import leaf_hash
from ledger.tiles import TILE_HEIGHT, TILE_WIDTH, decode_bundle, encode_hash_tile, tile_for_size


def changed_tiles(old_size, size):
    """Name each hash tile that is new or wider at `size` than at `old_size`, level 0 first."""
    level = 0
    while size >> (TILE_HEIGHT * level):
        first, last = old_size >> (TILE_HEIGHT * level), size >> (TILE_HEIGHT * level)
        for index in range(first // TILE_WIDTH, -(-last // TILE_WIDTH) if first < last else 0):
            yield tile_for_size(level, index, size)
        level += 1


def hash_tile_of_bundle(data, width):
    """Return the level-0 tile that must stand beside an entry bundle."""
    return encode_hash_tile([leaf_hash(entry) for entry in decode_bundle(data, width)])
