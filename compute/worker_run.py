"""One leased job from the queue to its outcome, whatever happens on the way.

A finished answer waits for the clock tick; the worker goes on with other jobs meanwhile. What it
waits with is durable (order book, kept files), so a worker killed then loses nothing.

Logs ids and fixed codes only; an exception's text never leaves. A job that could decide nothing
(ledger silent, lease lost) reports nothing: its lease runs out and it is queued again.
"""

import logging
from collections.abc import Callable

from compute.messages import JobMessage, Outcome
from compute.orderbook import TERMINAL, Phase
from compute.tables import StoreStateError
from compute.worker_ingest import INGESTED, ingest_all
from compute.worker_outcomes import Code, JobRefusedError, TryAgainError, code_of
from compute.worker_ports import Workshop
from compute.worker_publish import close_with
from compute.worker_query import advance, leave, take_in_hand
from compute.worker_state import Run, outcome_of
from compute.worker_stops import Heart
from ledger import LedgerError

logger = logging.getLogger("compute.worker")
MAX_TRIES = 3
BEATS_PER_LEASE = 3


class LeasedJob:
    """One leased job until its outcome is reported: go on, wait for the tick, leave, go on.

    Never runs in two threads at once; its heart beats in one of its own meanwhile.
    """

    def __init__(self, shop: Workshop, job: JobMessage, interval_s: float | None) -> None:
        self._shop, self._job = shop, job
        self._heart = Heart(shop, job, interval_s).__enter__()
        self._run: Run | None = None
        self._over = False
        self.outcome: Outcome | None = None

    @property
    def id(self) -> str:
        """Return the job's id."""
        return self._job.job_id

    def go_on(self) -> bool:
        """Take the job as far as it goes; False when it waits for the clock tick."""
        return self._over or self._guarded(self._advance)

    def leave(self) -> None:
        """Take the step that is seen outside; call on a clock tick, and `go_on` after it."""
        if not self._over and self._run is not None:
            run = self._run
            self._guarded(lambda: leave(run))

    def _advance(self) -> bool:
        if self._job.kind == "ingest":
            self.outcome = _ingested(self._shop, self._heart)
            return True
        if self._run is None:
            self._run = take_in_hand(self._shop, self._job, self._heart)
        if not advance(self._run):
            return False
        self.outcome = outcome_of(self._run)
        return True

    def _guarded(self, work: Callable[[], bool | None]) -> bool:
        try:
            over = bool(work())
        except (TryAgainError, LedgerError) as error:
            job = self._job.job_id
            logger.warning("job %s: not decided, %s: %s", job, type(error).__name__, error)
            over = True
        except Exception as error:  # the one place: a bug must not tell a buyer whose data it met
            logger.error(  # noqa: TRY400  (a traceback could quote a person's data)
                "job %s: %s (%s)", self._job.job_id, type(error).__name__, code_of(error)
            )
            over = self._job.attempt < MAX_TRIES or self._give_up()
        except BaseException:
            self._heart.__exit__(None, None, None)
            raise
        if over:
            self._end()
        return over

    def _give_up(self) -> bool:
        """Close an order that failed here too often, so that its buyer is paid back, on a tick.

        True when it cannot be closed either, or nothing is there to close.
        """
        if self._job.order is None:
            self.outcome = Outcome(state="failed", code=Code.INTERNAL.value)
            return True
        failed_at = None if self._run is None else self._run.held.phase
        try:
            run = Run(self._shop, self._job, self._heart, self._shop.book.begin(self._job.order))
            if run.held.phase not in TERMINAL | {Phase.CLOSING}:
                close_with(run, Code.INTERNAL)
        except (StoreStateError, TryAgainError, LedgerError) as error:
            name = type(error).__name__
            logger.error("job %s: cannot be closed, %s", self._job.job_id, name)  # noqa: TRY400
            return True
        self._run = run
        if run.held.phase in TERMINAL:
            self.outcome = outcome_of(run)
            return True
        return failed_at is Phase.CLOSING

    def _end(self) -> None:
        self._over = True
        self._heart.__exit__(None, None, None)
        if self.outcome is None:
            return
        job, outcome = self._job, self.outcome
        logger.info("job %s: %s %s", job.job_id, outcome.state, outcome.code or "")
        try:
            self._shop.market.outcome(job, outcome)
        except TryAgainError as error:
            logger.warning("job %s: outcome not delivered (%s)", job.job_id, error.code)
            self.outcome = None


def lease_job(shop: Workshop, job_id: str, *, beat: bool = True) -> LeasedJob | None:
    """Lease a job; None when there is nothing to do."""
    job = shop.market.lease(job_id)
    if job is None:
        return None
    return LeasedJob(shop, job, job.lease_ms / 1000 / BEATS_PER_LEASE if beat else None)


def _ingested(shop: Workshop, heart: Heart) -> Outcome:
    try:
        report = ingest_all(shop, heart)
    except JobRefusedError as error:
        return Outcome(state="failed", code=error.outcome.value)
    access = report.accesses[0] if report.accesses else None
    return Outcome.model_validate(
        {"state": INGESTED, "access": access, "datasets": report.datasets}
    )
