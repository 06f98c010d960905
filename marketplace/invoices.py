"""Invoices for buyers who pay by bank transfer against a purchase order, as universities do.

An invoice is a payment that two operators, each with a key of its own, must state on the ledger
as received before it counts; the log refuses the payment's entry until both have. Money goes back
by bank under the same rule.
"""

import secrets
from typing import Any

from sqlmodel import Session, col, select

from ledger import BANK, State, operators_for
from marketplace import money, order_service, refunds
from marketplace.entries import new_id, reference_commitment
from marketplace.errors import InputError, NotFoundError
from marketplace.services import Services
from marketplace.tables import Order, Payment, Quote, Refund

NEEDED = 2
DAY_MS = 86_400_000
PO_LENGTH = 64

# Asked every round: built once.
_UNPAID = (
    select(Payment)
    .where(col(Payment.provider) == BANK, col(Payment.state) == money.OPEN)
    .order_by(col(Payment.created_at))
)
_UNRETURNED = select(Payment, Refund).where(
    col(Refund.payment_id) == col(Payment.id),
    col(Payment.provider) == BANK,
    col(Refund.state) == refunds.PLANNED,
)


def issue(services: Services, order_id: str, researcher: str, purchase_order: str) -> Payment:
    """Issue (or find) the invoice of an order. Raises ConflictError, NotFoundError, InputError."""
    reference = purchase_order.strip()
    if not reference or len(reference) > PO_LENGTH or not reference.isprintable():
        raise InputError(f"give your purchase order's number: 1 to {PO_LENGTH} characters")
    with services.db.write() as session:
        order_service.owned(session, order_id, researcher)
        order = order_service.locked_order(session, order_id)
        known = money.payable(session, order, by_bank=True)
        if isinstance(known, Payment):
            return known
        number, now = f"INV-{order.id[:8].upper()}-{known}", services.clock()
        payment = Payment(
            id=new_id(), order_id=order_id, provider=BANK, checkout_id=number,
            checkout_url=f"{services.config.origin}/orders/{order_id}/invoice",
            idempotency_key=f"invoice:{order_id}:{known}", amount=order.amount,
            currency=order.currency, reference_salt=secrets.token_hex(32),
            purchase_order=reference, created_at=now, changed_at=now,
        )  # fmt: skip
        session.add(payment)
        order.deadline = max(order.deadline, now + services.config.invoices.terms_days * DAY_MS)
        session.add(order)
        return payment


def document(services: Services, order_id: str, researcher: str) -> dict[str, Any]:
    """Return an order's newest invoice as its researcher sees it. Raises NotFoundError."""
    with services.db.read() as session:
        order = order_service.owned(session, order_id, researcher)
        query = select(Payment).where(
            col(Payment.order_id) == order_id, col(Payment.provider) == BANK
        )
        payment = session.exec(query.order_by(col(Payment.created_at).desc())).first()
        if payment is None:
            raise NotFoundError("this order has no invoice; POST /orders/<id>/invoice makes one")
        quote = session.get_one(Quote, order.quote_id)
    terms, state = services.config.invoices, services.view.snapshot().state
    buyer = state.claims(researcher, payment.created_at).get("organisation")
    return {
        "invoice": payment.checkout_id,
        "order": order_id,
        "purchase_order": payment.purchase_order,
        "state": payment.state,
        "items": quote.body["items"],
        "total": payment.amount,
        "currency": payment.currency,
        "issued_at": payment.created_at,
        "due_at": payment.created_at + terms.terms_days * DAY_MS,
        "billed_to": buyer,
        "payee": terms.payee,
        "address": terms.address,
        "tax_id": terms.tax_id,
        "bank": terms.bank,
        "page": payment.checkout_url,
        "test_money": not services.payments.is_live,
    }


def stated(payment: Payment, refund: Refund | None = None) -> dict[str, Any]:
    """Return the details an operator signs: of a transfer received, or of a refund sent."""
    reference = payment.checkout_id if refund is None else refund.id
    return {
        "order": payment.order_id,
        "amount": payment.amount if refund is None else refund.net,
        "currency": payment.currency,
        "reference_commitment": reference_commitment(payment.reference_salt, reference),
    }


def waiting(services: Services) -> list[dict[str, Any]]:
    """Return what operators have to look for on the bank's statement, and who said it is there."""
    state = services.view.snapshot().state
    with services.db.read() as session:
        return [_view(state, *one) for one in (*_unpaid(session), *_unreturned(session))]


def _view(state: State, payment: Payment, refund: Refund | None) -> dict[str, Any]:
    action, details = _action(refund), stated(payment, refund)
    return {
        "action": action,
        "invoice": payment.checkout_id,
        "purchase_order": payment.purchase_order,
        "details": details,
        "stated": len(operators_for(state, action, details)),
        "needed": NEEDED,
    }


def _action(refund: Refund | None) -> str:
    return "bank.received" if refund is None else "bank.sent"


def _unpaid(session: Session) -> list[tuple[Payment, None]]:
    return [(one, None) for one in session.exec(_UNPAID).all()]


def _unreturned(session: Session) -> list[tuple[Payment, Refund]]:
    return [(payment, refund) for payment, refund in session.exec(_UNRETURNED).all()]


def apply_due(services: Services, state: State) -> int:
    """Act on what two operators stated on the ledger; return how many payments moved."""
    with services.db.read() as session:
        due = [
            (payment, refund)
            for payment, refund in (*_unpaid(session), *_unreturned(session))
            if len(operators_for(state, _action(refund), stated(payment, refund))) >= NEEDED
        ]
    for payment, refund in due:
        with services.db.write() as session:
            _apply(services, session, payment.id, refund)
    return len(due)


def _apply(services: Services, session: Session, payment_id: str, refund: Refund | None) -> None:
    if refund is not None:
        refunds.sent(services, session, refund.id, f"bank:{refund.id}")
        return
    query = select(Payment).where(col(Payment.id) == payment_id)
    payment = session.exec(query.with_for_update()).one()
    order: Order = order_service.locked_order(session, payment.order_id)
    if payment.state == money.OPEN:
        money.received(services, session, [money.Arrival(order, payment)])
