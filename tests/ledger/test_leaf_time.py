"""Leaf times are the log's own word; the witnesses' cosignatures bound them."""

import pytest

from ledger import Leaf, Record, VerificationError
from ledger.follower import require_past
from ledger.trust import CLOCK_TOLERANCE_MS

QUORUM = 1_795_000_000_000


def record(time):
    return Record(7, Leaf("consent.granted", 1, time, commitment=bytes(32)))


def test_a_leaf_within_the_tolerance_passes():
    require_past([record(QUORUM), record(QUORUM + CLOCK_TOLERANCE_MS)], QUORUM)


def test_a_leaf_from_the_future_is_named():
    with pytest.raises(VerificationError, match="leaf 7"):
        require_past([record(QUORUM), record(QUORUM + CLOCK_TOLERANCE_MS + 1)], QUORUM)
