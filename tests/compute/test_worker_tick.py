"""Nothing leaves a job but on a clock tick: answers, refusals and withheld results alike."""

import threading

import pytest

from compute.config import ConfigError, default_settings, format_toml, load_config
from compute.worker_held import HeldJobs
from compute.worker_run import lease_job
from compute.worker_tick import DEFAULT_TICK_MS, ms_to_tick
from tests.compute.worker_world import World, counts_query, new_id


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    found = World(tmp_path_factory.mktemp("tick"), people=21)
    yield found
    found.shop.store.close()


def watched(world, monkeypatch):
    """Run with a clock that stands still but for ticks; return what reached the log, and when."""
    seen, ticks = [], []
    append = world.log.append

    def appending(submissions, wait=False):
        seen.extend((one.entry.type, len(ticks)) for one in submissions)
        return append(submissions, wait)

    monkeypatch.setattr(world.log, "append", appending)
    object.__setattr__(world.shop, "wait_for_tick", lambda: ticks.append(1))
    return seen, ticks


def test_the_tick_is_a_multiple_and_the_default_is_thirty_seconds():
    assert [ms_to_tick(now, 30_000) for now in (0, 1, 29_999, 30_000)] == [0, 29_999, 1, 0]
    assert DEFAULT_TICK_MS == 30_000


def test_a_draft_and_a_result_appear_on_a_tick_each(world, monkeypatch):
    order = world.order(query=counts_query())
    seen, ticks = watched(world, monkeypatch)
    monkeypatch.setattr(world.market, "on_put", lambda name: seen.append((name, len(ticks))))
    assert world.complete(order).state == "released"
    assert [one for one in seen if one[0] in ("draft", "result.published", "result")] == [
        ("draft", 1), ("result.published", 2), ("result", 2)
    ]  # fmt: skip
    assert len(ticks) == 2


def test_a_refusal_waits_for_a_tick_too(world, monkeypatch):
    order = world.order(query=counts_query(), facets={"population": ["YRI"]})
    seen, _ = watched(world, monkeypatch)
    assert world.run("query", order).state == "refused"
    assert ("access.refused", 1) in seen


@pytest.mark.parametrize("tick", [0, -1, "2", True])
def test_a_tick_of_nothing_is_refused(tmp_path, tick):
    settings = {**default_settings(tmp_path, "local"), "tick_ms": tick}
    text = format_toml(settings).replace("True", "true")
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match="tick_ms"):
        load_config(tmp_path)


class Ticks:
    """A clock tick by hand: counts how often somebody waited for one."""

    def __init__(self):
        self.count, self.before = 0, None

    def wait(self):
        if self.before is not None:
            self.before(self.count)
        self.count += 1


def approved(world):
    order = world.order(query=counts_query())
    assert world.run("query", order).state == "awaiting_review"
    world.approve(order)
    return order


def holding(world, *orders, kind="release"):
    """A worker that has taken these orders as far as they go off a tick."""
    ticks, busy = Ticks(), threading.Lock()
    held = HeldJobs(ticks.wait, busy)
    for order in orders:
        job = lease_job(world.shop, world.market.add(new_id(), kind, order), beat=False)
        held.work(job)
    return held, ticks, busy


def status(world, order):
    return world.log.state.orders[order].status


def test_many_finished_orders_leave_on_one_tick(world):
    orders = [approved(world) for _ in range(3)]
    refused = world.order(query=counts_query(), facets={"population": ["YRI"]})
    held, ticks, _ = holding(world, *orders)
    job = lease_job(world.shop, world.market.add(new_id(), "query", refused), beat=False)
    held.work(job)
    assert {status(world, order) for order in orders} == {"running"}
    assert not world.log.state.orders[refused].refusals
    held.leave_on_tick()
    assert {status(world, order) for order in orders} == {"published"}
    assert world.log.state.orders[refused].refusals
    assert all((order, "result") in world.market.objects for order in orders)
    assert ticks.count == 1
    assert [one.state for one in world.market.outcomes[-4:]].count("released") == 3


def test_a_worker_busy_at_the_tick_lets_nothing_leave_before_the_next(world, monkeypatch):
    order = approved(world)
    held, ticks, busy = holding(world, order)
    monkeypatch.setattr("compute.worker_held.LATE_S", -1.0)  # whoever got the lock got it late
    seen = []
    ticks.before = lambda _: seen.append((busy.locked(), status(world, order)))
    held.leave_on_tick()
    # Waited twice, the second time with the lock held, so that no new job came between.
    assert seen == [(False, "running"), (True, "running")]
    assert status(world, order) == "published"


def test_somebody_who_leaves_while_an_answer_waits_keeps_it_from_leaving(world):
    person = world.people[-1]
    order = approved(world)
    held, ticks, _ = holding(world, order)
    stop = world.stop_entry(person)
    world.send(stop)
    held.leave_on_tick()
    assert status(world, order) == "running"
    held.leave_on_tick()
    assert status(world, order) == "withheld"
    assert (order, "result") not in world.market.objects
    assert ticks.count == 2
    world.grant(person, "genotypes")


def test_a_worker_that_dies_with_answers_waiting_gives_each_once(world):
    orders = [approved(world) for _ in range(2)]
    holding(world, *orders)
    world.restart()
    published = world.log.types.count("result.published")
    for order in orders:
        assert world.run("release", order).state == "released"
    assert world.log.types.count("result.published") == published + 2


def test_an_unexpected_error_of_one_does_not_keep_the_others(world, monkeypatch):
    first, second = sorted(approved(world) for _ in range(2))
    held, _, _ = holding(world, first, second)
    put = world.market.put_object

    def failing(job, name, data):
        if job.order == first:
            raise RuntimeError("secret words")
        return put(job, name, data)

    monkeypatch.setattr(world.market, "put_object", failing)
    held.leave_on_tick()
    assert (second, "result") in world.market.objects
    monkeypatch.undo()
    assert world.run("release", first).state == "released"


def test_a_running_worker_lets_go_of_all_it_holds_when_it_ends(world):
    held, ticks, _ = holding(world, approved(world))
    held.start()
    held.end()
    assert ticks.count == 1
    assert world.market.outcomes[-1].state == "released"
