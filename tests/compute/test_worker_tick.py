"""Nothing leaves a job but on a clock tick: answers, refusals and withheld results alike."""

import pytest

from compute.config import ConfigError, default_settings, format_toml, load_config
from compute.worker_tick import DEFAULT_TICK_MS, ms_to_tick
from tests.compute.worker_world import World, counts_query


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


def test_a_result_reaches_the_log_on_a_tick(world, monkeypatch):
    order = world.order(query=counts_query())
    seen, ticks = watched(world, monkeypatch)
    assert world.complete(order).state == "released"
    assert ("result.published", 1) in seen
    assert len(ticks) == 1


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
