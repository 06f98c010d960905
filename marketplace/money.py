"""Money in: the page where an order is paid, the provider's events, and what was paid.

A webhook is only a reason to look: what happened is fetched again from the provider, and is acted
on once per object and once per event. Every call that moves money carries an idempotency key
derived from the order, so a crash before or after it repeats nothing.
"""

import logging
import secrets
from collections.abc import Callable

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from marketplace import book, book_store, disputes, order_service, outbox, payees, payouts, refunds
from marketplace.entries import new_id, reference_commitment
from marketplace.errors import ConflictError, PaymentRefusedError, PaymentUnavailableError
from marketplace.orders import OrderEvent, OrderState
from marketplace.payments import Checkout, CheckoutState
from marketplace.services import Services
from marketplace.tables import Order, Payment, Quote, WebhookEvent

LOG = logging.getLogger(__name__)
OPEN, RECEIVED, SURPLUS, REFUNDED, CLOSED = "open", "received", "surplus", "refunded", "closed"
NEW, DONE = "new", "done"
LOOK_AGAIN_MS = 20_000
EVENTS = 200  # a round
FAMILIES = ("checkout.session.", "charge.dispute.", "refund.", "transfer.", "account.updated")

Act = Callable[[Session], None]

# Asked every round: built once, for building a query costs more than asking it.
_WAITING = (
    select(WebhookEvent)
    .where(col(WebhookEvent.state) == NEW)
    .order_by(col(WebhookEvent.received_at))
    .limit(EVENTS)
)


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


def webhook(services: Services, raw: bytes, signature: str) -> bool:
    """Keep a verified provider event; tell whether it was new. Raises WebhookRefusedError.

    It is acted on in the background (`work_events`), as the provider asks of its receivers: the
    row is written before the answer, so nothing is lost, and a burst is never turned away.
    """
    event = services.payments.parse_webhook(raw, signature)
    try:
        with services.db.write() as session:
            if session.get(WebhookEvent, event.id) is not None:
                return False
            session.add(
                WebhookEvent(
                    id=event.id, type=event.type, object_id=event.object_id, state=NEW,
                    received_at=services.clock(),
                )
            )  # fmt: skip
    except IntegrityError:
        return False  # its copy was written at the same moment
    services.nudge.set()
    return True


def work_events(services: Services) -> int:
    """Act on events that wait, oldest first, once for each thing they are about; return how many.

    What happened is fetched again, and the events are noted in the transaction that acts on it:
    after a crash they are still new. One that the provider cannot answer for now waits.
    """
    with services.db.read() as session:
        waiting = session.exec(_WAITING).all()
    about: dict[tuple[str, str], list[str]] = {}
    for event in waiting:
        about.setdefault((_family(event.type), event.object_id), []).append(event.id)
    return sum(_work(services, *what, ids) for what, ids in about.items())


def _family(kind: str) -> str:
    """Return what an event is about, of the kinds that matter here; "" for the others."""
    return next((name for name in FAMILIES if kind.startswith(name)), "")


def _work(services: Services, family: str, about: str, ids: list[str]) -> int:
    try:
        act = _looked_up(services, family, about)
    except PaymentUnavailableError as error:
        LOG.warning("%s %s is looked up later: %s", family, about, error)
        return 0
    except PaymentRefusedError as error:
        # The provider does not know it: there is nothing to act on, ever.
        LOG.error("%s %s: %s", family, about, error)  # noqa: TRY400
        act = None
    with services.db.write() as session:
        if act is not None:
            act(session)
        done = update(WebhookEvent).where(col(WebhookEvent.id).in_(ids)).values(state=DONE)
        session.execute(done)
    return len(ids)


def _looked_up(services: Services, family: str, about: str) -> Act | None:
    """Fetch what events are about, as it is now; return what to do with it in a transaction."""
    fetch = services.payments
    if family == "checkout.session.":
        checkout_state = fetch.fetch_checkout(about)
        return lambda session: apply_checkout(services, session, checkout_state)
    if family == "charge.dispute.":
        dispute = fetch.fetch_dispute(about)
        return lambda session: disputes.apply(services, session, dispute)
    if family == "refund.":
        refund = fetch.fetch_refund(about)
        return lambda session: refunds.apply(services, session, refund)
    if family == "transfer.":
        transfer = fetch.fetch_transfer(about)
        return lambda session: payouts.apply(services, session, transfer)
    if family == "account.updated":
        account = fetch.fetch_account(about)
        return lambda session: payees.apply(services, session, account)
    return None


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
    order = order_service.locked_order(session, payment.order_id)
    if (state.amount, state.currency) != (payment.amount, payment.currency):
        LOG.error("order %s was paid another amount than asked; it is refunded", order.id)
    payment.intent_id, payment.amount = state.payment_intent, state.amount
    payment.currency, payment.tax = state.currency, state.tax
    payment.method, payment.receipt_url = state.method, state.receipt_url
    received(services, session, order, payment, fee=state.fee)


def received(
    services: Services, session: Session, order: Order, payment: Payment, *, fee: int = 0
) -> None:
    """Book a payment that arrived, and say so on the ledger if it is the one that was asked for."""
    now, wanted = services.clock(), (order.amount, order.currency)
    into = book.Account.BANK_CLEARING if is_invoice(payment) else book.Account.STRIPE_CLEARING
    transaction = book.payment_received(
        order.id, payment.amount, payment.currency, time=book_store.moment(now),
        payment=payment.id, fee=fee, tax=payment.tax, into=into,
    )  # fmt: skip
    book_store.record(session, transaction, order.id)
    fits = wanted == (payment.amount, payment.currency) and _first(session, payment)
    payment.state, payment.changed_at = RECEIVED if fits else SURPLUS, now
    session.add(payment)
    session.flush()
    if payment.state == RECEIVED:
        order_service.announce(
            session, services.signer, order, OrderEvent.PAY, now=now, fields=fields_of(payment)
        )


def _first(session: Session, payment: Payment) -> bool:
    query = select(Payment.id).where(
        col(Payment.order_id) == payment.order_id, col(Payment.state).in_([RECEIVED, REFUNDED])
    )
    return session.exec(query).first() is None


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
    """Ask the provider about checkouts whose webhook may be lost; return how many were asked."""
    now = services.clock()
    with services.db.read() as session:
        query = select(Payment.checkout_id).where(
            col(Payment.state) == OPEN,
            col(Payment.provider) != refunds.BANK,
            col(Payment.changed_at) <= now - LOOK_AGAIN_MS,
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
