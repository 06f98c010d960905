"""Takes orders through their life: every step locked, written down, and backed by the ledger.

`decide` signs the entry of a decision into the outbox; `posted` applies it once the ledger has
given it an index. Whoever calls these holds the order's row locked in one write transaction.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import bindparam, update
from sqlmodel import Session, col, select

from marketplace import jobs, outbox
from marketplace.entries import EntrySigner, new_id
from marketplace.errors import (
    ConflictError,
    ExpiredError,
    ForbiddenError,
    IllegalTransitionError,
    NotFoundError,
    TamperedError,
)
from marketplace.orders import CANCELLABLE, OVER, OrderEvent, OrderState, step
from marketplace.tables import Order, OrderEventRow, OutboxRow, Payment, Quote

LOG = logging.getLogger(__name__)
EXPIRING = (OrderState.AWAITING_PAYMENT, OrderState.NEEDS_OWNERS)
# Ids of orders that wait for somebody longer than they may, at the parameter `now`.
PAST_DEADLINE = select(Order.id).where(
    col(Order.state).in_(EXPIRING), col(Order.deadline) <= bindparam("now")
)

ENTRY_OF: Mapping[OrderEvent, str] = {
    OrderEvent.PAY: "payment.received",
    OrderEvent.APPROVE: "order.approved",
    OrderEvent.REFUSE: "order.refused",
    OrderEvent.CANCEL: "order.cancelled",
    OrderEvent.EXPIRE: "order.expired",
    OrderEvent.FAIL: "order.failed",
    OrderEvent.SETTLE: "settlement.made",
    OrderEvent.REFUND: "payment.refunded",
}
ENDS_JOBS = frozenset(
    {OrderEvent.REFUSE, OrderEvent.CANCEL, OrderEvent.EXPIRE, OrderEvent.FAIL, OrderEvent.SETTLE}
)


def locked_order(session: Session, order_id: str) -> Order:
    """Return an order, locked until the transaction ends. Raises NotFoundError."""
    order = session.exec(select(Order).where(col(Order.id) == order_id).with_for_update()).first()
    if order is None:
        raise NotFoundError(f"there is no order {order_id[:32]}; list yours with GET /orders")
    return order


def locked_orders(session: Session, ids: Iterable[str]) -> dict[str, Order]:
    """Return orders by id, locked in one order everybody keeps until the transaction ends."""
    query = select(Order).where(col(Order.id).in_(sorted(ids))).order_by(col(Order.id))
    return {order.id: order for order in session.exec(query.with_for_update()).all()}


def owned(session: Session, order_id: str, researcher: str) -> Order:
    """Return a researcher's own order. Raises NotFoundError, also for another's."""
    order = session.get(Order, order_id)
    if order is None or order.researcher != researcher:
        raise NotFoundError(f"you have no order {order_id[:32]}; list yours with GET /orders")
    return order


def advance(
    session: Session, order: Order, event: OrderEvent, *, now: int,
    reason: str | None = None, index: int | None = None,
) -> None:  # fmt: skip
    """Apply one event: new state, next version, one row of history.

    Raises IllegalTransitionError; ConflictError if another writer was faster.
    """
    before, after = OrderState(order.state), step(OrderState(order.state), event)
    changed = session.execute(
        update(Order)
        .where(col(Order.id) == order.id, col(Order.version) == order.version)
        .values(
            state=after.value,
            version=order.version + 1,
            changed_at=now,
            reason=reason if reason is not None else order.reason,
        )
        .execution_options(synchronize_session=False)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]
        raise ConflictError("the order changed meanwhile; look at it again")
    session.refresh(order)
    session.add(
        OrderEventRow(
            order_id=order.id, version=order.version, event=event.value, before=before.value,
            after=after.value, reason=reason, ledger_index=index, at=now,
        )
    )  # fmt: skip
    session.flush()


def decide(
    session: Session, signer: EntrySigner, order: Order, event: OrderEvent, *, now: int,
    reason: str | None = None, fields: Mapping[str, Any] | None = None,
) -> bool:  # fmt: skip
    """Sign a decision into the outbox; False when it, or another decision, is on its way already.

    Raises IllegalTransitionError when the order cannot take the event.
    """
    step(OrderState(order.state), event)
    if outbox.decision_pending(session, order.id):
        return False
    return announce(session, signer, order, event, now=now, reason=reason, fields=fields)


def announce(
    session: Session, signer: EntrySigner, order: Order, event: OrderEvent, *, now: int,
    reason: str | None = None, fields: Mapping[str, Any] | None = None,
) -> bool:  # fmt: skip
    """Sign what happened into the outbox, once per order and event; False if it was there.

    Money that moved is announced whatever the order's state: it is a fact, not a decision.
    """
    drafts = [announcement(signer, order, event, now=now, reason=reason, fields=fields)]
    return outbox.enqueue_all(session, drafts, now) == 1


def announcement(
    signer: EntrySigner, order: Order, event: OrderEvent, *, now: int, reason: str | None = None,
    fields: Mapping[str, Any] | None = None,
) -> outbox.Draft:  # fmt: skip
    """Return the signed entry that says what happened to an order, for the outbox."""
    payload = {"order": order.id, **(fields or {})}
    if ENTRY_OF[event].startswith("order."):
        payload["reason"] = reason or "permitted"
    entry = signer.sign(ENTRY_OF[event], payload, now=now, id_=new_id())
    return outbox.Draft(entry, f"{order.id}:{event}", order.id, event, reason)


def state_fact(
    session: Session, signer: EntrySigner, order_id: str, type_: str, dedupe: str, *, now: int,
    fields: Mapping[str, Any],
) -> bool:  # fmt: skip
    """Sign what happened to an order's money without changing its state, once per dedupe key."""
    entry = signer.sign(type_, {"order": order_id, **fields}, now=now, id_=new_id())
    return outbox.enqueue(session, entry, dedupe=dedupe, now=now, order_id=order_id)


def posted(session: Session, row: OutboxRow, now: int) -> None:
    """Apply what an entry stands for, in the transaction that stores its ledger index."""
    if row.order_id is None or row.event is None:
        return
    order, event = locked_order(session, row.order_id), OrderEvent(row.event)
    try:
        advance(session, order, event, now=now, reason=row.reason, index=row.posted_index)
    except IllegalTransitionError as error:
        # The entry stands for ever; keeping the row pending would only block the order.
        LOG.error("order %s: entry %s has no effect", order.id, row.posted_index)  # noqa: TRY400
        row.error = str(error)[:500]
        return
    if event is OrderEvent.APPROVE:
        jobs.create(session, new_id(), jobs.QUERY, now, order_id=order.id)
    if event in ENDS_JOBS:
        jobs.cancel(session, order.id)


def create(
    session: Session, party: str, quote_id: str, placed: Mapping[str, Any], index: int, *,
    now: int, deadline: int,
) -> Order:  # fmt: skip
    """Open an order from its order.placed entry, which must say what the quote says.

    placed: the payload at ledger index `index`. The same entry again returns the same order.
    Raises NotFoundError, ExpiredError, ForbiddenError, TamperedError, ConflictError.
    """
    quote = session.exec(select(Quote).where(col(Quote.id) == quote_id).with_for_update()).first()
    if quote is None or quote.party != party:
        raise NotFoundError("there is no such quote of yours; ask for one with POST /quotes")
    known = session.get(Order, placed.get("order"))
    if known is not None and known.placed_index == index and known.researcher == party:
        return known
    if known is not None or quote.order_id is not None:
        raise ConflictError("this quote or order id was used already; ask for a new quote")
    if quote.valid_until <= now:
        raise ExpiredError("the quote is past its time; ask for a new one with POST /quotes")
    check_placed(quote, placed, party)
    return _open(session, quote, placed, index, now, deadline)


def check_placed(quote: Quote, placed: Mapping[str, Any], party: str) -> None:
    """Check an order.placed payload against its quote. Raises ForbiddenError, TamperedError."""
    if placed.get("researcher") != party:
        raise ForbiddenError("the order.placed entry was signed by another party")
    wanted = {**quote.body["order_fields"], "quote": quote.id, "quote_sha256": quote.sha256}
    wrong = sorted(name for name, value in wanted.items() if placed.get(name) != value)
    if wrong:
        raise TamperedError(
            f"the order.placed entry differs from quote {quote.id} in: {', '.join(wrong)}; "
            "sign exactly the quote's order_fields, or ask for a new quote"
        )


def _open(
    session: Session, quote: Quote, placed: Mapping[str, Any], index: int, now: int, deadline: int
) -> Order:
    body = quote.body
    order = Order(
        id=str(placed["order"]), researcher=quote.party, quote_id=quote.id, payload=dict(placed),
        placed_index=index, amount=body["total"], platform_fee=body["platform_fee"],
        compute_fee=body["compute_fee"], owners_total=body["owners_total"],
        currency=body["currency"], created_at=now, changed_at=now, deadline=deadline,
    )  # fmt: skip
    session.add(order)
    quote.order_id = order.id
    session.add(quote)
    session.flush()
    advance(session, order, OrderEvent.QUOTE, now=now)
    advance(session, order, OrderEvent.PLACE, now=now, index=index)
    return order


def cancel(session: Session, signer: EntrySigner, order: Order, now: int) -> None:
    """Let the researcher cancel an order before it is approved. Raises ConflictError."""
    if order.state not in CANCELLABLE or outbox.decision_pending(session, order.id):
        raise ConflictError(
            f"the order is {order.state} and cannot be cancelled any more; "
            "what fails is refunded without asking"
        )
    decide(session, signer, order, OrderEvent.CANCEL, now=now, reason="by_researcher")


def expire_due(session: Session, signer: EntrySigner, now: int) -> int:
    """Expire orders past their deadline; return how many decisions were made."""
    made = 0
    for order_id in session.exec(PAST_DEADLINE, params={"now": now}).all():
        order = locked_order(session, order_id)
        if order.state not in EXPIRING or _paid(session, order):
            continue
        reason = "not_paid" if order.state == OrderState.AWAITING_PAYMENT else "no_consent"
        made += decide(session, signer, order, OrderEvent.EXPIRE, now=now, reason=reason)
    return made


def _paid(session: Session, order: Order) -> bool:
    """Tell whether money has arrived whose entry is still on its way."""
    query = select(Payment.id).where(
        col(Payment.order_id) == order.id, col(Payment.state) == "received"
    )
    awaiting = order.state == OrderState.AWAITING_PAYMENT
    return awaiting and session.exec(query).first() is not None


def is_over(order: Order) -> bool:
    """Tell whether nothing but a refund can happen to the order any more."""
    return OrderState(order.state) in OVER


def history(session: Session, order_id: str) -> list[dict[str, Any]]:
    """Return an order's steps in order."""
    query = select(OrderEventRow).where(col(OrderEventRow.order_id) == order_id)
    return [
        {
            "event": row.event,
            "from": row.before,
            "to": row.after,
            "reason": row.reason,
            "index": row.ledger_index,
            "at": row.at,
        }
        for row in session.exec(query.order_by(col(OrderEventRow.version))).all()
    ]
