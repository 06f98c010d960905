"""The reconciler: book, ledger and the payment provider must say the same; it shows what it did.

Every difference it can close by looking again it closes (a lost webhook, a payment whose row was
lost with a restored backup, a refund or a payout made by hand at the provider, an entry that never
reached the outbox) and writes down as done. What is left is shown as open, for a person.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, select

from ledger import State
from marketplace import (
    book,
    book_store,
    disputes,
    money,
    order_service,
    payouts,
    refunds,
    totals,
)
from marketplace.book import Account
from marketplace.orders import OrderEvent, OrderState
from marketplace.payment_values import Payment as Charge
from marketplace.payment_values import RefundState
from marketplace.services import Services
from marketplace.tables import (
    Dispute,
    Order,
    OutboxRow,
    Payment,
    Payout,
    Reconciliation,
    Refund,
)

LOG = logging.getLogger(__name__)
EVERY_MS = 2 * 60_000
LOOK_BACK_MS = 3 * 86_400_000
# A webhook or a step of ours may be on its way: younger differences are not differences yet.
GRACE_MS = 30_000
KEPT = 500


@dataclass(slots=True)
class Findings:
    """What one run found: differences closed, differences left open, totals by currency."""

    closed: list[dict[str, Any]] = field(default_factory=list)
    open: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, dict[str, Any]] = field(default_factory=dict)

    def close(self, what: str, about: str, did: str) -> None:
        """Note a difference that was put right, and how."""
        self.closed.append({"what": what, "about": about, "did": did})

    def leave(self, what: str, about: str, do: str) -> None:
        """Note a difference that a person has to settle, and what to do."""
        self.open.append({"what": what, "about": about, "do": do})

    def to_json(self) -> dict[str, Any]:
        """Return it as it is kept and shown."""
        return {"closed": self.closed, "open": self.open, "totals": self.totals}


def run_due(services: Services) -> bool:
    """Run when the last run is old enough; tell whether it ran."""
    with services.db.read() as session:
        query = select(Reconciliation.at).order_by(col(Reconciliation.at).desc())
        last = session.exec(query).first()
    if last is not None and services.clock() - last < EVERY_MS:
        return False
    run(services)
    return True


def run(services: Services, since: int | None = None) -> Reconciliation:
    """Compare everything since a time (ms; three days ago), close what can be closed, keep it.

    Raises the Payment errors when the provider does not answer: then nothing was compared.
    """
    now = services.clock()
    start = _since(services, now) if since is None else since
    found = Findings()
    refunds.retry_failed(services)
    _provider(services, found, datetime.fromtimestamp(max(0, start) / 1000, UTC))
    state = services.view.snapshot().state
    _ledger(services, found, state, start, now)
    _book(services, found, now)
    found.totals = totals.compare(services, services.view.refresh())
    _check_totals(found, _last_totals(services))
    return _keep(services, found, now)


def _since(services: Services, now: int) -> int:
    """Return from when on to compare: long before the last run, however long ago that was."""
    last = newest(services, 1)
    return min(now, last[0].at if last else now) - LOOK_BACK_MS


def _keep(services: Services, found: Findings, now: int) -> Reconciliation:
    row = Reconciliation(at=now, ok=not found.open, report=found.to_json())
    with services.db.write() as session:
        session.add(row)
        session.flush()
        old = select(Reconciliation).order_by(col(Reconciliation.at).desc()).offset(KEPT)
        for stale in session.exec(old).all():
            session.delete(stale)
    if found.open:
        LOG.error("reconciliation: %d differences are open", len(found.open))
    return row


def view(row: Reconciliation) -> dict[str, Any]:
    """Return a run as the API and the operator's page show it."""
    return {"at": row.at, "ok": row.ok, **row.report}


def _last_totals(services: Services) -> dict[str, dict[str, Any]]:
    rows = newest(services, 1)
    return dict(rows[0].report["totals"]) if rows else {}


def newest(services: Services, limit: int = 20) -> list[Reconciliation]:
    """Return the last runs, newest first."""
    with services.db.read() as session:
        query = select(Reconciliation).order_by(col(Reconciliation.at).desc())
        return list(session.exec(query.limit(limit)).all())


# -- the provider's lists ------------------------------------------------------------------------


def _provider(services: Services, found: Findings, since: datetime) -> None:
    charges = services.payments.list_payments(since)
    for charge in charges:
        if charge.order_id is not None and charge.payment_intent is not None:
            _charge(services, found, charge)
    for refund in services.payments.refunds_since(since):
        _refund(services, found, refund)
    for dispute in services.payments.disputes_since(since):
        before = _standing(services, dispute.dispute_id)
        with services.db.write() as session:
            disputes.apply(services, session, dispute)
        after = _standing(services, dispute.dispute_id)
        if before != after:
            found.close("dispute not booked", dispute.dispute_id, f"booked as {after}")
    for decided in disputes.look_again(services):
        found.close("dispute decided unheard", decided, "booked what the bank decided")
    _transfers(services, found, since)
    _platform_payouts(services, found, since)
    _missing_charges(services, found, since, {str(one.payment_intent) for one in charges})


def _standing(services: Services, dispute: str) -> str | None:
    with services.db.read() as session:
        row = session.get(Dispute, dispute)
        return row.state if row else None


def _charge(services: Services, found: Findings, charge: Charge) -> None:
    with services.db.read() as session:
        query = select(Payment).where(col(Payment.intent_id) == charge.payment_intent)
        payment = session.exec(query).first()
    if payment is not None:
        if (payment.amount + payment.tax, payment.currency) != (charge.amount, charge.currency):
            found.leave(
                "payment of another amount", charge.charge_id,
                "compare the charge at Stripe with the order's price; refund what is too much",
            )  # fmt: skip
        return
    state = services.payments.find_checkout(str(charge.payment_intent))
    if state is None:
        found.leave("charge without a checkout", charge.charge_id, "refund it at the provider")
        return
    with services.db.write() as session:
        adopted = _adopt(services, session, state.session_id, charge)
        if adopted is not None:
            money.apply_checkout(services, session, state)
    if adopted is None:
        found.leave("charge of an unknown order", charge.charge_id, "refund it at the provider")
    else:
        found.close("payment not booked", charge.charge_id, adopted)


def _adopt(services: Services, session: Session, checkout: str, charge: Charge) -> str | None:
    """Make sure the checkout's payment row exists; say what was done, None for another's order."""
    query = select(Payment).where(col(Payment.checkout_id) == checkout)
    if session.exec(query).first() is not None:
        return "looked the checkout up again and booked it"
    order = session.get(Order, str(charge.order_id))
    if order is None:
        return None
    money.reopen(services, session, order, checkout)
    return "restored the lost row of the payment and booked it"


def _missing_charges(
    services: Services, found: Findings, since: datetime, listed: set[str]
) -> None:
    """Report booked payments that the provider's list does not have."""
    start = int(since.timestamp() * 1000)
    with services.db.read() as session:
        query = select(Payment).where(
            col(Payment.intent_id).is_not(None), col(Payment.created_at) >= start
        )
        rows = session.exec(query).all()
    for payment in rows:
        if payment.intent_id not in listed:
            found.leave(
                "booked payment unknown to the provider", payment.id,
                "look for it at Stripe; if it is not there, somebody changed the book",
            )  # fmt: skip


def _refund(services: Services, found: Findings, state: RefundState) -> None:
    with services.db.write() as session:
        known = session.exec(
            select(Refund).where(col(Refund.provider_id) == state.refund_id)
        ).first()
        if known is not None:
            before = known.state
            refunds.apply(services, session, state)
            if known.state != before:
                found.close("refund came back", state.refund_id, "booked it as owed again")
            return
        if state.status not in ("succeeded", "pending"):
            return
        did = refunds.adopt(services, session, state)
    if did:
        found.close("refund not booked", state.refund_id, did)


def _transfers(services: Services, found: Findings, since: datetime) -> None:
    for state in services.payments.transfers_since(since):
        with services.db.write() as session:
            query = select(Payout).where(col(Payout.transfer_id) == state.transfer_id)
            payout = session.exec(query).first()
            if payout is not None:
                before = payout.reversed
                payouts.apply(services, session, state)
                if payout.reversed != before:
                    found.close("reversal not booked", state.transfer_id, "booked it")
                continue
            waits = select(Payout.id).where(
                col(Payout.batch_id) == state.group, col(Payout.account_id) == state.account,
                col(Payout.state) == payouts.PLANNED,
            )  # fmt: skip
            planned = session.exec(waits).first()
        if planned is None:
            found.leave("transfer of no payout", state.transfer_id, "reverse it, or look by hand")


def _platform_payouts(services: Services, found: Findings, since: datetime) -> None:
    for state in services.payments.payouts_since(since):
        if state.status in ("failed", "canceled"):
            continue
        with services.db.write() as session:
            moved = book.platform_payout(
                state.amount, state.currency, payout=state.payout_id,
                time=book_store.moment(services.clock()),
            )  # fmt: skip
            if book_store.record(session, moved):
                found.close("payout to our bank not booked", state.payout_id, "booked it")


# -- the ledger ----------------------------------------------------------------------------------


def _ledger(services: Services, found: Findings, state: State, start: int, now: int) -> None:
    """Look for the entry of each payment since `start`; older ones are in the totals."""
    with services.db.read() as session:
        query = select(Payment).where(
            col(Payment.state).in_(["received", "refunded"]),
            col(Payment.changed_at) >= start,
            col(Payment.changed_at) <= now - GRACE_MS,
        )
        rows = session.exec(query).all()
    for payment in rows:
        _entry_of(services, found, state, payment)


def _entry_of(services: Services, found: Findings, state: State, payment: Payment) -> None:
    """Check that the ledger has what the book says of one payment; announce what never was."""
    known = state.orders.get(payment.order_id)
    facts = {(one.kind, one.reference_commitment) for one in known.payments} if known else set()
    fields = money.fields_of(payment)
    if ("received", str(fields["reference_commitment"])) in facts:
        return
    query = select(OutboxRow.state).where(
        col(OutboxRow.dedupe) == f"{payment.order_id}:{OrderEvent.PAY}"
    )
    with services.db.read() as session:
        status = session.exec(query).first()
    if status == "refused":
        found.leave("payment refused by the ledger", payment.id, "see the outbox's error")
    elif status is None and payment.state == "received":
        with services.db.write() as session:
            order = order_service.locked_order(session, payment.order_id)
            order_service.announce(
                session, services.signer, order, OrderEvent.PAY, now=services.clock(), fields=fields
            )
        found.close("payment not on the ledger", payment.id, "signed its entry into the outbox")


# -- the book ------------------------------------------------------------------------------------


def _book(services: Services, found: Findings, now: int) -> None:
    with services.db.read() as session:
        for transaction in book_store.unbalanced(session):
            found.leave("transaction does not balance", transaction, "somebody changed the book")
        for order, held in _stuck(session, now):
            found.leave(
                "money of an ended order not moved", order,
                f"holds {held} minor units: see whether its refund or settlement was refused",
            )  # fmt: skip
        failed = session.exec(select(Refund).where(col(Refund.state) == refunds.FAILED)).all()
        for refund in failed:
            found.leave("refund refused", refund.id, str(refund.error))
    _state_losses(services)


def _stuck(session: Session, now: int) -> Iterator[tuple[str, int]]:
    """Yield ended orders that still hold money though nothing is on its way."""
    ended = [OrderState.SETTLED.value, OrderState.REFUNDED.value]
    query = select(Order).where(col(Order.state).in_(ended), col(Order.changed_at) < now - GRACE_MS)
    for order in session.exec(query).all():
        held = book_store.balance(session, Account.ESCROW, order.id, order.currency)
        if held:
            yield order.id, held


def _state_losses(services: Services) -> None:
    """Put refunds made by hand after an answer onto the ledger, once the order is settled."""
    with services.db.write() as session:
        query = (
            select(Refund, Payment)
            .join(Order, col(Order.id) == col(Refund.order_id))
            .where(
                col(Payment.id) == col(Refund.payment_id),
                col(Refund.reason) == refunds.OUTSIDE_LOSS,
                col(Order.state) == OrderState.SETTLED.value,
            )
        )
        for refund, payment in session.exec(query).all():
            refunds.state_refund(services, session, payment, refund)


# -- totals --------------------------------------------------------------------------------------


def _check_totals(found: Findings, before: dict[str, dict[str, Any]]) -> None:
    """Leave what the totals show as different, the provider's balance only if it stays so."""
    for currency, said in found.totals.items():
        if sum(said["trial_balance"].values()):
            found.leave("trial balance is not zero", currency, "somebody changed the book")
        if said["ledger"] != said["book"]:
            found.leave(
                "ledger and book differ", currency,
                "compare the totals; what one of them lacks is refused or still on its way",
            )  # fmt: skip
        off, was = said["difference"], before.get(currency, {}).get("difference")
        if off and off == was:
            found.leave(
                "Stripe's balance differs from the book", currency,
                f"it is off by {off} minor units: look at Stripe's newest payouts and fees",
            )  # fmt: skip
