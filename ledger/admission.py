"""What happens to a submission before it is sequenced: checked alone, then against the state.

`prepare_all` runs on the caller's thread and hands the signatures, which cost most, to
`verifiers`; the rest runs on the one thread that owns the state. No I/O.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from ledger.entries import (
    PasskeyPolicy,
    check_attachments,
    make_leaf,
    validate_payload,
    verify_signatures,
)
from ledger.entry_types import Rule
from ledger.envelope import Submission, entry_bytes
from ledger.errors import LedgerError, RefusedError
from ledger.leaf import Leaf, format_leaf
from ledger.state import State
from ledger.store import Row
from ledger.verifiers import Claim, Verifiers

ID_CONTEXT = b"omic/id/v1"
ACCESS_TREE = "access_tree"
LONGEST_TIME = 2**53 - 1
TIME_FIELD = b',"time":%d,' % LONGEST_TIME


@dataclass(frozen=True, slots=True)
class Prepared:
    """A submission whose form, attachments and signatures are good; its leaf has no time yet.

    leaf_parts: the leaf's bytes before and after its time, so that the sequencer need not format.
    """

    submission: Submission
    rule: Rule
    leaf: Leaf
    leaf_parts: tuple[bytes, bytes]
    entry_bytes: bytes
    identities: tuple[bytes, bytes]
    access_root: bytes | None = None


class EntryError(Exception):
    """Which entry of a request an error is about (0-based)."""

    def __init__(self, number: int, error: LedgerError) -> None:
        super().__init__(str(error))
        self.number = number
        self.error = error


def prepare_all(submissions: Sequence[Submission], verifiers: Verifiers) -> list[Prepared]:
    """Prepare each submission. Raises EntryError naming the first bad one."""
    prepared: list[Prepared] = []
    refused: EntryError | None = None
    for number, submission in enumerate(submissions):
        try:
            prepared.append(_prepare_form(submission))
        except LedgerError as error:
            refused = EntryError(number, error)
            break
    bad = verifiers.start([Claim(one.entry_bytes) for one in prepared]).bad()
    if bad:
        refused = EntryError(min(bad), bad[min(bad)])
    if refused is not None:
        raise refused
    return prepared


def prepare(submission: Submission, passkeys: PasskeyPolicy | None) -> Prepared:
    """Check all that needs no state. Raises FormatError, RefusedError or VerificationError."""
    prepared = _prepare_form(submission)
    verify_signatures(submission.entry, passkeys)
    return prepared


def _prepare_form(submission: Submission) -> Prepared:
    """Check everything about a submission but its signatures, which are still to be checked."""
    entry = submission.entry
    rule = validate_payload(entry)
    check_attachments(entry, submission.attachments)
    data = entry_bytes(entry)
    leaf = make_leaf(entry, submission.salt, LONGEST_TIME, data)
    head, _, tail = format_leaf(leaf).rpartition(TIME_FIELD)
    payload = entry.payload
    root = bytes.fromhex(payload["cohort_root"]) if ACCESS_TREE in rule.attachments else None
    names = identities(leaf, data, payload["id"])
    return Prepared(submission, rule, leaf, (head, tail), data, names, root)


def leaf_at(prepared: Prepared, time: int) -> Leaf:
    """Return the leaf as sequenced at `time` (Unix ms)."""
    leaf = prepared.leaf
    return Leaf(
        leaf.type,
        leaf.version,
        time,
        leaf.commitment,
        leaf.entry,
        leaf.stops,
        leaf.resumes,
        leaf.erases,
        leaf.about,
    )


def identities(leaf: Leaf, data: bytes, payload_id: str) -> tuple[bytes, bytes]:
    """Return what must be unique in the log: the commitment (or entry hash), and the payload id.

    The id is hashed, so that what stays after an erasure is no part of the erased entry.
    """
    content = leaf.commitment if leaf.commitment is not None else sha256(data).digest()
    return content, sha256(ID_CONTEXT + bytes.fromhex(payload_id)).digest()[:16]


@dataclass(slots=True)
class Draft:
    """The batch being put together on top of `size` leaves, all sequenced at `time` (Unix ms)."""

    size: int
    time: int
    rows: list[Row] = field(default_factory=list)
    items: list[tuple[Prepared, Leaf, Sequence[int]]] = field(default_factory=list)
    places: dict[bytes, int] = field(default_factory=dict)

    @property
    def next_index(self) -> int:
        """Return the leaf index the next entry of the batch will have."""
        return self.size + len(self.rows)

    def add(self, prepared: Prepared, leaf: Leaf, ended: Sequence[int] = ()) -> int:
        """Give the entry the next place and return it; ended: where the grants it ends stand."""
        index = self.next_index
        head, tail = prepared.leaf_parts
        data = b'%b,"time":%d,%b' % (head, self.time, tail)
        kept = dict(prepared.submission.attachments)
        kept.pop(ACCESS_TREE, None)
        salt = prepared.submission.salt
        envelope = None if salt is None else (prepared.entry_bytes, salt)
        self.rows.append(Row(index, data, prepared.identities, envelope, kept))
        self.items.append((prepared, leaf, ended))
        for identity in prepared.identities:
            self.places[identity] = index
        return index

    def cut(self, count: int) -> None:
        """Forget the rows after the first `count`: they belong to a refused request."""
        for row in self.rows[count:]:
            for identity in row.identities:
                del self.places[identity]
        del self.rows[count:], self.items[count:]

    def erase(self) -> set[int]:
        """Return the leaves whose envelopes this batch lets disappear."""
        return {index for _, leaf, _ in self.items for index in leaf.erases}

    def drop(self) -> set[int]:
        """Return the leaves whose attachments go: grants that are ended, or sealed anew."""
        return {index for _, _, ended in self.items for index in ended}

    def access_trees(self) -> dict[bytes, bytes]:
        """Return the access trees by root."""
        return {
            one.access_root: one.submission.attachments[ACCESS_TREE]
            for one, _, _ in self.items
            if one.access_root is not None
        }

    def find(self, prepared: Prepared, known: dict[bytes, int]) -> int | None:
        """Return where this very entry already stands.

        Raises RefusedError when another entry has its id.
        """
        content, name = prepared.identities
        at = self.places.get(content, known.get(content))
        if at is None and self.places.get(name, known.get(name)) is not None:
            raise RefusedError("another entry has this id; draw a new one and sign again")
        return at


def require_known_owner(prepared: Prepared, state: State) -> None:
    """Refuse an erasure in the name of an owner this log does not hold: it could name anybody's.

    Followers must accept such an entry when they read it after that owner's own envelopes are
    gone; the log, which acts on it, has them still. Raises RefusedError.
    """
    entry = prepared.submission.entry
    if prepared.leaf.erases and entry.payload.get("owner") not in state.parties:
        raise RefusedError(f"{entry.type}: the owner is not registered, or is erased already")


def all_identities(requests: Sequence[Sequence[Prepared]]) -> Iterator[bytes]:
    """Yield what to look up before a batch."""
    for request in requests:
        for prepared in request:
            yield from prepared.identities
