"""Keeps the double-entry book in the database: append-only rows, one posting exactly once.

Only the transactions of the order at hand are read back to check a posting against what the order
holds, so the cost does not grow with the market. Rules and arithmetic are in `marketplace.book`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlmodel import Session, col, select

from marketplace.book import Account, Book, Posting, Transaction, post, rebuild
from marketplace.tables import BookLine, BookTransaction


def record(session: Session, transaction: Transaction, order_id: str) -> bool:
    """Post a transaction of an order once; tell whether it was new. Raises BookError.

    The caller holds the order's row locked, so two postings never check against one balance.
    """
    if not post(order_book(session, order_id), transaction):
        return False
    at = int(transaction.time.timestamp() * 1000)
    session.add(BookTransaction(id=transaction.id, order_id=order_id, memo=transaction.memo, at=at))
    session.flush()
    session.add_all(
        BookLine(
            transaction_id=transaction.id,
            account=line.account.value,
            owner=line.owner,
            amount=line.amount,
            currency=line.currency,
        )
        for line in transaction.lines
    )
    session.flush()
    return True


def order_book(session: Session, order_id: str) -> Book:
    """Return the book of one order's transactions, in the order they were posted."""
    return _book(session, col(BookTransaction.order_id) == order_id)


def whole_book(session: Session) -> Book:
    """Return every transaction as one book, for the trial balance."""
    return _book(session)


def _book(session: Session, *where: object) -> Book:
    headers = session.exec(
        select(BookTransaction)
        .where(*where)  # type: ignore[arg-type]
        .order_by(col(BookTransaction.at), col(BookTransaction.id))
    ).all()
    lines = session.exec(
        select(BookLine)
        .join(BookTransaction)
        .where(*where)  # type: ignore[arg-type]
        .order_by(col(BookLine.id))
    ).all()
    by_id: dict[str, list[Posting]] = {}
    first: dict[str, int] = {}
    for line in lines:
        posting = Posting(Account(line.account), line.currency, line.amount, line.owner)
        by_id.setdefault(line.transaction_id, []).append(posting)
        first.setdefault(line.transaction_id, line.id or 0)
    # Lines are numbered as they are written: the order of posting, whatever the clock said.
    return rebuild(_transactions(sorted(headers, key=lambda h: first[h.id]), by_id))


def _transactions(
    headers: Iterable[BookTransaction], lines: dict[str, list[Posting]]
) -> Iterable[Transaction]:
    for header in headers:
        yield Transaction(header.id, moment(header.at), tuple(lines[header.id]), header.memo)


def moment(ms: int) -> datetime:
    """Return a time in ms as an aware datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)
