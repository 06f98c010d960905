"""Orders and their work: quotes, steps, jobs, and signed entries on their way to the ledger."""

from typing import Any, ClassVar

from sqlalchemy import JSON, Column, Index, UniqueConstraint
from sqlmodel import Field

from marketplace.orders import OrderState
from marketplace.tables.base import Table, big, json_column


class Quote(Table, table=True):
    """A price offered; body is what `sha256` covers, permitted counts stay out of it."""

    __tablename__: ClassVar[str] = "quotes"
    id: str = Field(primary_key=True)
    party: str = Field(index=True)
    body: dict[str, Any] = json_column()
    sha256: str
    created_at: int = big()
    valid_until: int = big()
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
    payload: dict[str, Any] = json_column()
    placed_index: int = big(unique=True)
    amount: int = big()
    platform_fee: int = big()
    compute_fee: int = big()
    owners_total: int = big()
    currency: str
    access: str | None = None
    draft_commitment: str | None = None
    created_at: int = big(index=True)
    changed_at: int = big()
    deadline: int = big(index=True)


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
    ledger_index: int | None = big(default=None)
    at: int = big()


class Job(Table, table=True):
    """Work for a compute worker: state queued, leased, done or cancelled.

    `fencing` grows with every lease: a worker that lost its lease can change nothing any more.
    `progress` is what its worker last told: a coarse step, nothing about anybody.
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
    lease_until: int | None = big(default=None)
    heartbeat_at: int | None = big(default=None)
    covers: int = big(default=-1)
    outcome: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    paid: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    progress: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    sent_at: int | None = big(default=None)
    due_at: int = big()
    created_at: int = big()


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
    submission: dict[str, Any] = json_column()
    state: str = Field(default="pending", index=True)
    posted_index: int | None = big(default=None)
    attempts: int = 0
    retry_at: int = big(default=0)
    error: str | None = None
    created_at: int = big()


class Leader(Table, table=True):
    """Who runs the background work now: one row, taken by compare-and-swap."""

    __tablename__: ClassVar[str] = "leaders"
    name: str = Field(primary_key=True)
    holder: str
    until: int = big()
