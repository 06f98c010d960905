"""What the log shows: tiles, bundles, proofs, receipts, and (to tokens) its erasable store.

Reads only. Public resources never go beyond the newest published checkpoint, so that nobody sees
a tree that witnesses have not.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from ledger.envelope import b64
from ledger.errors import FormatError, NotFoundError, StaleError, StoreError
from ledger.frames import Envelope
from ledger.log import Published
from ledger.merkle import (
    HashReader,
    consistency_proof_from_reader,
    inclusion_proof_from_reader,
)
from ledger.proof import LogProof, format_proof
from ledger.publish import read_tile
from ledger.store import Store
from ledger.tiles import TILE_WIDTH, Bundle, Tile, encode_bundle, node_reader, tile_nodes

MAX_INDEXES = 1000
# Tiles are hashed once for many proofs, as one of a width never changes; some 40 KB each. Of the
# lowest, the newest serve the receipts of whoever appends now; above, all of 16 million entries.
KEPT_LOWEST = 16
KEPT_UPPER = 256
SEALED_GRANT = "sealed_grant"


class Reader:
    """Answers reads from the store, at or below the published size."""

    def __init__(self, store: Store, published: Callable[[], Published | None]) -> None:
        self._store = store
        self._published = published
        self._lowest = lru_cache(KEPT_LOWEST)(self._nodes_of)
        self._upper = lru_cache(KEPT_UPPER)(self._nodes_of)

    def published(self) -> Published:
        """Return the newest published checkpoint. Raises StaleError before the first."""
        found = self._published()
        if found is None:
            raise StaleError("no checkpoint has met the witnesses' quorum yet; ask again")
        return found

    def resource(self, wanted: Tile | Bundle) -> bytes:
        """Return a tile or bundle. Raises NotFoundError if the published tree has none so wide."""
        level = wanted.level if isinstance(wanted, Tile) else 0
        have = (self.published().size >> (8 * level)) - wanted.index * TILE_WIDTH
        if wanted.width > have:
            raise NotFoundError("the published tree does not reach this tile")
        if isinstance(wanted, Bundle):
            return self._bundle(wanted)
        data = self._store.tile(wanted.level, wanted.index)
        if data is None or len(data) < wanted.width * 32:
            raise StoreError(f"{wanted.path} is missing from the log's store")
        return data[: wanted.width * 32]

    def _bundle(self, wanted: Bundle) -> bytes:
        start = wanted.index * TILE_WIDTH
        try:
            return encode_bundle(self._store.leaves(start, start + wanted.width))
        except NotFoundError as error:
            # Published and gone: damage, not a wrong question.
            raise StoreError(f"the log's store is damaged: {error}") from None

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the inclusion proof of an entry at a tree size that was published."""
        return inclusion_proof_from_reader(self._hashes(self._size(size)), index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the consistency proof between two tree sizes."""
        return consistency_proof_from_reader(self._hashes(self._size(new)), old, new)

    def _hashes(self, size: int) -> HashReader:
        return node_reader(self._nodes, size)

    def _nodes(self, tile: Tile) -> list[list[bytes]]:
        return self._upper(tile) if tile.level else self._lowest(tile)

    def _nodes_of(self, tile: Tile) -> list[list[bytes]]:
        return tile_nodes(read_tile(self._store, tile), tile.width)

    def _size(self, size: int) -> int:
        if size > self.published().size:
            raise NotFoundError(f"no checkpoint of {size} entries is published yet")
        return size

    def receipt(self, index: int) -> bytes:
        """Return the offline proof of one entry under the newest published checkpoint."""
        return self.receipts([index], self.published())[0]

    def receipts(self, indexes: Sequence[int], published: Published) -> list[bytes]:
        """Return the proofs of several entries under one checkpoint."""
        read = self._hashes(published.size)
        proofs = []
        for index in indexes:
            path = tuple(inclusion_proof_from_reader(read, index, published.size))
            proofs.append(format_proof(LogProof(index, path, published.note)))
        return proofs

    def envelopes(self, indexes: Sequence[int]) -> list[Envelope]:
        """Return envelopes in the order asked; what is not there is erased."""
        found = self._store.envelopes(_bounded(indexes))
        return [Envelope(i, *found.get(i, ())) for i in indexes]

    def grants(self, indexes: Sequence[int]) -> list[dict[str, Any]]:
        """Return sealed grants as the contract has them."""
        found = self._store.attachments(_bounded(indexes), SEALED_GRANT)
        return [
            {"index": i, SEALED_GRANT: b64(found[i])}
            if i in found
            else {"index": i, "missing": True}
            for i in indexes
        ]

    def access_tree(self, root: bytes) -> list[str]:
        """Return the sorted leaves of an access tree, in hex. Raises NotFoundError."""
        data = self._store.access_tree(root)
        if data is None:
            raise NotFoundError("no access tree has this root")
        return [data[at : at + 32].hex() for at in range(0, len(data), 32)]


def parse_indexes(value: Any) -> list[int]:
    """Read {"start","end"} or {"indexes":[..]}. Raises FormatError."""
    if not isinstance(value, dict):
        raise FormatError("the body must be an object with start and end, or indexes")
    if "indexes" in value:
        return _numbers(value["indexes"])
    start, end = _numbers([value.get("start"), value.get("end")])
    if end - start > MAX_INDEXES:
        raise FormatError(f"ask for at most {MAX_INDEXES} entries at a time")
    return list(range(start, end))


def _numbers(values: Any) -> list[int]:
    if not isinstance(values, list) or not all(type(v) is int and 0 <= v < 2**63 for v in values):
        raise FormatError("leaf indexes must be whole numbers")
    return list(_bounded(values))


def _bounded(indexes: Iterable[int]) -> list[int]:
    found = list(indexes)
    if len(found) > MAX_INDEXES:
        raise FormatError(f"ask for at most {MAX_INDEXES} entries at a time")
    return found
