"""The witness's decision: each status of tlog-witness, and the published exchanges."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import FormatError
from ledger.merkle import EMPTY_ROOT, consistency_proof, leaf_hash, tree_root
from ledger.note import Ed25519Signer, Note, NoteSignature, VerifierKey, parse_vkey
from ledger.witness_core import (
    SIZE_CONTENT_TYPE,
    decide,
    format_add_checkpoint,
    parse_add_checkpoint,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "ledger"
EXCHANGES = json.loads((VECTORS / "add-checkpoint-exchanges.json").read_text())
# The key of Go's checksum database, as its documentation publishes it.
SUMDB = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def test_published_exchanges_replayed_in_order():
    log_key = bytes.fromhex(EXCHANGES["log_pubkey_hex"])
    sigsum = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
    trusted = {
        sigsum: [VerifierKey(sigsum, 0x01, log_key)],
        "go.sum database tree": [parse_vkey(SUMDB)],
    }
    stored, seen = {}, []
    for exchange in EXCHANGES["exchanges"]:
        body = exchange["body"].encode()
        origin = parse_add_checkpoint(body).origin
        outcome = decide(body, trusted, stored.get(origin))
        # The exchanges follow an older draft, in which an unknown origin was 403.
        unknown = any("unknown log" in one for one in exchange["asserts"])
        assert outcome.status == (404 if unknown else exchange["expect_status"])
        seen.append(outcome.status)
        if outcome.status == 409:
            assert f'body == "{outcome.body.decode().strip()}\\n"' in exchange["asserts"]
        if outcome.store is not None:
            stored[origin] = outcome.store
    assert seen == [200, 403, 404, 422, 422, 200, 409, 200, 409, 200]


@pytest.fixture(scope="module")
def hashes(world):
    return [leaf_hash(leaf) for leaf in world.leaves]


@pytest.fixture
def ask(world, hashes):
    def run(old, size, stored, proof=None, note=None, trusted=None):
        if proof is None:
            proof = consistency_proof(old, hashes[:size]) if 0 < old <= size else []
        body = format_add_checkpoint(old, proof, note or world.note(size, {}))
        keys = {world.signer.vkey.name: [world.signer.vkey]} if trusted is None else trusted
        return decide(body, keys, stored and (stored, tree_root(hashes[:stored])))

    return run


@pytest.mark.parametrize(("old", "size"), [(0, 0), (0, 1), (0, 9), (1, 1), (3, 9), (8, 9), (9, 9)])
def test_growth_is_cosigned_and_stored(world, ask, hashes, old, size):
    outcome = ask(old, size, old)
    assert outcome.status == 200
    assert outcome.store == (size, tree_root(hashes[:size]))
    assert outcome.cosign == world.note(size, {}).text


def test_unknown_origin_is_404(ask):
    assert ask(3, 9, 3, trusted={}).status == 404


def test_untrusted_or_wrong_signatures_are_403(world, ask):
    note = world.note(9, {})
    stranger = Ed25519Signer(world.signer.vkey.name, b"\x09" * 32)
    assert ask(3, 9, 3, note=Note(note.text, (stranger.sign(note.text),))).status == 403
    key = world.signer.vkey
    wrong = NoteSignature(key.name, key.key_id, bytes(64))
    assert ask(3, 9, 3, note=Note(note.text, (*note.signatures, wrong))).status == 403
    extra = Note(note.text, (*note.signatures, stranger.sign(note.text)))
    assert ask(3, 9, 3, note=extra).status == 200


def test_old_above_the_checkpoint_is_400_even_when_it_matches_what_is_stored(ask):
    assert ask(12, 9, 12).status == 400


@pytest.mark.parametrize(("old", "stored"), [(0, 5), (3, 5), (7, 5), (3, None)])
def test_another_old_size_is_409_with_the_stored_one(ask, old, stored):
    outcome = ask(old, 9, stored)
    assert (outcome.status, outcome.content_type) == (409, SIZE_CONTENT_TYPE)
    assert outcome.body == b"%d\n" % (stored or 0)
    assert outcome.store is None


def test_what_does_not_continue_the_stored_tree_is_422(world, ask, hashes):
    assert ask(3, 9, 3, proof=[]).status == 422
    assert ask(3, 9, 3, proof=[bytes(32)] * 3).status == 422
    assert ask(0, 9, None, proof=[bytes(32)]).status == 422
    assert ask(9, 9, 9, proof=[bytes(32)]).status == 422
    fork = world.note(9, {}, root=bytes(32))
    assert ask(9, 9, 9, note=fork).status == 422
    assert ask(3, 9, 3, note=fork).status == 422
    assert ask(0, 0, None, note=world.note(0, {}, root=bytes(32))).status == 422


def test_the_witness_s_own_root_decides(world, hashes):
    """A log consistent with itself, but not with what this witness saw, is refused."""
    body = format_add_checkpoint(3, consistency_proof(3, hashes[:9]), world.note(9, {}))
    trusted = {world.signer.vkey.name: [world.signer.vkey]}
    assert decide(body, trusted, (3, tree_root(hashes[:3]))).status == 200
    assert decide(body, trusted, (3, tree_root(hashes[1:4]))).status == 422


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_only_growth_from_the_stored_size_is_ever_stored(world, hashes, old, size, stored):
    proof = consistency_proof(old, hashes[:size]) if 0 < old <= size else []
    body = format_add_checkpoint(old, proof, world.note(size, {}))
    trusted = {world.signer.vkey.name: [world.signer.vkey]}
    kept = (stored, tree_root(hashes[:stored]))
    outcome = decide(body, trusted, kept)
    assert (outcome.status == 200) == (old == stored <= size)
    assert (outcome.store is not None) == (outcome.status == 200)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"old 0\n",
        b"old 00\n\n",
        b"old -1\n\n",
        b"new 0\n\nlog\n0\nx\n\n",
        b"old 0\nshort\n\nlog\n",
        b"old 0\n\nnot a note\n",
        b"old 0\n" + (b"A" * 43 + b"=\n") * 64 + b"\nlog\n",
        b"old 0\r\n\nlog\n",
        b"\xff",
    ],
)
def test_malformed_requests_are_400(bad):
    assert decide(bad, {}, None).status == 400
    with pytest.raises(FormatError):
        parse_add_checkpoint(bad)


@given(st.binary(max_size=200))
def test_any_bytes_get_an_answer(world, data):
    for candidate in (data, b"old 0\n" + data, b"old 1\n\n" + data):
        assert decide(candidate, {}, (1, EMPTY_ROOT)).status in (400, 404)


def test_requests_round_trip(world, hashes):
    proof = consistency_proof(3, hashes[:9])
    parsed = parse_add_checkpoint(format_add_checkpoint(3, proof, world.note(9, {0: 4})))
    assert (parsed.old_size, list(parsed.proof), parsed.note) == (3, proof, world.note(9, {0: 4}))
