"""Signatures checked in worker processes: the same verdict as here, whatever happens to them."""

import hmac
import os
import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import FormatError, Signature, VerificationError, entry_bytes, make_entry
from ledger.entries import PasskeyPolicy
from ledger.envelope import COMMITMENT_CONTEXT, Entry, commitment
from ledger.errors import PolicyError
from ledger.verifiers import SLICE, WORTH_IT, Claim, Verifiers, _pack, _unpack, check_claims
from tests.ledger.ledger_scenes import ident, seed, sign_ed25519

COUNT = SLICE + WORTH_IT
SALT = b"s" * 32


@pytest.fixture(scope="module")
def entries():
    signer = sign_ed25519(seed("marketplace"))
    fields = {"time": 1, "digest": "00" * 32}
    return [
        make_entry("web.released", {"id": ident(f"n{i}"), **fields}, [signer]) for i in range(COUNT)
    ]


@pytest.fixture
def verifiers():
    made = Verifiers(None, processes=2)
    yield made
    made.close()


def claims_of(entries):
    return [
        Claim(entry_bytes(e), (commitment(SALT, e), SALT) if i % 2 else None)
        for i, e in enumerate(entries)
    ]


def forge(entry):
    """The entry with a bit of S changed: well formed, and wrong."""
    sig = entry.signatures[0]
    part = bytearray(sig.parts[0])
    part[40] ^= 1
    return Entry(entry.type, 1, entry.payload_bytes,
                 (Signature(sig.kind, sig.public_key, (bytes(part),)),))  # fmt: skip


def words(bad):
    return {at: (type(error), str(error)) for at, error in bad.items()}


def test_processes_give_the_verdict_that_is_given_here(entries, verifiers):
    claims = claims_of(entries)
    assert verifiers.start(claims).bad() == {}  # control
    claims[3] = Claim(entry_bytes(forge(entries[3])))
    claims[SLICE + 1] = Claim(claims[SLICE + 1].entry, (b"\0" * 32, SALT))
    claims[7] = Claim(claims[7].entry[:-1])
    passkey = Entry("web.released", 1, b"{}", (Signature("webauthn", b"k", (b"a", b"b", b"c")),))
    claims[9] = Claim(entry_bytes(passkey))
    unsigned = Entry("web.released", 1, b"{}", ())
    claims[COUNT - 1] = Claim(entry_bytes(unsigned))
    found = words(verifiers.start(claims).bad())
    assert found == words(check_claims(claims, None))
    assert {at: kind for at, (kind, _) in found.items()} == {
        3: VerificationError, 7: FormatError, 9: PolicyError,
        SLICE + 1: VerificationError, COUNT - 1: VerificationError,
    }  # fmt: skip


def test_a_passkey_policy_reaches_the_processes(entries):
    passkey = Entry("web.released", 1, b"{}", (Signature("webauthn", b"k", (b"a", b"b", b"c")),))
    claims = [Claim(entry_bytes(passkey))] * WORTH_IT
    policy = PasskeyPolicy("localhost", ("http://localhost:8080",))
    verifiers = Verifiers(policy, processes=1)
    try:
        found = words(verifiers.start(claims).bad())
    finally:
        verifiers.close()
    assert found == words(check_claims(claims, policy))
    assert found[0][0] is VerificationError


def test_a_killed_process_costs_no_check(entries, verifiers):
    claims = claims_of(entries)
    claims[5] = Claim(entry_bytes(forge(entries[5])))
    assert set(verifiers.start(claims).bad()) == {5}
    for process in list(verifiers._idle.queue):
        if process is not None:
            os.kill(process._child.pid, signal.SIGKILL)
    assert set(verifiers.start(claims).bad()) == {5}
    assert set(verifiers.start(claims).bad()) == {5}  # by processes that were started anew


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b'{"checked":1,"bad":{}}', b"[]", b'{"checked":%d}' % WORTH_IT]
)
def test_an_answer_that_is_none_is_not_believed(entries, monkeypatch, answer):
    claims = claims_of(entries)[:WORTH_IT]
    claims[5] = Claim(entry_bytes(forge(entries[5])))
    monkeypatch.setattr("ledger.verifiers._read_frame", lambda source: answer)
    verifiers = Verifiers(None, processes=1)
    try:
        assert set(verifiers.start(claims).bad()) == {5}
    finally:
        verifiers.close()


def test_closed_ones_end_their_processes_and_can_begin_again(entries, verifiers):
    claims = claims_of(entries)
    verifiers.start(claims).bad()
    children = [one._child for one in list(verifiers._idle.queue) if one is not None]
    assert children
    verifiers.close()
    assert all(child.returncode == 0 for child in children)
    assert verifiers.start(claims).bad() == {}


@given(st.lists(st.builds(Claim, st.binary(max_size=50), st.none() | st.tuples(
    st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32)))))  # fmt: skip
def test_claims_go_over_the_pipe_unchanged(claims):
    assert _unpack(_pack(claims)) == claims


@settings(max_examples=50)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=3000))
def test_the_commitment_is_hmac_sha256(salt, payload):
    entry = Entry("a.b", 1, payload, ())
    expected = hmac.digest(salt, COMMITMENT_CONTEXT + entry_bytes(entry), "sha256")
    assert commitment(salt, entry) == expected
