"""A settlement is all or nothing: kill -9 at each moment, and others who write or read meanwhile."""

import signal
import threading

from sqlmodel import select

from marketplace import book_store, earnings, settlement
from marketplace.book import Account
from marketplace.tables import BookLine, Order, OutboxRow, Refund, Share, WebhookEvent
from tests.marketplace.dying import child
from tests.marketplace.market_world import World
from tests.marketplace.settled_world import answered_order
from tests.marketplace.settlement_crash import MOMENTS, PAID, PEOPLE


def rows(world, table):
    with world.services.db.read() as session:
        return session.exec(select(table)).all()


def escrow(world, order):
    with world.services.db.read() as session:
        return book_store.balance(session, Account.ESCROW, order, "gbp")


def test_killed_at_each_moment_all_of_it_is_there_or_nothing(tmp_path):
    world = World(tmp_path)
    order = answered_order(world, 60)
    (before,) = rows(world, Order)
    for moment in MOMENTS:
        died = child("settlement_crash", tmp_path, order, moment)
        assert died.returncode == -signal.SIGKILL, (moment, died.stderr[-500:])
        if moment != "committed":
            (now,) = rows(world, Order)
            assert (now.owners_total, now.state) == (before.owners_total, "releasing")
            assert (rows(world, Share), rows(world, OutboxRow), rows(world, Refund)) == ([], [], [])
            assert escrow(world, order) == before.amount
    again = child("settlement_crash", tmp_path, order, "never")
    assert again.returncode == 0, again.stderr[-500:]
    (now,) = rows(world, Order)
    shares, (refund,) = rows(world, Share), rows(world, Refund)
    assert {one.owner for one in shares} == set(PEOPLE)
    assert sum(one.amount for one in shares) == now.owners_total
    assert [one.type for one in rows(world, OutboxRow)] == ["settlement.made"]
    # The smaller bucket's price was kept, the rest waits to go back; nothing is left or made up.
    assert refund.net == before.amount - now.owners_total - now.platform_fee - now.compute_fee > 0
    assert escrow(world, order) == 0
    assert sum(line.amount for line in rows(world, BookLine)) == 0
    world.close()


def test_others_read_meanwhile_and_write_afterwards(world, monkeypatch):
    """While shares are being written a statement is read, and a webhook waits and is kept."""
    order, services = answered_order(world, 60), world.services
    inside, go_on, real = threading.Event(), threading.Event(), book_store.record

    def slow(*args):
        inside.set()
        go_on.wait()
        return real(*args)

    monkeypatch.setattr(book_store, "record", slow)
    settled, kept = [], []
    event = {"id": "evt_1", "type": "t", "state": "new", "object_id": "x", "happened_at": 0,
             "received_at": 0}  # fmt: skip
    threads = [
        threading.Thread(target=lambda: settled.append(settlement.settle(services, order, PAID)))
    ]
    threads[0].start()
    inside.wait()
    threads.append(
        threading.Thread(target=lambda: kept.append(services.events.keep(services.db, event)))
    )
    threads[1].start()
    assert earnings.statement(services, PEOPLE[0])["lines"] == []
    assert not kept
    go_on.set()
    for thread in threads:
        thread.join()
    assert (settled, kept) == ([True], [True])
    assert len(rows(world, WebhookEvent)) == 1
    assert [one["kind"] for one in earnings.statement(services, PEOPLE[0])["lines"]] == ["earned"]
    assert settlement.settle(services, order, PAID) is False
