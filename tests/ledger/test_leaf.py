"""Leaves: the bytes that stay in the log have exactly one form."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import FormatError, Leaf, canonical, format_leaf, parse_leaf
from tests.ledger.test_envelope import ENTRIES

INDEXES = st.lists(st.integers(0, 2**40), max_size=4).map(tuple)
LEAVES = st.builds(
    lambda type_, version, time, body, lists: Leaf(
        type_, version, time, *body, *lists, None if body[0] is None else body[0][:16]
    ),
    st.from_regex(r"[a-z]{1,8}\.[a-z_]{1,12}", fullmatch=True),
    st.integers(0, 9),
    st.integers(0, 2**43),
    st.tuples(st.binary(min_size=32, max_size=32), st.none()) | st.tuples(st.none(), ENTRIES),
    st.tuples(INDEXES, INDEXES, INDEXES),
)
PERSONAL = Leaf("consent.withdrawn", 1, 5, b"c" * 32, None, (3,), about=b"a" * 16)


@given(LEAVES)
def test_round_trip(leaf):
    assert parse_leaf(format_leaf(leaf)) == leaf


def _changed(**changes):
    value = json.loads(format_leaf(PERSONAL)) | changes
    return {name: item for name, item in value.items() if item != "drop"}


@pytest.mark.parametrize(
    "changes",
    [
        {"commitment": "63" * 31},
        {"about": "61" * 15},
        {"about": None},
        {"commitment": "zz" * 32},
        {"commitment": ("63" * 32).replace("6", " 6", 1)},
        {"commitment": 7},
        {"commitment": "drop"},
        {"entry": "AAAA"},
        {"stops": 3},
        {"stops": [-1]},
        {"stops": [True]},
        {"stops": ["3"]},
        {"stops": []},
        {"extra": 1},
        {"v": 2},
        {"v": True},
        {"type": 1},
        {"version": "1"},
        {"time": -1},
        {"time": "drop"},
    ],
)
def test_a_leaf_that_is_not_ours_is_refused(changes):
    assert parse_leaf(canonical(_changed())) == PERSONAL
    with pytest.raises(FormatError):
        parse_leaf(canonical(_changed(**changes)))


def test_reordered_keys_and_spaces_are_refused():
    value = json.loads(format_leaf(PERSONAL))
    for data in (
        json.dumps(value),
        json.dumps(dict(reversed(value.items())), separators=(",", ":")),
    ):
        with pytest.raises(FormatError):
            parse_leaf(data.encode())


def test_a_leaf_fits_in_an_entry_bundle():
    with pytest.raises(FormatError, match="65"):
        format_leaf(Leaf("a.b", 1, 0, b"c" * 32, None, tuple(range(20_000)), about=b"a" * 16))


def test_a_leaf_holds_a_commitment_or_an_entry():
    with pytest.raises(FormatError):
        format_leaf(Leaf("a.b", 1, 0))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_leaf_or_a_format_error(data):
    with contextlib.suppress(FormatError):
        assert format_leaf(parse_leaf(data)) == data
