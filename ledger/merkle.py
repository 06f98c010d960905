"""RFC 6962 / RFC 9162 Merkle tree hashing, proofs and their verification.

Pure: no I/O, no clock. Never stores a tree: callers hold leaf hashes, or hand in a `HashReader`
that finds the hash of a complete subtree, so a proof in a log of any size reads O(log n) hashes.
Spec: RFC 6962 section 2.1, RFC 9162 section 2.1; subtrees: draft-ietf-plants-merkle-tree-certs.
"""

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from ledger.errors import (
    ConsistencyError,
    FormatError,
    LedgerError,
    NotFoundError,
    VerificationError,
)

HASH_SIZE = 32
MAX_SIZE = 2**63 - 1
EMPTY_ROOT = sha256(b"").digest()

HashReader = Callable[[int, int], bytes]
"""(level, index) -> hash of the complete subtree over leaves [index*2^level, (index+1)*2^level)."""


def leaf_hash(data: bytes) -> bytes:
    """Hash one entry as a leaf: SHA-256(0x00 || data), 32 bytes. RFC 9162 section 2.1.1."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two children as an inner node: SHA-256(0x01 || l || r). RFC 9162 section 2.1.1."""
    return sha256(b"\x01" + left + right).digest()


def _fold(parts: Sequence[bytes]) -> bytes:
    """Join complete subtrees, largest first, into the hash of the range they cover."""
    root = parts[-1]
    for part in reversed(parts[:-1]):
        root = node_hash(part, root)
    return root


def _pair(hashes: Sequence[bytes]) -> list[bytes]:
    """Hash neighbours together; an odd last one is left out."""
    # The hot loop of the log: no calls into Python functions per node.
    return [
        sha256(b"\x01" + left + right).digest()
        for left, right in zip(hashes[0::2], hashes[1::2], strict=False)
    ]


@dataclass(frozen=True, slots=True)
class Frontier:
    """The right edge of a tree: all that is needed to append, in O(log n) memory.

    `edge` holds the roots of the complete subtrees that make up `size`, largest first.
    """

    size: int = 0
    edge: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise FormatError(f"a tree size must be 0..2^63-1, not {self.size}")
        if len(self.edge) != self.size.bit_count():
            raise FormatError(
                f"a frontier of size {self.size} has {self.size.bit_count()} edge hashes, "
                f"not {len(self.edge)}"
            )
        _require_hashes(self.edge, FormatError)

    def append(self, new_leaf: bytes) -> "Frontier":
        """Return the frontier with one more leaf hash."""
        return self.extend((new_leaf,))

    def extend(self, leaf_hashes: Iterable[bytes]) -> "Frontier":
        """Return the frontier with these leaf hashes appended in order."""
        return self.grow(leaf_hashes)[0]

    def grow(self, leaf_hashes: Iterable[bytes]) -> "tuple[Frontier, list[list[bytes]]]":
        """Append leaf hashes; also return the complete subtrees this made, by level.

        Item l of the list holds the new level-l hashes, first of them at index size >> l.
        """
        fresh = list(leaf_hashes)
        _require_hashes(fresh, FormatError)
        size = self.size + len(fresh)
        made: list[list[bytes]] = []
        edge: list[bytes] = []
        waiting = list(self.edge)
        for level in range(size.bit_length()):
            made.append(fresh)
            row = [waiting.pop(), *fresh] if self.size >> level & 1 else fresh
            if len(row) & 1:
                edge.append(row[-1])
            fresh = _pair(row)
        return Frontier(size, tuple(reversed(edge))), made

    def root(self) -> bytes:
        """Return the root hash of the whole tree; SHA-256("") when it is empty."""
        return _fold(self.edge) if self.edge else EMPTY_ROOT

    def to_bytes(self) -> bytes:
        """Encode as uint64 big-endian size followed by the edge hashes."""
        return struct.pack(">Q", self.size) + b"".join(self.edge)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Frontier":
        """Decode `to_bytes`. Raises FormatError."""
        if len(data) < 8 or len(data) % HASH_SIZE != 8:
            raise FormatError(f"a frontier is 8 + 32*k bytes, not {len(data)}")
        (size,) = struct.unpack_from(">Q", data)
        return cls(size, tuple(data[i : i + HASH_SIZE] for i in range(8, len(data), HASH_SIZE)))


def tree_root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Compute MTH over leaf hashes. RFC 9162 section 2.1.1."""
    return Frontier().extend(leaf_hashes).root()


def leaves_reader(leaf_hashes: Sequence[bytes]) -> HashReader:
    """Make a HashReader over leaf hashes held in memory (doubles their memory)."""
    _, levels = Frontier().grow(leaf_hashes)

    def read(level: int, index: int) -> bytes:
        try:
            return levels[level][index]
        except IndexError:
            raise NotFoundError(f"no complete subtree at level {level}, index {index}") from None

    return read


def range_hash(read: HashReader, start: int, end: int) -> bytes:
    """Compute MTH(D[start:end]), where start is a multiple of a power of two >= end - start."""
    parts = []
    while start < end:
        level = (end - start).bit_length() - 1
        parts.append(read(level, start >> level))
        start += 1 << level
    return _fold(parts) if parts else EMPTY_ROOT


def root_from_reader(read: HashReader, size: int) -> bytes:
    """Compute the root of the first `size` leaves from complete subtrees."""
    return range_hash(read, 0, size)


def inclusion_proof_from_reader(read: HashReader, index: int, size: int) -> list[bytes]:
    """Compute PATH(index, D[size]), leaf's sibling first. RFC 9162 section 2.1.3.1.

    Raises NotFoundError when the index is outside the tree.
    """
    if not 0 <= index < size:
        raise NotFoundError(f"entry {index} is not in a tree of {size} entries")
    return _path(read, index, 0, size)


def consistency_proof_from_reader(read: HashReader, old_size: int, size: int) -> list[bytes]:
    """Compute PROOF(old_size, D[size]). RFC 9162 section 2.1.4.1.

    Raises NotFoundError unless 0 < old_size <= size.
    """
    if not 0 < old_size <= size:
        raise NotFoundError(f"no consistency proof from size {old_size} to size {size}")
    return _subproof(read, old_size, 0, size)


def _split(start: int, end: int) -> int:
    """Return start + the largest power of two smaller than end - start."""
    return start + (1 << ((end - start - 1).bit_length() - 1))


def _path(read: HashReader, index: int, start: int, end: int) -> list[bytes]:
    proof = []
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            proof.append(range_hash(read, middle, end))
            end = middle
        else:
            proof.append(range_hash(read, start, middle))
            start = middle
    proof.reverse()
    return proof


def _subproof(read: HashReader, old_size: int, start: int, end: int) -> list[bytes]:
    """SUBPROOF of RFC 9162 section 2.1.4.1, walked down from the root and then reversed."""
    proof = []
    known = True  # the verifier already has the hash of the old part of this range
    while old_size != end:
        middle = _split(start, end)
        if old_size <= middle:
            proof.append(range_hash(read, middle, end))
            end = middle
        else:
            proof.append(range_hash(read, start, middle))
            start, known = middle, False
    if not known:
        proof.append(range_hash(read, start, end))
    proof.reverse()
    return proof


def inclusion_proof(index: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Compute the inclusion proof of one leaf from all leaf hashes. RFC 9162 section 2.1.3.1."""
    return inclusion_proof_from_reader(leaves_reader(leaf_hashes), index, len(leaf_hashes))


def consistency_proof(old_size: int, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Compute the consistency proof from old_size to all leaves. RFC 9162 section 2.1.4.1."""
    return consistency_proof_from_reader(leaves_reader(leaf_hashes), old_size, len(leaf_hashes))


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that leaf hash `leaf` is entry `index` of the tree. RFC 9162 section 2.1.3.2.

    Raises VerificationError.
    """
    if not 0 <= index < size:
        raise VerificationError(f"entry {index} is not in a tree of {size} entries")
    _require_hashes((leaf, *proof))
    if _climb(index, size - 1, leaf, proof) != root:
        raise VerificationError(f"the inclusion proof of entry {index} does not reach the root")


def verify_consistency(
    old_size: int, size: int, proof: Sequence[bytes], old_root: bytes, root: bytes
) -> None:
    """Check that the tree only grew from old_size to size. RFC 9162 section 2.1.4.2.

    Size 0 is refused here: it says nothing about the log. Raises ConsistencyError.
    """
    if not 0 < old_size <= size:
        raise ConsistencyError(f"cannot compare a tree of {old_size} with one of {size} entries")
    if old_size == size:
        _verify_same(size, proof, old_root, root)
        return
    verify_subtree_consistency((0, old_size), size, proof, old_root, root)


def _verify_same(size: int, proof: Sequence[bytes], old_root: bytes, root: bytes) -> None:
    if proof:
        raise ConsistencyError(f"a consistency proof from {size} to itself must be empty")
    if old_root != root:
        raise ConsistencyError(f"two different roots for the same tree size {size}")


def verify_subtree_consistency(
    span: tuple[int, int], size: int, proof: Sequence[bytes], subtree_root: bytes, root: bytes
) -> None:
    """Check that subtree [start, end) is part of a tree. Merkle tree certs, section 4.4.

    An empty subtree is part of every tree: callers that mean evidence must ask for start < end.
    Raises ConsistencyError.
    """
    start, end = span
    _require_subtree(start, end, size)
    _require_hashes(proof, ConsistencyError)
    if start == end:
        if proof or subtree_root != EMPTY_ROOT:
            raise ConsistencyError("an empty subtree has the root SHA-256('') and an empty proof")
        return
    here, last, top = start, end - 1, size - 1
    # Skip the levels at which the subtree is a single complete node, or runs to the tree's end.
    if end == size:
        while here != last:
            here, last, top = here >> 1, last >> 1, top >> 1
    else:
        while here != last and last & 1:
            here, last, top = here >> 1, last >> 1, top >> 1
    if here == last:
        first, rest = subtree_root, proof
    elif proof:
        first, rest = proof[0], proof[1:]
    else:
        raise ConsistencyError("the consistency proof is empty")
    if _climb_both((here, last, top), first, rest) != (subtree_root, root):
        raise ConsistencyError("the consistency proof does not connect the two roots")


def _climb_both(
    position: tuple[int, int, int], first: bytes, rest: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Rebuild the subtree's root and the tree's root together from one proof."""
    here, last, top = position
    part = whole = first
    for step in rest:
        if top == 0:
            raise ConsistencyError("the consistency proof is too long")
        if last & 1 or last == top:
            if here < last:
                part = node_hash(step, part)
            whole = node_hash(step, whole)
            while not last & 1 and last:
                here, last, top = here >> 1, last >> 1, top >> 1
        else:
            whole = node_hash(whole, step)
        here, last, top = here >> 1, last >> 1, top >> 1
    if top != 0:
        raise ConsistencyError("the consistency proof is too short")
    return part, whole


def _climb(index: int, last: int, reached: bytes, proof: Sequence[bytes]) -> bytes:
    """Walk an inclusion proof up to the root; `last` is the index of the last node of a level."""
    for step in proof:
        if last == 0:
            raise VerificationError("the inclusion proof is too long")
        if index & 1 or index == last:
            reached = node_hash(step, reached)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            reached = node_hash(reached, step)
        index, last = index >> 1, last >> 1
    if last != 0:
        raise VerificationError("the inclusion proof is too short")
    return reached


def _require_subtree(start: int, end: int, size: int) -> None:
    """Refuse ranges that are not subtrees. Merkle tree certs, section 4.1."""
    if not 0 <= start <= end <= min(size, MAX_SIZE):
        raise ConsistencyError(f"[{start}, {end}) is not a range of a tree of {size} entries")
    if start < end and start % (1 << (end - start - 1).bit_length()):
        raise ConsistencyError(f"[{start}, {end}) is not aligned as a subtree")


def _require_hashes(hashes: Iterable[bytes], error: type[LedgerError] = VerificationError) -> None:
    if any(len(one) != HASH_SIZE for one in hashes):
        raise error("a tree hash must be 32 bytes")
