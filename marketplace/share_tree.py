"""The Merkle trees over settled shares, kept in memory: hashed once, then O(log n) for a proof.

A settlement never changes, so a tree is never out of date. The oldest unused trees are dropped
when their leaves together pass a bound. Same tree and proofs as RFC 6962 (`ledger.merkle`).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ledger import node_hash

HASH = 32
MOST_LEAVES = 1_000_000  # about 64 MB of hashes


@dataclass(frozen=True, slots=True)
class ShareTree:
    """Every level of one tree, leaves first, each level's hashes one after another."""

    levels: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Return the number of leaves."""
        return len(self.levels[0]) // HASH

    @property
    def root(self) -> bytes:
        """Return the tree's root."""
        return self.levels[-1]

    def proof(self, position: int) -> list[bytes]:
        """Return the inclusion proof of a leaf, from its neighbour up."""
        steps = []
        for level in self.levels[:-1]:
            beside = (position ^ 1) * HASH
            if beside < len(level):
                steps.append(level[beside : beside + HASH])
            position >>= 1
        return steps


def tree_of(hashes: Sequence[bytes]) -> ShareTree:
    """Build the tree over one or more leaf hashes; a node without a neighbour moves up as it is."""
    level, levels = list(hashes), [b"".join(hashes)]
    while len(level) > 1:
        pairs = [node_hash(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
        levels.append(b"".join(level))
    return ShareTree(tuple(levels))


class ShareTrees:
    """The trees used last, by order id."""

    def __init__(self, most_leaves: int = MOST_LEAVES) -> None:
        self._most, self._leaves = most_leaves, 0
        self._trees: OrderedDict[str, ShareTree] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, order_id: str, hashes: Callable[[], Sequence[bytes]]) -> ShareTree:
        """Return an order's tree, hashing its leaves only when it is not here."""
        with self._lock:
            known = self._trees.get(order_id)
            if known is not None:
                self._trees.move_to_end(order_id)
                return known
        made = tree_of(hashes())
        with self._lock:
            if order_id not in self._trees:
                self._trees[order_id] = made
                self._leaves += made.size
            while self._leaves > self._most and len(self._trees) > 1:
                self._leaves -= self._trees.popitem(last=False)[1].size
        return made
