"""Keeps the double-entry book in the database: append-only rows, one posting exactly once.

What an account holds is a sum over an index, so checking a posting costs the same however large
the market is. Rules and arithmetic are in `marketplace.book`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import func
from sqlmodel import Session, col, select

from marketplace.book import Account, BookError, Posting, Slot, Transaction, check_owed, lowered
from marketplace.tables import METADATA, BookLine, BookTransaction

# The statements of many rows go past the ORM, which takes as long as the database itself.
_HEADS = METADATA.tables["book_transactions"].insert()
_LINES = METADATA.tables["book_lines"].insert()
_TOTALS = select(BookLine.currency, BookLine.account, func.sum(col(BookLine.amount))).group_by(
    col(BookLine.currency), col(BookLine.account)
)


def record(session: Session, transaction: Transaction, order_id: str | None = None) -> bool:
    """Post a transaction once; tell whether it was new. Raises BookError.

    The caller holds what it takes from locked (the order's row, or the leader's lease), so two
    postings never check against one balance.
    """
    return record_all(session, [(transaction, order_id)]) == 1


def record_all(session: Session, entries: Sequence[tuple[Transaction, str | None]]) -> int:
    """Post transactions (each with its order), once each; return how many were new.

    Each is checked against what those before it left. Raises BookError.
    """
    query = select(BookTransaction.id).where(
        col(BookTransaction.id).in_([t.id for t, _o in entries])
    )
    known = set(session.exec(query).all())
    taken_from = {slot for transaction, _order in entries for slot in lowered(transaction)}
    balances, fresh = _balances(session, sorted(taken_from)), []
    for transaction, order_id in entries:
        if transaction.id in known:
            if _lines(session, transaction.id) != transaction.lines:
                raise BookError(f"Transaction {transaction.id} was posted with other lines.")
            continue
        check_owed(balances, transaction)
        for line in transaction.lines:
            if line.slot in balances:
                balances[line.slot] += line.amount
        known.add(transaction.id)
        fresh.append((transaction, order_id))
    if fresh:
        written = session.connection()
        written.execute(_HEADS, [_head(*one) for one in fresh])
        rows = [_row(one.id, line) for one, _order in fresh for line in one.lines]
        written.execute(_LINES, rows)
    return len(fresh)


def _head(transaction: Transaction, order_id: str | None) -> dict[str, object]:
    return {
        "id": transaction.id,
        "order_id": order_id,
        "memo": transaction.memo,
        "at": int(transaction.time.timestamp() * 1000),
    }


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
    found = dict.fromkeys(slots, 0)
    if not found:
        return found
    query = (
        select(BookLine.account, BookLine.owner, BookLine.currency, func.sum(col(BookLine.amount)))
        .where(
            col(BookLine.account).in_({account.value for account, _owner, _currency in slots}),
            col(BookLine.owner).in_({owner for _account, owner, _currency in slots}),
        )
        .group_by(col(BookLine.account), col(BookLine.owner), col(BookLine.currency))
    )
    for account, owner, currency, total in session.exec(query):
        if (slot := (Account(account), owner, currency)) in found:
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
