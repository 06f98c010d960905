"""Money: in, back, taken back, out, and the book of it all."""

from typing import Any, ClassVar

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from marketplace.tables.base import Table, big, json_column


class Payment(Table, table=True):
    """Money in for one order: state "open", "received", "surplus", "refunded" or "closed".

    amount is the order's part; tax came on top and is in neither the order nor the ledger.
    reference_salt keeps `reference_commitment` on the ledger from being guessed. provider
    "bank-transfer" is an invoice: checkout_id is its number, purchase_order the buyer's own.
    """

    __tablename__: ClassVar[str] = "payments"
    id: str = Field(primary_key=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    provider: str
    checkout_id: str = Field(unique=True)
    checkout_url: str
    intent_id: str | None = Field(default=None, unique=True)
    refund_id: str | None = Field(default=None, unique=True)
    idempotency_key: str = Field(unique=True)
    state: str = Field(default="open", index=True)
    amount: int = big()
    tax: int = big(default=0)
    currency: str
    receipt_url: str | None = None
    method: str | None = None
    purchase_order: str | None = None
    reference_salt: str
    created_at: int = big()
    changed_at: int = big()


class Refund(Table, table=True):
    """Money that goes back: state planned, sent, failed or cancelled; written before it is asked.

    amount includes tax; net is the order's part. reason: order, surplus, fewer_people, outside.
    attempts: how often the provider said no; each attempt has its own idempotency key.
    """

    __tablename__: ClassVar[str] = "refunds"
    id: str = Field(primary_key=True)
    payment_id: str = Field(foreign_key="payments.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    amount: int = big()
    net: int = big()
    currency: str
    reason: str
    state: str = Field(default="planned", index=True)
    provider_id: str | None = Field(default=None, unique=True)
    attempts: int = 0
    error: str | None = None
    created_at: int = big()
    changed_at: int = big()


class Dispute(Table, table=True):
    """A buyer's bank took a payment back: state "open", "won" or "lost". id is the provider's.

    escrow: what the order still held of it when the case was lost; the rest is our loss.
    """

    __tablename__: ClassVar[str] = "disputes"
    id: str = Field(primary_key=True)
    payment_id: str = Field(foreign_key="payments.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    amount: int = big()
    fee: int = big(default=0)
    escrow: int = big(default=0)
    currency: str
    reason: str
    state: str = Field(default="open", index=True)
    opened_at: int = big()
    closed_at: int | None = big(default=None)


class Charity(Table, table=True):
    """Who may be passed a share: a public code and name, made by an operator."""

    __tablename__: ClassVar[str] = "charities"
    code: str = Field(primary_key=True)
    name: str
    created_at: int = big()


class Payee(Table, table=True):
    """How a party (or "charity:<code>") is paid: mode "bank", or "charity" to pass it on.

    ready: the provider says transfers reach the account. No name, no bank detail: Stripe has those.
    """

    __tablename__: ClassVar[str] = "payees"
    party: str = Field(primary_key=True)
    mode: str = "bank"
    charity: str | None = Field(default=None, foreign_key="charities.code")
    account_id: str | None = Field(default=None, unique=True)
    ready: bool = False
    submitted: bool = False
    changed_at: int = big()


class PayoutBatch(Table, table=True):
    """All payouts of one period and currency: state "sending" or "closed" (its entry is signed)."""

    __tablename__: ClassVar[str] = "payout_batches"
    __table_args__ = (UniqueConstraint("period", "currency"),)
    id: str = Field(primary_key=True)
    period: str
    currency: str
    state: str = Field(default="sending", index=True)
    created_at: int = big()


class Payout(Table, table=True):
    """One transfer to one payee: state "planned", "sent" or "failed"; planned before it is sent.

    reversed: what came back. announced: how much of that the ledger knows. position, salt: its
    leaf under the batch's root.
    """

    __tablename__: ClassVar[str] = "payouts"
    __table_args__ = (UniqueConstraint("batch_id", "party"),)
    id: str = Field(primary_key=True)
    batch_id: str = Field(foreign_key="payout_batches.id", index=True)
    party: str = Field(index=True)
    account_id: str
    amount: int = big()
    currency: str
    state: str = Field(default="planned", index=True)
    transfer_id: str | None = Field(default=None, unique=True)
    reversed: int = big(default=0)
    announced: int = big(default=0)
    error: str | None = None
    salt: str
    position: int | None = None
    created_at: int = big()
    changed_at: int = big()


class Reconciliation(Table, table=True):
    """One comparison of book, ledger and provider: what differed and what was done about it."""

    __tablename__: ClassVar[str] = "reconciliations"
    id: int | None = Field(default=None, primary_key=True)
    at: int = big(index=True)
    ok: bool
    report: dict[str, Any] = json_column()


class WebhookEvent(Table, table=True):
    """A provider event: its id is unique, so acting twice is impossible. state: new or done.

    object_id is all that is believed of it: what happened is fetched again.
    """

    __tablename__: ClassVar[str] = "webhook_events"
    id: str = Field(primary_key=True)
    type: str
    object_id: str = ""
    state: str = Field(default="done", index=True)
    happened_at: int = big(default=0)  # seconds, by the provider's clock
    received_at: int = big()


class BookTransaction(Table, table=True):
    """One balanced posting of the double-entry book; append-only. Its id says what it records."""

    __tablename__: ClassVar[str] = "book_transactions"
    id: str = Field(primary_key=True)
    order_id: str | None = Field(default=None, foreign_key="orders.id", index=True)
    memo: str
    at: int = big()


class BookLine(Table, table=True):
    """One line of a posting: positive amounts are debits, negative ones credits."""

    __tablename__: ClassVar[str] = "book_lines"
    __table_args__ = (Index("ix_book_lines_slot", "account", "owner", "currency"),)
    id: int | None = Field(default=None, primary_key=True)
    transaction_id: str = Field(foreign_key="book_transactions.id", index=True)
    account: str
    owner: str = Field(default="", index=True)
    amount: int = big()
    currency: str


class Share(Table, table=True):
    """One owner's share of one settlement; leaf = HMAC(salt, canonical share), see settlement.

    given: the owner's terms asked nothing for the order, so the amount is 0.
    """

    __tablename__: ClassVar[str] = "shares"
    __table_args__ = (
        UniqueConstraint("order_id", "position"),
        UniqueConstraint("order_id", "owner"),
    )
    id: int | None = Field(default=None, primary_key=True)
    order_id: str = Field(foreign_key="orders.id")
    owner: str = Field(index=True)
    position: int
    amount: int = big()
    currency: str
    salt: str
    given: bool = False
    created_at: int = big()
