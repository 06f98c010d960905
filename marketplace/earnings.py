"""An owner's statement: what was earned, passed on and paid, line by line, as the book has it.

Read from the book's own lines of this owner, so its balance is the book's; what was given, which
the book has no line for, stands between them. Only the owner sees it.
"""

import csv
import heapq
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session, col, select

from marketplace import currencies, payees, payouts
from marketplace.book import Account
from marketplace.orders import OrderEvent
from marketplace.services import Services
from marketplace.tables import BookLine, BookTransaction, OutboxRow, Payout, PayoutBatch, Share

KINDS = {
    "settlement": "earned",
    "payout": "paid out",
    "payout_reversed": "payout returned",
    "passed_on": "passed to charity",
}
GIVEN = "given"
COLUMNS = ("date", "kind", "order_or_payout", "amount", "balance", "currency", "ledger_entry")


def statement(
    services: Services, party: str, since: int = 0, until: int | None = None
) -> dict[str, Any]:
    """Return a party's statement. since, until: Unix ms; balances before `since` carry over."""
    end = services.clock() + 1 if until is None else until
    with services.db.read() as session:
        rows = _rows(session, party)
        given = _given(session, party)
        charities = _charities(session, [move.id for _line, move in rows])
        orders = [str(row[1].order_id) for row in rows if row[1].order_id]
        entries = _entries(session, orders + [share.order_id for share in given])
        paid = payouts.payouts_of(session, party)
        sent = [_payout_view(session, one) for one in paid]
    entries |= {str(row.transfer_id): one["index"] for row, one in zip(paid, sent, strict=True)}
    moves = heapq.merge(_moves(rows, charities), _gifts(given), key=lambda move: int(move["at"]))
    lines, balances = _lines(moves, entries)
    shown = [line for line in lines if since <= line["at"] < end]
    return {
        "party": party,
        "since": since,
        "until": end,
        "lines": shown,
        "payouts": sent,
        "totals": _totals(shown),
        "balances": balances,
        "payee": payees.view(services, party),
        "minimum": {
            code: currencies.minor(services.config.payouts.minimum, code) for code in balances
        },
        "test_money": not services.payments.is_live,
    }


def _rows(session: Session, party: str) -> list[tuple[BookLine, BookTransaction]]:
    query = (
        select(BookLine, BookTransaction)
        .join(BookTransaction)
        .where(
            col(BookLine.account) == payouts.account_of(party).value, col(BookLine.owner) == party
        )
        .order_by(col(BookLine.id))
    )
    return [(line, transaction) for line, transaction in session.exec(query).all()]


def _entries(session: Session, orders: list[str]) -> dict[str, int | None]:
    """Return where each order's settlement stands on the ledger, by order."""
    query = select(OutboxRow.order_id, OutboxRow.posted_index).where(
        col(OutboxRow.order_id).in_(orders), col(OutboxRow.event) == OrderEvent.SETTLE.value
    )
    return {str(order): index for order, index in session.exec(query).all()}


def _given(session: Session, party: str) -> list[Share]:
    """Return the shares of orders for which this party asked nothing, oldest first."""
    query = select(Share).where(col(Share.owner) == party, col(Share.given).is_(True))
    return list(session.exec(query.order_by(col(Share.id))).all())


def _charities(session: Session, moves: list[str]) -> dict[str, str]:
    """Return to which charity (its code) each transaction that passed a share on went."""
    query = select(BookLine.transaction_id, BookLine.owner).where(
        col(BookLine.transaction_id).in_([one for one in moves if one.startswith("passed_on:")]),
        col(BookLine.account) == Account.CHARITY.value,
    )
    found = session.exec(query).all()
    return {move: owner.removeprefix(payees.CHARITY_PREFIX) for move, owner in found}


def _moves(
    rows: list[tuple[BookLine, BookTransaction]], charities: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the moves of the book's lines; about: an order, a transfer, or a charity's code."""
    for line, transaction in rows:
        kind, _, about = transaction.id.partition(":")
        yield {
            "at": transaction.at,
            "kind": KINDS.get(kind, kind),
            "about": transaction.order_id
            or charities.get(transaction.id)
            or about.partition(":")[0],
            "amount": -line.amount,
            "currency": line.currency,
        }


def _gifts(given: list[Share]) -> Iterator[dict[str, Any]]:
    for share in given:
        yield {
            "at": share.created_at,
            "kind": GIVEN,
            "about": share.order_id,
            "amount": 0,
            "currency": share.currency,
        }


def _lines(
    moves: Iterable[dict[str, Any]], entries: dict[str, int | None]
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return the lines with what was owed after each, and what is owed now where any was."""
    balances: dict[str, int] = {}
    lines = []
    for move in moves:
        currency, index = move["currency"], entries.get(str(move["about"]))
        balance = balances.get(currency, 0) + move["amount"]
        if move["kind"] != GIVEN:
            balances[currency] = balance
        lines.append({**move, "balance": balance, "index": index})
    return lines, balances


def _totals(lines: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for line in lines:
        found = totals.setdefault(line["currency"], {})
        found[line["kind"]] = found.get(line["kind"], 0) + line["amount"]
    return totals


def payouts_of(services: Services, party: str) -> list[dict[str, Any]]:
    """Return a party's payouts, newest first, each with what proves it against its entry."""
    with services.db.read() as session:
        return [
            {**_payout_view(session, one), "proof": payouts.proof_of(services, session, one)}
            for one in payouts.payouts_of(session, party)
        ]


def _payout_view(session: Session, payout: Payout) -> dict[str, Any]:
    batch = session.get_one(PayoutBatch, payout.batch_id)
    query = select(OutboxRow.posted_index).where(col(OutboxRow.dedupe) == f"payout:{batch.id}")
    return {
        "payout": payout.id,
        "batch": batch.id,
        "period": batch.period,
        "amount": payout.amount,
        "reversed": payout.reversed,
        "currency": payout.currency,
        "state": payout.state,
        "at": payout.changed_at,
        "index": session.exec(query).first(),
    }


def as_csv(value: dict[str, Any]) -> str:
    """Return a statement as CSV (RFC 4180); amounts are plain decimals of the currency."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for line in value["lines"]:
        money = line["currency"]
        writer.writerow(
            (
                datetime.fromtimestamp(line["at"] / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                line["kind"],
                line["about"],
                currencies.decimal(line["amount"], money),
                currencies.decimal(line["balance"], money),
                money.upper(),
                "" if line["index"] is None else line["index"],
            )
        )
    return out.getvalue()
