"""The orders a worker has in hand: one row each, moved by a table of transitions.

Every step of a job ends in one move, so a killed job resumes at the step it was in. Holds ids,
digests and signed public entries; never an answer (those are in the encrypted store).
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from sqlalchemy import Engine, or_, text
from sqlmodel import Session, col, select

from compute.tables import IngestRow, OrderRow, StoreStateError, write_lock


class Phase(StrEnum):
    """Where an order is, in the order of a job."""

    STARTED = "started"
    JUDGED = "judged"
    RESERVED = "reserved"
    RECORDED = "recorded"
    COMPUTED = "computed"
    AWAITING_REVIEW = "awaiting_review"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    CLOSING = "closing"
    DELIVERED = "delivered"
    WITHHELD = "withheld"
    REFUSED = "refused"
    FAILED = "failed"


_P = Phase
TRANSITIONS: dict[Phase, frozenset[Phase]] = {
    _P.STARTED: frozenset({_P.JUDGED, _P.CLOSING}),
    _P.JUDGED: frozenset({_P.RESERVED, _P.STARTED, _P.CLOSING}),
    _P.RESERVED: frozenset({_P.RECORDED, _P.STARTED, _P.CLOSING}),
    _P.RECORDED: frozenset({_P.COMPUTED, _P.STARTED, _P.CLOSING}),
    _P.COMPUTED: frozenset({_P.AWAITING_REVIEW, _P.PUBLISHING, _P.STARTED, _P.CLOSING}),
    _P.AWAITING_REVIEW: frozenset({_P.PUBLISHING, _P.STARTED, _P.CLOSING}),
    _P.PUBLISHING: frozenset({_P.PUBLISHED, _P.CLOSING}),
    _P.PUBLISHED: frozenset({_P.DELIVERED, _P.CLOSING}),
    _P.CLOSING: frozenset({_P.WITHHELD, _P.REFUSED, _P.FAILED}),
    _P.DELIVERED: frozenset(),
    _P.WITHHELD: frozenset(),
    _P.REFUSED: frozenset(),
    _P.FAILED: frozenset(),
}
ANSWERED = frozenset(_P) - {_P.STARTED, _P.CLOSING, _P.WITHHELD, _P.REFUSED, _P.FAILED}
JUDGES_LOCK = 0x6F6D69634A  # "omicJ" as a number: PostgreSQL's advisory lock of who judges
TERMINAL = frozenset(phase for phase, after in TRANSITIONS.items() if not after)
_IS_OPENED = or_(
    col(OrderRow.phase).in_([phase.value for phase in ANSWERED]),
    col(OrderRow.access_index).is_not(None),
)


@dataclass(frozen=True, slots=True)
class OrderInHand:
    """One order as the worker has it; see tables.OrderRow for the fields."""

    order: str
    phase: Phase
    attempt: int = 1
    access: str | None = None
    access_index: int | None = None
    result_index: int | None = None
    members: tuple[str, ...] = ()
    submission: str | None = None
    access_submission: str | None = None
    commitment: str | None = None
    final: Phase | None = None
    code: str | None = None


@dataclass(frozen=True, slots=True)
class IngestNote:
    """What became of one grant at ingest: state ingested or excluded, and why."""

    grant: str
    dataset: str
    state: str
    reason: str | None = None
    access: str | None = None


Beside: TypeAlias = Callable[[Sequence[OrderInHand]], None]
"""Told orders that are `opened`; raises where another may not stand beside them."""


class OrderBook:
    """Reads and moves rows; every move is one transaction, durable before it returns."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, order: str) -> OrderInHand:
        """Return the order, taken in hand at STARTED when it is new."""
        with write_lock(self._engine), Session(self._engine) as session, session.begin():
            row = session.get(OrderRow, order)
            if row is None:
                row = OrderRow(order=order, phase=Phase.STARTED.value)
                session.add(row)
            return _in_hand(row)

    def find(self, order: str) -> OrderInHand | None:
        """Return the order when it is in hand."""
        with Session(self._engine) as session:
            row = session.get(OrderRow, order)
            return None if row is None else _in_hand(row)

    def opened(self, but: str) -> list[OrderInHand]:
        """Return the orders (all but one) whose answer was given or is under way, or that closed
        after their cohort was opened: such ends tell, too.
        """
        with Session(self._engine) as session:
            query = select(OrderRow).where(_IS_OPENED, OrderRow.order != but)
            return [_in_hand(row) for row in session.exec(query)]

    def judge(
        self, held: OrderInHand, seen: Collection[str], beside: Beside, **changes: Any
    ) -> OrderInHand:
        """Move an order to JUDGED if it may stand beside the others; one judge at a time.

        Of two orders that may not both be answered the later one sees the earlier, whichever
        threads, processes or machines judge them. beside: told who is `opened` by then,
        but for those whose access is in `seen` (looked at already: little is left to do while
        others wait). Whatever it raises leaves the order where it was.
        """
        with write_lock(self._engine), Session(self._engine) as session, session.begin():
            if session.get_bind().dialect.name == "postgresql":  # SQLite has one writer anyway
                session.execute(text(f"SELECT pg_advisory_xact_lock({JUDGES_LOCK})"))
            beside(_unseen(session, held.order, seen))
            return _moved(session, held, Phase.JUDGED, changes)

    def move(self, held: OrderInHand, phase: Phase, **changes: Any) -> OrderInHand:
        """Move an order on, with changed fields. Raises StoreStateError on a forbidden move."""
        with write_lock(self._engine), Session(self._engine) as session, session.begin():
            return _moved(session, held, phase, changes)

    def ingested(self) -> dict[str, tuple[str, str | None]]:
        """Return grant -> (state, reason) of every grant ever tried."""
        with Session(self._engine) as session:
            rows = session.exec(select(IngestRow)).all()
            return {row.grant: (row.state, row.reason) for row in rows}

    def note_ingest(self, notes: Iterable[IngestNote]) -> None:
        """Record what became of grants, all in one transaction."""
        with write_lock(self._engine), Session(self._engine) as session, session.begin():
            for note in notes:
                session.merge(IngestRow(**asdict(note)))

    def note_destroyed(self, grants: Sequence[str]) -> None:
        """Mark grants as destroyed, where they were known."""
        with write_lock(self._engine), Session(self._engine) as session, session.begin():
            query = select(IngestRow).where(col(IngestRow.state) != "destroyed")
            wanted = set(grants)
            for row in session.exec(query):
                if row.grant in wanted:
                    row.state = "destroyed"


def _unseen(session: Session, but: str, seen: Collection[str]) -> list[OrderInHand]:
    query = select(OrderRow.access).where(_IS_OPENED, OrderRow.order != but)
    fresh = {access for access in session.exec(query) if access is not None} - set(seen)
    found = (select(OrderRow).where(OrderRow.access == access) for access in sorted(fresh))
    return [_in_hand(session.exec(one).one()) for one in found]


def _moved(
    session: Session, held: OrderInHand, phase: Phase, changes: Mapping[str, Any]
) -> OrderInHand:
    row = session.get(OrderRow, held.order, with_for_update=True)
    if row is None or row.phase != held.phase or phase not in TRANSITIONS[held.phase]:
        raise StoreStateError(f"an order at {held.phase} cannot move to {phase}")
    row.phase = phase.value
    for name, value in changes.items():
        setattr(row, name, json.dumps(list(value)) if name == "members" else value)
    return _in_hand(row)


def _in_hand(row: OrderRow) -> OrderInHand:
    return OrderInHand(
        order=row.order,
        phase=Phase(row.phase),
        attempt=row.attempt,
        access=row.access,
        access_index=row.access_index,
        result_index=row.result_index,
        members=tuple(json.loads(row.members)),
        submission=row.submission,
        access_submission=row.access_submission,
        commitment=row.commitment,
        final=None if row.final is None else Phase(row.final),
        code=row.code,
    )
