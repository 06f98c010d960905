"""Disputes and chargebacks: a buyer's bank takes a payment back, and gives it back or keeps it.

An order that is not being answered yet is refused and waits for the bank's decision; one that is
goes on, and its owners are paid: if the bank keeps the money, that is the market's loss.
"""

import logging

from sqlmodel import Session, col, select

from marketplace import book, book_store, order_service, refunds
from marketplace.entries import reference_commitment
from marketplace.orders import REFUNDABLE, OrderEvent, OrderState
from marketplace.payment_values import DisputeState
from marketplace.services import Services
from marketplace.tables import Dispute, Order, OutboxRow, Payment

LOG = logging.getLogger(__name__)
OPEN, WON, LOST = "open", "won", "lost"

# Asked every round: built once.
_UNANSWERED = (
    select(Dispute.order_id)
    .join(Order)
    .where(
        col(Dispute.state).in_([OPEN, LOST]),
        col(Order.state).in_([state.value for state in refunds.REFUSABLE]),
    )
)


def apply(services: Services, session: Session, state: DisputeState) -> None:
    """Act on what the provider says of a dispute now; doing it again changes nothing."""
    if state.status.startswith("warning_"):
        return  # an inquiry: no money has moved
    query = select(Payment).where(col(Payment.intent_id) == state.payment_intent)
    payment = session.exec(query.with_for_update()).first()
    if payment is None:
        LOG.warning("dispute %s is about no payment of ours", state.dispute_id)
        return
    order = order_service.locked_order(session, payment.order_id)
    dispute = session.get(Dispute, state.dispute_id) or _opened(services, session, payment, state)
    if dispute.state == OPEN and state.status == WON:
        _won(services, session, dispute)
    elif dispute.state == OPEN and state.status == LOST:
        _lost(services, session, order, payment, dispute)


def _opened(services: Services, session: Session, payment: Payment, state: DisputeState) -> Dispute:
    now = services.clock()
    dispute = Dispute(
        id=state.dispute_id, payment_id=payment.id, order_id=payment.order_id,
        amount=state.amount, fee=state.fee, currency=state.currency, reason=state.reason[:64],
        opened_at=now,
    )  # fmt: skip
    session.add(dispute)
    taken = book.dispute_opened(
        dispute.id, dispute.amount, dispute.currency, time=book_store.moment(now), fee=dispute.fee
    )
    book_store.record(session, taken, payment.order_id)
    fields = {
        "amount": dispute.amount,
        "currency": dispute.currency,
        "provider": payment.provider,
        "reference_commitment": reference_commitment(payment.reference_salt, dispute.id),
    }
    if _stated(session, payment):
        order_service.state_fact(
            session, services.signer, payment.order_id, "payment.disputed",
            f"dispute:{dispute.id}", now=now, fields=fields,
        )  # fmt: skip
    return dispute


def _stated(session: Session, payment: Payment) -> bool:
    """Tell whether the ledger hears of this payment; one nobody asked for it does not."""
    query = select(OutboxRow.seq).where(
        col(OutboxRow.dedupe) == f"{payment.order_id}:{OrderEvent.PAY}"
    )
    return payment.state != "surplus" and session.exec(query).first() is not None


def _won(services: Services, session: Session, dispute: Dispute) -> None:
    now = services.clock()
    dispute.state, dispute.closed_at = WON, now
    session.add(dispute)
    back = book.dispute_won(
        dispute.id, dispute.amount, dispute.currency, time=book_store.moment(now)
    )
    book_store.record(session, back, dispute.order_id)


def _lost(
    services: Services, session: Session, order: Order, payment: Payment, dispute: Dispute
) -> None:
    refunds.drop_planned(services, session, payment)
    held = 0
    if OrderState(order.state) in REFUNDABLE or payment.state == "surplus":
        escrow = book.Account.ESCROW
        held = book_store.balance(session, escrow, order.id, dispute.currency)
    now = services.clock()
    dispute.state, dispute.closed_at = LOST, now
    dispute.escrow = min(held, dispute.amount)
    session.add(dispute)
    gone = book.dispute_lost(
        dispute.id, order.id, dispute.amount, dispute.currency, time=book_store.moment(now),
        from_escrow=dispute.escrow,
    )  # fmt: skip
    book_store.record(session, gone, order.id)


def refund_due(services: Services) -> None:
    """Send the refunds that are due; where one is refused, a dispute we never heard of may be why.

    The bank's event may come late or never: then this is how we learn of its case.
    """
    for refund in refunds.refund_due(services):
        with services.db.read() as session:
            intent = session.get_one(Payment, refund.payment_id).intent_id
        if intent is None:
            continue
        found = services.payments.list_disputes(intent)
        with services.db.write() as session:
            before = _standing(session, refund.payment_id)
            for state in found:
                apply(services, session, state)
            if _standing(session, refund.payment_id) != before:
                refunds.plan_again(session, refund.id)


def _standing(session: Session, payment: str) -> set[tuple[str, str]]:
    query = select(Dispute.id, Dispute.state).where(col(Dispute.payment_id) == payment)
    return set(session.exec(query).all())


def look_again(services: Services) -> list[str]:
    """Ask how every open dispute stands; return the ids of those the bank has decided."""
    with services.db.read() as session:
        waiting = session.exec(select(Dispute.id).where(col(Dispute.state) == OPEN)).all()
    decided = []
    for dispute in waiting:
        state = services.payments.fetch_dispute(dispute)
        if state.status in (WON, LOST):
            with services.db.write() as session:
                apply(services, session, state)
            decided.append(dispute)
    return decided


def refuse_due(services: Services) -> int:
    """Refuse orders whose payment is disputed before anything was computed; return how many."""
    with services.db.read() as session:
        due = set(session.exec(_UNANSWERED).all())
    return sum(refunds.refuse(services, order_id, "disputed") for order_id in sorted(due))
