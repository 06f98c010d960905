"""Provider events on the disk: those that arrive together are written in one transaction.

Each caller returns only when its own row is durable, but one write to the disk serves all who
waited for it (group commit): events come in bursts, and the database takes one writer at a time.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from marketplace.store import Database
from marketplace.tables import METADATA, WebhookEvent

Row = dict[str, object]

_INSERT = METADATA.tables["webhook_events"].insert()


@dataclass(slots=True)
class _Ticket:
    row: Row
    fresh: bool | None = None  # None: not written yet


@dataclass(slots=True)
class EventStore:
    """Keeps events for the threads of one process."""

    _turn: threading.Lock = field(default_factory=threading.Lock)
    _waiting: deque[_Ticket] = field(default_factory=deque)

    def keep(self, db: Database, row: Row) -> bool:
        """Write an event, durably; tell whether its id was new."""
        ticket = _Ticket(row)
        self._waiting.append(ticket)
        with self._turn:
            if ticket.fresh is None:  # nobody before us took it along
                self._write(db, [self._waiting.popleft() for _ in range(len(self._waiting))])
        return bool(ticket.fresh)

    def _write(self, db: Database, group: Sequence[_Ticket]) -> None:
        try:
            _write_all(db, group)
        except IntegrityError:
            # Another process wrote one of them at the same moment.
            for ticket in group:
                _write_alone(db, ticket)
        except BaseException:
            # Each of them asks for itself, and learns for itself that it is not written.
            self._waiting.extend(group)
            raise


def _write_all(db: Database, group: Sequence[_Ticket]) -> None:
    ids = [ticket.row["id"] for ticket in group]
    with db.write() as session:
        known = _known(session, ids)
        fresh = {t.row["id"]: t for t in group if t.row["id"] not in known}
        if fresh:
            session.connection().execute(_INSERT, [t.row for t in fresh.values()])
    for ticket in group:
        ticket.fresh = fresh.get(ticket.row["id"]) is ticket


def _write_alone(db: Database, ticket: _Ticket) -> None:
    try:
        _write_all(db, [ticket])
    except IntegrityError:
        ticket.fresh = False


def _known(session: Session, ids: Sequence[object]) -> set[str]:
    query = select(WebhookEvent.id).where(col(WebhookEvent.id).in_(ids))
    return set(session.exec(query).all())
