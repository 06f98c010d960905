"""Signed notes, verifier keys and checkpoints: published notes, reject rules, round trips."""

import base64
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint import Checkpoint, format_checkpoint, parse_checkpoint
from ledger.cosignature import Ed25519Cosigner
from ledger.errors import FormatError, VerificationError
from ledger.note import (
    Ed25519Signer,
    Note,
    NoteSignature,
    VerifierKey,
    format_note,
    format_private_key,
    format_signatures,
    format_vkey,
    merge_signatures,
    parse_note,
    parse_private_key,
    parse_signatures,
    parse_vkey,
    sign_note,
    verify_note,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "ledger"
NOTES = json.loads((VECTORS / "signed-note-vectors.json").read_text())
TESSERA = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"

names = st.text(
    st.characters(codec="utf-8", exclude_characters="+"), min_size=1, max_size=20
).filter(lambda name: not any(c.isspace() or c < " " for c in name))
lines = st.text(st.characters(codec="utf-8", min_codepoint=32), min_size=1, max_size=30)
seeds = st.binary(min_size=32, max_size=32)
LOG = Ed25519Signer("log.example", bytes(32))
OTHER = Ed25519Signer("other.example", b"\x01" * 32)


def test_the_specification_s_example_verifies():
    example = NOTES["c2sp_example"]
    key = parse_vkey(example["vkey"])
    note = parse_note(example["note"].encode())
    assert verify_note(note, [key])[0].key == key
    assert format_note(note) == example["note"].encode()
    assert format_vkey(key) == example["vkey"]


def test_go_keys_are_read_and_written():
    xmod = NOTES["xmod"]
    signer = parse_private_key(xmod["skey"])
    assert format_vkey(signer.vkey) == xmod["vkey"]
    seed = base64.b64decode(xmod["skey"].split("+", 4)[4])[1:]
    assert format_private_key("PeterNeumann", seed) == xmod["skey"]


@pytest.mark.parametrize("bad", NOTES["xmod"]["bad_vkeys"])
def test_go_s_bad_keys_are_refused(bad):
    with pytest.raises(FormatError):
        parse_vkey(bad)


@pytest.mark.parametrize("size", range(16))
def test_tessera_checkpoint_verifies(size):
    note = parse_note((VECTORS / "tessera" / f"checkpoint.{size}").read_bytes())
    verify_note(note, [parse_vkey(TESSERA)])
    checkpoint = parse_checkpoint(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/log/testdata", size)
    assert format_checkpoint(checkpoint) == note.text


@given(names, seeds, st.lists(lines | st.just(""), min_size=1, max_size=5))
def test_signed_notes_round_trip_and_verify(name, seed, text_lines):
    signer = Ed25519Signer(name, seed)
    text = "".join(f"{line}\n" for line in text_lines)
    data = format_note(sign_note(text, [signer, OTHER]))
    note = parse_note(data)
    assert note.text == text
    assert format_note(note) == data
    assert [one.key for one in verify_note(note, [signer.vkey])] == [signer.vkey]
    assert parse_vkey(format_vkey(signer.vkey)) == signer.vkey


@given(st.data())
def test_no_changed_byte_verifies_as_another_text(data):
    signed = bytearray(format_note(sign_note("origin\n7\nhash\n", [LOG])))
    at = data.draw(st.integers(0, len(signed) - 1))
    signed[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        note = parse_note(bytes(signed))
        verify_note(note, [LOG.vkey])
    except (FormatError, VerificationError):
        return
    # Only unused bits of the unsigned base64 may change: the text and signature did not.
    assert format_note(note) == format_note(sign_note("origin\n7\nhash\n", [LOG]))


def test_an_unknown_key_is_ignored_and_a_wrong_known_one_rejects_the_note():
    good = sign_note("text\n", [LOG, OTHER])
    assert len(verify_note(good, [LOG.vkey])) == 1
    forged = NoteSignature(OTHER.vkey.name, OTHER.vkey.key_id, bytes(64))
    note = Note("text\n", (good.signatures[0], forged))
    assert len(verify_note(note, [LOG.vkey])) == 1
    with pytest.raises(VerificationError):
        verify_note(note, [LOG.vkey, OTHER.vkey])
    with pytest.raises(VerificationError):
        verify_note(good, [])


def test_known_lines_of_an_answer_are_added_and_others_dropped():
    note = sign_note("text\n", [LOG])
    stranger = Ed25519Signer("stranger.example", b"\x03" * 32)
    answer = format_signatures([stranger.sign("text\n"), OTHER.sign("text\n")])
    assert merge_signatures(note, answer, [OTHER.vkey]) == sign_note("text\n", [LOG, OTHER])
    for bad in (stranger.sign("text\n"), OTHER.sign("another text\n")):
        with pytest.raises(VerificationError):
            merge_signatures(note, format_signatures([bad]), [OTHER.vkey])


def test_name_alone_or_id_alone_does_not_match_a_key():
    note = sign_note("text\n", [LOG])
    same_name = Ed25519Signer(LOG.vkey.name, b"\x05" * 32).vkey
    same_key = Ed25519Signer("elsewhere.example", bytes(32)).vkey
    with pytest.raises(VerificationError):
        verify_note(note, [same_name, same_key])


def test_the_type_of_a_key_decides_what_it_signs():
    cosigner = Ed25519Cosigner("log.example", bytes(32))
    text = format_checkpoint(Checkpoint("log.example", 1, bytes(32)))
    plain = LOG.sign(text)
    assert cosigner.vkey.public_key == LOG.vkey.public_key
    crossed = NoteSignature(cosigner.vkey.name, cosigner.vkey.key_id, plain.signature)
    with pytest.raises(VerificationError):
        verify_note(Note(text, (crossed,)), [cosigner.vkey])


def test_sixteen_signatures_are_accepted_and_thousands_are_not():
    signers = [Ed25519Signer(f"s{i}", bytes([i]) * 32) for i in range(16)]
    note = parse_note(format_note(sign_note("text\n", signers)))
    assert len(verify_note(note, [one.vkey for one in signers])) == 16
    many = Note("text\n", note.signatures * 100)
    with pytest.raises(FormatError):
        parse_note(format_note(many))


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n- name AAAAAAA=\n",
        "text\n\n— name AAAAAAA=".encode(),
        "text\n\n—  AAAAAAA=\n".encode(),
        "text\n\n— na+me AAAAAAA=\n".encode(),
        "text\n\n— na\u00a0me AAAAAAA=\n".encode(),
        "text\n\n— name AAAA\n".encode(),
        "text\n\n— name AAAAAAA\n".encode(),
        "text\n\n— name AAAAAAA= \n".encode(),
        "text\r\n\n— name AAAAAAA=\n".encode(),
        "te\tt\n\n— name AAAAAAA=\n".encode(),
        b"te\xfft\n\n" + "— name AAAAAAA=\n".encode(),
        "— name AAAAAAA=\n".encode(),
        b"x" * 600_000 + "\n\n— name AAAAAAA=\n".encode(),
    ],
)
def test_malformed_notes_are_refused(bad):
    with pytest.raises(FormatError):
        parse_note(bad)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "name",
        "name+00000000",
        "name+zzzzzzzz+AQ==",
        "name+00000000+",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_malformed_verifier_keys_are_refused(bad):
    with pytest.raises(FormatError):
        parse_vkey(bad)


def test_unsupported_key_types_are_refused():
    with pytest.raises(FormatError):
        VerifierKey("name", 0x05, bytes(32))


checkpoints = st.builds(
    Checkpoint,
    lines,
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(lines, max_size=3).map(tuple),
)


@given(checkpoints)
def test_checkpoints_round_trip(checkpoint):
    assert parse_checkpoint(format_checkpoint(checkpoint)) == checkpoint


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "origin\n1\n",
        "\n1\n" + "A" * 43 + "=\n",
        "origin\n01\n" + "A" * 43 + "=\n",
        "origin\n-1\n" + "A" * 43 + "=\n",
        "origin\n+1\n" + "A" * 43 + "=\n",
        "origin\n1_0\n" + "A" * 43 + "=\n",
        "origin\n\u0661\n" + "A" * 43 + "=\n",
        "origin\n9223372036854775808\n" + "A" * 43 + "=\n",
        "origin\n1\n" + "A" * 43 + "=",
        "origin\n1\n" + "A" * 42 + "B=\n",
        "origin\n1\n" + "A" * 44 + "\n",
        "origin\n1\n" + "A" * 43 + "\n",
        "origin\n1\n" + "A" * 43 + "=\n\n",
        "origin\n1\n" + "A" * 43 + "=\n\nextension\n",
    ],
)
def test_malformed_checkpoints_are_refused(bad):
    with pytest.raises(FormatError):
        parse_checkpoint(bad)


@pytest.mark.parametrize("parse", [parse_note, parse_signatures])
@given(
    data=st.binary(max_size=200) | st.text(max_size=100).map(lambda t: t.encode("utf-8", "replace"))
)
def test_any_bytes_are_a_note_or_a_format_error(parse, data):
    for candidate in (data, data + b"\n\n\xe2\x80\x94 " + data + b"\n"):
        with contextlib.suppress(FormatError):
            parse(candidate)


@given(st.text(max_size=80) | lines.map(lambda t: f"{t}+00000000+AAAA"))
def test_any_text_is_a_key_or_checkpoint_or_a_format_error(text):
    for parse in (parse_vkey, parse_checkpoint, parse_private_key):
        for candidate in (text, "PRIVATE+KEY+" + text, f"{text}\n1\n{text}\n"):
            with contextlib.suppress(FormatError):
                parse(candidate)
