"""Two workers judging two orders at the same moment: of questions too near, one is answered."""

import threading
from contextlib import nullcontext

import numpy as np
import pytest

from compute import orderbook
from compute.orderbook import OrderBook, Phase
from compute.tables import open_engine, upgrade
from compute.worker_outcomes import Code
from tests.compute.postgres import postgres_engine
from tests.compute.worker_world import new_id, run_job

JUDGES = 12
WAIT_S = 60


class NearError(Exception):
    pass


def judged_at_once(books, judges=JUDGES):
    """Let judges each take an order through `OrderBook.judge`; return (passed, refused)."""
    start, passed, refused = threading.Barrier(judges), [], []

    def beside(others):
        if others:
            raise NearError

    def judge(number):
        book = books[number % len(books)]
        held = book.begin(f"order-{number}")
        start.wait(WAIT_S)
        try:
            passed.append(book.judge(held, (), beside, access=f"a{number}", members=("g",)))
        except NearError:
            refused.append(number)

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(judges)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    return passed, refused


def test_judges_of_several_processes_take_turns(tmp_path, monkeypatch):
    # Without the lock of one process's threads, which two processes do not share.
    monkeypatch.setattr(orderbook, "write_lock", lambda _engine: nullcontext())
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"
    upgrade(url)
    passed, refused = judged_at_once([OrderBook(open_engine(url)) for _ in range(3)])
    assert (len(passed), len(refused)) == (1, JUDGES - 1)
    assert passed[0].phase is Phase.JUDGED
    assert passed[0].members == ("g",)


@pytest.mark.service
def test_judges_of_several_machines_take_turns_on_postgresql(monkeypatch):
    monkeypatch.setattr(orderbook, "write_lock", lambda _engine: nullcontext())
    with postgres_engine() as engine:
        passed, refused = judged_at_once([OrderBook(engine)])
        assert (len(passed), len(refused)) == (1, JUDGES - 1)


def test_a_refused_judgement_leaves_the_order_where_it_was(tmp_path):
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"
    upgrade(url)
    book = OrderBook(open_engine(url))
    first = book.judge(book.begin("one"), (), lambda _others: None, access="a", members=("g",))
    seen = []
    held = book.begin("two")

    def refuse(others):
        seen.extend(others)
        raise NearError

    with pytest.raises(NearError):
        book.judge(held, (), refuse, access="b", members=("g", "h"))
    assert seen == [first]
    assert book.find("two") == held
    book.judge(held, {"a"}, seen.extend, access="b", members=("g", "h"))
    assert seen == [first]  # what was looked at before is not looked at again


def both_judged_at_once(world, monkeypatch, between):
    """Run two orders on two workers that have both looked at the book before either is judged.

    between: done after the first has looked; the second's follower sees it.
    """
    monkeypatch.setattr(orderbook, "write_lock", lambda _engine: nullcontext())
    world.run("ingest")
    orders, shops = [world.order(), world.order()], [world.shop, world.worker()]
    looked, both, outcomes = threading.Event(), threading.Barrier(2), {}
    looking, look = set(), OrderBook.opened

    def opened(book, but):
        found = look(book, but)
        if but not in looking:
            looking.add(but)
            looked.set()
            both.wait(WAIT_S)
        return found

    monkeypatch.setattr(OrderBook, "opened", opened)

    def work(shop, order):
        outcomes[order] = run_job(shop, world.market.add(new_id(), "query", order))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(shops, orders, strict=True)]
    threads[0].start()
    assert looked.wait(WAIT_S)
    between()
    threads[1].start()
    for thread in threads:
        thread.join(WAIT_S)
    shops[1].store.close()
    return [outcomes[order] for order in orders]


def test_of_two_near_exact_questions_at_once_exactly_one_is_answered(world, monkeypatch):
    """The second cohort has one person more: both answers together are that person's genotypes."""

    def one_more():
        world.people.append(world.enrol(np.random.default_rng(99), 99, "CEU", ["genotypes"]))

    outcomes = both_judged_at_once(world, monkeypatch, one_more)
    assert sorted(one.state for one in outcomes) == ["awaiting_review", "refused"]
    assert {one.code for one in outcomes} == {None, Code.NEAR_COHORT.value}


def test_two_exact_questions_about_the_same_people_at_once_are_both_answered(world, monkeypatch):
    outcomes = both_judged_at_once(world, monkeypatch, lambda: None)
    assert [one.state for one in outcomes] == ["awaiting_review", "awaiting_review"]
