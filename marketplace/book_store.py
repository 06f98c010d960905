"""Keeps the double-entry book in the database: append-only rows, one posting exactly once.

What an account holds is a sum over an index, so checking a posting costs the same however large
the market is. Rules and arithmetic are in `marketplace.book`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, insert
from sqlmodel import Session, col, select

from marketplace.book import Account, BookError, Posting, Slot, Transaction, check_owed, lowered
from marketplace.tables import BookLine, BookTransaction

_TOTALS = select(BookLine.currency, BookLine.account, func.sum(col(BookLine.amount))).group_by(
    col(BookLine.currency), col(BookLine.account)
)


def record(session: Session, transaction: Transaction, order_id: str | None = None) -> bool:
    """Post a transaction once; tell whether it was new. Raises BookError.

    The caller holds what it takes from locked (the order's row, or the leader's lease), so two
    postings never check against one balance.
    """
    if session.get(BookTransaction, transaction.id) is not None:
        if _lines(session, transaction.id) != transaction.lines:
            raise BookError(f"Transaction {transaction.id} was posted with other lines.")
        return False
    check_owed(_balances(session, lowered(transaction)), transaction)
    at = int(transaction.time.timestamp() * 1000)
    session.add(BookTransaction(id=transaction.id, order_id=order_id, memo=transaction.memo, at=at))
    session.flush()
    session.execute(insert(BookLine), [_row(transaction.id, line) for line in transaction.lines])
    return True


def _row(transaction: str, line: Posting) -> dict[str, object]:
    return {
        "transaction_id": transaction,
        "account": line.account.value,
        "owner": line.owner,
        "amount": line.amount,
        "currency": line.currency,
    }


def _lines(session: Session, transaction: str) -> tuple[Posting, ...]:
    rows = session.exec(select(BookLine).where(col(BookLine.transaction_id) == transaction)).all()
    lines = (Posting(Account(row.account), row.currency, row.amount, row.owner) for row in rows)
    return tuple(sorted(lines))


def _balances(session: Session, slots: Sequence[Slot]) -> dict[Slot, int]:
    found: dict[Slot, int] = {}
    for slot in slots:
        account, owner, currency = slot
        total = session.exec(
            select(func.coalesce(func.sum(col(BookLine.amount)), 0)).where(
                col(BookLine.account) == account.value,
                col(BookLine.owner) == owner,
                col(BookLine.currency) == currency,
            )
        ).one()
        found[slot] = int(total)
    return found


def is_posted(session: Session, transaction: str) -> bool:
    """Tell whether a transaction of this id was posted."""
    return session.get(BookTransaction, transaction) is not None


def balance(session: Session, account: Account, owner: str, currency: str) -> int:
    """Return what one slot holds in minor units; what we owe is positive."""
    slot = (account, owner, currency)
    return -_balances(session, [slot])[slot]


def owed_before(session: Session, account: Account, before: int) -> dict[tuple[str, str], int]:
    """Return what everybody is owed of what was booked before a time (ms), by owner and currency.

    Everything taken since counts too, so that nothing is paid twice. Positive balances only.
    """
    earned = (col(BookTransaction.at) < before) | (col(BookLine.amount) > 0)
    total = func.sum(col(BookLine.amount))
    query = (
        select(BookLine.owner, BookLine.currency, total)
        .join(BookTransaction)
        .where(col(BookLine.account) == account.value, earned)
        .group_by(col(BookLine.owner), col(BookLine.currency))
        .having(total < 0)
    )
    return {(owner, currency): -int(amount) for owner, currency, amount in session.exec(query)}


def trial_balance(session: Session) -> dict[str, dict[Account, int]]:
    """Return per currency each account's total, debits positive; each currency sums to zero."""
    totals: dict[str, Counter[Account]] = {}
    for currency, account, amount in session.exec(_TOTALS):
        totals.setdefault(currency, Counter())[Account(account)] += int(amount)
    return {
        currency: {account: found[account] for account in Account if found[account]}
        for currency, found in sorted(totals.items())
    }


def unbalanced(session: Session) -> list[str]:
    """Return the transactions whose lines do not sum to zero: never any, unless somebody wrote."""
    query = (
        select(BookLine.transaction_id)
        .group_by(col(BookLine.transaction_id), col(BookLine.currency))
        .having(func.sum(col(BookLine.amount)) != 0)
    )
    return list(session.exec(query))


def by_kind(session: Session, account: Account) -> Mapping[tuple[str, str], int]:
    """Return an account's total by currency and kind of transaction (the word before the colon)."""
    totals: Counter[tuple[str, str]] = Counter()
    query = select(BookLine.currency, BookLine.transaction_id, BookLine.amount).where(
        col(BookLine.account) == account.value
    )
    for currency, transaction, amount in session.exec(query):
        totals[currency, transaction.partition(":")[0]] += amount
    return totals


def moment(ms: int) -> datetime:
    """Return a time in ms as an aware datetime."""
    return datetime.fromtimestamp(ms / 1000, UTC)
