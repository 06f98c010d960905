"""A run looks the same from outside whatever one person's data say; with a defence off it does not.

Looked at is everything that leaves a worker: entries of the log with their public fields and sizes,
files at the marketplace with theirs, outcomes and who is paid, and when each appears.
"""

import hashlib
from types import SimpleNamespace

import pytest

from compute.queries import filters_of_text
from compute.result import committed_bytes, result_commitment
from compute.utility import private_counts_request
from tests.attacks.runs import SITES, TICK_MS, WatchedWorld
from tests.compute import worker_world
from tests.compute.worker_world import counts_query, vcf

PRIVATE = {"release": {"mode": "private", "rho": "1/80"}}
ASKED, ELSE = "1-1000-A-G", "1-1010-A-G"
CARRIES, LACKS = [2] * len(SITES), [0] * len(SITES)


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """102 people who allow noise only; the victim joins for a test and leaves after it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_world, "POSITIONS", SITES)
        world = WatchedWorld(tmp_path_factory.mktemp("private"), people=102)
        yield world
        world.shop.store.close()


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """Makes worlds of 21 people and the victim, who allow exact answers; alike but for the victim."""
    monkeypatch.setattr(worker_world, "POSITIONS", SITES)
    monkeypatch.setattr(WatchedWorld, "mode", "trusted")
    made = []

    def make(dosages):
        made.append(WatchedWorld(tmp_path / str(len(made)), people=21))
        made[-1].joins(dosages)
        return made[-1]

    yield make
    for one in made:
        one.shop.store.close()


def question(match=None, variant=ASKED):
    query = private_counts_request([variant], rho="1/80")["query"]
    if match:
        query["params"]["match"] = filters_of_text(match)
    return query


def of_a_victim(world, monkeypatch, query, dosages=LACKS, *, file=None, after=None):
    """What is seen of one private order while a victim with these data is there."""
    victim = world.joins(dosages, file)
    try:
        return world.seen(monkeypatch, query, after, **PRIVATE)[1]
    finally:
        world.leaves(victim)


def cases(world):
    """Pairs of (query, victim's data) that nothing public may tell apart."""
    carrier, lacking = {"dosages": CARRIES}, {"dosages": LACKS}
    copy = {"dosages": world.people[0].dosages}
    no_genome, cut = ({"file": file} for file in (b"no genome\n", vcf("v", LACKS) + b"1\t5\n"))
    matching = question(f"carries {ASKED}")
    return {
        "carries what is asked about": ((question(), carrier), (question(), lacking)),
        "matches": ((matching, carrier), (matching, lacking)),
        "is a copy of somebody": ((question(), copy), (question(), lacking)),
        # The same people twice: another question, for a repeated one is free.
        "is unfit": ((question(), no_genome), (question(variant=ELSE), cut)),
    }


def pair(world, monkeypatch, case, **how):
    """What is seen of both runs of a case."""
    return [
        of_a_victim(world, monkeypatch, query, **data, **how) for query, data in cases(world)[case]
    ]


CARRIES_IT = "carries what is asked about"


@pytest.mark.parametrize("case", [CARRIES_IT, "matches", "is a copy of somebody", "is unfit"])
def test_a_private_run_tells_nothing_of_whom_it_is_about(private, monkeypatch, case):
    one, other = pair(private, monkeypatch, case)
    assert one.of == other.of
    assert ("outcome", "released") in [what[1:3] for what in one.of]


def test_without_a_clock_tick_the_same_runs_are_told_apart(private, monkeypatch):
    monkeypatch.setattr(private.watch, "ticking", False)
    one, other = pair(private, monkeypatch, CARRIES_IT)
    assert one.times != other.times


def breaks(_order):
    raise RuntimeError("secret words")


@pytest.mark.parametrize("how", ["cancelled", "broken"])
@pytest.mark.parametrize("ticking", [True, False])
def test_a_run_that_fails_after_it_opened_data_fails_alike(private, monkeypatch, how, ticking):
    """Its buyer cancels meanwhile, or its statistic breaks: seen at the same time, as the same."""
    monkeypatch.setattr("compute.worker_run.MAX_TRIES", 1)
    monkeypatch.setattr(private.watch, "ticking", ticking)
    after = private.cancel if how == "cancelled" else breaks
    one, other = pair(private, monkeypatch, CARRIES_IT, after=after)
    assert "result.published" not in str(one.of)
    assert (one.of == other.of) is ticking


def test_an_exact_run_tells_only_its_reader(trusted, monkeypatch):
    one, other = (trusted(data).seen(monkeypatch, counts_query())[1] for data in (CARRIES, LACKS))
    assert one.of == other.of
    assert {moment % TICK_MS for moment, what, *_ in one.of if what == "object"} == {0}
    assert len(one.sizes("object")) == 4


@pytest.mark.parametrize("defence", ["padding", "tick"])
def test_without_padding_or_tick_an_exact_run_tells_everybody(trusted, monkeypatch, defence):
    if defence == "padding":
        monkeypatch.setattr("compute.worker_result.padded", lambda data: data)
    worlds = [trusted(data) for data in (CARRIES, LACKS)]
    for world in worlds:
        world.watch.ticking = defence != "tick"
    one, other = (world.seen(monkeypatch, counts_query())[1] for world in worlds)
    published = [
        [p for p in each.sizes("entry") if p[0] == "result.published"] for each in (one, other)
    ]
    assert (published[0] != published[1]) is (defence == "padding")
    assert (one.times != other.times) is (defence == "tick")


def test_one_answer_has_another_commitment_each_time(private, monkeypatch):
    orders = [private.seen(monkeypatch, question(), **PRIVATE)[0] for _ in range(2)]
    answers = [private.result(order)["answer"] for order in orders]
    assert answers[0] == answers[1]
    assert len({commitment(private, order) for order in orders}) == 2


def commitment(world, order):
    return world.log.state.orders[order].result.payload["commitment"]


@pytest.mark.parametrize("salted", [True, False])
def test_who_knows_everybody_else_cannot_try_answers_against_a_commitment(
    trusted, monkeypatch, salted
):
    """The attacker holds both answers there could be, and every public entry."""
    if not salted:
        monkeypatch.setattr("compute.worker_result.secrets", SimpleNamespace(token_bytes=bytes))
    worlds = [trusted(data) for data in (CARRIES, LACKS)]
    orders = [world.seen(monkeypatch, counts_query())[0] for world in worlds]
    answers = [
        committed_bytes(world.result(order)) for world, order in zip(worlds, orders, strict=True)
    ]
    public = commitment(worlds[0], orders[0])
    tries = [
        {hashlib.sha256(answer).hexdigest(), result_commitment(bytes(32), answer)}
        for answer in answers
    ]
    assert [public in tried for tried in tries] == [not salted, False]
