"""Access trees: complete, provable, and silent to whoever has no activity key."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import (
    EMPTY_ROOT,
    FormatError,
    NotFoundError,
    VerificationError,
    access_index,
    access_proof,
    access_tag,
    activity_commitment,
    format_access_tree,
    parse_access_tree,
    tree_root_of,
    verify_access,
)
from tests.ledger.ledger_scenes import ident

KEYS = st.sets(st.binary(min_size=32, max_size=32), min_size=1, max_size=20)
ACCESS = ident("access")


@given(KEYS)
def test_every_member_has_a_proof_and_no_one_else(keys):
    tags = parse_access_tree(format_access_tree(access_tag(k, ACCESS) for k in keys))
    root = tree_root_of(tags)
    for key in keys:
        tag = access_tag(key, ACCESS)
        index, proof = access_proof(tags, tag)
        assert access_index(tags, key, ACCESS) == index
        verify_access(tag, index, len(tags), proof, root)
        with pytest.raises(VerificationError):
            verify_access(access_tag(key, ident("other")), index, len(tags), proof, root)
    stranger = hashlib.sha256(b"".join(keys)).digest()
    assert access_index(tags, stranger, ACCESS) is None
    with pytest.raises(NotFoundError):
        access_proof(tags, access_tag(stranger, ACCESS))


def test_the_tag_is_the_stated_hmac():
    expected = hmac.new(b"k" * 32, b"omic/access/v1" + bytes.fromhex(ACCESS), "sha256").digest()
    assert access_tag(b"k" * 32, ACCESS) == expected


@given(st.binary(min_size=32, max_size=32), st.integers(2, 30))
def test_tags_of_one_person_cannot_be_linked_without_the_key(key, uses):
    """Neither access id nor the published commitment to the key gives the tag."""
    ids = [ident(f"use {n}") for n in range(uses)]
    tags = {access_tag(key, item) for item in ids}
    assert len(tags) == uses
    published = bytes.fromhex(activity_commitment(key))
    assert not tags & {access_tag(published, item) for item in ids}
    assert not tags & {hashlib.sha256(published + bytes.fromhex(item)).digest() for item in ids}
    # positive control: with the key all of them are found
    tree = sorted(tags)
    assert all(access_index(tree, key, item) is not None for item in ids)


@pytest.mark.parametrize("data", [b"x", b"a" * 31, b"b" * 32 + b"a" * 32, b"a" * 64])
def test_a_tree_that_is_cut_unsorted_or_repeats_is_refused(data):
    with pytest.raises(FormatError):
        parse_access_tree(data)


def test_an_empty_tree():
    assert tree_root_of(parse_access_tree(b"")) == EMPTY_ROOT


@pytest.mark.parametrize(("key", "access"), [(b"", ACCESS), (b"k" * 32, "zz"), (b"k" * 32, "ab")])
def test_keys_and_ids_of_a_wrong_size(key, access):
    with pytest.raises(FormatError):
        access_tag(key, access)
