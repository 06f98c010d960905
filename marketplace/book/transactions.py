"""Named transactions: each thing that happens to money, as balanced lines.

Ids are derived from what they record, so the same event posted again is a no-op. Pure.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from marketplace.book.core import (
    CLEARING,
    FEE_ACCOUNTS,
    OWED,
    Account,
    BookError,
    Posting,
    Transaction,
)


def payment_received(
    order: str,
    amount: int,
    currency: str,
    *,
    time: datetime,
    payment: str,
    fee: int = 0,
    tax: int = 0,
    into: Account = Account.STRIPE_CLEARING,
) -> Transaction:
    """Return: an order was paid into escrow; Stripe's own `fee` is our expense, not the order's.

    `tax` came on top of `amount` and is owed to the state.
    """
    _check_amounts(into, CLEARING, amount + tax, fee)
    lines = [
        *_line(into, currency, amount + tax - fee),
        *_line(Account.PROCESSING_FEES, currency, fee),
        *_line(Account.ESCROW, currency, -amount, order),
        *_line(Account.TAX_PAYABLE, currency, -tax),
    ]
    return Transaction(f"payment:{payment}", time, tuple(lines), f"order {order} paid")


def order_refunded(
    order: str, amount: int, currency: str, *, time: datetime, refund: str, tax: int = 0,
    lost: int = 0,
) -> Transaction:  # fmt: skip
    """Return: a refund was decided; it leaves escrow and is owed to the buyer until sent.

    `tax` goes back on top of `amount`; `lost` of `amount` the order no longer held: our loss.
    """
    _check_amounts(Account.ESCROW, OWED, amount, lost)
    lines = [
        *_line(Account.ESCROW, currency, amount - lost, order),
        *_line(Account.DISPUTE_LOSS, currency, lost),
        *_line(Account.TAX_PAYABLE, currency, tax),
        *_line(Account.REFUNDS_PAYABLE, currency, -amount - tax, order),
    ]
    return Transaction(f"refund:{refund}", time, tuple(lines), f"order {order} refunded")


def refund_sent(
    order: str,
    amount: int,
    currency: str,
    *,
    time: datetime,
    refund: str,
    out_of: Account = Account.STRIPE_CLEARING,
) -> Transaction:
    """Return: Stripe (or the bank) gave the buyer the money of a decided refund."""
    _check_amounts(out_of, CLEARING, amount)
    lines = [
        *_line(Account.REFUNDS_PAYABLE, currency, amount, order),
        *_line(out_of, currency, -amount),
    ]
    return Transaction(f"refund_sent:{refund}", time, tuple(lines), f"refund of order {order} sent")


def refund_returned(
    order: str, amount: int, currency: str, *, time: datetime, refund: str
) -> Transaction:
    """Return: a refund that was sent came back (a closed card); the buyer is owed it again."""
    _check_amounts(Account.REFUNDS_PAYABLE, OWED, amount)
    lines = [
        *_line(Account.STRIPE_CLEARING, currency, amount),
        *_line(Account.REFUNDS_PAYABLE, currency, -amount, order),
    ]
    return Transaction(f"refund_returned:{refund}", time, tuple(lines), f"refund {refund} returned")


def refund_cancelled(
    order: str, amount: int, currency: str, *, time: datetime, refund: str, tax: int = 0
) -> Transaction:
    """Return: a decided refund will not be sent (the buyer's bank took the money back instead)."""
    _check_amounts(Account.ESCROW, OWED, amount)
    lines = [
        *_line(Account.REFUNDS_PAYABLE, currency, amount + tax, order),
        *_line(Account.ESCROW, currency, -amount, order),
        *_line(Account.TAX_PAYABLE, currency, -tax),
    ]
    return Transaction(f"refund_cancelled:{refund}", time, tuple(lines), f"refund {refund} dropped")


def recovered_id(loss: str) -> str:
    """Return the id of the transaction that covers a loss (a dispute's or a refund's id)."""
    return f"loss_recovered:{loss}"


def loss_recovered(
    loss: str, order: str, amount: int, currency: str, *, time: datetime
) -> Transaction:
    """Return: what an order that ended still held covers a loss booked while it was going on."""
    _check_amounts(Account.ESCROW, OWED, amount)
    lines = [
        *_line(Account.ESCROW, currency, amount, order),
        *_line(Account.DISPUTE_LOSS, currency, -amount),
    ]
    return Transaction(recovered_id(loss), time, tuple(lines), f"loss {loss} recovered")


def share_passed_on(
    owner: str, charity: str, amount: int, currency: str, *, time: datetime, period: str
) -> Transaction:
    """Return: what an owner was owed is owed to the charity it chose instead."""
    _check_amounts(Account.OWNERS_PAYABLE, OWED, amount)
    lines = [
        *_line(Account.OWNERS_PAYABLE, currency, amount, owner),
        *_line(Account.CHARITY, currency, -amount, charity),
    ]
    return Transaction(
        f"passed_on:{period}:{currency}:{owner}", time, tuple(lines), f"passed on in {period}"
    )


def platform_payout(amount: int, currency: str, *, time: datetime, payout: str) -> Transaction:
    """Return: Stripe paid our own balance out to our bank."""
    _check_amounts(Account.STRIPE_CLEARING, CLEARING, amount)
    lines = [
        *_line(Account.BANK_CLEARING, currency, amount),
        *_line(Account.STRIPE_CLEARING, currency, -amount),
    ]
    return Transaction(f"platform_payout:{payout}", time, tuple(lines), f"payout {payout} to us")


def order_settled(
    order: str,
    currency: str,
    shares: Mapping[str, int],
    fees: Mapping[Account, int],
    *,
    time: datetime,
    charity_shares: Mapping[str, int] | None = None,
) -> Transaction:
    """Return: an order's escrow became what owners and charities are owed and our fees.

    `shares` by owner (see `split`), `fees` by PLATFORM_INCOME and COMPUTE_FEE, `charity_shares` by
    charity for owners who pass theirs on; minor units, zeros left out. One settlement per order.
    """
    charities = charity_shares or {}
    if not set(fees) <= FEE_ACCOUNTS:
        raise BookError(f"Fees go to {', '.join(sorted(FEE_ACCOUNTS))} only.")
    amounts = [*shares.values(), *fees.values(), *charities.values()]
    if any(type(amount) is not int or amount < 0 for amount in amounts):
        raise BookError(f"Order {order}: shares and fees must be whole amounts, zero or more.")
    lines = _line(Account.ESCROW, currency, sum(amounts), order)
    for owner, amount in shares.items():
        lines += _line(Account.OWNERS_PAYABLE, currency, -amount, owner)
    for charity, amount in charities.items():
        lines += _line(Account.CHARITY, currency, -amount, charity)
    for account, amount in fees.items():
        lines += _line(account, currency, -amount)
    return Transaction(f"settlement:{order}", time, tuple(lines), f"order {order} settled")


def payout_sent(
    owner: str,
    amount: int,
    currency: str,
    *,
    time: datetime,
    transfer: str,
    account: Account = Account.OWNERS_PAYABLE,
) -> Transaction:
    """Return: an owner (or a charity) was sent what it was owed."""
    _check_amounts(account, {Account.OWNERS_PAYABLE, Account.CHARITY}, amount)
    lines = [
        *_line(account, currency, amount, owner),
        *_line(Account.STRIPE_CLEARING, currency, -amount),
    ]
    return Transaction(f"payout:{transfer}", time, tuple(lines), f"payout {transfer} sent")


def payout_reversed(
    owner: str,
    amount: int,
    currency: str,
    *,
    time: datetime,
    reversal: str,
    account: Account = Account.OWNERS_PAYABLE,
) -> Transaction:
    """Return: a transfer came back; the owner is owed the money again."""
    _check_amounts(account, {Account.OWNERS_PAYABLE, Account.CHARITY}, amount)
    lines = [
        *_line(Account.STRIPE_CLEARING, currency, amount),
        *_line(account, currency, -amount, owner),
    ]
    return Transaction(f"payout_reversed:{reversal}", time, tuple(lines), f"reversal {reversal}")


def dispute_opened(
    dispute: str, amount: int, currency: str, *, time: datetime, fee: int = 0
) -> Transaction:
    """Return: a card's bank took a payment back while the case is open, and Stripe its fee."""
    _check_amounts(Account.STRIPE_CLEARING, CLEARING, amount, fee)
    lines = [
        *_line(Account.DISPUTED, currency, amount),
        *_line(Account.PROCESSING_FEES, currency, fee),
        *_line(Account.STRIPE_CLEARING, currency, -amount - fee),
    ]
    return Transaction(f"dispute_opened:{dispute}", time, tuple(lines), f"dispute {dispute} opened")


def dispute_won(dispute: str, amount: int, currency: str, *, time: datetime) -> Transaction:
    """Return: the disputed money came back."""
    _check_amounts(Account.STRIPE_CLEARING, CLEARING, amount)
    lines = [
        *_line(Account.STRIPE_CLEARING, currency, amount),
        *_line(Account.DISPUTED, currency, -amount),
    ]
    return Transaction(f"dispute_closed:{dispute}", time, tuple(lines), f"dispute {dispute} won")


def dispute_lost(
    dispute: str, order: str, amount: int, currency: str, *, time: datetime, from_escrow: int
) -> Transaction:
    """Return: the disputed money is gone; `from_escrow` of it was still the order's, the rest is
    our loss (owners already paid keep their share). Won and lost share one id: a case ends once.
    """
    _check_amounts(Account.ESCROW, OWED, amount, from_escrow)
    lines = [
        *_line(Account.ESCROW, currency, from_escrow, order),
        *_line(Account.DISPUTE_LOSS, currency, amount - from_escrow),
        *_line(Account.DISPUTED, currency, -amount),
    ]
    return Transaction(f"dispute_closed:{dispute}", time, tuple(lines), f"dispute {dispute} lost")


def _line(account: Account, currency: str, amount: int, owner: str = "") -> list[Posting]:
    return [Posting(account, currency, amount, owner)] if amount else []


def _check_amounts(
    account: Account, allowed: Iterable[Account], amount: int, part: int = 0
) -> None:
    if account not in set(allowed):
        raise BookError(f"{account} cannot take part in this transaction.")
    if type(amount) is not int or type(part) is not int or not 0 <= part <= amount or amount < 1:
        raise BookError("Amounts must be whole and positive, and a part no larger than the whole.")
