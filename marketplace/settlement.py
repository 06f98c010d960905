"""Money after the answer: owners' shares and the settlement entry.

The split follows the order's scope as compute reported it and the ledger recorded it, by published
weights, never what the data says; a custodian gets the part its people consented to; who asks
nothing has a share of 0, with its proof like anybody's. The ledger gets totals and the root of
salted leaves; only the owner learns its amount, with a proof.
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session, col, select

from ledger import State, canonical, leaf_hash, tree_root
from marketplace import (
    book,
    book_store,
    jobs,
    order_service,
    outbox,
    owners,
    quotes,
    refunds,
    uploads,
)
from marketplace.errors import MarketError
from marketplace.orders import OrderEvent, OrderState
from marketplace.services import Services
from marketplace.tables import METADATA, Job, Order, OutboxRow, Payment, Quote, Share
from marketplace.view import Snapshot

LOG = logging.getLogger(__name__)
RELEASABLE = (OrderState.RUNNING, OrderState.RELEASING)
RESULT_OBJECTS = ("result", "bundle", "auditor_bundle")

# The statements of many rows go past the ORM, which takes as long as the database itself.
_INSERT = METADATA.tables["shares"].insert()

# Asked every round: built once. Only what is needed of a job: what it notes of people is large.
_OUTCOME: Any = col(Job.outcome)
_RELEASED: Any = (
    select(Job.order_id, Job.outcome)
    .join(Order)
    .where(
        col(Order.state).in_([state.value for state in RELEASABLE]),
        col(Job.state) == jobs.DONE,
        _OUTCOME["state"].as_string() == "released",
    )
)


def share_leaf(salt: str, order: str, owner: str, amount: int, currency: str) -> bytes:
    """Return HMAC-SHA256(salt, canonical share): 32 bytes, a leaf of the share tree."""
    share = {"order": order, "owner": owner, "amount": amount, "currency": currency}
    return hmac.new(bytes.fromhex(salt), canonical(share), hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an order costs for who took part, and what each owner gets of it.

    rows: of `Share`, in leaf order; root: over their leaves, hexadecimal.
    """

    price: quotes.Price
    rows: tuple[Mapping[str, Any], ...]
    root: str


def split_shares(order: Order, price: quotes.Price, paid: owners.Paid, now: int) -> Settlement:
    """Split the owners' part by weight; leaves are sorted, so their order says nothing."""
    amounts = book.split(price.owners_total, sorted(paid.weights.items()))
    salted = [(owner, amount, secrets.token_hex(32)) for owner, amount in amounts.items()]
    leaves = sorted(
        (share_leaf(salt, order.id, owner, amount, order.currency), owner, amount, salt)
        for owner, amount, salt in salted
    )
    rows = tuple(
        {
            "order_id": order.id, "owner": owner, "position": place, "amount": amount,
            "currency": order.currency, "salt": salt, "given": owner in paid.givers,
            "created_at": now,
        }
        for place, (_leaf, owner, amount, salt) in enumerate(leaves)
    )  # fmt: skip
    root = tree_root(leaf_hash(leaf) for leaf, *_rest in leaves)
    return Settlement(price, rows, root.hex())


def settle_due(services: Services, snapshot: Snapshot) -> int:
    """Settle every order whose answer is published on the ledger; return how many were decided."""
    settled = 0
    for order_id, outcome in _released(services):
        if not _published(snapshot.state, order_id, outcome):
            continue
        try:
            with services.db.write() as session:
                _release(services, session, order_id, outcome)
            settled += _settle(services, snapshot.state, order_id, outcome)
        except MarketError as error:
            LOG.warning("order %s is not settled: %s", order_id, error)
    return settled


def _released(services: Services) -> list[tuple[str, Mapping[str, Any]]]:
    """Return orders whose job says released and which are not settled yet."""
    with services.db.read() as session:
        return [(str(order), outcome) for order, outcome in session.exec(_RELEASED).all()]


def _release(
    services: Services, session: Session, order_id: str, outcome: Mapping[str, Any]
) -> None:
    """Let the researcher fetch an answer the ledger shows as published."""
    order = order_service.locked_order(session, order_id)
    if order.access is not None or order.state not in RELEASABLE:
        return
    order_service.advance(session, order, OrderEvent.RELEASE, now=services.clock())
    order.access = str(outcome["access"])
    session.add(order)
    uploads.show_objects(session, order_id, RESULT_OBJECTS)


def _settle(services: Services, state: State, order_id: str, outcome: Mapping[str, Any]) -> bool:
    with services.db.read() as session:
        order = session.get(Order, order_id)
        if order is None or not _may_settle(session, order):
            return False
        pins, weights = services.trust.pins, services.config.fees.weights
        paid = owners.paid_for(session, state, pins, order, outcome, weights)
    return settle(services, order_id, paid)


def _may_settle(session: Session, order: Order) -> bool:
    waits = order.state == OrderState.RELEASING and order.access is not None
    return waits and not outbox.decision_pending(session, order.id)


def settle(services: Services, order_id: str, paid: owners.Paid) -> bool:
    """Split what a released order holds among its payees, and sign the settlement; once.

    Everybody's share is worked out before the write lock is taken; what is written is one
    transaction, so that a crash leaves all of a settlement or nothing.
    """
    now = services.clock()
    with services.db.read() as session:
        order = session.get_one(Order, order_id)
        body = session.get_one(Quote, order.quote_id).body
        shares = split_shares(order, quotes.repriced(body, paid.people, paid.asked), paid, now)
        booked = _transaction(order, shares, now)
    with services.db.write() as session:
        order = order_service.locked_order(session, order_id)
        return _may_settle(session, order) and _book(services, session, order, shares, booked)


def _book(
    services: Services, session: Session, order: Order, shares: Settlement,
    booked: book.Transaction,
) -> bool:  # fmt: skip
    price, now = shares.price, services.clock()
    order.owners_total, order.platform_fee = price.owners_total, price.platform_fee
    session.add(order)
    session.connection().execute(_INSERT, shares.rows)
    book_store.record(session, booked, order.id)
    owners.forget(session, order.id)
    fields = settlement_fields(order, str(order.access), shares)
    decided = order_service.decide(
        session, services.signer, order, OrderEvent.SETTLE, now=now, fields=fields
    )
    if left := order.amount - price.total:
        _give_back(services, session, order, left)
    return decided


def _give_back(services: Services, session: Session, order: Order, net: int) -> None:
    """Plan the refund of the difference, with its part of the tax, rounded up for the buyer."""
    payment = session.exec(
        select(Payment).where(col(Payment.order_id) == order.id, col(Payment.state) == "received")
    ).one()
    tax = -(-payment.tax * net // payment.amount)
    refunds.plan(services, session, payment, net=net, tax=tax, reason=refunds.FEWER)


def _published(state: State, order_id: str, outcome: Mapping[str, Any]) -> bool:
    """Tell whether the ledger shows result.published for this very access."""
    known = state.orders.get(order_id)
    result = known.result if known is not None else None
    return result is not None and result.payload.get("access") == outcome.get("access")


def settlement_fields(order: Order, access: str, shares: Settlement) -> dict[str, Any]:
    """Return the fields of settlement.made: totals and a root, nobody's amount."""
    return {
        "access": access,
        "gross": order.platform_fee + order.compute_fee + order.owners_total,
        "platform_fee": order.platform_fee,
        "compute_fee": order.compute_fee,
        "owners_total": order.owners_total,
        "currency": order.currency,
        "shares": len(shares.rows),
        "share_root": shares.root,
    }


def _transaction(order: Order, shares: Settlement, now: int) -> book.Transaction:
    return book.order_settled(
        order.id,
        order.currency,
        {row["owner"]: row["amount"] for row in shares.rows},
        {
            book.Account.PLATFORM_INCOME: shares.price.platform_fee,
            book.Account.COMPUTE_FEE: order.compute_fee,
        },
        time=book_store.moment(now),
    )


def shares_of(services: Services, owner: str) -> list[dict[str, Any]]:
    """Return an owner's shares, each with what proves it against its settlement.made entry."""
    with services.db.read() as session:
        mine = session.exec(
            select(Share).where(col(Share.owner) == owner).order_by(col(Share.id).desc())
        ).all()
        entries = _settlement_indexes(session, owner)
        return [_with_proof(services, session, share, entries) for share in mine]


def _with_proof(
    services: Services, session: Session, share: Share, entries: Mapping[str, int | None]
) -> dict[str, Any]:
    tree = services.share_trees.get(share.order_id, lambda: _hashes(session, share.order_id))
    return {
        "order": share.order_id,
        "amount": share.amount,
        "currency": share.currency,
        "given": share.given,
        "salt": share.salt,
        "index": share.position,
        "size": tree.size,
        "proof": [step.hex() for step in tree.proof(share.position)],
        "share_root": tree.root.hex(),
        "settlement_index": entries.get(share.order_id),
        "at": share.created_at,
    }


def _hashes(session: Session, order_id: str) -> list[bytes]:
    """Return the leaf hashes of an order's shares, in leaf order."""
    rows = session.exec(
        select(Share).where(col(Share.order_id) == order_id).order_by(col(Share.position))
    ).all()
    return [
        leaf_hash(share_leaf(row.salt, row.order_id, row.owner, row.amount, row.currency))
        for row in rows
    ]


def _settlement_indexes(session: Session, owner: str) -> dict[str, int | None]:
    """Return where the settlement of each order that pays an owner stands on the ledger."""
    query = (
        select(OutboxRow.order_id, OutboxRow.posted_index)
        .join(Share, col(Share.order_id) == col(OutboxRow.order_id))
        .where(col(Share.owner) == owner, col(OutboxRow.event) == OrderEvent.SETTLE.value)
    )
    return {str(order): index for order, index in session.exec(query).all()}


def trial_balance(services: Services) -> dict[str, dict[str, int]]:
    """Return the book's totals by currency and account, debits positive. Sums are zero."""
    with services.db.read() as session:
        totals = book_store.trial_balance(session)
    return {
        currency: {account.value: amount for account, amount in accounts.items()}
        for currency, accounts in totals.items()
    }
