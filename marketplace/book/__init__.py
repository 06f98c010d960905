"""Double-entry book of the marketplace's money: exact integers, append-only, always balanced.

Rules, in the order they are applied by `post`:
1. amounts are integers in the currency's minor unit; a debit is positive, a credit negative;
2. a transaction's lines sum to zero in every currency;
3. the same id with the same lines is posted once (a no-op the second time); the same id with
   other lines is an error;
4. what is owed (escrow of an order, refunds of an order, what an owner or a charity is owed) never
   goes below nothing: an order cannot be refunded or settled beyond what was paid for it, and an
   owner cannot be paid twice.

Pure: no clock, no database, no Stripe. Keeping the transactions is the caller's job; a book is
rebuilt by posting them again in order (`book_store` keeps them and checks rule 4 by its sums).
"""

from marketplace.book.core import (
    CLEARING,
    FEE_ACCOUNTS,
    OWED,
    Account,
    Book,
    BookError,
    Posting,
    Slot,
    Transaction,
    balance,
    check_owed,
    lowered,
    post,
    rebuild,
    trial_balance,
)
from marketplace.book.splitting import split
from marketplace.book.transactions import (
    dispute_lost,
    dispute_opened,
    dispute_won,
    loss_recovered,
    order_refunded,
    order_settled,
    payment_received,
    payout_reversed,
    payout_sent,
    platform_payout,
    recovered_id,
    refund_cancelled,
    refund_returned,
    refund_sent,
    share_passed_on,
)

__all__ = [
    "CLEARING",
    "FEE_ACCOUNTS",
    "OWED",
    "Account",
    "Book",
    "BookError",
    "Posting",
    "Slot",
    "Transaction",
    "balance",
    "check_owed",
    "dispute_lost",
    "dispute_opened",
    "dispute_won",
    "loss_recovered",
    "lowered",
    "order_refunded",
    "order_settled",
    "payment_received",
    "payout_reversed",
    "payout_sent",
    "platform_payout",
    "post",
    "rebuild",
    "recovered_id",
    "refund_cancelled",
    "refund_returned",
    "refund_sent",
    "share_passed_on",
    "split",
    "trial_balance",
]
