"""Sealed grants open under their exact terms, key and bytes, and under nothing else."""

import copy

import pytest

from compute.crypt import hpke, make_header_packet
from compute.crypt.header import generate_keypair, session_key
from compute.crypt.hpke import SUITE, grant_info, open_grant, probe, seal_grant
from compute.errors import CryptError, TermsError
from compute.presets import preset

OWNER, DATASET, GRANT = "a" * 32, "b" * 32, "c" * 32
TERMS = preset("my_condition_free", valid_from=1, diseases=["MONDO:0005148"]).to_dict()
SECRET, PUBLIC = hpke.generate_keypair()
READER_SECRET, READER = generate_keypair()
HEADER = make_header_packet(b"k" * 32, READER)
ACTIVITY = b"a" * 32
INFO = grant_info(OWNER, DATASET, GRANT, TERMS)
SEALED = seal_grant(HEADER, ACTIVITY, PUBLIC, INFO)


def refuses(sealed=SEALED, secret=SECRET, info=INFO):
    with pytest.raises(CryptError):
        open_grant(sealed, secret, info)
    return True


def test_a_grant_opens_under_its_terms_and_gives_the_data_key():
    probe()
    header, activity = open_grant(SEALED, SECRET, INFO)
    assert (header, activity) == (HEADER, ACTIVITY)
    assert session_key(header, READER_SECRET) == b"k" * 32


def leaves(value, path=()):
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list) and value:
        return [leaf for n, item in enumerate(value) for leaf in leaves(item, (*path, n))]
    return [path]


@pytest.mark.parametrize("path", leaves(TERMS), ids=str)
def test_one_changed_term_anywhere_and_the_grant_does_not_open(path):
    changed = copy.deepcopy(TERMS)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = "changed" if place[path[-1]] != "changed" else "else"
    assert refuses(info=grant_info(OWNER, DATASET, GRANT, changed))


def test_another_owner_dataset_grant_or_suite_does_not_open():
    assert refuses(info=grant_info("d" * 32, DATASET, GRANT, TERMS))
    assert refuses(info=grant_info(OWNER, "d" * 32, GRANT, TERMS))
    assert refuses(info=grant_info(OWNER, DATASET, "d" * 32, TERMS))
    assert refuses(info=grant_info(OWNER, DATASET, GRANT, TERMS, suite=SUITE + "x"))


def test_parts_of_the_info_cannot_slide_into_each_other():
    assert grant_info("ab", "c", GRANT, TERMS) != grant_info("a", "bc", GRANT, TERMS)


def test_every_flipped_byte_and_every_cut_is_refused():
    for at in range(0, len(SEALED), 7):
        bad = bytearray(SEALED)
        bad[at] ^= 0x80
        assert refuses(sealed=bytes(bad))
    for end in (0, 1, 32, 1120, len(SEALED) - 1):
        assert refuses(sealed=SEALED[:end])
    assert refuses(sealed=SEALED + b"\0")


@pytest.mark.parametrize("half", [slice(0, 64), slice(64, 96)], ids=["ml-kem", "x25519"])
def test_both_halves_of_the_hybrid_key_are_needed(half):
    other, _ = hpke.generate_keypair()
    mixed = bytearray(SECRET)
    mixed[half] = other[half]
    assert refuses(secret=bytes(mixed))


def test_keys_of_a_wrong_length_are_refused():
    assert refuses(secret=SECRET[:-1])
    for bad in (b"", PUBLIC[:-1], PUBLIC + b"\0"):
        with pytest.raises(CryptError):
            seal_grant(HEADER, ACTIVITY, bad, INFO)


def test_only_one_packet_and_a_32_byte_activity_key_are_sealed_or_opened():
    two = make_header_packet(b"k" * 32, READER, READER)
    for header, activity in ((two, ACTIVITY), (HEADER, b"short"), (b"", ACTIVITY)):
        with pytest.raises(CryptError):
            seal_grant(header, activity, PUBLIC, INFO)
    assert refuses(sealed=hpke.seal(ACTIVITY + two, PUBLIC, INFO))
    assert refuses(sealed=hpke.seal(b"short", PUBLIC, INFO))


def test_terms_with_a_float_have_no_info():
    with pytest.raises(TermsError):
        grant_info(OWNER, DATASET, GRANT, {"price": 1.5})


def test_an_opened_grant_does_not_print_its_keys():
    assert "a" * 8 not in repr(open_grant(SEALED, SECRET, INFO))


def test_a_public_key_is_its_mlkem_and_x25519_parts():
    assert len(PUBLIC) == hpke.PUBLIC_BYTES
    assert hpke.public_of(SECRET) == PUBLIC
