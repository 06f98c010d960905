"""Receipts: what was appended can be shown years later, and nothing else can."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import FormatError, LedgerError, PolicyError, VerificationError
from ledger.merkle import inclusion_proof, leaf_hash
from ledger.policy import parse_policy
from ledger.proof import LogProof, format_proof, parse_proof, verify_proof


def receipt(world, index, size, times=None, extra=None):
    path = inclusion_proof(index, [leaf_hash(leaf) for leaf in world.leaves[:size]])
    times = {0: 10, 1: 20} if times is None else times
    return format_proof(LogProof(index, tuple(path), world.checkpoint(size, times), extra))


@given(st.integers(1, 40), st.data())
def test_a_receipt_verifies_for_its_entry_only(world, size, data):
    rules = parse_policy(world.policy_text())
    index = data.draw(st.integers(0, size - 1))
    proof = receipt(world, index, size)
    verified = verify_proof(world.leaves[index], rules, proof)
    assert (verified.checkpoint.size, verified.quorum_time) == (size, 10)
    with pytest.raises(VerificationError):
        verify_proof(b"another entry", rules, proof)
    if size > 1:
        other = proof.replace(b"index %d\n" % index, b"index %d\n" % ((index + 1) % size))
        with pytest.raises(VerificationError):
            verify_proof(world.leaves[index], rules, other)


def test_a_receipt_without_quorum_proves_nothing(world):
    with pytest.raises(PolicyError):
        verify_proof(
            world.leaves[3], parse_policy(world.policy_text()), receipt(world, 3, 9, {0: 1})
        )


@given(st.data())
def test_no_flipped_bit_proves_something_else(world, data):
    rules = parse_policy(world.policy_text("all w0 w1 w2"))
    good = receipt(world, 5, 11, {0: 1, 1: 2, 2: 3})
    broken = bytearray(good)
    broken[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        verified = verify_proof(world.leaves[5], rules, bytes(broken))
    except LedgerError:
        return
    assert verified == verify_proof(world.leaves[5], rules, good)
    assert parse_proof(bytes(broken)).index == 5


@given(
    st.integers(0, 2**63 - 1),
    st.lists(st.binary(min_size=32, max_size=32), max_size=63),
    st.none() | st.binary(max_size=50),
)
def test_proofs_round_trip(index, path, extra):
    proof = LogProof(index, tuple(path), b"any\n\nnote\n", extra)
    assert parse_proof(format_proof(proof)) == proof


HASH = b"A" * 43 + b"=\n"


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"c2sp.org/tlog-proof@v2\nindex 0\n\nnote\n",
        b"c2sp.org/tlog-proof@v1\n\nnote\n",
        b"c2sp.org/tlog-proof@v1\nindex 00\n\nnote\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + HASH,
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + HASH[1:] + b"\nnote\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\nextra AA==\n\nnote\n",
        b"c2sp.org/tlog-proof@v1\nextra A\nindex 0\n\nnote\n",
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + HASH * 64 + b"\nnote\n",
        b"c2sp.org/tlog-proof@v1\r\nindex 0\n\nnote\n",
    ],
)
def test_malformed_proofs_are_refused(bad):
    with pytest.raises(FormatError):
        parse_proof(bad)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_proof_or_a_format_error(data):
    for candidate in (
        data,
        b"c2sp.org/tlog-proof@v1\n" + data,
        b"c2sp.org/tlog-proof@v1\nindex 1\n" + data,
    ):
        with contextlib.suppress(FormatError):
            parse_proof(candidate)
