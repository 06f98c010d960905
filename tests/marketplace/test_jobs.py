"""Leases, fencing and the sweeper, on SQLite and (marker service) on PostgreSQL."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from marketplace import jobs
from marketplace.background import lead, resign
from marketplace.config import Limits
from marketplace.errors import ConflictError, LostLeaseError, NotFoundError

LIMITS = Limits(lease_ms=1000, resend_ms=500, attempts=3)
NOW = 1_800_000_000_000
JOB = "0" * 32


@pytest.fixture
def job(db):
    with db.write() as session:
        jobs.create(session, JOB, jobs.INGEST, NOW)
    return JOB


def lease(db, now=NOW, worker="w"):
    with db.write() as session:
        return jobs.lease(session, JOB, worker, now, LIMITS)


def test_a_taken_job_is_refused_until_its_lease_ends(db, job):
    first = lease(db)
    assert (first.lease, first.attempt, first.kind) == (1, 1, "ingest")
    with pytest.raises(ConflictError):
        lease(db, NOW + 999)
    assert lease(db, NOW + 1000).lease == 2


def test_only_one_of_many_workers_gets_a_job(db, job):
    barrier = threading.Barrier(6)

    def take(name):
        barrier.wait()
        try:
            return lease(db, worker=name).lease
        except ConflictError:
            return None

    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(take, "abcdef"))
    assert sorted(one for one in got if one) == [1]


def test_a_worker_that_lost_its_lease_can_change_nothing(db, job):
    old = lease(db)
    new = lease(db, NOW + 2000)
    for act in (
        lambda s: jobs.heartbeat(s, JOB, old.lease, NOW + 2001, LIMITS),
        lambda s: jobs.held(s, JOB, old.lease),
        lambda s: jobs.finish(s, JOB, old.lease, {"state": "ingested"}),
    ):
        with pytest.raises(LostLeaseError), db.write() as session:
            act(session)
    with db.write() as session:
        assert jobs.finish(session, JOB, new.lease, {"state": "ingested"}) is not None


def test_the_same_outcome_again_is_accepted_and_another_is_not(db, job):
    held = lease(db)
    with db.write() as session:
        assert jobs.finish(session, JOB, held.lease, {"state": "ingested"}) is not None
    with db.write() as session:
        assert jobs.finish(session, JOB, held.lease, {"state": "ingested"}) is None
    with pytest.raises(LostLeaseError), db.write() as session:
        jobs.finish(session, JOB, held.lease, {"state": "failed", "code": "x"})
    with pytest.raises(ConflictError):
        lease(db, NOW + 99_999)


def test_heartbeats_keep_the_sweeper_away(db, job):
    held = lease(db)
    with db.write() as session:
        jobs.heartbeat(session, JOB, held.lease, NOW + 900, LIMITS)
    with db.write() as session:
        assert jobs.sweep(session, NOW + 1500, LIMITS).send == []


def test_the_sweeper_sends_new_and_abandoned_jobs_and_fences_the_old_worker(db, job):
    with db.write() as session:
        assert jobs.sweep(session, NOW, LIMITS).send == [(JOB, "local")]
    with db.write() as session:
        assert jobs.sweep(session, NOW + 1, LIMITS).send == []
    held = lease(db, NOW + 2)
    with db.write() as session:
        assert jobs.sweep(session, NOW + 1002, LIMITS).send == [(JOB, "local")]
    with pytest.raises(LostLeaseError), db.write() as session:
        jobs.heartbeat(session, JOB, held.lease, NOW + 1003, LIMITS)


def test_a_job_that_used_up_its_attempts_is_given_up(db, job):
    now = NOW
    for _ in range(LIMITS.attempts):
        lease(db, now)
        now += 2000
    with db.write() as session:
        swept = jobs.sweep(session, now, LIMITS)
    assert (swept.send, swept.exhausted) == ([], [JOB])
    with pytest.raises(ConflictError):
        lease(db, now)


def test_an_unknown_job_is_named_as_such(db):
    with pytest.raises(NotFoundError):
        lease(db)


def test_one_process_leads_until_its_lease_ends_or_it_resigns(db):
    assert lead(db, "a", NOW)
    assert lead(db, "a", NOW + 1)
    assert not lead(db, "b", NOW + 2)
    resign(db, "b")
    assert not lead(db, "b", NOW + 3)
    resign(db, "a")
    assert lead(db, "b", NOW + 4)
    assert not lead(db, "a", NOW + 5)
    assert lead(db, "a", NOW + 60_000)


def test_many_processes_starting_at_once_make_one_leader(db):
    barrier = threading.Barrier(6)

    def start(name):
        barrier.wait()
        return lead(db, name, NOW)

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(start, "abcdef")) == 1
