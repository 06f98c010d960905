"""One rule for Ed25519 whichever library computes, and strict passkey assertions."""

import base64
import hashlib
import json
import struct
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given
from hypothesis import strategies as st

from ledger import signatures
from ledger.errors import VerificationError
from ledger.signatures import verify_ed25519, verify_passkey
from tests.ledger.formats import edwards as ed

VECTORS = Path(__file__).parents[2] / "vectors" / "ledger"
SPECCHECK = json.loads((VECTORS / "ed25519-speccheck.json").read_text())
SPKI = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
SECRET = 12345678901234567890
KEY = ed.encode(ed.multiply(SECRET, ed.BASE))
TORSION = ed.torsion()


def openssl(key, message, signature):
    """The second library's arithmetic, without the rule."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise VerificationError("the Ed25519 signature does not verify") from None


def verify_with_openssl(key, message, signature):
    signatures._check_encodings(key, signature)
    openssl(key, message, signature)


LIBRARIES = [verify_ed25519, verify_with_openssl]
BARE = [signatures._verify_with_sodium, openssl]


def accepts(verify, key, message, signature):
    try:
        verify(key, message, signature)
    except VerificationError:
        return False
    return True


def verdict(key, message, signature):
    """Ask both libraries; they must agree."""
    first, second = (accepts(verify, key, message, signature) for verify in LIBRARIES)
    assert first == second
    return first


# One case of ten is a signature an honest mixed-order key can make; the rule accepts it.
@pytest.mark.parametrize(("number", "accepted"), [(i, i == 3) for i in range(10)])
def test_speccheck_case(number, accepted):
    case = SPECCHECK[number]
    key, message, signature = (bytes.fromhex(case[n]) for n in ("pub_key", "message", "signature"))
    assert verdict(key, message, signature) == accepted


def test_without_the_rule_the_libraries_disagree():
    """The reason for the rule, and proof that the cases above can tell the libraries apart."""
    cases = [[bytes.fromhex(c[n]) for n in ("pub_key", "message", "signature")] for c in SPECCHECK]
    differ = [i for i, case in enumerate(cases) if len({accepts(v, *case) for v in BARE}) == 2]
    assert differ == [0, 1, 2]


def test_rfc_8032_test_1():
    key = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    signature = bytes.fromhex(
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )
    assert verdict(key, b"", signature)
    assert not verdict(key, b"x", signature)


def test_our_arithmetic_makes_ordinary_signatures():
    assert verdict(KEY, b"message", ed.sign(SECRET, b"message"))


def small_order_encodings():
    """Every encoding, canonical or not, of the eight small-order points."""
    ys = {y for _, y in TORSION}
    encoded = ys | {y + ed.P for y in ys if y + ed.P < 2**255}
    return [(y | sign << 255).to_bytes(32, "little") for y in sorted(encoded) for sign in (0, 1)]


def test_there_are_as_many_small_order_encodings_as_published():
    assert len(small_order_encodings()) == 14


@pytest.mark.parametrize("key", small_order_encodings(), ids=lambda key: key.hex()[:12])
def test_small_order_public_keys_are_refused(key):
    # Under such a key S = 0 with a fitting small-order R "verifies" many messages.
    for r in small_order_encodings():
        assert not verdict(key, b"any", r + bytes(32))
    for number in range(8):
        message = b"%d" % number
        assert not verdict(key, message, ed.sign(0, message, key=key))


@pytest.mark.parametrize("r", small_order_encodings(), ids=lambda r: r.hex()[:12])
def test_small_order_r_is_refused(r):
    s = ed.challenge(r, KEY, b"m") * SECRET % ed.L
    assert not verdict(KEY, b"m", r + s.to_bytes(32, "little"))


def test_adding_l_to_s_is_refused_before_any_library_sees_it():
    signature = ed.sign(SECRET, b"m")
    s = int.from_bytes(signature[32:], "little")
    assert verdict(KEY, b"m", signature)
    for reduced_by in range(1, 15):
        encoded = (s + reduced_by * ed.L).to_bytes(32, "little")
        for verify in LIBRARIES:
            with pytest.raises(VerificationError, match="not reduced"):
                verify(KEY, b"m", signature[:32] + encoded)


@pytest.mark.parametrize("y", range(ed.P, 2**255))
def test_non_canonical_y_is_refused(y):
    for sign in (0, 1):
        encoded = (y | sign << 255).to_bytes(32, "little")
        assert not verdict(encoded, b"m", ed.sign(SECRET, b"m", key=encoded))
        s = ed.challenge(encoded, KEY, b"m") * SECRET % ed.L
        assert not verdict(KEY, b"m", encoded + s.to_bytes(32, "little"))


@pytest.mark.parametrize("number", range(1, 8))
def test_torsion_in_r_is_refused_by_both_since_the_equation_has_no_cofactor(number):
    assert not verdict(KEY, b"m", ed.sign(SECRET, b"m", nonce_torsion=TORSION[number]))


@pytest.mark.parametrize("number", range(1, 8))
def test_both_libraries_agree_on_mixed_order_keys(number):
    mixed = ed.encode(ed.add(ed.multiply(SECRET, ed.BASE), TORSION[number]))
    seen = {verdict(mixed, b"%d" % i, ed.sign(SECRET, b"%d" % i, key=mixed)) for i in range(40)}
    assert False in seen


def test_points_off_the_curve_are_refused():
    off = next(y for y in range(2, 100) if ed.recover_x(y, 0) is None).to_bytes(32, "little")
    assert not verdict(off, b"m", ed.sign(SECRET, b"m", key=off))
    assert not verdict(KEY, b"m", off + bytes(32))


@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=70))
def test_any_bytes_are_refused_alike(key, message, signature):
    assert not verdict(key, message, signature)
    assert not verdict((key + bytes(32))[:32], message, (signature + bytes(64))[:64])


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.data())
def test_no_flipped_bit_verifies(seed, message, data):
    private = Ed25519PrivateKey.from_private_bytes(seed)
    key, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert verdict(key, message, signature)
    joined = bytearray(key + signature + message)
    joined[data.draw(st.integers(0, len(joined) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not verdict(bytes(joined[:32]), bytes(joined[96:]), bytes(joined[32:96]))


# Passkeys --------------------------------------------------------------------------------------

CHALLENGE = hashlib.sha256(b"DSSEv1 1 t 1 p").digest()
RP_ID, ORIGIN = "localhost", "http://localhost:8081"
P256 = ec.derive_private_key(7, ec.SECP256R1())
ED25519 = Ed25519PrivateKey.from_private_bytes(b"\x03" * 32)


def b64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def client_data(**changes):
    fields = {"type": "webauthn.get", "challenge": b64url(CHALLENGE), "origin": ORIGIN}
    return json.dumps({**fields, "crossOrigin": False, **changes}).encode()


def auth_data(flags=0x05, rp_id=RP_ID, tail=b""):
    return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, 1) + tail


def public_of(private, form="spki"):
    public = private.public_key()
    if form == "spki":
        return public.public_bytes(*SPKI)
    if private is ED25519:
        return bytes.fromhex("a4010103272006215820") + public.public_bytes_raw()
    x, y = (n.to_bytes(32, "big") for n in (public.public_numbers().x, public.public_numbers().y))
    return bytes.fromhex("a5010203262001215820") + x + bytes.fromhex("225820") + y


def make(private=P256, client=None, auth=None, public_key=None, **changes):
    client, auth = client or client_data(), auth or auth_data()
    signed = auth + hashlib.sha256(client).digest()
    signature = (
        private.sign(signed)
        if private is ED25519
        else private.sign(signed, ec.ECDSA(hashes.SHA256()))
    )
    given_parts = {
        "challenge": CHALLENGE,
        "authenticator_data": auth,
        "client_data_json": client,
        "signature": signature,
        "rp_id": RP_ID,
        "origins": {ORIGIN},
    }
    return (public_key or public_of(private),), {**given_parts, **changes}


def refused(*args, **parts):
    positional, named = make(*args, **parts)
    with pytest.raises(VerificationError) as caught:
        verify_passkey(*positional, **named)
    return str(caught.value)


@pytest.mark.parametrize("private", [P256, ED25519], ids=["es256", "ed25519"])
@pytest.mark.parametrize("form", ["spki", "cose"])
def test_an_assertion_verifies(private, form):
    positional, named = make(private, public_key=public_of(private, form))
    verify_passkey(*positional, **named)


@pytest.mark.parametrize("auth", [auth_data(0x1D), auth_data(0x85, tail=b"\xa0"), auth_data(0x0D)])
def test_backed_up_and_extended_authenticators_verify(auth):
    positional, named = make(auth=auth)
    verify_passkey(*positional, **named)


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (client_data(type="webauthn.create"), "webauthn.get"),
        (client_data(type=None), "webauthn.get"),
        (client_data(challenge=b64url(bytes(32))), "another challenge"),
        (client_data(challenge=b64url(CHALLENGE) + "="), "base64url"),
        (client_data(challenge=base64.b64encode(b"\xff" * 32).decode()[:43]), "base64url"),
        (client_data(challenge=5), "base64url"),
        (client_data(origin="https://evil.example"), "origin"),
        (client_data(origin=ORIGIN + "/"), "origin"),
        (client_data(origin=[ORIGIN]), "origin"),
        (client_data(crossOrigin=True), "another origin"),
        (client_data(crossOrigin=0), "another origin"),
        (client_data(topOrigin=ORIGIN), "another origin"),
        (b"[]", "JSON object"),
        (b"\xef\xbb\xbf" + client_data(), "JSON object"),
        (b"{", "JSON object"),
        (b"[" * 4000, "JSON object"),
        (client_data()[:-1] + b', "origin": "http://localhost:8081"}', "repeats"),
        (client_data(extra="x" * 5000), "longer"),
    ],
)
def test_wrong_client_data_is_refused(client, reason):
    assert reason in refused(client=client)


@pytest.mark.parametrize(
    ("auth", "reason"),
    [
        (auth_data(rp_id="evil.example"), "relying party"),
        (auth_data()[:36], "relying party"),
        (auth_data(0x00), "user"),
        (auth_data(0x01), "user"),
        (auth_data(0x04), "user"),
        (auth_data(0x15), "backup"),
        (auth_data(0x45), "length"),
        (auth_data(0x05, tail=b"x"), "length"),
        (auth_data(0x85), "length"),
    ],
)
def test_wrong_authenticator_data_is_refused(auth, reason):
    assert reason in refused(auth=auth)


def test_another_key_or_challenge_or_signature_is_refused():
    other = ec.derive_private_key(8, ec.SECP256R1())
    assert "ES256" in refused(public_key=public_of(other))
    assert "Ed25519" in refused(public_key=public_of(ED25519))
    assert "challenge" in refused(challenge=bytes(32))
    assert "challenge" in refused(challenge=b"")
    assert "ES256" in refused(signature=b"")
    assert "origin" in refused(origins=())


@pytest.mark.parametrize(
    "public_key",
    [
        b"",
        b"\x30",
        public_of(P256) + b"\x00",
        public_of(P256, "cose") + b"\x00",
        public_of(P256, "cose")[:-1],
        public_of(P256, "cose")[:-1] + b"\x00",
        public_of(ED25519, "cose")[:-1],
        rsa.generate_private_key(65537, 2048).public_key().public_bytes(*SPKI),
        ec.derive_private_key(7, ec.SECP384R1()).public_key().public_bytes(*SPKI),
        ec.derive_private_key(7, ec.SECP256K1()).public_key().public_bytes(*SPKI),
    ],
    ids=range(10),
)
def test_other_public_keys_are_refused(public_key):
    _positional, named = make()
    with pytest.raises(VerificationError):
        verify_passkey(public_key, **named)


def test_a_small_order_passkey_is_refused_by_the_same_rule():
    cose = bytes.fromhex("a4010103272006215820") + bytes([1]) + bytes(31)
    assert "small order" in refused(ED25519, public_key=cose)


ASSERTIONS = [make(P256), make(ED25519)]  # made once: ES256 signatures differ each time


@given(st.data())
def test_no_flipped_bit_of_an_assertion_verifies(data):
    for positional, named in ASSERTIONS:
        part = data.draw(st.sampled_from(["authenticator_data", "client_data_json", "signature"]))
        changed = bytearray(named[part])
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        with pytest.raises(VerificationError):
            verify_passkey(*positional, **{**named, part: bytes(changed)})


@given(st.binary(max_size=120), st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_refused_as_a_passkey(key, auth, client):
    named = make()[1]
    for public_key in (key, b"\x30" + key, public_of(P256, "cose")[:10] + key):
        for changes in ({}, {"authenticator_data": auth}, {"client_data_json": client}):
            with pytest.raises(VerificationError):
                verify_passkey(public_key, **{**named, **changes})
