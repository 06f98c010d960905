"""View-model of the operator's desk: what needs a person, queues, reviews, acts on the ledger."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlmodel import col, func, select

from marketplace import reports
from marketplace.services import Services
from marketplace.tables import Dispute, Job, OutboxRow, Refund, WebhookEvent
from marketplace.texts import mark, say

LATE_MS = 15 * 60_000
ACTS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to watch: how much of it, whether it needs a person, and what to do."""

    name: str
    count: int
    alarming: bool
    do: str


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
        mark("read the marketplace's log for the reason"),
    ),
    (mark("Entries on their way"), "pending", 100, mark("look whether the ledger answers")),
    (mark("Jobs waiting"), "queued", 50, mark("start another worker")),
    (
        mark("Jobs without a heartbeat"),
        "stuck",
        0,
        mark("look at the worker; they are leased again"),
    ),
    (mark("Refunds that failed"), "failed", 0, mark("look at the payment at Stripe, then compare")),
    (mark("Open disputes"), "disputes", 0, mark("answer the bank at Stripe in time")),
    (mark("Webhooks not acted on"), "hooks", 0, mark("compare everything now")),
)


def to_watch(services: Services) -> list[Line]:
    """Return what may need a person, with its number now."""
    late = services.clock() - LATE_MS
    wanted: dict[str, tuple[Any, ...]] = {
        "refused": (OutboxRow, col(OutboxRow.state) == "refused"),
        "pending": (OutboxRow, col(OutboxRow.state) == "pending"),
        "queued": (Job, col(Job.state) == "queued"),
        "stuck": (Job, col(Job.state) == "leased", col(Job.heartbeat_at) < late),
        "failed": (Refund, col(Refund.state) == "failed"),
        "disputes": (Dispute, col(Dispute.state) == "open"),
        "hooks": (
            WebhookEvent, col(WebhookEvent.state) == "new", col(WebhookEvent.received_at) < late
        ),
    }  # fmt: skip
    with services.db.read() as session:
        counts = {
            name: int(session.exec(select(func.count()).select_from(table).where(*which)).one())
            for name, (table, *which) in wanted.items()
        }
    return [
        Line(say(name), counts[key], counts[key] > most, say(do)) for name, key, most, do in WATCHED
    ]


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
