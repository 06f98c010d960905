"""How far an order is: planned partitions only, and nothing that changes between clock ticks."""

from dataclasses import replace

import pytest

from compute.cohort import Cohort
from compute.partitions import Plan, runs_of
from compute.progress import OnTicks, Pace, Progress
from compute.queries import parse_query
from compute.worker_engine import planned
from tests.compute.worker_world import World, counts_query


def test_what_is_told_changes_on_ticks_only():
    now = [1_000]
    told = OnTicks(lambda: now[0], 500)
    told.note(Progress("opening"))
    told.note(Progress("summing", 1, 4))
    now[0] = 1_499
    assert told.shown() == Progress("planned")
    now[0] = 1_500
    assert told.shown() == Progress("summing", 1, 4)
    told.note(Progress("waiting"))
    now[0] = 1_999
    assert told.shown() == Progress("summing", 1, 4)
    now[0] = 2_000
    told.note(Progress("planned"))
    assert told.shown() == Progress("waiting")


def test_what_came_after_a_tick_is_not_told_before_the_next():
    now = [0]
    told = OnTicks(lambda: now[0], 100)
    now[0] = 130
    told.note(Progress("opening"))
    assert told.shown() == Progress("planned")


def test_partitions_are_counted_one_by_one_and_never_above_the_plan():
    told = []
    pace = Pace(2, lambda: None, lambda done, total: told.append((done, total)))
    pace()
    for _ in range(3):
        pace.done()
    assert told == [(0, 2), (1, 2), (2, 2), (2, 2)]


def test_a_tick_that_raises_stops_before_anything_is_counted():
    told = []

    def stop():
        raise RuntimeError

    pace = Pace(1, stop, lambda done, _total: told.append(done))
    with pytest.raises(RuntimeError):
        pace()
    assert told == [0]


@pytest.mark.parametrize(("summed", "in_scope"), [(5, 5), (6, 6), (5, 7), (3, 7), (0, 0)])
def test_a_pass_over_people_is_counted_by_the_scope_whoever_of_it_is_summed(
    monkeypatch, summed, in_scope
):
    """A copy of a genome is left out of the sums; that must not be told by a partition less."""
    monkeypatch.setattr("compute.cohort.PEOPLE", 3)
    monkeypatch.setattr("compute.partitions.PEOPLE", 3)
    told = []
    pace = Pace(9, lambda: None, lambda done, _total: told.append(done))
    cohort = Cohort(None, None, range(summed), None, in_scope=in_scope)
    assert list(cohort.each(pace, str)) == [str(one) for one in range(summed)]
    assert told[-1] == runs_of(in_scope)


def steps(world, order):
    world.market.told.clear()
    assert world.complete(order).state == "released"
    found = []
    for one in world.market.told:
        if found[-1:] != [one]:
            found.append(one)
    return found


def test_a_run_tells_its_steps_and_the_same_partitions_for_any_cohort(tmp_path):
    world = World(tmp_path, people=24)
    every = steps(world, world.order(query=counts_query()))
    names = [one.step for one in every]
    assert sorted(set(names), key=names.index) == ["planned", "opening", "summing", "waiting"]
    total = planned(parse_query(counts_query()), Plan(12, 24, (0,)))
    assert {one.total for one in every if one.step == "summing"} == {total}
    assert {one.total for one in every if one.step != "summing"} == {0}
    world.shop.store.close()


def test_a_run_within_one_tick_tells_nothing_of_its_steps(tmp_path):
    world = World(tmp_path, people=24)
    object.__setattr__(world, "shop", replace(world.shop, tick_ms=10**15))
    assert steps(world, world.order(query=counts_query())) == [Progress("planned")]
    world.shop.store.close()
