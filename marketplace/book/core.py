"""Accounts, balanced transactions and the one way to post them (rules: the package docstring)."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from marketplace.errors import MarketError


class BookError(MarketError):
    """A transaction that cannot be posted, or a split that cannot be made."""

    slug, title = "book", "The book refuses this"


class Account(StrEnum):
    """Every account of the book. `owner` of a posting names the party within the account."""

    STRIPE_CLEARING = "stripe_clearing"  # our money at Stripe (asset)
    BANK_CLEARING = "bank_clearing"  # bank transfers received for invoices (asset)
    DISPUTED = "disputed"  # withdrawn by a card's bank, case open (asset)
    ESCROW = "escrow"  # paid, not yet earned; owner = order id (liability)
    OWNERS_PAYABLE = "owners_payable"  # owner = data owner (liability)
    CHARITY = "charity"  # shares passed on; owner = charity (liability)
    REFUNDS_PAYABLE = "refunds_payable"  # decided, not yet sent; owner = order id (liability)
    PLATFORM_INCOME = "platform_income"  # (income)
    COMPUTE_FEE = "compute_fee"  # (income)
    PROCESSING_FEES = "processing_fees"  # Stripe's own fees (expense)
    DISPUTE_LOSS = "dispute_loss"  # chargebacks lost after settlement (expense)
    TAX_PAYABLE = "tax_payable"  # tax that came on top of a price, owed to the state (liability)


OWED = frozenset({Account.ESCROW, Account.OWNERS_PAYABLE, Account.CHARITY, Account.REFUNDS_PAYABLE})
CLEARING = frozenset({Account.STRIPE_CLEARING, Account.BANK_CLEARING})
FEE_ACCOUNTS = frozenset({Account.PLATFORM_INCOME, Account.COMPUTE_FEE})
CREDIT = OWED | FEE_ACCOUNTS | {Account.TAX_PAYABLE}
_CURRENCY = re.compile(r"\A[a-z]{3}\Z")

Slot = tuple[Account, str, str]
"""An account, the party within it ('' for none) and a currency: what has one balance."""


@dataclass(frozen=True, slots=True, order=True)
class Posting:
    """One line: `amount` in minor units, debit positive, credit negative, never zero."""

    account: Account
    currency: str
    amount: int
    owner: str = ""

    def __post_init__(self) -> None:
        if type(self.amount) is not int or self.amount == 0:
            raise BookError(f"A posting to {self.account} must be a whole amount other than zero.")
        if not _CURRENCY.match(self.currency):
            raise BookError(
                f"Currency must be three lower-case letters, not {self.currency[:8]!r}."
            )
        if (self.account in OWED) != bool(self.owner):
            rule = "needs" if self.account in OWED else "takes no"
            raise BookError(f"A posting to {self.account} {rule} owner.")

    @property
    def slot(self) -> Slot:
        """Return the balance it moves: account, its owner, currency."""
        return self.account, self.owner, self.currency


@dataclass(frozen=True, slots=True)
class Transaction:
    """Balanced lines under one id; lines are kept sorted, so their order never matters."""

    id: str
    time: datetime
    lines: tuple[Posting, ...]
    memo: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(sorted(self.lines)))
        if not self.id or not self.lines:
            raise BookError("A transaction needs an id and at least two lines.")
        if self.time.tzinfo is None:
            raise BookError(f"Transaction {self.id}: its time needs a time zone.")
        off = {currency: total for currency, total in _totals(self.lines).items() if total}
        if off:
            raise BookError(f"Transaction {self.id} does not balance: {off} left over.")


def _totals(lines: Iterable[Posting]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for line in lines:
        totals[line.currency] += line.amount
    return dict(totals)


@dataclass(slots=True)
class Book:
    """The transactions posted so far, in order, and the balance of every slot."""

    _posted: dict[str, Transaction] = field(default_factory=dict)
    _balances: Counter[Slot] = field(default_factory=Counter)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._posted.values())

    def __len__(self) -> int:
        return len(self._posted)

    def balance(self, account: Account, owner: str = "", *, currency: str) -> int:
        """Return one slot's balance in minor units; an owed amount is positive when we owe it."""
        amount = self._balances[account, owner, currency]
        return -amount if account in CREDIT else amount


def post(book: Book, transaction: Transaction) -> bool:
    """Post a transaction once; say whether it was new.

    Raises BookError, with the book unchanged, on another transaction under the same id or when an
    owed amount would go below nothing.
    """
    known = book._posted.get(transaction.id)
    if known is not None:
        if known.lines != transaction.lines:
            raise BookError(f"Transaction {transaction.id} was posted with other lines.")
        return False
    check_owed(book._balances, transaction)
    book._balances.update(_moved(transaction))
    book._posted[transaction.id] = transaction
    return True


def _moved(transaction: Transaction) -> Counter[Slot]:
    moved: Counter[Slot] = Counter()
    for line in transaction.lines:
        moved[line.slot] += line.amount
    return moved


def lowered(transaction: Transaction) -> list[Slot]:
    """Return the owed slots a transaction takes from: those whose balance must be known first."""
    moved = _moved(transaction).items()
    return [slot for slot, amount in moved if slot[0] in OWED and amount > 0]


def check_owed(balances: Mapping[Slot, int], transaction: Transaction) -> None:
    """Refuse to take more than is owed. balances: debits positive. Raises BookError."""
    moved = _moved(transaction)
    for slot in lowered(transaction):
        account, owner, currency = slot
        owed = -balances.get(slot, 0)
        if moved[slot] > owed:
            raise BookError(
                f"Transaction {transaction.id} takes {moved[slot]} {currency} from {account} of"
                f" {owner}, which holds {owed}."
            )


def rebuild(transactions: Iterable[Transaction]) -> Book:
    """Return the book of transactions posted in this order. Raises BookError as `post` does."""
    book = Book()
    for transaction in transactions:
        post(book, transaction)
    return book


def balance(book: Book, account: Account, owner: str = "", *, currency: str) -> int:
    """Return one balance in minor units; what we owe or have earned is positive."""
    return book.balance(account, owner, currency=currency)


def trial_balance(book: Book) -> dict[str, dict[Account, int]]:
    """Return per currency each account's total, debits positive; each currency sums to zero."""
    totals: dict[str, Counter[Account]] = {}
    for (account, _owner, currency), amount in book._balances.items():
        totals.setdefault(currency, Counter())[account] += amount
    return {
        currency: {account: found[account] for account in Account if found[account]}
        for currency, found in sorted(totals.items())
    }
