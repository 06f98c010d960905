"""The tree against the textbook definition, against published vectors, and under tampering."""

import base64
import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import (
    ConsistencyError,
    FormatError,
    LedgerError,
    NotFoundError,
    VerificationError,
)
from ledger.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    consistency_proof_from_reader,
    inclusion_proof,
    inclusion_proof_from_reader,
    leaf_hash,
    root_from_reader,
    tree_root,
    verify_consistency,
    verify_inclusion,
    verify_subtree_consistency,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "ledger" / "merkle"


def load(kind):
    cases = json.loads((VECTORS / f"{kind}.json").read_text())
    return [pytest.param(case, id=name) for name, case in cases.items()]


def raw(text):
    return base64.b64decode(text or "")


def hashes(case):
    return [raw(one) for one in case.get("proof") or []]


def naive_root(leaves):
    """MTH as RFC 9162 section 2.1.1 words it."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def leaves_of(count):
    return [leaf_hash(b"%d" % i) for i in range(count)]


def check(case, verify):
    if case.get("wantErr"):
        with pytest.raises(VerificationError):
            verify()
    else:
        verify()


def test_every_published_vector_is_here():
    counts = {kind.stem: len(json.loads(kind.read_text())) for kind in VECTORS.glob("*.json")}
    assert counts == {
        "inclusion": 98,
        "consistency": 98,
        "subtreeinclusion": 204,
        "subtreeconsistency": 118,
    }


@pytest.mark.parametrize("case", load("inclusion"))
def test_inclusion_vector(case):
    index, size = case.get("leafIdx", 0), case.get("treeSize", 0)
    leaf, root = raw(case.get("leafHash")), raw(case.get("root"))
    check(case, lambda: verify_inclusion(index, size, leaf, hashes(case), root))


@pytest.mark.parametrize("case", load("consistency"))
def test_consistency_vector(case):
    sizes = case.get("size1", 0), case.get("size2", 0)
    roots = raw(case.get("root1")), raw(case.get("root2"))
    check(case, lambda: verify_consistency(*sizes, hashes(case), *roots))


@pytest.mark.parametrize("case", load("subtreeconsistency"))
def test_subtree_consistency_vector(case):
    span, size = (case.get("start", 0), case.get("end", 0)), case.get("size", 0)
    roots = raw(case.get("root1")), raw(case.get("root2"))
    check(case, lambda: verify_subtree_consistency(span, size, hashes(case), *roots))


def test_known_hashes():
    assert tree_root([]).hex() == EMPTY_ROOT.hex()
    assert leaf_hash(b"").hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )


@pytest.mark.parametrize("size", range(130))
def test_root_equals_the_definition(size):
    leaves = leaves_of(size)
    assert tree_root(leaves) == naive_root(leaves)


@given(st.lists(st.integers(0, 40), max_size=8))
def test_extending_in_any_steps_gives_the_same_tree(steps):
    leaves = leaves_of(sum(steps))
    frontier, done = Frontier(), 0
    for step in steps:
        frontier, done = frontier.extend(leaves[done : done + step]), done + step
    assert frontier == Frontier().extend(leaves)
    assert frontier.root() == naive_root(leaves)
    assert Frontier.from_bytes(frontier.to_bytes()) == frontier
    assert frontier.append(leaves_of(1)[0]).size == frontier.size + 1


@given(st.integers(0, 300), st.integers(0, 300))
def test_growing_reports_each_new_complete_subtree(old, more):
    leaves = leaves_of(old + more)
    frontier = Frontier().extend(leaves[:old])
    grown, made = frontier.grow(leaves[old:])
    for level, row in enumerate(made):
        width, first = 1 << level, old >> level
        want = [
            naive_root(leaves[i * width : (i + 1) * width])
            for i in range(first, (old + more) >> level)
        ]
        assert row == want
    assert grown.size == old + more


@given(st.integers(1, 200), st.data())
def test_inclusion_proofs_verify_and_no_flipped_bit_does(size, data):
    leaves = leaves_of(size)
    root = naive_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, leaves)
    verify_inclusion(index, size, leaves[index], proof, root)
    parts = [leaves[index], root, *proof]
    broken = flip(parts, data)
    with pytest.raises(VerificationError):
        verify_inclusion(index, size, broken[0], broken[2:], broken[1])
    with pytest.raises(VerificationError):
        verify_inclusion(index, size, leaves[index], [*proof, root], root)
    for other in {index - 1, index + 1} & set(range(size)):
        with pytest.raises(VerificationError):
            verify_inclusion(other, size, leaves[index], proof, root)


@given(st.integers(1, 200), st.data())
def test_consistency_proofs_verify_and_no_flipped_bit_does(size, data):
    leaves = leaves_of(size)
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(old, leaves)
    roots = naive_root(leaves[:old]), naive_root(leaves)
    verify_consistency(old, size, proof, *roots)
    broken = flip([*roots, *proof], data)
    with pytest.raises(ConsistencyError):
        verify_consistency(old, size, broken[2:], *broken[:2])
    with pytest.raises(ConsistencyError):
        verify_consistency(old, size, [*proof, roots[0]], *roots)


def flip(parts, data):
    which = data.draw(st.integers(0, len(parts) - 1))
    byte, bit = data.draw(st.integers(0, 31)), data.draw(st.integers(0, 7))
    changed = bytearray(parts[which])
    changed[byte] ^= 1 << bit
    return [*parts[:which], bytes(changed), *parts[which + 1 :]]


@given(st.integers(1, 2**62), st.data())
def test_a_proof_in_a_huge_log_reads_few_hashes(size, data):
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    reads = []

    def read(level, at):
        assert (at + 1) << level <= size
        reads.append((level, at))
        return sha256(b"%d/%d" % (level, at)).digest()

    inclusion_proof_from_reader(read, index, size)
    consistency_proof_from_reader(read, old, size)
    root_from_reader(read, size)
    assert len(reads) <= 5 * size.bit_length() + 4


@given(st.integers(-2, 20), st.integers(-2, 20))
def test_proofs_outside_the_tree_do_not_exist(index, size):
    leaves = leaves_of(max(size, 0))
    if not 0 <= index < len(leaves):
        with pytest.raises(NotFoundError):
            inclusion_proof(index, leaves)
    if not 0 < index <= len(leaves):
        with pytest.raises(NotFoundError):
            consistency_proof(index, leaves)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_frontier_or_a_format_error(data):
    try:
        assert Frontier.from_bytes(data).to_bytes() == data
    except LedgerError as error:
        assert isinstance(error, FormatError)


def test_a_subtree_s_proof_does_not_pass_for_a_smaller_tree_s():
    """The right half of a tree of 8, presented as a tree of 4 with one step too many."""
    leaves = leaves_of(8)
    root = naive_root(leaves)
    with pytest.raises(VerificationError, match="too long"):
        verify_inclusion(0, 4, leaves[4], inclusion_proof(4, leaves), root)
    proof = [naive_root(leaves[6:]), naive_root(leaves[:4])]
    with pytest.raises(ConsistencyError, match="too long"):
        verify_consistency(2, 4, proof, naive_root(leaves[4:6]), root)
    with pytest.raises(ConsistencyError, match="too short"):
        verify_consistency(2, 16, proof[:1], naive_root(leaves[:2]), root)


def test_short_leaf_hashes_are_refused():
    with pytest.raises(FormatError):
        Frontier().extend([b"short"])


def test_consistency_from_nothing_is_refused():
    with pytest.raises(ConsistencyError):
        verify_consistency(0, 1, [], EMPTY_ROOT, leaf_hash(b"x"))
