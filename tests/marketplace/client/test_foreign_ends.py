"""A rogue log can end or forget an owner's consent in the clear: the owner's client notices."""

from types import SimpleNamespace

import pytest

from ledger import Leaf, Record
from marketplace.client.activity import foreign_entries
from marketplace.client.errors import LedgerChangedError

PARTY = "ab" * 16


def session_with(own, leaves):
    records = [Record(index, leaf) for index, leaf in enumerate(leaves)]
    home = SimpleNamespace(documents=lambda folder: [{"index": i} for i in own], party=PARTY)
    follower = SimpleNamespace(records=lambda start, end: iter(records[start:end]))
    return SimpleNamespace(home=home, view=SimpleNamespace(follower=follower))


def leaf(type_="consent.granted", **lists):
    return Leaf(type_, 1, 1_795_000_000_000, commitment=bytes(32), **lists)


def test_our_own_withdrawal_is_no_news():
    session = session_with({0, 1}, [leaf(), leaf("consent.withdrawn", stops=(0,))])
    assert foreign_entries(session, 2) == []


def test_a_stop_somebody_else_signed_is_told():
    session = session_with({0}, [leaf(), leaf("consent.withdrawn", stops=(0,))])
    (found,) = foreign_entries(session, 2)
    assert (found.index, "ended" in found.words()) == (1, True)


def test_an_erasure_somebody_else_signed_is_loud():
    session = session_with({0}, [leaf(), leaf("dataset.erased", erases=(0,))])
    with pytest.raises(LedgerChangedError, match="entry 1"):
        foreign_entries(session, 2)
