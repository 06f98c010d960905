"""Cosignatures: real ones verify, and each signed field is covered."""

import json
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.cosignature import (
    Ed25519Cosigner,
    MLDSA44Cosigner,
    cosignature_message,
    mldsa44_available,
    subtree_message,
    verify_cosignature,
)
from ledger.errors import FormatError, VerificationError
from ledger.note import Note, NoteSignature, format_note, parse_note, parse_vkey, verify_note

SUNLIGHT = Path(__file__).parents[2] / "vectors" / "ledger" / "sunlight"
TEXT = format_checkpoint(Checkpoint("log.example", 5, bytes(range(32))))

needs_mldsa = pytest.mark.skipif(
    not mldsa44_available(), reason="this cryptography has no ML-DSA-44"
)
COSIGNERS = [Ed25519Cosigner("w.example", b"\x07" * 32)]
if mldsa44_available():
    COSIGNERS.append(MLDSA44Cosigner("w.example", b"\x07" * 32))
both = pytest.mark.parametrize("cosigner", COSIGNERS, ids=lambda c: type(c).__name__)


@pytest.mark.parametrize("witness", ["witness", "witness2", "mirror"])
def test_sunlight_cosignatures_verify(witness):
    (config,) = (SUNLIGHT / witness).glob("*.v0.json")
    key = parse_vkey(json.loads(config.read_text())["verifier_keys"][0])
    (path,) = (SUNLIGHT / witness).glob("*/checkpoint")
    note = parse_note(path.read_bytes())
    (verified,) = verify_note(note, [key])
    assert verified.time and 1_700_000_000 < verified.time < 1_800_000_000
    moved = Note(note.text.replace("\n300\n", "\n301\n"), note.signatures)
    with pytest.raises(VerificationError):
        verify_note(moved, [key])


def test_messages_are_laid_out_as_specified():
    assert cosignature_message(TEXT, 1679315147) == (
        b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    )
    assert subtree_message("w", 2, "log", (0, 3), bytes(32)) == (
        b"subtree/v1\n\x00"
        + b"\x01w"
        + struct.pack(">Q", 2)
        + b"\x03log"
        + struct.pack(">QQ", 0, 3)
        + bytes(32)
    )
    with pytest.raises(FormatError):
        subtree_message("w", 2, "log", (1, 3), bytes(32))
    with pytest.raises(FormatError):
        subtree_message("w" * 256, 2, "log", (0, 3), bytes(32))


@both
@given(time=st.integers(1, 2**63 - 1))
def test_a_cosignature_verifies_and_gives_its_time(cosigner, time):
    line = cosigner.cosign(TEXT, time)
    note = parse_note(format_note(Note(TEXT, (line,))))
    (verified,) = verify_note(note, [cosigner.vkey])
    assert verified.time == time


@both
@given(data=st.data())
def test_no_flipped_bit_of_a_cosignature_verifies(cosigner, data):
    signature = bytearray(cosigner.cosign(TEXT, 1_700_000_000).signature)
    at = data.draw(st.integers(0, len(signature) - 1))
    signature[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(VerificationError):
        verify_cosignature(cosigner.vkey, TEXT, bytes(signature))


@both
@pytest.mark.parametrize("field", ["origin", "size", "root"])
def test_each_field_of_the_checkpoint_is_covered(cosigner, field):
    other = {"origin": "fork.example", "size": 6, "root": bytes(32)}[field]
    fields = {"origin": "log.example", "size": 5, "root": bytes(range(32)), field: other}
    signature = cosigner.cosign(TEXT, 9).signature
    with pytest.raises(VerificationError):
        verify_cosignature(cosigner.vkey, format_checkpoint(Checkpoint(**fields)), signature)


@both
@pytest.mark.parametrize("time", [0, -1, 2**63])
def test_times_outside_the_range_are_refused(cosigner, time):
    with pytest.raises(FormatError):
        cosigner.cosign(TEXT, time)


@pytest.mark.parametrize("time", [0, 2**63])
def test_an_authentic_signature_at_such_a_time_is_refused_too(time):
    private = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
    signature = struct.pack(">Q", time) + private.sign(cosignature_message(TEXT, time))
    with pytest.raises(VerificationError, match="cosigned at a time"):
        verify_cosignature(COSIGNERS[0].vkey, TEXT, signature)


@both
def test_only_checkpoints_are_cosigned(cosigner):
    with pytest.raises(FormatError):
        cosigner.cosign("not a checkpoint\n", 5)
    with pytest.raises(VerificationError):
        verify_cosignature(cosigner.vkey, "not a checkpoint\n", bytes(72))


@needs_mldsa
def test_mldsa_commits_to_the_cosigner_s_name_and_ed25519_does_not():
    for kind, committed in ((MLDSA44Cosigner, True), (Ed25519Cosigner, False)):
        line, renamed = kind("a.example", bytes(32)).cosign(TEXT, 5), kind("b.example", bytes(32))
        moved = NoteSignature("b.example", renamed.vkey.key_id, line.signature)
        if committed:
            with pytest.raises(VerificationError):
                verify_note(Note(TEXT, (moved,)), [renamed.vkey])
        else:
            verify_note(Note(TEXT, (moved,)), [renamed.vkey])


@needs_mldsa
def test_mldsa_sizes():
    cosigner = MLDSA44Cosigner("w.example", bytes(32))
    assert len(cosigner.vkey.public_key) == 1312
    assert len(cosigner.cosign(TEXT, 1).signature) == 8 + 2420


@both
@given(data=st.binary(max_size=100))
def test_any_bytes_as_a_cosignature_are_refused(cosigner, data):
    with pytest.raises(VerificationError):
        verify_cosignature(cosigner.vkey, TEXT, data)


def test_a_wrong_seed_size_is_refused():
    for kind in (Ed25519Cosigner, MLDSA44Cosigner):
        with pytest.raises(FormatError):
            kind("w", b"short")


def test_extensions_are_part_of_the_ed25519_message():
    extended = format_checkpoint(Checkpoint("log.example", 5, bytes(range(32)), ("more",)))
    assert parse_checkpoint(extended).extensions == ("more",)
    cosigner = COSIGNERS[0]
    with pytest.raises(VerificationError):
        verify_cosignature(cosigner.vkey, extended, cosigner.cosign(TEXT, 5).signature)
