"""Money in: the page where an order is paid, and what was paid.

What the provider says of a checkout is acted on once, however often it is said. The call that opens
a page carries an idempotency key derived from the order, so a crash before or after it repeats
nothing.
"""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlmodel import Session, col, select

from marketplace import book, book_store, order_service, outbox, refunds
from marketplace.entries import new_id, reference_commitment
from marketplace.errors import ConflictError
from marketplace.orders import OVER, OrderEvent, OrderState
from marketplace.payment_values import Payment as Charge
from marketplace.payments import Checkout, CheckoutState
from marketplace.services import Services
from marketplace.tables import Order, Payment, Quote

LOG = logging.getLogger(__name__)
OPEN, RECEIVED, SURPLUS, REFUNDED, CLOSED = "open", "received", "surplus", "refunded", "closed"
LOOK_AGAIN_MS = 20_000


def provider(services: Services) -> str:
    """Return how the provider is named on the ledger; test money says so."""
    return "stripe" if services.payments.is_live else "stripe-test"


def checkout(services: Services, order_id: str, researcher: str) -> Payment:
    """Open (or find) the page where an order is paid. Raises ConflictError, NotFoundError."""
    with services.db.read() as session:
        order = order_service.owned(session, order_id, researcher)
        attempt = payable(session, order)
        lines = _lines(session, order)
    if isinstance(attempt, Payment):
        return attempt
    key = f"checkout:{order_id}:{attempt}"
    page = services.payments.create_checkout(
        order_id, order.amount, order.currency, f"Omic Market order {order_id}", key, lines=lines
    )
    with services.db.write() as session:
        return _opened(services, session, order_id, page, key)


def _lines(session: Session, order: Order) -> list[tuple[str, int]]:
    """Return the lines of an order's payment page: what its quote itemises."""
    quote = session.get(Quote, order.quote_id)
    names = {"compute": "Compute", "platform": "Platform fee"}
    return [
        (names.get(item["kind"]) or f"Data use: {item['modality']}", int(item["amount"]))
        for item in (quote.body["items"] if quote else ())
    ]


def payable(session: Session, order: Order, *, by_bank: bool = False) -> Payment | int:
    """Return the open payment of this way to pay, or the number of the next one.

    Raises ConflictError where nothing is to be paid.
    """
    if order.state != OrderState.AWAITING_PAYMENT or outbox.decision_pending(session, order.id):
        raise ConflictError(f"the order is {order.state}; only one awaiting payment can be paid")
    payments = session.exec(select(Payment).where(col(Payment.order_id) == order.id)).all()
    if any(payment.state == RECEIVED for payment in payments):
        raise ConflictError("the order is paid already; its entry is on its way to the ledger")
    open_ones = [one for one in payments if one.state == OPEN and is_invoice(one) == by_bank]
    return open_ones[0] if open_ones else len(payments) + 1


def is_invoice(payment: Payment) -> bool:
    """Tell whether a payment is a bank transfer against an invoice."""
    return payment.provider == refunds.BANK


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


def reopen(services: Services, session: Session, order: Order, checkout_id: str) -> Payment:
    """Write the row of a checkout down again that this database lost (a restored backup)."""
    now = services.clock()
    payment = Payment(
        id=new_id(), order_id=order.id, provider=provider(services), checkout_id=checkout_id,
        checkout_url="", idempotency_key=f"restored:{checkout_id}", amount=order.amount,
        currency=order.currency, reference_salt=secrets.token_hex(32), created_at=now,
        changed_at=now,
    )  # fmt: skip
    session.add(payment)
    session.flush()
    return payment


def apply_checkout(services: Services, session: Session, state: CheckoutState) -> None:
    """Act on what the provider says of a checkout now; doing it again changes nothing."""
    apply_checkouts(services, session, [state])


def apply_checkouts(services: Services, session: Session, states: Sequence[CheckoutState]) -> None:
    """Act on what the provider says of checkouts now, of each once, in one go."""
    by_id = {state.session_id: state for state in states}
    query = (
        select(Payment).where(col(Payment.checkout_id).in_(list(by_id))).order_by(col(Payment.id))
    )
    payments = session.exec(query.with_for_update()).all()
    for unknown in by_id.keys() - {payment.checkout_id for payment in payments}:
        LOG.warning("checkout %s is not one of ours", unknown)
    paid = []
    for payment in payments:
        state = by_id[payment.checkout_id]
        if payment.state == OPEN and state.status == "expired":
            payment.state, payment.changed_at = CLOSED, services.clock()
            session.add(payment)
        elif payment.state == OPEN and state.is_paid:
            paid.append((payment, state))
    if paid:
        _received(services, session, paid)


def _received(
    services: Services, session: Session, paid: Sequence[tuple[Payment, CheckoutState]]
) -> None:
    orders = order_service.locked_orders(session, {payment.order_id for payment, _state in paid})
    arrivals = []
    for payment, state in paid:
        if (state.amount, state.currency) != (payment.amount, payment.currency):
            LOG.error("order %s was paid another amount than asked", payment.order_id)
        with session.no_autoflush:
            payment.intent_id, payment.amount = state.payment_intent, state.amount
            payment.currency, payment.tax = state.currency, state.tax
            payment.method, payment.receipt_url = state.method, state.receipt_url
        arrivals.append(Arrival(orders[payment.order_id], payment, state.fee))
    received(services, session, arrivals)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A payment of a locked order that arrived; fee: the provider's own, minor units."""

    order: Order
    payment: Payment
    fee: int = 0


def received(services: Services, session: Session, arrivals: Sequence[Arrival]) -> None:
    """Book payments that arrived, and state on the ledger those that were asked for."""
    now, told = services.clock(), []
    settled = _paid_already(session, [one.order.id for one in arrivals])
    for one in arrivals:
        order, payment = one.order, one.payment
        asked_for = (order.amount, order.currency) == (payment.amount, payment.currency)
        fits = asked_for and order.id not in settled
        payment.state, payment.changed_at = RECEIVED if fits else SURPLUS, now
        session.add(payment)
        if fits:
            settled.add(order.id)
            told.append(
                order_service.announcement(
                    services.signer, order, OrderEvent.PAY, now=now, fields=fields_of(payment)
                )
            )
    book_store.record_all(session, [(_arrived(one, now), one.order.id) for one in arrivals])
    outbox.enqueue_all(session, told, now)


def _arrived(one: Arrival, now: int) -> book.Transaction:
    payment = one.payment
    into = book.Account.BANK_CLEARING if is_invoice(payment) else book.Account.STRIPE_CLEARING
    return book.payment_received(
        one.order.id, payment.amount, payment.currency, time=book_store.moment(now),
        payment=payment.id, fee=one.fee, tax=payment.tax, into=into,
    )  # fmt: skip


def _paid_already(session: Session, orders: Sequence[str]) -> set[str]:
    query = select(Payment.order_id).where(
        col(Payment.order_id).in_(orders), col(Payment.state).in_([RECEIVED, REFUNDED])
    )
    with session.no_autoflush:  # what is about to be noted here does not count
        return set(session.exec(query).all())


def open_checkouts(
    session: Session, *, ids: Sequence[str] = (), keys: Sequence[str] = ()
) -> dict[str, str]:
    """Return by its idempotency key each checkout of these ids or keys that is still open to us."""
    query = select(Payment.idempotency_key, Payment.checkout_id).where(
        col(Payment.checkout_id).in_(ids) | col(Payment.idempotency_key).in_(keys),
        col(Payment.state) == OPEN,
    )
    return dict(iter(session.exec(query).all()))


def checkout_from(charge: Charge, session_id: str) -> CheckoutState:
    """Return how a checkout without tax stands that a succeeded charge paid."""
    return CheckoutState(
        session_id, "complete", "paid", charge.amount, charge.currency, charge.payment_intent,
        charge.order_id, fee=charge.fee, method=charge.method, receipt_url=charge.receipt_url,
    )  # fmt: skip


def fields_of(payment: Payment) -> dict[str, object]:
    """Return what the ledger says of a payment that arrived."""
    reference = payment.intent_id or payment.checkout_id
    return {
        "amount": payment.amount,
        "currency": payment.currency,
        "provider": payment.provider,
        "reference_commitment": reference_commitment(payment.reference_salt, reference),
    }


def look_again(services: Services) -> int:
    """Ask the provider about checkouts whose webhook may be lost; return how many were asked.

    The page of an order that is over is closed, so that nobody pays it in vain.
    """
    now = services.clock()
    with services.db.read() as session:
        query = (
            select(Payment.checkout_id, Order.state)
            .join(Order)
            .where(
                col(Payment.state) == OPEN,
                col(Payment.provider) != refunds.BANK,
                col(Payment.changed_at) <= now - LOOK_AGAIN_MS,
            )
        )
        waiting = session.exec(query.order_by(col(Payment.changed_at)).limit(20)).all()
    for checkout_id, order_state in waiting:
        if order_state in OVER:
            state = services.payments.expire_checkout(checkout_id, f"expire:{checkout_id}")
        else:
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
