"""The server's background work: two threads in every process, one leader among all processes.

The follower thread keeps this process's ledger snapshot fresh. The worker thread acts only while
its process holds the leader's lease in the database: outbox, decisions, refunds, settlement,
payouts, jobs, expiry, sweeping, reconciliation. Every step is idempotent and backed by unique
constraints, so that a leader that lost its lease in the middle of one does no harm.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlmodel import col

from ledger import LedgerError
from marketplace import (
    decisions,
    disputes,
    invoices,
    jobs,
    money,
    order_service,
    outbox,
    payees,
    payouts,
    reconcile,
    refunds,
    retention,
    settlement,
    uploads,
    webhooks,
)
from marketplace.entries import new_id
from marketplace.errors import MarketError
from marketplace.faults import described
from marketplace.services import Services
from marketplace.store import Database
from marketplace.tables import Leader
from marketplace.view import Snapshot

LOG = logging.getLogger(__name__)
LEADER = "background"
LEASE_MS = 10_000
TICK_SECONDS = 0.25
# Rounds that follow each other at once would only find what one round finds: each is followed by
# a rest of so many times its own length.
REST_FACTOR = 5
# The ledger is looked at often while it grows and seldom while it does not.
SYNC_SECONDS = (0.2, 0.5)
SLOW_SYNC_SECONDS = 2.0
SLOW_EVERY_MS = 15_000
STOP_SECONDS = 10.0


def lead(db: Database, holder: str, now: int) -> bool:
    """Take or keep the leader's lease by compare-and-swap; tell whether we hold it."""
    free = (col(Leader.holder) == holder) | (col(Leader.until) <= now)
    with db.write() as session:
        changed = session.execute(
            update(Leader)
            .where(col(Leader.name) == LEADER, free)
            .values(holder=holder, until=now + LEASE_MS)
        )
        if changed.rowcount == 1:  # type: ignore[attr-defined]
            return True
        if session.get(Leader, LEADER) is not None:
            return False
    return _first_leader(db, holder, now)


def _first_leader(db: Database, holder: str, now: int) -> bool:
    try:
        with db.write() as session:
            session.add(Leader(name=LEADER, holder=holder, until=now + LEASE_MS))
    except IntegrityError:
        return False
    return True


def resign(db: Database, holder: str) -> None:
    """Give the lease back, so that another process takes over at once."""
    with db.write() as session:
        session.execute(update(Leader).where(col(Leader.holder) == holder).values(until=0))


def _any(db: Database, query: Any, now: int) -> bool:
    """Tell whether there is anything to do before taking the write lock for it."""
    with db.read() as session:
        return session.exec(query, params={"now": now}).first() is not None


@dataclass(slots=True)
class Background:
    """The threads; `start` and `stop` them. `run_once` is one round, for tests."""

    services: Services
    holder: str = field(default_factory=new_id)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _slow_at: int = 0
    _renew_at: int = 0
    _erased: dict[str, str] = field(default_factory=dict)
    _ungathered: dict[str, int] = field(default_factory=dict)
    _period: str = ""
    _to_forget: bool = False

    def start(self) -> None:
        """Start the threads."""
        for name, target in (("follower", self._follow), ("leader", self._lead)):
            thread = threading.Thread(target=target, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop the threads after the step they are in, and give the lease back."""
        self._stop.set()
        self.services.nudge.set()
        self.services.news.set()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._step("resign", lambda: resign(self.services.db, self.holder))

    def _follow(self) -> None:
        soon, seldom = SYNC_SECONDS
        pause, size = soon, -1
        while not self._stop.is_set():
            fresh = self._step("follow", self.services.view.refresh)
            known = self.services.view.known()
            grown = known is not None and known.size != size
            size = known.size if known is not None else size
            pause = soon if grown else min(2 * pause, seldom)
            if grown:
                self.services.nudge.set()
            if self.services.news.wait(pause if fresh else SLOW_SYNC_SECONDS):
                self.services.news.clear()
                pause = soon

    def _lead(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            self._step("lead", self._round)
            self._stop.wait(min(TICK_SECONDS, REST_FACTOR * (time.monotonic() - began)))
            self.services.nudge.wait(TICK_SECONDS)
            self.services.nudge.clear()

    def _round(self) -> None:
        now = self.services.clock()
        # Renewed when half of it is over: a lease is a write, and rounds are many.
        if now >= self._renew_at:
            if not lead(self.services.db, self.holder, now):
                return
            self._renew_at = now + LEASE_MS // 2
        self.run_once()

    def run_once(self) -> None:
        """Do one round of everything that is due; each step fails alone."""
        services = self.services
        self._step("events", lambda: webhooks.work(services))
        self._step("outbox", self.publish)
        known = services.view.known()
        if known is not None:
            self._step("invoices", lambda: invoices.apply_due(services, known.state))
            self._step("approve", lambda: decisions.approve_due(services, known))
            self._step("review", lambda: decisions.review_due(services, known))
            self._step("settle", lambda: settlement.settle_due(services, known))
            self._step("ingest", lambda: decisions.ingest_due(services, known, self._ungathered))
            self._step("erase", lambda: self._erase(known))
        self._step("disputes", lambda: disputes.refuse_due(services))
        self._step("refunds by hand", lambda: refunds.refuse_due(services))
        self._step("refund", lambda: disputes.refund_due(services))
        self._step("payouts", lambda: payouts.work(services))
        self._step("expire", self._expire)
        self._step("jobs", self.sweep_jobs)
        self._step("outbox", self.publish)
        self._slow()

    def publish(self) -> int:
        """Send the outbox, and act on what the ledger took."""
        now = self.services.clock()
        taken = outbox.publish(
            self.services.db,
            self.services.ledger,
            lambda session, row: order_service.posted(session, row, self.services.clock()),
            now,
        )
        if taken:
            self.services.news.set()
        return taken

    def sweep_jobs(self) -> None:
        """Send due jobs to the workers; fail the orders of jobs that used up their attempts."""
        services = self.services
        if not _any(services.db, jobs.DUE, services.clock()):
            return
        with services.db.write() as session:
            swept = jobs.sweep(session, services.clock(), services.config.limits)
            for job_id in swept.exhausted:
                decisions.exhausted(services, session, job_id)
        for job_id, region in swept.send:
            services.sender.send(job_id, region)

    def _expire(self) -> None:
        now = self.services.clock()
        if not _any(self.services.db, order_service.PAST_DEADLINE, now):
            return
        with self.services.db.write() as session:
            order_service.expire_due(session, self.services.signer, now)

    def _erase(self, known: Snapshot) -> None:
        erased = dict(known.state.erased_datasets)
        fresh = dict(erased.items() - self._erased.items())
        if fresh:
            self._to_forget |= uploads.erase_gone(self.services, fresh) > 0
            self._erased = erased
        if self._to_forget:
            self._to_forget = not self.services.db.forget()

    def _retire(self, known: Snapshot) -> None:
        self._to_forget |= retention.act(self.services, known) > 0

    def _slow(self) -> None:
        now = self.services.clock()
        if now - self._slow_at < SLOW_EVERY_MS:
            return
        self._slow_at = now
        self._step("payments", lambda: money.look_again(self.services))
        self._step("uploads", lambda: uploads.sweep(self.services))
        self._step("payees", lambda: payees.look_again(self.services))
        self._step("payout period", self._plan_payouts)
        self._step("reconcile", lambda: reconcile.run_due(self.services))
        if (known := self.services.view.known()) is not None:
            self._step("retention", lambda: self._retire(known))

    def _plan_payouts(self) -> None:
        """Plan a payout period's batches once, when the period has begun."""
        services = self.services
        period, began = payouts.period_of(services.clock(), services.config.payouts.period_ms)
        if period != self._period:
            payouts.plan_period(services, period, began)
            self._period = period

    def _step(self, name: str, act: Callable[[], object]) -> bool:
        """Run one step; what goes wrong is logged and tried again in the next round."""
        try:
            act()
        except (MarketError, LedgerError) as error:
            LOG.warning("background %s: %s", name, error)
        except SQLAlchemyError as error:
            # The statement's parameters could hold tokens; the type says enough.
            LOG.warning("background %s: database: %s", name, type(error).__name__)
        except Exception as error:
            # Never its words: a text could quote what somebody sent.
            LOG.error("background %s failed, is tried again: %s", name, described(error))  # noqa: TRY400
        else:
            return True
        return False
