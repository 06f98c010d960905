"""What a buyer is told of an order's money: what was paid, went back, or its bank disputes."""

from typing import Any

from sqlmodel import Session, col, select

from marketplace.refunds import BANK, CANCELLED
from marketplace.services import Services
from marketplace.tables import BookTransaction, Dispute, Payment, Refund

PAID, INVOICE, REFUND, DISPUTE = "paid", "invoice", "refund", "dispute"
ARRIVED = ("received", "surplus", "refunded", "returned")


def moves(services: Services, order_id: str) -> list[dict[str, Any]]:
    """Return an order's payments, open invoices, refunds and disputes, oldest first.

    amount: minor units, with the tax in it. state: of the payment, refund or dispute.
    """
    with services.db.read() as session:
        found = [
            *_payments(session, order_id),
            *_refunds(session, order_id),
            *_disputes(session, order_id),
        ]
    return sorted(found, key=lambda move: int(move["at"]))


def _payments(session: Session, order_id: str) -> list[dict[str, Any]]:
    rows = session.exec(select(Payment).where(col(Payment.order_id) == order_id)).all()
    told = []
    for row in rows:
        by_bank = row.provider == BANK
        if row.state in ARRIVED or (by_bank and row.state == "open"):
            kind = PAID if row.state in ARRIVED else INVOICE
            method = "bank transfer" if by_bank else row.method
            booked = session.get(BookTransaction, f"payment:{row.id}")
            at = row.created_at if booked is None else booked.at
            move = _move(kind, row.state, at, row.amount + row.tax, row.currency)
            told.append({**move, "tax": row.tax, "by": method, "receipt_url": row.receipt_url})
    return told


def _refunds(session: Session, order_id: str) -> list[dict[str, Any]]:
    query = select(Refund).where(col(Refund.order_id) == order_id, col(Refund.state) != CANCELLED)
    return [
        {**_move(REFUND, row.state, row.changed_at, row.amount, row.currency),
         "tax": row.amount - row.net, "reason": row.reason}
        for row in session.exec(query).all()
    ]  # fmt: skip


def _disputes(session: Session, order_id: str) -> list[dict[str, Any]]:
    rows = session.exec(select(Dispute).where(col(Dispute.order_id) == order_id)).all()
    return [
        {**_move(DISPUTE, row.state, row.opened_at, row.amount, row.currency), "reason": row.reason}
        for row in rows
    ]


def _move(kind: str, state: str, at: int, amount: int, currency: str) -> dict[str, Any]:
    return {
        "kind": kind, "state": state, "at": at, "amount": amount, "currency": currency,
        "tax": 0, "by": None, "reason": None, "receipt_url": None,
    }  # fmt: skip
