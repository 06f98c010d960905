"""Money back without asking: for what ended without an answer, was not asked for, or was too much.

A refund is written down and booked as owed first, then asked for with a key of its own, then
booked as sent: a crash between any two repeats nothing, however long ago it was. Bank transfers
go back by bank, once two operators state it (`invoices`). While the buyer's bank holds a payment in
a dispute nothing is refunded; if it keeps the money, that was the refund.
"""

import logging

from sqlmodel import Session, col, func, or_, select

from ledger import BANK as BANK_PROVIDER
from marketplace import book, book_store, order_service, outbox
from marketplace.entries import new_id, reference_commitment
from marketplace.errors import MarketError, PaymentRefusedError
from marketplace.orders import REFUNDABLE, OrderEvent, OrderState
from marketplace.payment_values import RefundState
from marketplace.payments import KEYS_HOLD_MS
from marketplace.services import Services
from marketplace.tables import Dispute, Order, Payment, Refund

LOG = logging.getLogger(__name__)
BANK = BANK_PROVIDER
PLANNED, SENT, FAILED, CANCELLED = "planned", "sent", "failed", "cancelled"
COUNTED = (PLANNED, SENT, FAILED)
ORDER, SURPLUS, FEWER = "order", "surplus", "fewer_people"
OUTSIDE, OUTSIDE_LOSS = "outside", "outside_loss"  # made at the provider by hand
REFUSABLE = (OrderState.FUNDED, OrderState.NEEDS_OWNERS, OrderState.APPROVED)
ANSWERED = (OrderState.RUNNING, OrderState.RELEASING, OrderState.SETTLED)
# A refused refund is asked for again by the next reconciliation, then after waits that double, for
# as long as it is owed.
FIRST_WAIT_MS, LONGEST_WAIT_MS = 60_000, 86_400_000
BATCH = 50

# Asked every round: built once, for building a query costs more than asking it.
_DISPUTED = select(Dispute.payment_id).where(col(Dispute.state) == "open")
_OWING = (
    select(Payment)
    .join(Order)
    .where(
        or_(
            col(Payment.state) == "surplus",
            (col(Payment.state) == "received")
            & col(Order.state).in_([state.value for state in REFUNDABLE]),
        ),
        col(Payment.id).not_in(_DISPUTED),
    )
    .limit(BATCH)
)
_WAITING = (
    select(Refund)
    .join(Payment)
    .where(
        col(Refund.state) == PLANNED,
        col(Payment.provider) != BANK,
        col(Refund.payment_id).not_in(_DISPUTED),
    )
    .order_by(col(Refund.created_at))
    .limit(BATCH)
)
_BY_HAND = (
    select(Refund.order_id)
    .join(Order)
    .where(
        col(Refund.reason) == OUTSIDE, col(Order.state).in_([state.value for state in REFUSABLE])
    )
)


def refund_due(services: Services) -> list[Refund]:
    """Plan and send every refund that is due; return those the provider refused."""
    for payment in _owing(services):
        with services.db.write() as session:
            _plan_rest(services, session, payment.id)
    return [refund for refund in _waiting(services) if _refused(services, refund)]


def _owing(services: Services) -> list[Payment]:
    """Return payments of ended orders, and unasked ones, that no open dispute holds."""
    with services.db.read() as session:
        return list(session.exec(_OWING).all())


def _plan_rest(services: Services, session: Session, payment_id: str) -> None:
    """Plan the refund of whatever of a payment has not gone back yet, or note that all has."""
    payment = session.exec(
        select(Payment).where(col(Payment.id) == payment_id).with_for_update()
    ).one()
    order = order_service.locked_order(session, payment.order_id)
    if payment.state not in ("received", "surplus"):
        return
    _recover(services, session, payment)
    gone = returned(session, payment.id) + charged_back(session, payment.id)
    rest = payment.amount + payment.tax - gone
    if rest > 0:
        tax = min(payment.tax, rest)
        plan(services, session, payment, net=rest - tax, tax=tax,
             reason=SURPLUS if payment.state == "surplus" else ORDER)  # fmt: skip
    elif not _open_refunds(session, payment.id):
        _all_back(services, session, order, payment)


def _recover(services: Services, session: Session, payment: Payment) -> None:
    """Cover what a lost dispute, or a refund by hand, cost us with what the order still holds."""
    disputes = select(Dispute).where(
        col(Dispute.payment_id) == payment.id, col(Dispute.state) == "lost"
    )
    by_hand = select(Refund).where(
        col(Refund.payment_id) == payment.id, col(Refund.reason) == OUTSIDE_LOSS
    )
    short = [(one.id, one.amount - one.escrow) for one in session.exec(disputes).all()]
    short += [(one.id, one.net) for one in session.exec(by_hand).all()]
    for name, amount in short:
        _recover_one(services, session, payment, name, amount)


def _recover_one(
    services: Services, session: Session, payment: Payment, name: str, short: int
) -> None:
    held = book_store.balance(session, book.Account.ESCROW, payment.order_id, payment.currency)
    if (amount := min(short, held)) <= 0 or book_store.is_posted(session, book.recovered_id(name)):
        return
    now = book_store.moment(services.clock())
    recovered = book.loss_recovered(name, payment.order_id, amount, payment.currency, time=now)
    book_store.record(session, recovered, payment.order_id)


def plan(
    services: Services, session: Session, payment: Payment, *, net: int, tax: int, reason: str
) -> Refund:
    """Write a refund down and book it as owed. net: the order's part, tax on top; minor units."""
    now = services.clock()
    refund = Refund(
        id=new_id(), payment_id=payment.id, order_id=payment.order_id, amount=net + tax, net=net,
        currency=payment.currency, reason=reason, created_at=now, changed_at=now,
    )  # fmt: skip
    session.add(refund)
    decided = book.order_refunded(
        payment.order_id, net, payment.currency, time=book_store.moment(now), refund=refund.id,
        tax=tax,
    )  # fmt: skip
    book_store.record(session, decided, payment.order_id)
    return refund


def returned(session: Session, payment_id: str) -> int:
    """Return how much of a payment was sent back or is about to be, tax included."""
    query = select(func.coalesce(func.sum(col(Refund.amount)), 0)).where(
        col(Refund.payment_id) == payment_id, col(Refund.state).in_(COUNTED)
    )
    return int(session.exec(query).one())


def charged_back(session: Session, payment_id: str) -> int:
    """Return how much of a payment the buyer's bank kept."""
    query = select(func.coalesce(func.sum(col(Dispute.amount)), 0)).where(
        col(Dispute.payment_id) == payment_id, col(Dispute.state) == "lost"
    )
    return int(session.exec(query).one())


def _open_refunds(session: Session, payment_id: str) -> bool:
    query = select(Refund.id).where(
        col(Refund.payment_id) == payment_id, col(Refund.state).in_([PLANNED, FAILED])
    )
    return session.exec(query).first() is not None


def _waiting(services: Services) -> list[Refund]:
    with services.db.read() as session:
        return list(session.exec(_WAITING).all())


def _refused(services: Services, refund: Refund) -> bool:
    try:
        _send(services, refund)
    except PaymentRefusedError as error:
        with services.db.write() as session:
            mine = session.get_one(Refund, refund.id)
            if mine.state == PLANNED:
                mine.state, mine.error, mine.attempts = FAILED, str(error)[:200], mine.attempts + 1
                mine.changed_at = services.clock()
                session.add(mine)
        LOG.error("refund %s of order %s was refused: %s", refund.id, refund.order_id, error)  # noqa: TRY400
        return True
    except MarketError as error:
        # Nothing was decided; the same idempotency key is used next time.
        LOG.warning("order %s is not refunded yet: %s", refund.order_id, error)
    return False


def _send(services: Services, refund: Refund) -> bool:
    with services.db.read() as session:
        payment = session.get_one(Payment, refund.payment_id)
    if payment.intent_id is None:
        raise PaymentRefusedError("the payment has no reference at the provider")
    key = f"refund:{refund.id}:{refund.attempts}"
    answer = None
    if services.clock() - refund.created_at >= KEYS_HOLD_MS:
        answer = services.payments.find_refund(payment.intent_id, key)
    if answer is None:
        answer = services.payments.refund(payment.intent_id, refund.amount, key)
    if answer.status not in ("succeeded", "pending"):
        raise PaymentRefusedError(f"the refund is {answer.status} at the provider")
    with services.db.write() as session:
        return sent(services, session, refund.id, answer.refund_id)


def sent(services: Services, session: Session, refund_id: str, provider_id: str) -> bool:
    """Book a refund that was sent, once; the last one of an ended order ends it for good."""
    refund = session.exec(select(Refund).where(col(Refund.id) == refund_id).with_for_update()).one()
    order = order_service.locked_order(session, refund.order_id)
    if refund.state != PLANNED:
        return False
    now, payment = services.clock(), session.get_one(Payment, refund.payment_id)
    refund.state, refund.provider_id, refund.changed_at = SENT, provider_id, now
    session.add(refund)
    session.flush()
    bank = book.Account.BANK_CLEARING if payment.provider == BANK else book.Account.STRIPE_CLEARING
    gone = book.refund_sent(
        order.id, refund.amount, refund.currency, time=book_store.moment(now),
        refund=f"{refund.id}:{refund.attempts}", out_of=bank,
    )  # fmt: skip
    book_store.record(session, gone, order.id)
    if refund.reason == FEWER:
        state_refund(services, session, payment, refund)
    if payment.state == "surplus" or OrderState(order.state) in REFUNDABLE:
        _all_back(services, session, order, payment)
    return True


def state_refund(services: Services, session: Session, payment: Payment, refund: Refund) -> None:
    """Put a refund that ends nothing onto the ledger: a part of a price, or one made elsewhere."""
    order_service.state_fact(
        session, services.signer, payment.order_id, "payment.refunded", f"refund:{refund.id}",
        now=services.clock(), fields=refund_fields(payment, refund),
    )  # fmt: skip


def refund_fields(payment: Payment, refund: Refund) -> dict[str, object]:
    """Return what the ledger says of one refund."""
    return {
        "amount": refund.net,
        "currency": refund.currency,
        "provider": payment.provider,
        "reference_commitment": reference_commitment(payment.reference_salt, refund.id),
    }


def _all_back(services: Services, session: Session, order: Order, payment: Payment) -> None:
    """Note that a payment has gone back whole; for the payment of an order, say so publicly."""
    gone = returned(session, payment.id) + charged_back(session, payment.id)
    if gone < payment.amount + payment.tax or _open_refunds(session, payment.id):
        return
    asked_for = payment.state == "received"
    payment.state = "refunded" if asked_for else "returned"
    payment.changed_at = services.clock()
    session.add(payment)
    session.flush()
    if asked_for:
        order_service.announce(
            session, services.signer, order, OrderEvent.REFUND, now=services.clock(),
            fields=_whole(session, payment),
        )  # fmt: skip


def _whole(session: Session, payment: Payment) -> dict[str, object]:
    """Return the closing entry's fields; by bank it repeats what the operators stated."""
    query = select(Refund).where(col(Refund.payment_id) == payment.id, col(Refund.state) == SENT)
    last = session.exec(query.order_by(col(Refund.changed_at).desc())).first()
    reference = last.id if last is not None and payment.provider == BANK else payment.id
    return {
        "amount": payment.amount,
        "currency": payment.currency,
        "provider": payment.provider,
        "reference_commitment": reference_commitment(payment.reference_salt, reference),
    }


def apply(services: Services, session: Session, state: RefundState) -> None:
    """Act on what the provider says of a refund now; doing it again changes nothing."""
    query = select(Refund).where(col(Refund.provider_id) == state.refund_id)
    refund = session.exec(query.with_for_update()).first()
    if refund is None or state.status not in ("failed", "canceled") or refund.state != SENT:
        return
    refund.state, refund.error = FAILED, f"the provider says {state.status}"
    refund.attempts, refund.provider_id = refund.attempts + 1, None
    refund.changed_at = services.clock()
    session.add(refund)
    back = book.refund_returned(
        refund.order_id, refund.amount, refund.currency,
        time=book_store.moment(services.clock()), refund=f"{refund.id}:{refund.attempts}",
    )  # fmt: skip
    book_store.record(session, back, refund.order_id)
    LOG.error("refund %s came back: %s", refund.id, state.status)


def adopt(services: Services, session: Session, state: RefundState) -> str | None:
    """Book a refund that was made at the provider by hand; say what was done, None if not ours.

    Before an answer it comes out of the order, which is refused; afterwards it is our loss.
    """
    query = select(Payment).where(col(Payment.intent_id) == state.payment_intent)
    payment = session.exec(query.with_for_update()).first()
    if payment is None or _is_ours(session, payment, state):
        return None
    order, now = order_service.locked_order(session, payment.order_id), services.clock()
    lost = payment.state != "surplus" and OrderState(order.state) in ANSWERED
    net = min(state.amount, payment.amount)
    refund = Refund(
        id=new_id(), payment_id=payment.id, order_id=order.id, amount=state.amount, net=net,
        currency=state.currency, reason=OUTSIDE_LOSS if lost else OUTSIDE, state=SENT,
        provider_id=state.refund_id, created_at=now, changed_at=now,
    )  # fmt: skip
    session.add(refund)
    session.flush()
    time = book_store.moment(now)
    decided = book.order_refunded(
        order.id, net, state.currency, time=time, refund=refund.id, tax=state.amount - net,
        lost=net if lost else 0,
    )  # fmt: skip
    book_store.record(session, decided, order.id)
    gone = book.refund_sent(order.id, state.amount, state.currency, time=time, refund=refund.id)
    book_store.record(session, gone, order.id)
    return "booked it as our loss" if lost else "booked it; the rest of the payment goes back too"


def _is_ours(session: Session, payment: Payment, state: RefundState) -> bool:
    """Tell whether a refund may be one we asked for whose answer was lost: it is sent again."""
    query = select(Refund.id).where(
        col(Refund.payment_id) == payment.id, col(Refund.amount) == state.amount,
        col(Refund.state).in_([PLANNED, FAILED]),
    )  # fmt: skip
    return session.exec(query).first() is not None


def refuse_due(services: Services) -> int:
    """Refuse unanswered orders whose payment went back by hand; return how many."""
    with services.db.read() as session:
        due = sorted(set(session.exec(_BY_HAND).all()))
    return sum(refuse(services, order_id, "refunded_by_hand") for order_id in due)


def refuse(services: Services, order_id: str, reason: str) -> bool:
    """Refuse an order before anything is computed for it; tell whether that was decided now."""
    with services.db.write() as session:
        order = order_service.locked_order(session, order_id)
        if order.state not in REFUSABLE or outbox.decision_pending(session, order_id):
            return False
        return order_service.decide(
            session, services.signer, order, OrderEvent.REFUSE, now=services.clock(), reason=reason
        )


def retry_failed(services: Services) -> int:
    """Plan refused refunds whose wait is over once more, with a new key; return how many."""
    with services.db.write() as session:
        query = select(Refund).where(col(Refund.state) == FAILED).with_for_update()
        rows = [one for one in session.exec(query).all() if _wait_is_over(one, services.clock())]
        for refund in rows:
            refund.state = PLANNED
            session.add(refund)
    return len(rows)


def plan_again(session: Session, refund_id: str) -> None:
    """Plan a refused refund again: why it was refused is known now."""
    refund = session.get_one(Refund, refund_id)
    if refund.state == FAILED:
        refund.state = PLANNED
        session.add(refund)


def _wait_is_over(refund: Refund, now: int) -> bool:
    doubled = (1 << min(max(refund.attempts, 1) - 1, 20)) - 1  # 0, 1, 3, 7, ...
    return now >= refund.changed_at + min(LONGEST_WAIT_MS, FIRST_WAIT_MS * doubled)


def drop_planned(services: Services, session: Session, payment: Payment) -> None:
    """Cancel what was not sent yet of a payment's refunds: its bank took the money instead."""
    query = select(Refund).where(
        col(Refund.payment_id) == payment.id, col(Refund.state).in_([PLANNED, FAILED])
    )
    for refund in session.exec(query.with_for_update()).all():
        refund.state, refund.changed_at = CANCELLED, services.clock()
        session.add(refund)
        dropped = book.refund_cancelled(
            refund.order_id, refund.net, refund.currency, refund=refund.id,
            tax=refund.amount - refund.net, time=book_store.moment(services.clock()),
        )  # fmt: skip
        book_store.record(session, dropped, refund.order_id)
    session.flush()
