"""Money in and back: checkout, what the provider says was paid, and refunds without asking.

A webhook is only a reason to look: what was paid is fetched again from the provider, and is acted
on once per checkout and once per event. Every call that moves money carries an idempotency key
derived from the order, so a crash before or after it repeats nothing.
"""

import logging
import secrets

from sqlmodel import Session, col, select

from marketplace import book, book_store, order_service, outbox
from marketplace.entries import new_id, reference_commitment
from marketplace.errors import ConflictError, MarketError
from marketplace.orders import REFUNDABLE, OrderEvent, OrderState
from marketplace.payments import Checkout, CheckoutState
from marketplace.services import Services
from marketplace.store import Database
from marketplace.tables import Order, Payment, WebhookEvent

LOG = logging.getLogger(__name__)
OPEN, RECEIVED, SURPLUS, REFUNDED, CLOSED = "open", "received", "surplus", "refunded", "closed"
LOOK_AGAIN_MS = 20_000
CHECKOUT_EVENTS = frozenset(
    {
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.async_payment_failed",
        "checkout.session.expired",
    }
)


def provider(services: Services) -> str:
    """Return how the provider is named on the ledger; test money says so."""
    return "stripe" if services.payments.is_live else "stripe-test"


def checkout(services: Services, order_id: str, researcher: str) -> Payment:
    """Open (or find) the page where an order is paid. Raises ConflictError, NotFoundError."""
    with services.db.read() as session:
        order = order_service.owned(session, order_id, researcher)
        attempt = _payable(session, order)
    if isinstance(attempt, Payment):
        return attempt
    key = f"checkout:{order_id}:{attempt}"
    page = services.payments.create_checkout(
        order_id, order.amount, order.currency, f"Omic Market order {order_id}", key
    )
    with services.db.write() as session:
        return _opened(services, session, order_id, page, key)


def _payable(session: Session, order: Order) -> Payment | int:
    """Return the open payment of an order, or the number of the next one."""
    if order.state != OrderState.AWAITING_PAYMENT or outbox.decision_pending(session, order.id):
        raise ConflictError(f"the order is {order.state}; only one awaiting payment can be paid")
    payments = session.exec(select(Payment).where(col(Payment.order_id) == order.id)).all()
    if any(payment.state == RECEIVED for payment in payments):
        raise ConflictError("the order is paid already; its entry is on its way to the ledger")
    open_ones = [payment for payment in payments if payment.state == OPEN]
    return open_ones[0] if open_ones else len(payments) + 1


def _opened(
    services: Services, session: Session, order_id: str, page: Checkout, key: str
) -> Payment:
    order = order_service.locked_order(session, order_id)
    query = select(Payment).where(col(Payment.checkout_id) == page.session_id)
    if (known := session.exec(query).first()) is not None:
        return known
    now = services.clock()
    payment = Payment(
        id=new_id(), order_id=order_id, provider=provider(services), checkout_id=page.session_id,
        checkout_url=page.url, intent_id=page.payment_intent, idempotency_key=key,
        amount=order.amount, currency=order.currency, reference_salt=secrets.token_hex(32),
        created_at=now, changed_at=now,
    )  # fmt: skip
    session.add(payment)
    return payment


def webhook(services: Services, raw: bytes, signature: str) -> bool:
    """Act on a verified provider event once; tell whether it was new. Raises WebhookRefusedError.

    The event row is written with what it led to: after a crash the provider's repeat finds none.
    """
    event = services.payments.parse_webhook(raw, signature)
    if _seen(services.db, event.id):
        return False
    if event.type in CHECKOUT_EVENTS:
        state = services.payments.fetch_checkout(event.object_id)
        with services.db.write() as session:
            apply_checkout(services, session, state)
            _note(session, event.id, event.type, services.clock())
    else:
        with services.db.write() as session:
            _note(session, event.id, event.type, services.clock())
    services.nudge.set()
    return True


def _seen(db: Database, event_id: str) -> bool:
    with db.read() as session:
        return session.get(WebhookEvent, event_id) is not None


def _note(session: Session, event_id: str, kind: str, now: int) -> None:
    if session.get(WebhookEvent, event_id) is None:
        session.add(WebhookEvent(id=event_id, type=kind, received_at=now))
        session.flush()


def apply_checkout(services: Services, session: Session, state: CheckoutState) -> None:
    """Act on what the provider says of a checkout now; doing it again changes nothing."""
    query = select(Payment).where(col(Payment.checkout_id) == state.session_id)
    payment = session.exec(query.with_for_update()).first()
    if payment is None:
        LOG.warning("checkout %s is not one of ours", state.session_id)
        return
    if payment.state != OPEN:
        return
    payment.changed_at = services.clock()
    if state.status == "expired":
        payment.state = CLOSED
        session.add(payment)
    elif state.is_paid:
        _received(services, session, payment, state)


def _received(services: Services, session: Session, payment: Payment, state: CheckoutState) -> None:
    order, now = order_service.locked_order(session, payment.order_id), services.clock()
    if (state.amount, state.currency) != (payment.amount, payment.currency):
        LOG.error("order %s was paid another amount than asked; it is refunded", order.id)
    payment.intent_id, payment.amount = state.payment_intent, state.amount
    payment.currency = state.currency
    received = book.payment_received(
        order.id, state.amount, state.currency, time=book_store.moment(now), payment=payment.id
    )
    book_store.record(session, received, order.id)
    wanted = (order.amount, order.currency) == (state.amount, state.currency)
    payment.state = RECEIVED if wanted and _first(session, payment) else SURPLUS
    session.add(payment)
    session.flush()
    if payment.state == RECEIVED:
        order_service.announce(
            session, services.signer, order, OrderEvent.PAY, now=now, fields=_fields(payment)
        )


def _first(session: Session, payment: Payment) -> bool:
    query = select(Payment.id).where(
        col(Payment.order_id) == payment.order_id, col(Payment.state).in_([RECEIVED, REFUNDED])
    )
    return session.exec(query).first() is None


def _fields(payment: Payment) -> dict[str, object]:
    reference = payment.intent_id or payment.checkout_id
    return {
        "amount": payment.amount,
        "currency": payment.currency,
        "provider": payment.provider,
        "reference_commitment": reference_commitment(payment.reference_salt, reference),
    }


def look_again(services: Services) -> int:
    """Ask the provider about checkouts whose webhook may be lost; return how many were asked."""
    now = services.clock()
    with services.db.read() as session:
        query = select(Payment.checkout_id).where(
            col(Payment.state) == OPEN, col(Payment.changed_at) <= now - LOOK_AGAIN_MS
        )
        waiting = session.exec(query.limit(20)).all()
    for checkout_id in waiting:
        state = services.payments.fetch_checkout(checkout_id)
        with services.db.write() as session:
            apply_checkout(services, session, state)
            _touch(session, checkout_id, now)
    return len(waiting)


def _touch(session: Session, checkout_id: str, now: int) -> None:
    query = select(Payment).where(col(Payment.checkout_id) == checkout_id)
    payment = session.exec(query).one()
    payment.changed_at = now
    session.add(payment)


def refund_due(services: Services) -> int:
    """Refund what orders that ended without an answer hold, and money nobody asked for."""
    refunded = 0
    for payment in _owed(services.db):
        try:
            refunded += _refund(services, payment)
        except MarketError as error:
            # Nothing was decided; the same idempotency key is used next time.
            LOG.warning("order %s is not refunded yet: %s", payment.order_id, error)
    return refunded


def _owed(db: Database) -> list[Payment]:
    ended = [state.value for state in REFUNDABLE]
    with db.read() as session:
        query = (
            select(Payment)
            .join(Order)
            .where(
                (col(Payment.state) == SURPLUS)
                | ((col(Payment.state) == RECEIVED) & col(Order.state).in_(ended))
            )
        )
        return list(session.exec(query.limit(50)).all())


def _refund(services: Services, payment: Payment) -> bool:
    if payment.intent_id is None:
        LOG.error("payment %s has no provider reference and cannot be refunded", payment.id)
        return False
    answer = services.payments.refund(payment.intent_id, payment.amount, f"refund:{payment.id}")
    if answer.status not in ("succeeded", "pending"):
        LOG.error("refund of order %s is %s at the provider", payment.order_id, answer.status)
        return False
    with services.db.write() as session:
        return _refunded(services, session, payment, answer.refund_id)


def _refunded(services: Services, session: Session, paid: Payment, refund_id: str) -> bool:
    order, now = order_service.locked_order(session, paid.order_id), services.clock()
    payment = session.get(Payment, paid.id, populate_existing=True)
    if payment is None or payment.state == REFUNDED:
        return False
    surplus = payment.state == SURPLUS
    payment.state, payment.refund_id, payment.changed_at = REFUNDED, refund_id, now
    session.add(payment)
    time, amount, currency = book_store.moment(now), payment.amount, payment.currency
    decided = book.order_refunded(order.id, amount, currency, time=time, refund=payment.id)
    sent = book.refund_sent(order.id, amount, currency, time=time, refund=payment.id)
    book_store.record(session, decided, order.id)
    book_store.record(session, sent, order.id)
    if not surplus:
        order_service.announce(
            session, services.signer, order, OrderEvent.REFUND, now=now, fields=_fields(payment)
        )
    return True
