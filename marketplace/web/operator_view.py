"""View-model of the operator's desk: what needs a person, queues, reviews, acts on the ledger."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, func, select

from marketplace import reports
from marketplace.errors import UnavailableError
from marketplace.services import Services
from marketplace.tables import Dispute, Job, OutboxRow, Refund, WebhookEvent
from marketplace.texts import mark, say
from marketplace.web.ports import LedgerReader
from marketplace.web.troubles import Health, Line
from marketplace.web.witnessed import newest_or_none, with_last_seen

LATE_MS = 15 * 60_000
FOLLOWED_MS = 60_000
ACTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Act:
    """One operator.acted entry; at: Unix ms."""

    index: int
    at: int
    action: str
    details: str
    operator: str


# name, what is counted, how many are too many, what to do then
WATCHED: tuple[tuple[str, str, int, str], ...] = (
    (
        mark("Entries the ledger refused"),
        "refused",
        0,
        mark("Read the marketplace's log for the reason."),
    ),
    (mark("Entries on their way"), "pending", 100, mark("Look whether the ledger answers.")),
    (
        mark("Entries on their way for 15 minutes"),
        "unsent",
        0,
        mark("Look whether the ledger answers, then read the marketplace's log."),
    ),
    (mark("Jobs waiting"), "queued", 50, mark("Start another worker.")),
    (mark("Jobs waiting for 15 minutes"), "waiting", 0, mark("Look whether a worker runs.")),
    (
        mark("Jobs without a heartbeat"),
        "stuck",
        0,
        mark("Look at the worker; they are leased again."),
    ),
    (
        mark("Refunds that failed"),
        "failed",
        0,
        mark("Look at the payment at Stripe, then compare."),
    ),
    (mark("Open disputes"), "disputes", 0, mark("Answer the bank at Stripe in time.")),
    (mark("Webhooks not acted on"), "hooks", 0, mark("Compare everything now.")),
)


def to_watch(services: Services) -> list[Line]:
    """Return what may need a person, with its number now."""
    late = services.clock() - LATE_MS
    wanted: dict[str, tuple[Any, ...]] = {
        "refused": (OutboxRow, col(OutboxRow.state) == "refused"),
        "pending": (OutboxRow, col(OutboxRow.state) == "pending"),
        "unsent": (
            OutboxRow, col(OutboxRow.state) == "pending", col(OutboxRow.created_at) < late
        ),
        "queued": (Job, col(Job.state) == "queued"),
        "waiting": (Job, *_waiting_since(late)),
        "stuck": (Job, col(Job.state) == "leased", col(Job.heartbeat_at) < late),
        "failed": (Refund, col(Refund.state) == "failed"),
        "disputes": (Dispute, col(Dispute.state) == "open"),
        "hooks": (
            WebhookEvent, col(WebhookEvent.state) == "new", col(WebhookEvent.received_at) < late
        ),
    }  # fmt: skip
    with services.db.read() as session:
        counts = {name: _count(session, table, *which) for name, (table, *which) in wanted.items()}
    return [
        Line(key, say(name), counts[key], counts[key] > most, say(do))
        for name, key, most, do in WATCHED
    ]


def _waiting_since(moment: int) -> tuple[ColumnElement[bool], ...]:
    return col(Job.state) == "queued", col(Job.due_at) < moment


def health(services: Services, reader: LedgerReader) -> Health:
    """Look at ledger, witnesses and work, as the status page and the desk tell of them."""
    now = services.clock()
    checkpoint = newest_or_none(reader, services.trust, now)
    with suppress(UnavailableError):
        services.view.snapshot()  # the first look, where none was made yet
    known = services.view.known()
    with services.db.read() as session:
        late = _count(session, Job, *_waiting_since(now - LATE_MS))
        refused = _count(session, OutboxRow, col(OutboxRow.state) == "refused")
        seen = session.exec(select(func.max(col(Job.heartbeat_at)))).one()
    return Health(
        now, checkpoint, with_last_seen(services, checkpoint),
        known.state.undecidable if known else None,
        known is not None and now - known.synced_at <= FOLLOWED_MS, seen, late, refused,
    )  # fmt: skip


def _count(session: Session, table: type[Any], *which: ColumnElement[bool]) -> int:
    return int(session.exec(select(func.count()).select_from(table).where(*which)).one())


def reviews_waiting(services: Services) -> list[dict[str, Any]]:
    """Return the drafts that wait for reviewers; what they hold is encrypted to the reviewers."""
    return reports.reviews(services, "")


def _text(details: Mapping[str, Any]) -> str:
    return json.dumps(dict(details), sort_keys=True)


def newest_acts(services: Services) -> list[Act]:
    """Return the newest operator.acted entries of the verified fold, newest first."""
    known = services.view.known()
    acts = {} if known is None else known.state.operator_acts
    return [
        Act(said.index, said.time, said.action, _text(said.details), said.actor)
        for said in islice(reversed(acts.values()), ACTS_SHOWN)
    ]
