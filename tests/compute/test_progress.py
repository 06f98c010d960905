"""How far an order is: planned partitions only, and nothing that changes between clock ticks."""

from dataclasses import replace

import pytest

from compute.progress import PARTS, OnTicks, Pace, Progress
from compute.queries import parse_query
from compute.worker_engine import passes_of
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


@pytest.mark.parametrize("calls", [1, 3, 4, 21, 1000])
def test_a_pass_is_told_in_the_same_partitions_whatever_its_size(calls):
    told = []
    pace = Pace(2, lambda: None, lambda done, total: told.append((done, total)))
    for _ in range(2):
        pace.begin(calls)
        for _ in range(calls):
            pace()
    assert {total for _, total in told} == {2 * PARTS}
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[0][0] == 0
    assert told[-1][0] == 2 * PARTS


def test_a_tick_that_raises_stops_before_anything_is_counted():
    told = []

    def stop():
        raise RuntimeError

    pace = Pace(1, stop, lambda done, _total: told.append(done))
    pace.begin(1)
    with pytest.raises(RuntimeError):
        pace()
    assert told == [0]


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
    total = PARTS * passes_of(parse_query(counts_query()))
    assert {one.total for one in every if one.step == "summing"} == {total}
    assert {one.total for one in every if one.step != "summing"} == {0}
    world.shop.store.close()


def test_a_run_within_one_tick_tells_nothing_of_its_steps(tmp_path):
    world = World(tmp_path, people=24)
    object.__setattr__(world, "shop", replace(world.shop, tick_ms=10**15))
    assert steps(world, world.order(query=counts_query())) == [Progress("planned")]
    world.shop.store.close()
