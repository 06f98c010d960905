"""Build and send signed statements: the client's one way of putting something on the ledger.

Randomness and the clock enter here (ids, salts, times) so that everything below stays pure.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ledger import (
    Appended,
    LedgerClient,
    Submission,
    complete_payload,
    cosign,
    fingerprint,
    make_entry,
    submission_for,
    unsigned_entry,
    verify_proof,
)
from marketplace.client.home import Home
from marketplace.client.keys import SigningKey


def new_id() -> str:
    """Return a random 128-bit id as 32 hex digits."""
    return secrets.token_hex(16)


def now_ms() -> int:
    """Return the time as Unix milliseconds."""
    return time.time_ns() // 1_000_000


def stated(
    type_: str,
    fields: Mapping[str, Any],
    key: SigningKey,
    attachments: Mapping[str, bytes] | None = None,
) -> Submission:
    """Return a signed submission of one entry; a personal one gets a fresh 32-byte salt."""
    entry = make_entry(type_, {"id": new_id(), "time": now_ms(), **fields}, [key.sign])
    return submission_for(entry, secrets.token_bytes(32), attachments)


def drafted(type_: str, fields: Mapping[str, Any], key: SigningKey) -> Submission:
    """Return an entry signed by us that still lacks its cosignature."""
    whole = {"id": new_id(), "time": now_ms(), **fields}
    payload = complete_payload(type_, whole, fingerprint(key.public))
    return Submission(cosign(unsigned_entry(type_, payload), key.sign))


def append(ledger: LedgerClient, home: Home, submissions: Sequence[Submission]) -> list[Appended]:
    """Post statements (all or none), wait for the witnesses, and keep everything in the home.

    Each is kept with its salt, leaf, index and verified receipt.
    """
    appended = ledger.append(list(submissions), wait=True)
    for submission, done in zip(submissions, appended, strict=True):
        home.keep_entry(submission, done.index, done.leaf_bytes, done.time)
        if done.receipt is not None:
            verify_proof(done.leaf_bytes, home.trust.policy, done.receipt.encode())
            home.keep_receipt(done.index, done.receipt)
    return appended
