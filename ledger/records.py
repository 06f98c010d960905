"""Checking records as read from a log: the commitment in the leaf, and every signature.

One rule for follower and audit. Says nothing about who may sign: that is the fold's question.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing

from ledger.entries import PasskeyPolicy
from ledger.envelope import Entry, entry_bytes
from ledger.errors import LedgerError, VerificationError
from ledger.fold_model import Record
from ledger.verifiers import Claim, Verifiers, check_claims


def verify_record(record: Record, passkeys: PasskeyPolicy | None) -> None:
    """Check that a record's entry is what its leaf commits to and that its signatures verify.

    A personal record without its envelope passes: there is nothing to check.
    Raises VerificationError, FormatError or PolicyError.
    """
    claim = _claim(record)
    for error in check_claims([claim], passkeys).values() if claim is not None else ():
        raise type(error)(f"entry {record.index}: {error}")


def verify_records(
    records: Sequence[Record], passkeys: PasskeyPolicy | None
) -> dict[int, LedgerError]:
    """Check many records, each by `verify_record`: leaf index -> what is wrong."""
    with closing(Verifiers(passkeys)) as verifiers:
        return RecordCheck(records, verifiers).bad()


class RecordCheck:
    """Records being checked by verifiers, by the rule of `verify_record`."""

    def __init__(self, records: Sequence[Record], verifiers: Verifiers) -> None:
        self._bad: dict[int, LedgerError] = {}
        self._indexes: list[int] = []
        claims: list[Claim] = []
        for record in records:
            try:
                claim = _claim(record)
            except LedgerError as error:
                self._bad[record.index] = error
                continue
            if claim is not None:
                claims.append(claim)
                self._indexes.append(record.index)
        self._checking = verifiers.start(claims)

    def bad(self) -> dict[int, LedgerError]:
        """Wait, and return what is wrong by leaf index."""
        for number, error in self._checking.bad().items():
            index = self._indexes[number]
            self._bad[index] = type(error)(f"entry {index}: {error}")
        return self._bad


def _claim(record: Record) -> Claim | None:
    entry = _fitting(record)
    if entry is None:
        return None
    if record.leaf.commitment is None:
        return Claim(entry_bytes(entry))
    if record.salt is None:
        raise VerificationError(f"the salt of personal entry {record.index} is missing")
    if len(record.salt) != 32:
        raise VerificationError(f"the salt of personal entry {record.index} is not 32 bytes")
    return Claim(entry_bytes(entry), (record.leaf.commitment, record.salt))


def _fitting(record: Record) -> Entry | None:
    """Return a record's entry, if it is of the kind its leaf says."""
    leaf, entry = record.leaf, record.leaf.entry or record.entry
    if entry is None:
        return None
    if (entry.type, entry.version) != (leaf.type, leaf.version):
        raise VerificationError(f"leaf {record.index} and its entry are of different types")
    if leaf.commitment is None and record.entry is not None and record.entry != leaf.entry:
        raise VerificationError(f"entry {record.index} is not the one in its leaf")
    return entry


def unopened(records: Iterable[Record]) -> list[int]:
    """Return the indexes of personal records without their envelope."""
    return [item.index for item in records if item.leaf.entry is None and item.entry is None]
