"""Entry types: golden files of every version, exact fields, signatures, attachments, leaves."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import (
    RULES,
    Entry,
    FormatError,
    PasskeyPolicy,
    PolicyError,
    RefusedError,
    Signature,
    UnknownEntry,
    VerificationError,
    access_tag,
    b64,
    canonical,
    check_attachments,
    commitment,
    complete_payload,
    cosign,
    fingerprint,
    format_access_tree,
    format_leaf,
    is_personal,
    make_entry,
    make_leaf,
    make_submission,
    pae,
    parse_access_tree,
    parse_entry_bytes,
    parse_leaf,
    rule_for,
    sign_entry,
    submission_for,
    tree_root_of,
    unsigned_entry,
    validate_payload,
    verify_signatures,
)
from ledger.fold_signers import SIGNERS
from ledger.state import _STEPS
from tests.ledger.ledger_scenes import (
    EXAMPLE_OF,
    GOLDEN,
    SEALED,
    STEPS,
    Scene,
    fields_of,
    golden_of,
    ident,
    pk,
    seed,
    signer,
)

TYPES = sorted(type_ for type_, _ in RULES)
NOW = 1_700_000_000_000


def example(type_):
    """Return the example entry of a type, not yet admitted, and its scene."""
    scene, label = Scene(), EXAMPLE_OF[type_]
    scene.need(*STEPS[label][1])
    return scene, scene.example(label)


def resigned(type_, entry, **changes):
    """Sign a changed payload again with the usual keys; changes of None drop the field."""
    payload = {**entry.payload, **changes}
    payload = {name: value for name, value in payload.items() if value != "drop"}
    made = unsigned_entry(type_, payload)
    for name in STEPS[EXAMPLE_OF[type_]][2]:
        made = cosign(made, signer(name))
    return made


@pytest.mark.parametrize("type_", TYPES)
def test_golden(type_):
    """What was once written can be read, verified and made again, byte for byte."""
    stored = json.loads((GOLDEN / f"{type_}.v1.json").read_text())
    entry = parse_entry_bytes(bytes.fromhex(stored["entry"]))
    assert entry.payload_bytes == stored["payload"].encode()
    rule = validate_payload(entry)
    verify_signatures(entry, None)
    leaf = parse_leaf(stored["leaf"].encode())
    salt = None if stored["salt"] is None else bytes.fromhex(stored["salt"])
    assert leaf == make_leaf(entry, salt, leaf.time)
    assert (leaf.entry is None) == is_personal(rule, entry.payload)
    assert golden_of(type_) == stored


def test_every_type_has_a_signer_rule_and_a_step():
    assert {rule.signer for rule in RULES.values()} == set(SIGNERS)
    assert set(_STEPS) == set(TYPES) == set(EXAMPLE_OF)
    assert {path.stem for path in GOLDEN.glob("*.json")} == {f"{t}.v{v}" for t, v in RULES}


@pytest.mark.parametrize("type_", TYPES)
def test_each_field_is_needed_and_no_other_is_allowed(type_):
    _, entry = example(type_)
    rule = rule_for(type_, 1)
    for name in {*entry.payload} - set(rule.optional):
        with pytest.raises(FormatError):
            validate_payload(resigned(type_, entry, **{name: "drop"}))
    with pytest.raises(FormatError, match="does not have"):
        validate_payload(resigned(type_, entry, note="free text"))
    for name in rule.optional:
        assert validate_payload(resigned(type_, entry, **{name: "drop"})) is rule


JUNK = (
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4) | st.just([]) | st.just({})
)


@settings(max_examples=150)
@given(st.sampled_from(TYPES), st.data())
def test_junk_in_a_field_is_a_format_error_or_valid(type_, data):
    _, entry = example(type_)
    name = data.draw(st.sampled_from(sorted(entry.payload)))
    changed = resigned(type_, entry, **{name: data.draw(JUNK)})
    try:
        assert validate_payload(changed) is rule_for(type_, 1)
    except FormatError as error:
        assert type_ in str(error)


@pytest.mark.parametrize("type_", TYPES)
def test_other_bytes_for_the_same_payload_are_refused(type_):
    _, entry = example(type_)
    payload = entry.payload
    spellings = [
        json.dumps(dict(reversed(payload.items())), separators=(",", ":")),
        json.dumps(payload),
        entry.payload_bytes.decode().replace(type_[0], f"\\u00{ord(type_[0]):02x}", 1),
    ]
    for text in spellings:
        other = Entry(type_, 1, text.encode(), ())
        for name in STEPS[EXAMPLE_OF[type_]][2]:
            other = cosign(other, signer(name))
        assert json.loads(text) == payload
        verify_signatures(other, None)
        with pytest.raises(FormatError, match="canonical"):
            validate_payload(other)


def test_a_key_given_twice_is_refused():
    _, entry = example("order.approved")
    data = entry.payload_bytes.replace(b'{"actor"', b'{"actor":"x","actor"', 1)
    with pytest.raises(FormatError, match="canonical"):
        validate_payload(cosign(Entry("order.approved", 1, data, ()), signer("marketplace")))


@pytest.mark.parametrize(
    ("type_", "version"), [("consent.granted", 2), ("consent.granted", 0), ("consent.lent", 1)]
)
def test_an_unknown_type_or_version_is_its_own_error(type_, version):
    with pytest.raises(UnknownEntry):
        validate_payload(Entry(type_, version, b"{}", ()))
    with pytest.raises(UnknownEntry):
        make_leaf(Entry(type_, version, b"{}", ()), None, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "0" * 32},
        {"schema": "order.approved/2"},
        {"schema": "order.refused/1"},
        {"basis": {}},
        {"basis": {"kind": "self", "mandate": 3}},
        {"basis": {"kind": "deputy"}},
        {"basis": {"kind": "deputy", "mandate": "3"}},
        {"basis": {"kind": "king"}},
        {"id": "A" * 32},
        {"time": -1},
        {"time": True},
        {"subject": "me"},
    ],
)
def test_common_fields(change):
    _, entry = example("order.approved")
    validate_payload(entry)
    with pytest.raises(FormatError):
        validate_payload(resigned("order.approved", entry, **change))


def test_subject_is_the_party_the_entry_is_about():
    _, entry = example("consent.granted")
    validate_payload(resigned("consent.granted", entry, subject=None))
    with pytest.raises(FormatError, match="subject"):
        validate_payload(resigned("consent.granted", entry, subject=ident("other")))


def test_only_a_marketplace_stop_may_say_operator():
    for type_ in ("consent.withdrawn", "consent.paused"):
        _, entry = example(type_)
        validate_payload(resigned(type_, entry, basis={"kind": "operator"}))
    _, entry = example("consent.granted")
    with pytest.raises(FormatError, match="operator"):
        validate_payload(resigned("consent.granted", entry, basis={"kind": "operator"}))


@pytest.mark.parametrize("type_", TYPES)
def test_the_number_of_signatures_is_fixed(type_):
    _, entry = example(type_)
    for signatures in (
        (),
        entry.signatures[:-1],
        (*entry.signatures, signer("extra")(b"x")),
        (*entry.signatures, entry.signatures[0]),
    ):
        with pytest.raises(FormatError):
            validate_payload(Entry(type_, 1, entry.payload_bytes, signatures))


@pytest.mark.parametrize("type_", TYPES)
def test_a_changed_byte_breaks_the_signature(type_):
    _, entry = example(type_)
    verify_signatures(entry, None)
    changed = entry.payload_bytes.replace(b'"time":1', b'"time":2')
    with pytest.raises(VerificationError):
        verify_signatures(Entry(type_, 1, changed, entry.signatures), None)
    with pytest.raises(VerificationError):
        verify_signatures(Entry("order.approved", 7, entry.payload_bytes, entry.signatures), None)
    with pytest.raises(VerificationError):
        verify_signatures(Entry(type_, 1, entry.payload_bytes, ()), None)


class Passkey:
    """A P-256 authenticator, for tests."""

    def __init__(self, rp_id="localhost", origin="http://localhost:8080"):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.rp_id, self.origin = rp_id, origin

    def sign(self, message):
        challenge = b64(hashlib.sha256(message).digest()).rstrip("=")
        challenge = challenge.replace("+", "-").replace("/", "_")
        client = json.dumps(
            {"type": "webauthn.get", "challenge": challenge, "origin": self.origin}
        ).encode()
        data = hashlib.sha256(self.rp_id.encode()).digest() + b"\x05" + b"\0\0\0\1"
        signed = data + hashlib.sha256(client).digest()
        signature = self.key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return Signature("webauthn", self.public, (data, client, signature))


PASSKEYS = PasskeyPolicy("localhost", ("http://localhost:8080",))


def passkey_owner(passkey):
    keys = [{"public_key": b64(passkey.public), "kind": "webauthn", "use": "sign"}]
    fields = {"id": ident("p"), "time": NOW, "party": ident("p"), "role": "owner", "keys": keys}
    actor = fingerprint(passkey.public)
    entry = unsigned_entry("party.registered", complete_payload("party.registered", fields, actor))
    return cosign(cosign(entry, passkey.sign), signer("attester"))


def test_a_passkey_can_sign_and_is_admitted():
    entry = passkey_owner(Passkey())
    validate_payload(entry)
    verify_signatures(entry, PASSKEYS)
    scene = Scene()
    scene.add(entry)
    assert list(scene.state.parties[ident("p")].keys) == [entry.payload["actor"]]


def test_a_passkey_counts_only_on_the_policys_page():
    with pytest.raises(PolicyError):
        verify_signatures(passkey_owner(Passkey()), None)
    with pytest.raises(VerificationError):
        verify_signatures(passkey_owner(Passkey(origin="http://evil.example")), PASSKEYS)
    with pytest.raises(VerificationError):
        verify_signatures(passkey_owner(Passkey(rp_id="evil.example")), PASSKEYS)
    entry = passkey_owner(Passkey())
    moved = Entry(entry.type, 1, entry.payload_bytes + b" ", entry.signatures)
    with pytest.raises(VerificationError):
        verify_signatures(moved, PASSKEYS)


def test_attachments_are_exactly_what_the_entry_commits_to():
    _, grant = example("consent.granted")
    check_attachments(grant, {"sealed_grant": SEALED})
    for wrong in (
        {},
        {"sealed_grant": b"x"},
        {"other": SEALED},
        {"sealed_grant": SEALED, "x": b""},
    ):
        with pytest.raises(RefusedError):
            check_attachments(grant, wrong)
    _, order = example("order.approved")
    check_attachments(order, {})
    with pytest.raises(RefusedError):
        check_attachments(order, {"sealed_grant": SEALED})


def test_an_access_tree_must_have_the_root_and_size_stated():
    _, entry = example("access.recorded")
    tree = format_access_tree(access_tag(bytes([n]) * 32, ident("access")) for n in range(5))
    root = tree_root_of(parse_access_tree(tree)).hex()
    good = resigned("access.recorded", entry, cohort_root=root, cohort_size=5, opened=5)
    check_attachments(good, {"access_tree": tree})
    short = resigned("access.recorded", entry, cohort_root=root, cohort_size=5, opened=4)
    for wrong, data in ((good, tree[32:]), (short, tree), (good, b"")):
        with pytest.raises(RefusedError):
            check_attachments(wrong, {"access_tree": data})
    with pytest.raises(FormatError):
        check_attachments(good, {"access_tree": tree[32:64] + tree[:32] + tree[64:]})


def test_a_leaf_shows_only_what_it_must():
    scene, entry = example("consent.withdrawn")
    leaf = make_leaf(entry, b"s" * 32, 7)
    assert leaf.commitment == commitment(b"s" * 32, entry)
    assert (leaf.entry, leaf.stops, leaf.time) == (None, (scene.at["grant"],), 7)
    data = format_leaf(leaf).decode()
    for name in ("owner", "dataset", "grant"):
        assert ident(name) not in data
    assert b64(pk("dataset key")) not in data
    _, rekeyed = example("consent.rekeyed")
    assert make_leaf(rekeyed, b"s" * 32, 7).stops == (rekeyed.payload["replaces"],)


def test_a_salt_goes_with_a_personal_entry_and_no_other():
    _, personal = example("consent.granted")
    _, public = example("order.placed")
    for entry, salt in ((personal, None), (public, b"s" * 32)):
        with pytest.raises(RefusedError):
            make_leaf(entry, salt, 0)
    with pytest.raises(FormatError):
        make_leaf(personal, b"short", 0)


def test_submissions_are_checked_when_they_are_made():
    _, grant = example("consent.granted")
    made = submission_for(grant, b"s" * 32, {"sealed_grant": SEALED})
    assert made == make_submission(grant, b"s" * 32, {"sealed_grant": SEALED})
    _, order = example("order.approved")
    assert submission_for(order, b"s" * 32).salt is None
    with pytest.raises(RefusedError):
        make_submission(grant, b"s" * 32)


def test_make_entry_fills_the_common_fields():
    fields = {"id": ident("x"), "time": NOW, "order": ident("o"), "reason": "asked"}
    entry = sign_entry(seed("marketplace"), "order.approved", fields)
    assert entry == make_entry("order.approved", fields, [signer("marketplace")])
    assert entry.payload["actor"] == fingerprint(pk("marketplace"))
    assert entry.payload["basis"] == {"kind": "self"}
    assert entry.payload_bytes == canonical(entry.payload)
    with pytest.raises(FormatError):
        make_entry("order.approved", {**fields, "order": "x"}, [signer("marketplace")])


def test_the_actor_is_the_first_key():
    scene, entry = example("party.registered")
    swapped = Entry(entry.type, 1, entry.payload_bytes, entry.signatures[::-1])
    with pytest.raises(FormatError, match="actor"):
        validate_payload(swapped)
    assert pae(entry.type, 1, entry.payload_bytes).startswith(b"DSSEv1 ")
    assert fields_of(scene, "owner")["role"] == "owner"
