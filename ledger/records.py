"""Checking records as read from a log: the commitment in the leaf, and every signature.

One rule for follower and audit. Says nothing about who may sign: that is the fold's question.
"""

from collections.abc import Iterable, Sequence

from ledger.entries import PasskeyPolicy, verify_signatures
from ledger.envelope import Entry, commitment, pae
from ledger.errors import LedgerError, VerificationError
from ledger.fold_model import Record
from ledger.signatures import SignedMessage, verify_ed25519_batch


def verify_record(record: Record, passkeys: PasskeyPolicy | None) -> None:
    """Check that a record's entry is what its leaf commits to and that its signatures verify.

    A personal record without its envelope passes: there is nothing to check.
    Raises VerificationError, FormatError or PolicyError.
    """
    entry = _committed(record)
    if entry is not None:
        verify_signatures(entry, passkeys)


def verify_records(
    records: Sequence[Record], passkeys: PasskeyPolicy | None, threads: int = 2
) -> dict[int, str]:
    """Check many records, Ed25519 signatures in one batch: leaf index -> what is wrong."""
    bad: dict[int, str] = {}
    owners: list[int] = []
    batch: list[SignedMessage] = []
    for record in records:
        try:
            entry = _committed(record)
            messages = _messages(entry)
            if entry is not None and messages is None:
                verify_signatures(entry, passkeys)
        except LedgerError as error:
            bad[record.index] = str(error)
            continue
        batch += messages or ()
        owners += [record.index] * len(messages or ())
    for index, good in zip(owners, verify_ed25519_batch(batch, threads), strict=True):
        if not good:
            bad.setdefault(index, "a signature does not verify")
    return bad


def _committed(record: Record) -> Entry | None:
    leaf, entry = record.leaf, record.leaf.entry or record.entry
    if entry is None:
        return None
    if (entry.type, entry.version) != (leaf.type, leaf.version):
        raise VerificationError(f"leaf {record.index} and its entry are of different types")
    if leaf.commitment is None:
        if record.entry is not None and record.entry != leaf.entry:
            raise VerificationError(f"entry {record.index} is not the one in its leaf")
    elif record.salt is None:
        raise VerificationError(f"the salt of personal entry {record.index} is missing")
    elif commitment(record.salt, entry) != leaf.commitment:
        raise VerificationError(f"entry {record.index} is not what its leaf commits to")
    return entry


def _messages(entry: Entry | None) -> list[SignedMessage] | None:
    """Return what to verify in a batch, or None where a passkey (or nobody) signed."""
    if entry is None or not entry.signatures:
        return None
    if any(s.kind != "ed25519" or len(s.parts) != 1 for s in entry.signatures):
        return None
    message = pae(entry.type, entry.version, entry.payload_bytes)
    return [(s.public_key, message, s.parts[0]) for s in entry.signatures]


def unopened(records: Iterable[Record]) -> list[int]:
    """Return the indexes of personal records without their envelope."""
    return [item.index for item in records if item.leaf.entry is None and item.entry is None]
