"""Envelopes: one form for each value, and nothing else accepted."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledger import (
    Entry,
    FormatError,
    Signature,
    Submission,
    canonical,
    commitment,
    entry_bytes,
    fingerprint,
    pae,
    parse_entry_bytes,
    parse_json,
    submission_from_json,
    submission_to_json,
)
from ledger.envelope import is_canonical, parse_payload_type, unb64
from tests.ledger.ledger_scenes import seed, sign_ed25519

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
ED = st.builds(
    lambda key, sig: Signature("ed25519", key, (sig,)),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=64, max_size=64),
)
PASSKEY = st.builds(
    lambda key, parts: Signature("webauthn", key, tuple(parts)),
    st.binary(max_size=91),
    st.lists(st.binary(max_size=40), min_size=3, max_size=3),
)
ENTRIES = st.builds(
    Entry,
    st.from_regex(r"[a-z]{1,8}\.[a-z_]{1,12}", fullmatch=True),
    st.integers(0, 99),
    st.binary(max_size=60),
    st.lists(ED | PASSKEY, max_size=3).map(tuple),
)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_canonical_is_rfc_8785_and_reads_back(value):
    data = canonical(value)
    assert data == rfc8785.dumps(value)
    assert parse_json(data) == value
    assert is_canonical(data, value)


@pytest.mark.parametrize(
    "value", [{"a": 1.0}, {"a": [0.5]}, {"a": 2**53}, {1: 2}, {"a": float("nan")}, {"a": "\ud800"}]
)
def test_canonical_refuses_what_has_no_exact_form(value):
    with pytest.raises(FormatError):
        canonical(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b'{"a":1,"a":1}',
        b'{"a":1.5}',
        b'{"a":1e3}',
        b'{"a":NaN}',
        b'{"a":9007199254740992}',
        b'{"a":1}x',
        b"\xff",
        '{"a":1}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_parse_json_refuses(data):
    with pytest.raises(FormatError):
        parse_json(data)


@pytest.mark.parametrize(
    "data", [b'{"b":1,"a":2}', b'{ "a":1}', b'{"a":"\\u0041"}', b'{"a":"\\u00e9"}', b'{"a":-0}']
)
def test_other_spellings_of_a_payload_are_not_canonical(data):
    assert not is_canonical(data, parse_json(data))
    assert is_canonical(canonical(parse_json(data)), parse_json(data))


@given(ENTRIES)
def test_entry_bytes_round_trip(entry):
    assert parse_entry_bytes(entry_bytes(entry)) == entry


@given(ENTRIES, st.data())
def test_entry_bytes_have_one_reading(entry, data):
    raw = entry_bytes(entry)
    at = data.draw(st.integers(0, len(raw)))
    changed = data.draw(st.sampled_from([raw + b"\0", raw[:-1], raw[:at] + b"\0" + raw[at:]]))
    try:
        assert entry_bytes(parse_entry_bytes(changed)) == changed
        assert parse_entry_bytes(changed) != entry
    except FormatError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        "application/json",
        "application/vnd.omic.a.v01+json",
        "application/vnd.omic.a.v+json",
        "application/vnd.omic.a.v\u00b2+json",
        "application/vnd.omic.a.v-1+json",
        "application/vnd.omic..v1",
        "application/vnd.omic.a.v1+json ",
        "application/vnd.omic.a.v" + "9" * 5000 + "+json",
    ],
)
def test_payload_types_that_are_not_ours(text):
    with pytest.raises(FormatError):
        parse_payload_type(text)


@given(ENTRIES, st.none() | st.binary(min_size=32, max_size=32), st.binary(max_size=30))
def test_submission_json_round_trip(entry, salt, attachment):
    submission = Submission(entry, salt, {"sealed_grant": attachment})
    text = json.dumps(submission_to_json(submission))
    assert submission_from_json(json.loads(text)) == submission


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["payload_type"], 7),
        (["payload_type"], "application/json"),
        (["payload"], "e30"),
        (["payload"], "e3==\n"),
        (["payload"], None),
        (["signatures"], None),
        (["signatures"], [1]),
        (["signatures", 0, "kind"], "rsa"),
        (["signatures", 0, "kind"], ["ed25519"]),
        (["signatures", 0, "parts"], []),
        (["signatures", 0, "public_key"], 5),
        (["attachments"], []),
        (["attachments"], {"a": 1}),
        (["salt"], "%%"),
    ],
)
def test_a_broken_submission_is_a_format_error(path, value):
    entry = Entry("a.b", 1, b"{}", (Signature("ed25519", b"k" * 32, (b"s" * 64,)),))
    good = submission_to_json(Submission(entry))
    assert submission_from_json(good).entry == entry
    target = good
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    if value == []:
        good["attachments"] = "x" if path == ["attachments"] else {}
    with pytest.raises(FormatError):
        submission_from_json(good)


@given(st.binary(min_size=1, max_size=9))
def test_base64_has_one_spelling(data):
    import base64

    text = base64.b64encode(data).decode()
    assert unb64(text) == data
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    if text.endswith("="):
        at = len(text.rstrip("=")) - 1
        other = text[:at] + alphabet[alphabet.index(text[at]) ^ 1] + text[at + 1 :]
        with pytest.raises(FormatError):
            unb64(other)


def test_the_commitment_covers_every_part():
    entry = Entry("a.b", 1, b"{}", (sign_ed25519(seed("a"))(pae("a.b", 1, b"{}")),))
    salt = b"s" * 32
    s = entry.signatures[0]
    others = [
        Entry("a.c", 1, b"{}", entry.signatures),
        Entry("a.b", 2, b"{}", entry.signatures),
        Entry("a.b", 1, b"{} ", entry.signatures),
        Entry("a.b", 1, b"{}", ()),
        Entry("a.b", 1, b"{}", entry.signatures * 2),
        Entry("a.b", 1, b"{}", (Signature(s.kind, b"k" * 32, s.parts),)),
        Entry("a.b", 1, b"{}", (Signature(s.kind, s.public_key, (b"x",)),)),
    ]
    seen = {commitment(salt, item) for item in [entry, *others]} | {commitment(b"t" * 32, entry)}
    assert len(seen) == len(others) + 2
    with pytest.raises(FormatError):
        commitment(b"short", entry)


def test_a_fingerprint_is_128_bits_of_sha256():
    assert fingerprint(b"") == "e3b0c44298fc1c149afbf4c8996fb924"


def test_pae_has_the_form_of_the_dsse_protocol():
    # DSSE protocol.md: "DSSEv1" SP LEN(type) SP type SP LEN(body) SP body.
    assert pae("a.b", 1, b"hi") == b"DSSEv1 32 application/vnd.omic.a.b.v1+json 2 hi"


def test_nothing_secret_in_a_repr():
    submission = Submission(Entry("a.b", 1, b"secret", ()), b"salt" * 8, {"x": b"secret"})
    assert "secret" not in repr(submission)
    assert "salt" not in repr(submission).replace("salt=", "")
