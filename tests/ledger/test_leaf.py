"""Leaves: the bytes that stay in the log have exactly one form."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import Entry, FormatError, Leaf, b64, canonical, entry_bytes, format_leaf, parse_leaf
from ledger import leaf as leaf_module
from ledger.envelope import parse_entry_bytes
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


def _read(data):
    try:
        return parse_leaf(data)
    except FormatError:
        return None


def _read_carefully(data):
    """Read with the JSON parser only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaf_module, "_PLAIN_PERSONAL", lambda data: None)
        patch.setattr(leaf_module, "_PLAIN_PUBLIC", lambda data: None)
        return _read(data)


@given(ENTRIES, st.integers(0, 2**53 - 1), st.data())
def test_the_short_way_reads_what_the_careful_way_reads(entry, time, data):
    good = format_leaf(Leaf(entry.type, entry.version, time, None, entry))
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + data.draw(st.binary(max_size=2)) + good[at + 1 :]
    assert _read(good) == _read_carefully(good) is not None
    assert _read(changed) == _read_carefully(changed)


def test_a_public_leaf_read_the_short_way_still_has_one_form_and_a_longest_length():
    entry = parse_entry_bytes(entry_bytes(Entry("a.b", 1, b'{"a":1}', ())))
    good = format_leaf(Leaf("a.b", 1, 7, None, entry))
    assert leaf_module._PLAIN_PUBLIC(good) and parse_leaf(good).entry == entry
    end = good.index(b'","time"')
    assert good[end - 1 : end] == b"="
    for bad in (
        good[: end - 1] + good[end:],  # no padding
        good.replace(b'"time":7', b'"time":07'),
        good.replace(b'"version":1', b'"version":01'),
        good.replace(b'"v":1', b'"v":2'),
    ):
        assert _read(bad) is None
    long = Entry("a.b", 1, b"x" * 49_200, ())
    text = b64(entry_bytes(long)).encode()
    bad = b'{"entry":"%b","time":7,"type":"a.b","v":1,"version":1}' % text
    assert len(bad) > 65_535 and _read(bad) is None
