"""Envelopes as bytes: what is written is read, and nothing else makes another error than ours."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import FormatError
from ledger.frames import Envelope, pack_envelopes, unpack_envelopes

ENVELOPES = st.lists(
    st.builds(Envelope, st.integers(0, 2**63 - 1))
    | st.builds(
        Envelope,
        st.integers(0, 2**63 - 1),
        st.binary(min_size=1, max_size=80),
        st.binary(min_size=32, max_size=32),
    )
)


@given(ENVELOPES)
def test_round_trip(envelopes):
    assert unpack_envelopes(pack_envelopes(envelopes)) == envelopes


@given(st.binary(max_size=200))
def test_anything_else_is_refused_as_ours(data):
    with suppress(FormatError):
        assert pack_envelopes(unpack_envelopes(data)) == data


@given(ENVELOPES.filter(bool), st.data())
def test_a_cut_is_seen(envelopes, data):
    whole = pack_envelopes(envelopes)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        found = unpack_envelopes(cut)
    except FormatError:
        return
    assert found == envelopes[: len(found)] and len(found) < len(envelopes)


def test_what_is_wrong_is_told():
    with pytest.raises(FormatError, match="entry 7 is cut short"):
        unpack_envelopes(pack_envelopes([Envelope(7, b"entry", b"s" * 32)])[:-1])
    with pytest.raises(FormatError, match="inside a length"):
        unpack_envelopes(b"123")
