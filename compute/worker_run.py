"""One leased job from the queue to its outcome, whatever happens on the way.

Logs ids and fixed codes only; an exception's text never leaves. A job that could decide nothing
(ledger silent, lease lost) reports nothing: its lease runs out and it is queued again.
"""

import logging

from compute.messages import JobMessage, Outcome
from compute.orderbook import TERMINAL, Phase
from compute.tables import StoreStateError
from compute.worker_ingest import INGESTED, ingest_all
from compute.worker_outcomes import Code, JobRefusedError, TryAgainError, code_of
from compute.worker_ports import Workshop
from compute.worker_publish import close, close_with
from compute.worker_query import run_order
from compute.worker_state import Run, outcome_of
from compute.worker_stops import Heart
from ledger import LedgerError

logger = logging.getLogger("compute.worker")
MAX_TRIES = 3
BEATS_PER_LEASE = 3


def run_job(shop: Workshop, job_id: str, *, beat: bool = True) -> Outcome | None:
    """Lease a job, run it and report its outcome; None when there was nothing to report."""
    job = shop.market.lease(job_id)
    if job is None:
        return None
    interval = job.lease_ms / 1000 / BEATS_PER_LEASE if beat else None
    with Heart(shop, job, interval) as heart:
        outcome = _guarded(shop, job, heart)
    if outcome is None:
        return None
    logger.info("job %s: %s %s", job.job_id, outcome.state, outcome.code or "")
    try:
        shop.market.outcome(job, outcome)
    except TryAgainError as error:
        logger.warning("job %s: outcome not delivered (%s)", job.job_id, error.code)
        return None
    return outcome


def _guarded(shop: Workshop, job: JobMessage, heart: Heart) -> Outcome | None:
    try:
        return _dispatch(shop, job, heart)
    except (TryAgainError, LedgerError) as error:
        logger.warning("job %s: not decided, %s: %s", job.job_id, type(error).__name__, error)
        return None
    except Exception as error:  # the one place: a bug must not tell a buyer whose data it met
        logger.error(  # noqa: TRY400  (a traceback could quote a person's data)
            "job %s: %s (%s)", job.job_id, type(error).__name__, code_of(error)
        )
        return _give_up(shop, job, heart) if job.attempt >= MAX_TRIES else None


def _dispatch(shop: Workshop, job: JobMessage, heart: Heart) -> Outcome:
    if job.kind != "ingest":
        return run_order(shop, job, heart)
    try:
        report = ingest_all(shop, heart)
    except JobRefusedError as error:
        return Outcome(state="failed", code=error.outcome.value)
    access = report.accesses[0] if report.accesses else None
    return Outcome.model_validate(
        {"state": INGESTED, "access": access, "datasets": report.datasets}
    )


def _give_up(shop: Workshop, job: JobMessage, heart: Heart) -> Outcome | None:
    """Close an order that failed here too often, so that its buyer is paid back."""
    if job.order is None:
        return Outcome(state="failed", code=Code.INTERNAL.value)
    run = Run(shop, job, heart, shop.book.begin(job.order))
    try:
        if run.held.phase not in TERMINAL | {Phase.CLOSING}:
            close_with(run, Code.INTERNAL)
        if run.held.phase is Phase.CLOSING:
            close(run)
    except (StoreStateError, TryAgainError, LedgerError) as error:
        name = type(error).__name__
        logger.error("job %s: cannot be closed, %s", job.job_id, name)  # noqa: TRY400
        return None
    return outcome_of(run)
