"""Jobs for the compute workers: leases with fencing numbers, heartbeats, outcomes, the sweeper.

A job lives in this table; Celery carries nothing but its opaque id, so a lost message costs time,
never work. Every lease raises `fencing`: a worker whose lease ran out can change nothing any more,
however long it was asleep.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import Session, col, select

from marketplace.config import Limits
from marketplace.errors import ConflictError, LostLeaseError, NotFoundError
from marketplace.tables import Job, Order

QUERY, INGEST, RELEASE = "query", "ingest", "release"
QUEUED, LEASED, DONE, CANCELLED = "queued", "leased", "done", "cancelled"
OPEN = (QUEUED, LEASED)
HOME = "local"
# Jobs to send, for the first time or again, at the parameter `now`.
DUE = select(Job).where(col(Job.state).in_(OPEN), col(Job.due_at) <= bindparam("now"))


@dataclass(frozen=True, slots=True)
class JobMessage:
    """What a worker learns when it takes a job; lease is its fencing number."""

    job_id: str
    kind: str
    order: str | None
    attempt: int
    lease: int
    lease_ms: int


def create(
    session: Session, job_id: str, kind: str, now: int, *, order_id: str | None = None,
    covers: int = -1, region: str = HOME,
) -> Job:  # fmt: skip
    """Add a queued job, due at once; the job of an order and kind exists once.

    region: where it may run. An order's is its signed scope's.
    """
    if order_id is not None:
        known = select(Job).where(col(Job.order_id) == order_id, col(Job.kind) == kind)
        if (job := session.exec(known).first()) is not None:
            return job
    job = Job(
        id=job_id, kind=kind, order_id=order_id, covers=covers, created_at=now, due_at=now,
        region=region if order_id is None else _region_of(session, order_id),
    )  # fmt: skip
    session.add(job)
    session.flush()
    return job


def _region_of(session: Session, order_id: str) -> str:
    order = session.get(Order, order_id)
    return HOME if order is None else str(order.payload["scope"]["region"])


def reopen(session: Session, job: Job, due_at: int) -> None:
    """Queue a finished job once more, e.g. a release whose draft was made anew."""
    job.state, job.outcome, job.attempts, job.due_at = QUEUED, None, 0, due_at
    session.add(job)


def locked(session: Session, job_id: str) -> Job:
    """Return a job, locked until the transaction ends. Raises NotFoundError."""
    job = session.exec(select(Job).where(col(Job.id) == job_id).with_for_update()).first()
    if job is None:
        raise NotFoundError("there is no job of this id; drop the message")
    return job


def lease(session: Session, job_id: str, worker: str, now: int, limits: Limits) -> JobMessage:
    """Give the job to a worker. Raises ConflictError when it is finished or another has it."""
    job = locked(session, job_id)
    if job.state not in OPEN:
        raise ConflictError(f"the job is {job.state}; drop the message")
    if job.state == LEASED and (job.lease_until or 0) > now:
        raise ConflictError("another worker holds the job; drop the message, a sweeper watches it")
    job.state, job.worker = LEASED, worker[:64]
    job.fencing, job.attempts = job.fencing + 1, job.attempts + 1
    job.heartbeat_at, job.lease_until = now, now + limits.lease_ms
    job.due_at, job.progress = job.lease_until, None
    session.add(job)
    session.flush()
    return JobMessage(job.id, job.kind, job.order_id, job.attempts, job.fencing, limits.lease_ms)


def held(session: Session, job_id: str, fencing: int) -> Job:
    """Return the job if this lease is the newest and still open. Raises LostLeaseError."""
    job = locked(session, job_id)
    if job.state != LEASED or job.fencing != fencing:
        raise LostLeaseError("this lease is over; stop working on the job and keep nothing")
    return job


def heartbeat(session: Session, job_id: str, fencing: int, now: int, limits: Limits) -> Job:
    """Extend a lease. Raises LostLeaseError."""
    job = held(session, job_id, fencing)
    job.heartbeat_at, job.lease_until = now, now + limits.lease_ms
    job.due_at = job.lease_until
    session.add(job)
    return job


def progress_of(session: Session, order_id: str) -> dict[str, Any] | None:
    """Return how far an order's work is, as its worker last told; None while nobody works on it."""
    query = select(Job).where(col(Job.order_id) == order_id, col(Job.state) == LEASED)
    job = session.exec(query.order_by(col(Job.heartbeat_at).desc())).first()
    return None if job is None else job.progress


def finish(session: Session, job_id: str, fencing: int, outcome: Mapping[str, Any]) -> Job | None:
    """Store the outcome and close the job; None when this very outcome was stored before.

    Raises LostLeaseError for any other lease, so a late worker cannot overwrite an outcome.
    """
    job = locked(session, job_id)
    if job.state == DONE and job.fencing == fencing and job.outcome == dict(outcome):
        return None
    job = held(session, job_id, fencing)
    job.state, job.outcome, job.lease_until = DONE, dict(outcome), None
    session.add(job)
    session.flush()
    return job


def cancel(session: Session, order_id: str) -> None:
    """Close an order's open jobs; a worker learns of it at its next heartbeat."""
    query = select(Job).where(col(Job.order_id) == order_id, col(Job.state).in_(OPEN))
    for job in session.exec(query.with_for_update()).all():
        job.state = CANCELLED
        session.add(job)


@dataclass(frozen=True, slots=True)
class Swept:
    """What the sweeper found: (job id, region) to send (again), and jobs that are exhausted."""

    send: list[tuple[str, str]]
    exhausted: list[str]


def sweep(session: Session, now: int, limits: Limits) -> Swept:
    """Queue jobs whose lease ran out and mark every due job as sent at `now`."""
    swept = Swept([], [])
    for job in session.exec(DUE.with_for_update(), params={"now": now}).all():
        if job.attempts >= limits.attempts:
            job.state = CANCELLED
            swept.exhausted.append(job.id)
        else:
            job.state, job.lease_until = QUEUED, None
            # The old worker cannot come back, not even before the next lease.
            job.fencing += 1
            job.sent_at, job.due_at = now, now + limits.resend_ms
            swept.send.append((job.id, job.region))
        session.add(job)
    return swept
