"""A worker killed at each named step: nothing opened without an access entry, one result, and a
budget that agrees with the ledger. The death is raised in this process; one test uses SIGKILL."""

import os
import signal
import sys

import pytest

from compute import worker_steps
from compute.crypt import decrypt_file
from compute.worker_start import reconcile
from compute.worker_steps import STEPS, checkpoint_step
from tests.compute.simulators import Death
from tests.compute.worker_world import World, answered_counts, expected_counts

CLOSING = ("close_appended",)


def die():
    raise Death


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, people=21)
    yield made
    made.shop.store.close()


def watch(world, seen):
    """Note every opening, and demand that its access entry stood in the log before it."""
    vault = world.shop.vault
    for name, place in (("open", 3), ("reader", 1)):

        def guarded(*arguments, _call=getattr(vault, name), _place=place):
            token = arguments[_place]
            assert world.log.state.accesses[token.access].index == token.index
            seen.append(token.access)
            return _call(*arguments)

        object.__setattr__(vault, name, guarded)


def run_until_done(world, order, seen):
    """Deliver the job again and again, as the sweeper does, restarting after each death."""
    deaths = 0
    for _ in range(8):
        held = world.shop.book.find(order)
        kind = "query" if held is None or held.phase != "awaiting_review" else "release"
        watch(world, seen)
        try:
            outcome = world.run(kind, order)
        except Death:
            deaths += 1
            world.restart()
            os.environ.pop("OMIC_FAULT_STEP", None)
            reconcile(world.shop)
            continue
        if outcome is not None and outcome.state == "awaiting_review":
            if not world.log.state.orders[order].reviews:
                world.approve(order)
            continue
        return outcome, deaths
    raise AssertionError("the order never ended")


def check_everything(world, order):
    """One auditor called after every crash: log, budget, books and files agree."""
    state, shop = world.log.state, world.shop
    assert state.violations == []
    accesses = [a for a in state.accesses.values() if a.payload["order"] is not None]
    assert shop.accountant.unknown(a.id for a in accesses) == set()
    person = world.people[0]
    spent = shop.accountant.spent(f"{person.id}/{person.participant}")
    assert spent * 100 == len(accesses)
    assert shop.accountant.open_reservations() == []
    assert world.log.types.count("result.published") == 1
    assert world.log.types.count("result.withheld") == 0
    published = state.orders[order].result.payload
    file = world.market.objects[order, "result"]
    assert (len(file), published["access"]) == (
        published["ciphertext_size"],
        state.orders[order].accesses[-1],
    )
    assert decrypt_file(world.market.objects[order, "bundle"], world.result_secret)


@pytest.mark.parametrize("step", [step for step in STEPS if step not in CLOSING])
def test_killed_at_each_step_and_finished_after_a_restart(world, monkeypatch, step):
    monkeypatch.setattr(worker_steps, "_die", die)
    monkeypatch.setenv("OMIC_FAULT_STEP", step)
    order, seen = world.order(release={"mode": "trusted", "rho": "1/100"}), []
    outcome, deaths = run_until_done(world, order, seen)
    assert deaths == 1, "the step was never reached"
    assert outcome.state == "released"
    assert seen
    check_everything(world, order)
    assert answered_counts(world.result(order)) == expected_counts(world.people)


def test_killed_while_closing_is_closed_once(world, monkeypatch):
    monkeypatch.setattr(worker_steps, "_die", die)
    monkeypatch.setenv("OMIC_FAULT_STEP", "close_appended")
    order = world.order(paid=0)
    with pytest.raises(Death):
        world.run("query", order)
    monkeypatch.delenv("OMIC_FAULT_STEP")
    world.restart()
    assert world.run("query", order).code == "not_paid"
    assert world.log.types.count("access.refused") == 1


def test_withdrawn_while_the_worker_was_dead_is_out_and_nothing_stays_reserved(world, monkeypatch):
    world.people.append(
        world.enrol(__import__("numpy").random.default_rng(5), 99, "CEU", ("genotypes",))
    )
    monkeypatch.setattr(worker_steps, "_die", die)
    monkeypatch.setenv("OMIC_FAULT_STEP", "query_reserved")
    order = world.order(release={"mode": "trusted", "rho": "1/100"})
    with pytest.raises(Death):
        world.run("query", order)
    monkeypatch.delenv("OMIC_FAULT_STEP")
    gone = world.people.pop()
    world.withdraw(gone)
    world.restart()
    assert world.complete(order).state == "released"
    assert world.access_of(order).payload["attempt"] == 1
    assert world.shop.accountant.spent(f"{gone.id}/{gone.participant}") == 0
    check_everything(world, order)


def test_a_lost_budget_database_is_rebuilt_from_the_ledger(world):
    order = world.order(release={"mode": "trusted", "rho": "1/50"})
    world.complete(order)
    who = [f"{person.id}/{person.participant}" for person in world.people]
    before = [world.shop.accountant.spent(name) for name in who]
    for path in world.folder.glob("compute.sqlite*"):
        path.unlink()
    world.restart()
    assert world.shop.accountant.spent(who[0]) == 0
    assert reconcile(world.shop) == 1
    assert [world.shop.accountant.spent(name) for name in who] == before
    assert reconcile(world.shop) == 0


def test_the_hook_is_a_real_sigkill_and_otherwise_does_nothing(monkeypatch):
    monkeypatch.delenv("OMIC_FAULT_STEP", raising=False)
    for step in STEPS:
        checkpoint_step(step)
    child = os.spawnve(
        os.P_WAIT,
        sys.executable,
        [
            sys.executable,
            "-c",
            "from compute.worker_steps import checkpoint_step as s; s('query_started')",
        ],
        {**os.environ, "OMIC_FAULT_STEP": "query_started"},
    )
    assert child == -signal.SIGKILL


def test_there_are_enough_named_steps():
    assert len(set(STEPS)) == len(STEPS) >= 10
