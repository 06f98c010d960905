"""The outbox: signed entries wait here until the ledger has them.

A row is written in the transaction that decides something; what the decision changes happens only
in the transaction that stores the entry's ledger index. Delivery is at least once: the same bytes
are sent again after a crash, and the ledger answers a repeated submission with its first index.
Entries of one order keep their order: one that the ledger refuses holds back those behind it.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import insert
from sqlmodel import Session, col, select

from ledger import (
    Appended,
    FormatError,
    LedgerError,
    RefusedError,
    Submission,
    VerificationError,
    submission_from_json,
    submission_to_json,
)
from marketplace.orders import OrderEvent
from marketplace.store import Database
from marketplace.tables import OutboxRow

LOG = logging.getLogger(__name__)
BATCH = 100
FIRST_WAIT_MS = 250
LONGEST_WAIT_MS = 10_000
DECISIONS = frozenset(
    {
        OrderEvent.APPROVE,
        OrderEvent.REFUSE,
        OrderEvent.CANCEL,
        OrderEvent.EXPIRE,
        OrderEvent.FAIL,
        OrderEvent.SETTLE,
        OrderEvent.REFUND,
    }
)

# Asked every round: built once, for building a query costs more than asking it.
# A refused entry holds back its order's later ones; one of no order holds back nothing.
_HELD_BACK = (col(OutboxRow.state) == "refused") & col(OutboxRow.order_id).is_not(None)
_WAITING = (
    select(OutboxRow)
    .where((col(OutboxRow.state) == "pending") | _HELD_BACK)
    .order_by(col(OutboxRow.seq))
    .limit(10 * BATCH)
)

OnPosted = Callable[[Session, OutboxRow], None]


class Appender(Protocol):
    """The part of the ledger's client the outbox needs; a repeat must answer the first index."""

    def append(self, submissions: list[Submission], /) -> list[Appended]:
        """Append entries to the ledger, in order. Raises LedgerError."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A signed entry for the outbox; see the fields of `OutboxRow`."""

    submission: Submission
    dedupe: str
    order_id: str | None = None
    event: OrderEvent | None = None
    reason: str | None = None
    subject: str | None = None


def enqueue(
    session: Session,
    submission: Submission,
    *,
    dedupe: str,
    now: int,
    order_id: str | None = None,
    event: OrderEvent | None = None,
    reason: str | None = None,
    subject: str | None = None,
) -> bool:
    """Add an entry unless one with this dedupe key is there; tell whether it was added."""
    draft = Draft(submission, dedupe, order_id, event, reason, subject)
    return enqueue_all(session, [draft], now) == 1


def enqueue_all(session: Session, drafts: Sequence[Draft], now: int) -> int:
    """Add entries in order, none whose dedupe key is there; return how many were added."""
    keys = col(OutboxRow.dedupe).in_([one.dedupe for one in drafts])
    known = set(session.exec(select(OutboxRow.dedupe).where(keys)).all())
    rows = [_row(one, now) for one in drafts if one.dedupe not in known]
    if rows:
        session.execute(insert(OutboxRow), rows)
    return len(rows)


def _row(draft: Draft, now: int) -> dict[str, object]:
    return {
        "entry_id": str(draft.submission.entry.payload["id"]),
        "dedupe": draft.dedupe,
        "order_id": draft.order_id,
        "type": draft.submission.entry.type,
        "event": draft.event.value if draft.event else None,
        "reason": draft.reason,
        "subject": draft.subject,
        "submission": submission_to_json(draft.submission),
        "state": "pending",
        "attempts": 0,
        "retry_at": 0,
        "created_at": now,
    }


def decision_pending(session: Session, order_id: str) -> bool:
    """Tell whether a decision about this order is on its way to the ledger."""
    query = select(OutboxRow.seq).where(
        col(OutboxRow.order_id) == order_id,
        col(OutboxRow.state) != "posted",
        col(OutboxRow.event).in_([event.value for event in DECISIONS]),
    )
    return session.exec(query).first() is not None


def publish(db: Database, ledger: Appender, on_posted: OnPosted, now: int) -> int:
    """Send what is due, in order, and act on what the ledger took; return how many it took."""
    rows = _due(db, now)
    if not rows:
        return 0
    try:
        indexes = _append(ledger, rows)
    except (RefusedError, VerificationError, FormatError):
        return _one_by_one(db, ledger, on_posted, rows, now)
    except LedgerError as error:
        _postpone(db, rows, error, now)
        return 0
    _posted(db, rows, indexes, on_posted)
    return len(rows)


def _due(db: Database, now: int) -> list[OutboxRow]:
    """Return pending rows in order, leaving out orders with an earlier row held back."""
    with db.read() as session:
        waiting = session.exec(_WAITING).all()
    due: list[OutboxRow] = []
    held: set[str] = set()
    for row in waiting:
        key = row.order_id or row.entry_id
        if row.state == "refused" or row.retry_at > now or key in held:
            held.add(key)
        else:
            due.append(row)
    return due[:BATCH]


def _append(ledger: Appender, rows: list[OutboxRow]) -> list[int]:
    appended = ledger.append([submission_from_json(row.submission) for row in rows])
    return [one.index for one in appended]


def _one_by_one(
    db: Database, ledger: Appender, on_posted: OnPosted, rows: list[OutboxRow], now: int
) -> int:
    held: set[str] = set()
    taken = 0
    for row in rows:
        key = row.order_id or row.entry_id
        if key in held:
            continue
        try:
            indexes = _append(ledger, [row])
        except (RefusedError, VerificationError) as error:
            _refused(db, row, error)
            held.add(key)
            continue
        except LedgerError as error:
            _postpone(db, [row], error, now)
            held.add(key)
            continue
        _posted(db, [row], indexes, on_posted)
        taken += 1
    return taken


def _posted(db: Database, rows: list[OutboxRow], indexes: list[int], on_posted: OnPosted) -> None:
    for row, index in zip(rows, indexes, strict=True):
        with db.write() as session:
            mine = _locked(session, row)
            if mine.state == "posted":
                continue
            mine.state, mine.posted_index, mine.error = "posted", index, None
            if mine.subject is not None:
                # Somebody's own statement and its salt: the ledger's erasable store keeps those.
                mine.submission = {}
            session.add(mine)
            on_posted(session, mine)


def _locked(session: Session, row: OutboxRow) -> OutboxRow:
    return session.exec(
        select(OutboxRow).where(col(OutboxRow.seq) == row.seq).with_for_update()
    ).one()


def _refused(db: Database, row: OutboxRow, error: Exception) -> None:
    LOG.error("the ledger refused entry %s (%s): %s", row.entry_id, row.type, error)
    with db.write() as session:
        mine = _locked(session, row)
        mine.state, mine.error, mine.attempts = "refused", str(error)[:500], mine.attempts + 1
        session.add(mine)


def _postpone(db: Database, rows: list[OutboxRow], error: Exception, now: int) -> None:
    LOG.warning("the ledger did not take %d entries (%s); trying again", len(rows), error)
    with db.write() as session:
        for row in rows:
            mine = _locked(session, row)
            wait = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(mine.attempts, 10))
            mine.attempts, mine.retry_at = mine.attempts + 1, now + wait
            session.add(mine)


def waiting(session: Session) -> dict[str, Any]:
    """Return how many entries wait and how many the ledger refused, for the status page."""
    rows = session.exec(select(OutboxRow.state).where(col(OutboxRow.state) != "posted")).all()
    return {"pending": rows.count("pending"), "refused": rows.count("refused")}
