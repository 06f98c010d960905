"""Consent at the moment of use: exactly the ones who left are missing, whatever fails around it.

Measured by what was decrypted: every opening of a sealed grant and of a data key is counted.
"""

import contextlib
import random
from dataclasses import replace

import pytest

from compute.worker_start import open_for_work
from ledger import LedgerError, StaleError, sign_entry
from tests.compute.openings import TURNS, Openings, grant_of, leave_each_out, turning
from tests.compute.simulators import now_ms
from tests.compute.worker_world import World, new_id

COHORT = 25  # `python -m benchmarks.consent` does it with 200


class Opened(Openings):
    """Every grant whose seal or data key was opened, until the test ends."""

    def __init__(self, vault, monkeypatch):
        super().__init__()
        for name in TURNS:
            monkeypatch.setattr(vault, name, turning(getattr(vault, name), self.grants.append))


def test_withdrawing_any_one_between_approval_and_run_leaves_exactly_that_one_out(tmp_path):
    world = World(tmp_path, people=COHORT)
    found = list(leave_each_out(world))
    assert [(missing, opened) for _, missing, opened in found] == [
        ({gone}, COHORT - 1) for gone, _, _ in found
    ]
    assert len({gone for gone, _, _ in found}) == COHORT
    world.shop.store.close()


def test_a_withdrawal_that_never_came_is_told_from_one_that_did(tmp_path):
    world = World(tmp_path, people=COHORT)
    _, missing, opened = next(leave_each_out(world, withdraw=lambda person: None))
    assert (missing, opened) == (set(), COHORT)
    world.shop.store.close()


def object_to_all(world, person):
    stops = world.log.state.stops_of_owner(person.id)
    fields = {"id": new_id(), "time": now_ms(), "owner": person.id, "stops": stops}
    world.send(sign_entry(person.seed, "objection.raised", fields))


@pytest.mark.parametrize("seed", range(4))
def test_opt_outs_at_every_stage_of_a_run_and_nobody_who_opted_out_is_decrypted(
    tmp_path, monkeypatch, seed
):
    """The SystmOne case in small; `benchmarks.consent` runs it with 150,000 people."""
    world = World(tmp_path, people=60)
    rng, out = random.Random(seed), set()
    wrong = []
    noted = set()

    def judge(grant):
        # What the log holds when the key is turned, not what the worker has followed so far.
        if not world.log.state.grant_in_force(grant) and grant in noted:
            wrong.append(grant)

    for name in TURNS:
        monkeypatch.setattr(world.shop.vault, name, turning(getattr(world.shop.vault, name), judge))

    def opt_out(entry=None):
        """Somebody opts out; noted once a worker's next follow must have seen it."""
        noted.update(out)
        left = [one for one in world.people if grant_of(one) not in out]
        if len(left) > 45 and (entry is None or entry.type == "access.recorded"):
            person = rng.choice(left)
            object_to_all(world, person)
            out.add(grant_of(person))

    follower = world.shop.follower
    follower.on_sync = lambda _: opt_out() if rng.random() < 0.3 else noted.update(out)
    world.run("ingest")
    order = world.order()
    opt_out()
    world.run("query", order)
    assert out
    assert wrong == []
    assert not {grant_of(person) for person in world.members(order)} & noted_before(world, order)


def noted_before(world, order):
    """Grants ended by leaves before the order's newest access entry."""
    index = world.access_of(order).index
    return {
        grant.id
        for grant in world.log.state.grants.values()
        if grant.stopped_at is not None and grant.stopped_at < index
    }


@pytest.fixture
def ready(tmp_path):
    world = World(tmp_path, people=24)
    world.run("ingest")
    yield world
    world.shop.store.close()


@pytest.mark.parametrize("fault", ["down", "stale", "behind", "ahead", "blocked"])
def test_without_a_sound_ledger_nothing_is_decrypted_and_no_order_is_lost(
    ready, monkeypatch, fault
):
    world = ready
    order = world.order()
    opened = Opened(world.shop.vault, monkeypatch)
    follower, sync = world.shop.follower, world.shop.follower.sync

    def refuse():
        raise StaleError("the newest checkpoint is older than 10 s")

    if fault == "down":
        world.log.down = True
    elif fault == "stale":
        monkeypatch.setattr(follower, "sync", refuse)
    elif fault in ("behind", "ahead"):
        # The machine's clock is an hour off the witnesses': nobody's window can be judged.
        off = -3_600_000 if fault == "behind" else 3_600_000
        world.shop = replace(world.shop, clock=lambda: now_ms() + off)
        monkeypatch.setattr(follower, "sync", lambda: _skewed(follower, sync, world))
    else:
        sync()
        follower.state.missing.add(0)
    outcome = None
    with contextlib.suppress(LedgerError):
        outcome = world.run("query", order)
    assert opened.take() == set()
    assert world.log.state.orders[order].accesses == []
    assert outcome is None or outcome.state in ("refused", "failed")
    _recover(world, fault, follower, sync, monkeypatch)
    if outcome is None:
        assert world.run("query", order).state == "awaiting_review"
        assert len(opened.take()) == 24


def _skewed(follower, sync, world):
    """What the real follower does with a checkpoint whose time is not ours (`ledger.freshness`)."""
    checkpoint = sync()
    if abs(checkpoint.quorum_time - world.shop.clock()) > world.trust.max_checkpoint_age_ms:
        raise StaleError("the checkpoint's time and this machine's clock differ too much")
    return checkpoint


def _recover(world, fault, follower, sync, monkeypatch):
    world.log.down = False
    monkeypatch.setattr(follower, "sync", sync)
    follower.state.missing.discard(0)
    world.shop = replace(world.shop, clock=now_ms)


def test_a_backup_put_back_gives_up_what_was_stopped_since_before_it_serves(ready, tmp_path):
    world = ready
    gone = world.people[3].data["genotypes"]
    world.shop.store.close()
    files = {path: path.read_bytes() for path in tmp_path.glob("store.sqlite*")}
    world.shop = world.worker()
    assert world.shop.store.head(gone.id) is not None
    world.withdraw(world.people[3])
    object_to_all(world, world.people[4])
    world.shop.store.close()
    for path, data in files.items():
        path.write_bytes(data)
    world.shop = world.worker()
    world.shop.follower.sync()
    assert world.shop.store.head(gone.id) is not None
    open_for_work(world.shop)
    assert world.shop.store.head(gone.id) is None
    assert world.shop.store.head(world.people[4].data["genotypes"].id) is None
    assert world.shop.store.head(world.people[5].data["genotypes"].id) is not None
