"""What the marketplace decides about paid orders: may it run, is it reviewed, did it fail.

The matcher is compute's own, over the ledger snapshot; the worker judges again before it opens
anything, so a wrong answer here costs time and never consent.
"""

import logging

from sqlmodel import Session, col, select

from compute import MIN_PEOPLE, claims_of, index_of
from marketplace import catalogue, jobs, order_service, outbox, owners, uploads
from marketplace.entries import new_id
from marketplace.errors import ConflictError, MarketError
from marketplace.orders import OrderEvent, OrderState
from marketplace.services import Services
from marketplace.tables import Job, Order, OutboxRow
from marketplace.view import MAX_AGE_MS, Snapshot

LOG = logging.getLogger(__name__)
WAITING = (OrderState.FUNDED.value, OrderState.NEEDS_OWNERS.value)
APPROVE, REJECT = "approve", "reject"


# Asked every round: built once.
_UNDECIDED = select(Order).where(col(Order.state).in_(WAITING))
_UNDER_REVIEW = select(Order).where(
    col(Order.state) == OrderState.RELEASING.value,
    col(Order.access).is_(None),
    col(Order.draft_commitment).is_not(None),
)


def approve_due(services: Services, snapshot: Snapshot) -> int:
    """Approve, refuse or set aside every funded order; return how many were looked at.

    On a snapshot too old to decide on, nothing is decided.
    """
    if services.clock() - snapshot.synced_at > MAX_AGE_MS:
        return 0
    with services.db.read() as session:
        orders = session.exec(_UNDECIDED).all()
        due = [one for one in orders if _shows_payment(session, snapshot, one)]
    for order in due:
        try:
            _judge(services, snapshot, order)
        except MarketError as error:
            LOG.warning("order %s is not decided yet: %s", order.id, error)
    return len(due)


def _shows_payment(session: Session, snapshot: Snapshot, order: Order) -> bool:
    query = select(OutboxRow.posted_index).where(
        col(OutboxRow.order_id) == order.id, col(OutboxRow.event) == OrderEvent.PAY.value
    )
    index = session.exec(query).first()
    return index is not None and snapshot.size > index


def _judge(services: Services, snapshot: Snapshot, order: Order) -> None:
    now = services.clock()
    request = catalogue.parse_request(order.payload)
    claims = claims_of(snapshot.state, services.trust.pins, order.researcher, now)
    found = catalogue.people_for(snapshot, request, claims, now=now, order=order.id)
    with services.db.write() as session:
        mine = order_service.locked_order(session, order.id)
        if mine.version != order.version or outbox.decision_pending(session, order.id):
            return
        asks = bool(found.left_out.get("needs_owner"))
        if found.people and (len(found.people) >= MIN_PEOPLE or not asks):
            order_service.decide(session, services.signer, mine, OrderEvent.APPROVE, now=now)
        elif not asks:
            order_service.decide(
                session, services.signer, mine, OrderEvent.REFUSE, now=now,
                reason="nobody_permits",
            )  # fmt: skip
        elif mine.state == OrderState.FUNDED:
            order_service.advance(session, mine, OrderEvent.NEED_OWNERS, now=now)
            mine.deadline = now + services.config.limits.owners_ms
            session.add(mine)


def started(session: Session, job: Job, now: int) -> None:
    """Note that a worker took an order's job. Raises ConflictError when the order is over."""
    if job.order_id is None:
        return
    order = order_service.locked_order(session, job.order_id)
    if order_service.is_over(order) or outbox.decision_pending(session, order.id):
        raise ConflictError("the order of this job is over; drop the message")
    if order.state == OrderState.APPROVED:
        order_service.advance(session, order, OrderEvent.START, now=now)


def finished(services: Services, session: Session, job: Job) -> None:
    """Act on a job's outcome in the transaction that stores it.

    A release is acted on only once the ledger shows it (`settlement.settle_due`).
    """
    outcome = job.outcome or {}
    codes = outcome.get("datasets") or {}
    uploads.note_reports(session, codes, services.clock())
    if uploads.arrived_since(session, codes, job.created_at):
        jobs.create(session, new_id(), jobs.INGEST, services.clock(), region=job.region)
    if job.order_id is None or outcome.get("state") == "released":
        return
    order, now = order_service.locked_order(session, job.order_id), services.clock()
    if order_service.is_over(order):
        return
    if outcome.get("state") == "awaiting_review":
        order_service.advance(session, order, OrderEvent.DRAFT, now=now)
        order.draft_commitment = outcome.get("draft_commitment")
        session.add(order)
        uploads.show_objects(session, order.id, ("draft",))
        return
    event = OrderEvent.REFUSE if outcome.get("state") == "refused" else OrderEvent.FAIL
    give_up(services, session, order, event, str(outcome.get("code") or "failed"))


def give_up(
    services: Services, session: Session, order: Order, event: OrderEvent, reason: str
) -> None:
    """Decide that an order ends without an answer; its money goes back by itself."""
    decided = order_service.decide(
        session, services.signer, order, event, now=services.clock(), reason=reason
    )
    if decided:
        owners.forget(session, order.id)
        uploads.drop_objects(session, order.id)


def review_due(services: Services, snapshot: Snapshot) -> int:
    """Act on reviewers' decisions the ledger shows; return how many orders moved on."""
    with services.db.read() as session:
        waiting = session.exec(_UNDER_REVIEW).all()
    return sum(_reviewed(services, snapshot, order) for order in waiting)


def _reviewed(services: Services, snapshot: Snapshot, order: Order) -> bool:
    votes = votes_of(snapshot, order)
    if REJECT not in votes.values() and len(votes) < services.config.limits.reviewers:
        return False
    with services.db.write() as session:
        mine = order_service.locked_order(session, order.id)
        if mine.version != order.version or outbox.decision_pending(session, order.id):
            return False
        if REJECT in votes.values():
            give_up(services, session, mine, OrderEvent.FAIL, "review_rejected")
            return True
        return _release_job(services, session, order.id)


def _release_job(services: Services, session: Session, order_id: str) -> bool:
    """Create the release job, or queue it again when the worker wanted the draft reviewed anew."""
    query = select(Job).where(col(Job.order_id) == order_id, col(Job.kind) == jobs.RELEASE)
    job, now = session.exec(query).first(), services.clock()
    if job is None:
        jobs.create(session, new_id(), jobs.RELEASE, now, order_id=order_id)
        return True
    if job.state == jobs.DONE and (job.outcome or {}).get("state") == "awaiting_review":
        jobs.reopen(session, job, now + services.config.limits.resend_ms)
        return True
    return False


def votes_of(snapshot: Snapshot, order: Order) -> dict[str, str]:
    """Return what each reviewer last decided about this order's present draft."""
    known = snapshot.state.orders.get(order.id)
    reviews = known.reviews if known is not None else []
    return {
        review.reviewer: review.decision
        for review in reviews
        if review.draft_commitment == order.draft_commitment
    }


def ingest_due(services: Services, snapshot: Snapshot, since: dict[str, int]) -> bool:
    """Create one ingest job a region when grants appeared there and then nothing for a moment.

    A ledger that is never quiet makes one after ingest_wait_ms. since: from when on (ms) each
    region's grants wait; the caller keeps it between rounds.
    """
    now, limits = services.clock(), services.config.limits
    wanted = {
        region: newest
        for region, newest in index_of(snapshot.state).newest_by_region().items()
        if _wanted_now(services, region, newest)
    }
    for region in since.keys() - wanted.keys():
        del since[region]
    quiet = now - newest_time(snapshot) >= limits.ingest_quiet_ms
    due = [r for r in wanted if quiet or now - since.setdefault(r, now) >= limits.ingest_wait_ms]
    for region in due:
        with services.db.write() as session:
            if _ingest_wanted(session, region, wanted[region]):
                covers = wanted[region]
                jobs.create(session, new_id(), jobs.INGEST, now, covers=covers, region=region)
    return bool(due)


def _wanted_now(services: Services, region: str, newest: int) -> bool:
    with services.db.read() as session:
        return _ingest_wanted(session, region, newest)


def _ingest_wanted(session: Session, region: str, newest: int) -> bool:
    query = select(Job.state, Job.covers).where(
        col(Job.kind) == jobs.INGEST, col(Job.region) == region
    )
    known = session.exec(query.order_by(col(Job.created_at).desc()).limit(20)).all()
    open_one = any(state in jobs.OPEN for state, _covers in known)
    return not open_one and newest > max((covers for _state, covers in known), default=-1)


def newest_time(snapshot: Snapshot) -> int:
    """Return when the ledger last took an entry, Unix ms."""
    return snapshot.state.time


def leased_ingest(job: Job, snapshot: Snapshot) -> None:
    """Note that an ingest covers what the ledger shows as it is taken: the worker looks itself."""
    if job.kind == jobs.INGEST:
        newest = index_of(snapshot.state).newest_by_region().get(job.region, -1)
        job.covers = max(job.covers, newest)


def exhausted(services: Services, session: Session, job_id: str) -> None:
    """Fail the order of a job that used up its attempts."""
    job = jobs.locked(session, job_id)
    if job.order_id is None:
        return
    order = order_service.locked_order(session, job.order_id)
    if not order_service.is_over(order):
        give_up(services, session, order, OrderEvent.FAIL, "attempts_used_up")
