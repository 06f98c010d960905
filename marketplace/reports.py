"""Read-only answers about orders, for the API and the pages."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import Session, and_, col, func, or_, select

from ledger import Dataset
from marketplace import decisions, jobs, order_service, outbox, uploads
from marketplace.errors import AFTER_UNKNOWN, InputError
from marketplace.orders import OrderState
from marketplace.outcome_words import why
from marketplace.services import Services
from marketplace.tables import DatasetFile, DatasetReport, Job, Order


def order_view(session: Session, order: Order) -> dict[str, Any]:
    """Return an order as its researcher sees it."""
    payload = order.payload
    return {
        "order": order.id,
        "state": order.state,
        "reason": order.reason,
        "why": why(order.reason),
        "quote": order.quote_id,
        **{name: payload[name] for name in ("query", "purpose", "scope", "release")},
        "amount": order.amount,
        "currency": order.currency,
        "index": order.placed_index,
        "access": order.access,
        "deadline": order.deadline,
        "created_at": order.created_at,
        "changed_at": order.changed_at,
        "objects": uploads.visible_objects(session, order.id),
        "progress": jobs.progress_of(session, order.id),
        "history": order_service.history(session, order.id),
    }


def orders_of(
    services: Services, researcher: str, limit: int, after: str = ""
) -> tuple[list[dict[str, Any]], str | None]:
    """Return up to `limit` orders of a researcher, newest first, and after which the rest begins.

    after: the last order of the page before, or "". Raises InputError when it is none of theirs.
    """
    with services.db.read() as session:
        query = select(Order).where(col(Order.researcher) == researcher)
        if after:
            query = query.where(_older(session, researcher, after))
        newest = query.order_by(col(Order.created_at).desc(), col(Order.id))
        rows = session.exec(newest.limit(limit + 1)).all()
        found = [order_view(session, order) for order in rows[:limit]]
    return found, found[-1]["order"] if len(rows) > limit else None


def _older(session: Session, researcher: str, after: str) -> ColumnElement[bool]:
    last = session.get(Order, after)
    if last is None or last.researcher != researcher:
        raise InputError(AFTER_UNKNOWN)
    same = and_(col(Order.created_at) == last.created_at, col(Order.id) > last.id)
    return or_(col(Order.created_at) < last.created_at, same)


def one_order(services: Services, order_id: str, researcher: str) -> dict[str, Any]:
    """Return one order of a researcher. Raises NotFoundError."""
    with services.db.read() as session:
        return order_view(session, order_service.owned(session, order_id, researcher))


def reviews(services: Services, reviewer: str) -> list[dict[str, Any]]:
    """Return the drafts that wait for reviewers, and what this reviewer decided."""
    snapshot = services.view.snapshot()
    with services.db.read() as session:
        query = select(Order).where(
            col(Order.state) == OrderState.RELEASING.value,
            col(Order.access).is_(None),
            col(Order.draft_commitment).is_not(None),
        )
        waiting = session.exec(query.order_by(col(Order.created_at))).all()
    found = []
    for order in waiting:
        votes = decisions.votes_of(snapshot, order)
        found.append(
            {
                "order": order.id,
                "draft_commitment": order.draft_commitment,
                "purpose": order.payload["purpose"],
                "query": order.payload["query"],
                "scope": order.payload["scope"],
                "release": order.payload["release"],
                "decided": len(votes),
                "needed": services.config.limits.reviewers,
                "mine": votes.get(reviewer),
            }
        )
    return found


def datasets_of(services: Services, owner: str) -> list[dict[str, Any]]:
    """Return an owner's datasets, newest first, with what compute reported of each.

    Those the ledger shows, and those erased here that a later fold does not know any more.
    """
    state = services.view.snapshot().state
    party = state.parties.get(owner)
    shown = [state.datasets[name] for name in (party.datasets if party else ())]
    with services.db.read() as session:
        query = select(DatasetFile).where(col(DatasetFile.owner) == owner)
        files = {row.dataset: row for row in session.exec(query).all()}
        gone = [name for name in files if name not in state.datasets]
        names = [*gone, *(one.id for one in shown)]
        said = compute_reports(session, names)
    return [
        _dataset_view(name, state.datasets.get(name), files.get(name), said.get(name))
        for name in reversed(names)
    ]


def compute_reports(session: Session, datasets: Sequence[str]) -> dict[str, DatasetReport]:
    """Return what compute last reported of these datasets."""
    query = select(DatasetReport).where(col(DatasetReport.dataset).in_(datasets))
    return {row.dataset: row for row in session.exec(query).all()}


def _dataset_view(
    name: str, known: Dataset | None, file: DatasetFile | None, report: DatasetReport | None
) -> dict[str, Any]:
    state = "erased" if known is None or known.erased else "registered"
    if known is not None and known.replaced and not known.erased:
        state = "replaced"
    index = known.index if known is not None else file.registered_index if file else None
    return {
        "dataset": name,
        "modality": known.modality if known is not None else None,
        "state": state,
        "index": index,
        "uploaded": file is not None and file.object_key is not None,
        "compute": report.code if report is not None else None,
        "compute_at": report.at if report is not None else None,
    }


def status(services: Services) -> dict[str, Any]:
    """Return how the marketplace is doing: counts and sizes, nothing about anybody."""
    snapshot = services.view.snapshot()
    with services.db.read() as session:
        orders = session.exec(select(Order.state, func.count()).group_by(col(Order.state))).all()
        jobs = session.exec(
            select(Job.kind, Job.state, func.count()).group_by(col(Job.kind), col(Job.state))
        ).all()
        queue = outbox.waiting(session)
    return {
        "ledger_size": snapshot.size,
        "ledger_synced_at": snapshot.synced_at,
        "undecidable": snapshot.state.undecidable,
        "orders": {str(state): int(n) for state, n in orders},
        "jobs": {f"{kind}.{state}": int(n) for kind, state, n in jobs},
        "outbox": queue,
        "test_money": not services.payments.is_live,
    }
