"""The marketplace's tables. Rows are what the server remembers, never the authority for consent.

All times are Unix milliseconds (integers), all enums strings, all money minor units. No table has
a place for plaintext, for a decryption key, or for an attribute an owner did not publish.
Table models do not validate; what comes from outside passes through the models in `api/models`.
"""

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Column, Index, MetaData, UniqueConstraint
from sqlmodel import Field, SQLModel

from marketplace.orders import OrderState

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA = MetaData(naming_convention=NAMING)


class Table(SQLModel):
    """The base of every table here: its own metadata, so no other package's tables mix in."""

    metadata = METADATA


def _big(**options: Any) -> Any:
    """Return a 64-bit integer column: times and money outgrow 32 bits on PostgreSQL."""
    return Field(sa_type=BigInteger, **options)


def _json() -> Any:
    return Field(sa_type=JSON)


class Account(Table, table=True):
    """Who has ever signed in: the party id on the ledger and its role there."""

    __tablename__: ClassVar[str] = "accounts"
    party: str = Field(primary_key=True)
    role: str
    created_at: int = _big()


class Challenge(Table, table=True):
    """A one-time secret by its SHA-256: kind "challenge" (spent) or "link" (not spent yet)."""

    __tablename__: ClassVar[str] = "challenges"
    secret_sha256: str = Field(primary_key=True)
    party: str = Field(index=True)
    kind: str
    key: str = ""
    expires_at: int = _big(index=True)


class LoginSession(Table, table=True):
    """A session by the SHA-256 of its token; key is the fingerprint of the key that opened it.

    scopes: what the token may do, blank-separated ("read"); empty: everything its party may.
    """

    __tablename__: ClassVar[str] = "sessions"
    token_sha256: str = Field(primary_key=True)
    party: str = Field(foreign_key="accounts.party", index=True)
    role: str
    key: str
    scopes: str = ""
    expires_at: int = _big(index=True)


class KeptAnswer(Table, table=True):
    """The answer to a request that carried an Idempotency-Key; status 0: still being answered.

    id: SHA-256 of party and key; request: SHA-256 of method, path and body.
    """

    __tablename__: ClassVar[str] = "kept_answers"
    id: str = Field(primary_key=True)
    party: str = Field(index=True)
    request: str
    status: int
    body: str
    expires_at: int = _big(index=True)


class StoredObject(Table, table=True):
    """One object in the ciphertext store: state "staged", "active" or "doomed" (to be deleted)."""

    __tablename__: ClassVar[str] = "objects"
    key: str = Field(primary_key=True)
    sha256: str
    size: int = _big()
    state: str = Field(index=True)
    created_at: int = _big(index=True)


class Upload(Table, table=True):
    """An owner's staged upload of one dataset; the last one wins until it is activated."""

    __tablename__: ClassVar[str] = "uploads"
    dataset: str = Field(primary_key=True)
    owner: str = Field(index=True)
    object_key: str = Field(foreign_key="objects.key")
    created_at: int = _big(index=True)


class UploadPart(Table, table=True):
    """One part of a resumable upload; parts become one upload when the last has arrived."""

    __tablename__: ClassVar[str] = "upload_parts"
    dataset: str = Field(primary_key=True)
    number: int = Field(primary_key=True)
    owner: str = Field(index=True)
    object_key: str = Field(foreign_key="objects.key")
    created_at: int = _big(index=True)


class Passkey(Table, table=True):
    """A passkey that signs in, by its credential id; key: the ledger key that vouched for it."""

    __tablename__: ClassVar[str] = "passkeys"
    credential: str = Field(primary_key=True)
    party: str = Field(index=True)
    key: str
    public_key: str
    sign_count: int = _big()
    created_at: int = _big()
    used_at: int | None = _big(default=None)


class VaultCopy(Table, table=True):
    """A party's own keys and records as ciphertext only its holder opens; etag: its SHA-256."""

    __tablename__: ClassVar[str] = "vaults"
    party: str = Field(primary_key=True)
    body: str
    etag: str
    updated_at: int = _big()


class VaultLocator(Table, table=True):
    """By what a way in (passkey secret, printed code) finds its vault: 128 derived bits."""

    __tablename__: ClassVar[str] = "vault_locators"
    locator: str = Field(primary_key=True)
    party: str = Field(foreign_key="vaults.party", index=True)


class DatasetFile(Table, table=True):
    """Where the ciphertext of a dataset registered on the ledger lies."""

    __tablename__: ClassVar[str] = "datasets"
    dataset: str = Field(primary_key=True)
    owner: str = Field(index=True)
    object_key: str | None = Field(default=None, foreign_key="objects.key")
    state: str = "active"  # or "erased"
    registered_index: int | None = _big(default=None)
    activated_at: int = _big()


class DatasetReport(Table, table=True):
    """What compute last reported when it took in a dataset: "ingested", or why not."""

    __tablename__: ClassVar[str] = "dataset_reports"
    dataset: str = Field(primary_key=True)
    code: str
    at: int = _big()


class SharedFile(Table, table=True):
    """A dataset shared with one professional: a header for their key, or a part cut and encrypted.

    header: base64, for a whole dataset; object_key: a part's own file. token_sha256: of the secret
    in the link. fetched_at: Unix ms of the last download.
    """

    __tablename__: ClassVar[str] = "shared_files"
    share: str = Field(primary_key=True)
    owner: str = Field(index=True)
    dataset: str = Field(index=True)
    token_sha256: str
    header: str | None = None
    object_key: str | None = Field(default=None, foreign_key="objects.key")
    fetches: int = 0
    fetched_at: int | None = _big(default=None)
    created_at: int = _big()


class Quote(Table, table=True):
    """A price offered; body is what `sha256` covers, permitted counts stay out of it."""

    __tablename__: ClassVar[str] = "quotes"
    id: str = Field(primary_key=True)
    party: str = Field(index=True)
    body: dict[str, Any] = _json()
    sha256: str
    created_at: int = _big()
    valid_until: int = _big()
    order_id: str | None = Field(default=None, unique=True)


class Order(Table, table=True):
    """An order; `version` counts its steps, so two writers can never both take one."""

    __tablename__: ClassVar[str] = "orders"
    id: str = Field(primary_key=True)
    researcher: str = Field(index=True)
    quote_id: str = Field(foreign_key="quotes.id")
    state: str = Field(default=OrderState.DRAFTED.value, index=True)
    version: int = 0
    reason: str | None = None
    payload: dict[str, Any] = _json()
    placed_index: int = _big(unique=True)
    amount: int = _big()
    platform_fee: int = _big()
    compute_fee: int = _big()
    owners_total: int = _big()
    currency: str
    access: str | None = None
    draft_commitment: str | None = None
    created_at: int = _big(index=True)
    changed_at: int = _big()
    deadline: int = _big(index=True)


class OrderEventRow(Table, table=True):
    """One step of an order, for ever; ledger_index where the step stands on the ledger."""

    __tablename__: ClassVar[str] = "order_events"
    __table_args__ = (UniqueConstraint("order_id", "version"),)
    id: int | None = Field(default=None, primary_key=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    version: int
    event: str
    before: str
    after: str
    reason: str | None = None
    ledger_index: int | None = _big(default=None)
    at: int = _big()


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
    amount: int = _big()
    tax: int = _big(default=0)
    currency: str
    receipt_url: str | None = None
    method: str | None = None
    purchase_order: str | None = None
    reference_salt: str
    created_at: int = _big()
    changed_at: int = _big()


class Refund(Table, table=True):
    """Money that goes back: state planned, sent, failed or cancelled; written before it is asked.

    amount includes tax; net is the order's part. reason: order, surplus, fewer_people, outside.
    attempts: how often the provider said no; each attempt has its own idempotency key.
    """

    __tablename__: ClassVar[str] = "refunds"
    id: str = Field(primary_key=True)
    payment_id: str = Field(foreign_key="payments.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    amount: int = _big()
    net: int = _big()
    currency: str
    reason: str
    state: str = Field(default="planned", index=True)
    provider_id: str | None = Field(default=None, unique=True)
    attempts: int = 0
    error: str | None = None
    created_at: int = _big()
    changed_at: int = _big()


class Dispute(Table, table=True):
    """A buyer's bank took a payment back: state "open", "won" or "lost". id is the provider's.

    escrow: what the order still held of it when the case was lost; the rest is our loss.
    """

    __tablename__: ClassVar[str] = "disputes"
    id: str = Field(primary_key=True)
    payment_id: str = Field(foreign_key="payments.id", index=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    amount: int = _big()
    fee: int = _big(default=0)
    escrow: int = _big(default=0)
    currency: str
    reason: str
    state: str = Field(default="open", index=True)
    opened_at: int = _big()
    closed_at: int | None = _big(default=None)


class Charity(Table, table=True):
    """Who may be passed a share: a public code and name, made by an operator."""

    __tablename__: ClassVar[str] = "charities"
    code: str = Field(primary_key=True)
    name: str
    created_at: int = _big()


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
    changed_at: int = _big()


class PayoutBatch(Table, table=True):
    """All payouts of one period and currency: state "sending" or "closed" (its entry is signed)."""

    __tablename__: ClassVar[str] = "payout_batches"
    __table_args__ = (UniqueConstraint("period", "currency"),)
    id: str = Field(primary_key=True)
    period: str
    currency: str
    state: str = Field(default="sending", index=True)
    created_at: int = _big()


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
    amount: int = _big()
    currency: str
    state: str = Field(default="planned", index=True)
    transfer_id: str | None = Field(default=None, unique=True)
    reversed: int = _big(default=0)
    announced: int = _big(default=0)
    error: str | None = None
    salt: str
    position: int | None = None
    created_at: int = _big()
    changed_at: int = _big()


class Reconciliation(Table, table=True):
    """One comparison of book, ledger and provider: what differed and what was done about it."""

    __tablename__: ClassVar[str] = "reconciliations"
    id: int | None = Field(default=None, primary_key=True)
    at: int = _big(index=True)
    ok: bool
    report: dict[str, Any] = _json()


class WebhookEvent(Table, table=True):
    """A provider event: its id is unique, so acting twice is impossible. state: new or done.

    object_id is all that is believed of it: what happened is fetched again.
    """

    __tablename__: ClassVar[str] = "webhook_events"
    id: str = Field(primary_key=True)
    type: str
    object_id: str = ""
    state: str = Field(default="done", index=True)
    received_at: int = _big()


class Job(Table, table=True):
    """Work for a compute worker: state queued, leased, done or cancelled.

    `fencing` grows with every lease: a worker that lost its lease can change nothing any more.
    `covers` (ingest) is the newest grant index the job is known to include. `paid`: see `owners`.
    `region` chooses the queue: only workers there hold the keys its grants are sealed to.
    """

    __tablename__: ClassVar[str] = "jobs"
    __table_args__ = (UniqueConstraint("order_id", "kind"), Index("ix_jobs_due", "state", "due_at"))
    id: str = Field(primary_key=True)
    kind: str
    order_id: str | None = Field(default=None, foreign_key="orders.id", index=True)
    region: str = "local"
    state: str = "queued"
    attempts: int = 0
    fencing: int = 0
    worker: str | None = None
    lease_until: int | None = _big(default=None)
    heartbeat_at: int | None = _big(default=None)
    covers: int = _big(default=-1)
    outcome: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    paid: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    sent_at: int | None = _big(default=None)
    due_at: int = _big()
    created_at: int = _big()


class JobObject(Table, table=True):
    """An encrypted object a worker delivered; `visible` only once the job's outcome says so."""

    __tablename__: ClassVar[str] = "job_objects"
    __table_args__ = (UniqueConstraint("order_id", "name"),)
    id: int | None = Field(default=None, primary_key=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    job_id: str = Field(foreign_key="jobs.id")
    fencing: int
    name: str
    object_key: str = Field(foreign_key="objects.key")
    visible: bool = False


class OutboxRow(Table, table=True):
    """A signed entry on its way to the ledger, written in the transaction that decided it.

    event: what happens to the order once the entry has its index. state: pending, posted, refused.
    subject: the owner of a stop handed in for the ledger; its submission goes once it is posted.
    """

    __tablename__: ClassVar[str] = "outbox"
    seq: int | None = Field(default=None, primary_key=True)
    entry_id: str = Field(unique=True)
    dedupe: str = Field(unique=True)
    order_id: str | None = Field(default=None, foreign_key="orders.id", index=True)
    type: str
    event: str | None = None
    reason: str | None = None
    subject: str | None = Field(default=None, index=True)
    submission: dict[str, Any] = _json()
    state: str = Field(default="pending", index=True)
    posted_index: int | None = _big(default=None)
    attempts: int = 0
    retry_at: int = _big(default=0)
    error: str | None = None
    created_at: int = _big()


class BookTransaction(Table, table=True):
    """One balanced posting of the double-entry book; append-only. Its id says what it records."""

    __tablename__: ClassVar[str] = "book_transactions"
    id: str = Field(primary_key=True)
    order_id: str | None = Field(default=None, foreign_key="orders.id", index=True)
    memo: str
    at: int = _big()


class BookLine(Table, table=True):
    """One line of a posting: positive amounts are debits, negative ones credits."""

    __tablename__: ClassVar[str] = "book_lines"
    __table_args__ = (Index("ix_book_lines_slot", "account", "owner", "currency"),)
    id: int | None = Field(default=None, primary_key=True)
    transaction_id: str = Field(foreign_key="book_transactions.id", index=True)
    account: str = Field(index=True)
    owner: str = Field(default="", index=True)
    amount: int = _big()
    currency: str


class Share(Table, table=True):
    """One owner's share of one settlement; leaf = HMAC(salt, canonical share), see settlement."""

    __tablename__: ClassVar[str] = "shares"
    __table_args__ = (
        UniqueConstraint("order_id", "position"),
        UniqueConstraint("order_id", "owner"),
    )
    id: int | None = Field(default=None, primary_key=True)
    order_id: str = Field(foreign_key="orders.id", index=True)
    owner: str = Field(index=True)
    position: int
    amount: int = _big()
    currency: str
    salt: str
    created_at: int = _big()


class Leader(Table, table=True):
    """Who runs the background work now: one row, taken by compare-and-swap."""

    __tablename__: ClassVar[str] = "leaders"
    name: str = Field(primary_key=True)
    holder: str
    until: int = _big()
