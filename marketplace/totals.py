"""What book, ledger and payment provider add up to, by currency, side by side.

The ledger's sums are of what its entries say; the book's are of the rows behind them, less what is
still on its way to the ledger, so that the two must be equal at any time.
"""

from collections import Counter
from typing import Any

from sqlmodel import Session, col, func, select

from ledger import State, submission_from_json
from marketplace import book_store
from marketplace.book import Account
from marketplace.services import Services
from marketplace.tables import Dispute, OutboxRow, Payment, Payout, PayoutBatch, Refund
from marketplace.view import Snapshot

KINDS = {
    "payment.received": "received",
    "payment.refunded": "refunded",
    "payment.disputed": "disputed",
    "settlement.made": "settled",
}
STATED = ("received", "refunded")  # states of a payment the ledger hears of

Sums = dict[str, Counter[str]]


def compare(services: Services, snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Return by currency what the three say, in minor units. Raises the Payment errors.

    difference: Stripe's balance less the book's; money that moved a moment ago is in it.
    """
    balances = services.payments.balances()
    with services.db.read() as session:
        trial = book_store.trial_balance(session)
        booked = _booked(session)
        _subtract(booked, _on_its_way(session, snapshot.size))
    stated = ledger_totals(snapshot.state)
    found: dict[str, dict[str, Any]] = {}
    for currency in sorted({*trial, *stated, *(code for code in balances if balances[code])}):
        accounts = {account.value: n for account, n in trial.get(currency, {}).items()}
        clearing = accounts.get(Account.STRIPE_CLEARING.value, 0)
        found[currency] = {
            "trial_balance": accounts,
            "ledger": _plain(stated.get(currency)),
            "book": _plain(booked.get(currency)),
            "stripe_balance": balances.get(currency, 0),
            "difference": balances.get(currency, 0) - clearing,
        }
    return found


def _plain(sums: Counter[str] | None) -> dict[str, int]:
    return {kind: n for kind, n in sorted((sums or {}).items()) if n}


def ledger_totals(state: State) -> Sums:
    """Return by currency the ledger's payment, settlement and payout entries summed by kind."""
    sums: Sums = {}
    for order in state.orders.values():
        for payment in order.payments:
            sums.setdefault(payment.currency, Counter())[payment.kind] += payment.amount
        if order.settlement is not None:
            made = order.settlement.payload
            sums.setdefault(made["currency"], Counter())["settled"] += made["gross"]
    for payout in state.payouts.values():
        found = sums.setdefault(payout.payload["currency"], Counter())
        found["paid_out"] += payout.payload["amount"]
        found["payouts_returned"] += payout.payload["reversed"]
    return sums


def _booked(session: Session) -> Sums:
    """Return what the book holds of each kind of thing the ledger hears of."""
    sums: Sums = {}

    def add(kind: str, query: Any) -> None:
        for currency, amount in session.exec(query).all():
            sums.setdefault(currency, Counter())[kind] += int(amount or 0)

    stated = col(Payment.state).in_(STATED)
    own = select(Payment.currency, func.sum(Payment.amount)).group_by(Payment.currency)
    add("received", own.where(stated))
    add("refunded", own.where(col(Payment.state) == "refunded"))
    partly = select(Refund.currency, func.sum(Refund.net)).group_by(Refund.currency)
    add("refunded", partly.where(col(Refund.reason) == "fewer_people", col(Refund.state) == "sent"))
    add("refunded", partly.where(col(Refund.id).in_(_stated_by_hand())))
    disputed = select(Dispute.currency, func.sum(Dispute.amount)).group_by(Dispute.currency)
    add("disputed", disputed.join(Payment).where(stated))
    closed = select(Payout.currency, func.sum(Payout.amount)).group_by(Payout.currency)
    through = col(PayoutBatch.state) == "closed"
    add("paid_out", closed.join(PayoutBatch).where(through, col(Payout.state) == "sent"))
    add("payouts_returned", select(Payout.currency, func.sum(Payout.announced)).group_by(
        Payout.currency))  # fmt: skip
    for (currency, kind), amount in book_store.by_kind(session, Account.ESCROW).items():
        if kind == "settlement":
            sums.setdefault(currency, Counter())["settled"] += amount
    return sums


def _stated_by_hand() -> Any:
    """Return the ids of refunds made by hand that an outbox row states."""
    return select(Refund.id).join(
        OutboxRow, col(OutboxRow.dedupe) == "refund:" + col(Refund.id)
    ).where(col(Refund.reason) == "outside_loss")  # fmt: skip


def _on_its_way(session: Session, size: int) -> Sums:
    """Return what signed entries say that the ledger, at a size, does not show yet."""
    query = select(OutboxRow).where(
        col(OutboxRow.type).in_([*KINDS, "payout.made"]),
        (col(OutboxRow.posted_index).is_(None)) | (col(OutboxRow.posted_index) >= size),
    )
    sums: Sums = {}
    for row in session.exec(query).all():
        said = submission_from_json(row.submission).entry.payload
        found = sums.setdefault(str(said["currency"]), Counter())
        if row.type == "payout.made":
            found["paid_out"] += said["amount"]
            found["payouts_returned"] += said["reversed"]
        else:
            found[KINDS[row.type]] += said["gross" if row.type == "settlement.made" else "amount"]
    return sums


def _subtract(sums: Sums, less: Sums) -> None:
    for currency, kinds in less.items():
        sums.setdefault(currency, Counter()).subtract(kinds)
