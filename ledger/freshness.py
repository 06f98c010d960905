"""Whether a log's newest checkpoint may be used: signed, witnessed, young, and of the same log.

For followers, which fold the log, and for clients that only look in. Folds nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ledger.client import LedgerClient
from ledger.errors import (
    ConsistencyError,
    FormatError,
    NotFoundError,
    StaleError,
    VerificationError,
)
from ledger.fold_model import Record
from ledger.memory import Remembered
from ledger.merkle import verify_consistency
from ledger.policy import verify_checkpoint
from ledger.trust import CLOCK_TOLERANCE_MS, TrustPolicy


@dataclass(frozen=True, slots=True)
class FollowedCheckpoint:
    """A checkpoint that was verified; quorum_time: Unix ms of the k-th newest cosignature.

    cosignatures: each witness's own time, in Unix seconds as it signed it.
    """

    size: int
    root: bytes
    quorum_time: int
    note: str
    cosignatures: Mapping[str, int] = field(default_factory=dict)


def now_ms() -> int:
    """Return the machine's clock in Unix ms."""
    return time.time_ns() // 1_000_000


def fetch_checkpoint(client: LedgerClient, trust: TrustPolicy, now: int) -> FollowedCheckpoint:
    """Fetch the newest checkpoint and check its signatures and age; now: Unix ms.

    Raises FormatError, VerificationError, PolicyError or StaleError.
    """
    note = client.checkpoint()
    verified = verify_checkpoint(trust.policy, note.encode())
    quorum_time = verified.quorum_time * 1000
    require_fresh(quorum_time, now, trust.max_checkpoint_age_ms)
    checkpoint = verified.checkpoint
    return FollowedCheckpoint(
        checkpoint.size, checkpoint.root, quorum_time, note, verified.cosignatures
    )


def require_fresh(quorum_time: int, now: int, max_age_ms: int) -> None:
    """Refuse a quorum time too old, or further ahead of the clock than clocks may differ.

    Raises StaleError.
    """
    if now - quorum_time > max_age_ms:
        raise StaleError(
            f"the log has been silent for {(now - quorum_time) // 1000} s, {max_age_ms // 1000} s "
            "are allowed: nothing may be decided on it; see that log and witnesses run"
        )
    if quorum_time - now > CLOCK_TOLERANCE_MS:
        raise StaleError(
            f"the witnesses' clocks are {(quorum_time - now) // 1000} s ahead of this machine's; "
            "correct the clock"
        )


def require_past(records: Sequence[Record], quorum_time: int) -> None:
    """Check that no leaf claims to be younger than the cosignatures over it (Unix ms).

    Expiry and waiting times are judged on leaf times, which are the log's own word: witnesses
    bound them. Raises VerificationError naming the leaf.
    """
    for record in records:
        if record.leaf.time > quorum_time + CLOCK_TOLERANCE_MS:
            raise VerificationError(
                f"leaf {record.index} says it is younger than the witnesses' signatures over it; "
                "the log's clock is wrong or it lies: nothing is decided on it"
            )


def require_growth(client: LedgerClient, old: Remembered, new: FollowedCheckpoint) -> None:
    """Check that the log only grew since a checkpoint that was verified before.

    Raises ConsistencyError: the log changed its past.
    """
    if new.size < old.size:
        raise ConsistencyError(
            f"your ledger changed its past: it showed {old.size} entries before and {new.size} now"
        )
    if new.size == old.size:
        if new.root != old.root:
            raise ConsistencyError(
                f"your ledger changed its past: two different trees of {new.size} entries"
            )
        return
    if old.size == 0:
        return
    try:
        proof = client.consistency(old.size, new.size)
        verify_consistency(old.size, new.size, proof, old.root, new.root)
    except (ConsistencyError, NotFoundError, FormatError) as error:
        raise ConsistencyError(
            f"your ledger changed its past: the tree of {old.size} entries seen before is not "
            f"part of the one of {new.size} entries ({error})"
        ) from None
