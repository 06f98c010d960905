"""The provider's events: durable before the answer, looked up together, acted on once."""

import threading
from collections import Counter

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select

from marketplace import event_store, webhooks
from marketplace.errors import PaymentUnavailableError
from marketplace.tables import BookTransaction, Payment, WebhookEvent
from tests.marketplace.market_world import World

MANY = 2 * webhooks.TOGETHER


@pytest.fixture
def many(tmp_path):
    """Return a market with many paid checkouts of its researcher, and their events."""
    world = World(tmp_path, stripe={"fee_bps": 290})
    world.owner(upload=False)
    researcher = world.researcher()
    sessions = []
    for _ in range(MANY):
        sessions.append(world.checkout(researcher, world.place(researcher)))
    yield world, [world.payments.pay(one) for one in sessions]
    world.close()


def rows(world, table):
    with world.services.db.read() as session:
        return session.exec(select(table)).all()


def states(world):
    return Counter(one.state for one in rows(world, Payment))


def asked(world, path):
    return sum(n for call, n in world.payments.wire.calls.items() if call.startswith(path))


def test_many_paid_checkouts_are_looked_up_as_a_page_and_booked_once(many):
    world, events = many
    for event in [*events, *events]:
        assert world.webhook(event).status_code == 200
    assert webhooks.work(world.services) == MANY
    assert states(world) == {"received": MANY}
    assert asked(world, "get charges") == 1
    assert asked(world, "get checkout/sessions") == 0
    assert len(rows(world, BookTransaction)) == MANY
    assert {one.state for one in rows(world, WebhookEvent)} == {"done"}
    assert webhooks.work(world.services) == 0


def test_a_page_says_the_same_as_a_question_about_one_checkout(many):
    world, events = many
    for event in events:
        world.webhook(event)
    webhooks.work(world.services)
    for payment in rows(world, Payment):
        state = world.payments.fetch_checkout(payment.checkout_id)
        assert state.fee > 0
        booked = (payment.amount, payment.currency, payment.intent_id, payment.method)
        assert booked == (state.amount, state.currency, state.payment_intent, state.method)
        assert payment.receipt_url == state.receipt_url
    with world.services.db.read() as session:
        lines = session.connection().exec_driver_sql(
            "SELECT sum(amount) FROM book_lines WHERE account = 'processing_fees'"
        )
        fees = sum(world.payments.fetch_checkout(p.checkout_id).fee for p in rows(world, Payment))
        assert lines.scalar() == fees


def test_a_charge_is_fetched_in_one_page_only(many):
    world, events = many
    half = MANY // 2
    for event in events[:half]:
        world.webhook(event)
    webhooks.work(world.services)
    # The other charges were in that page: they are booked before their events come.
    assert states(world) == {"received": MANY}
    before = asked(world, "get ")
    for event in events[half:]:
        world.webhook(event)
    assert webhooks.work(world.services) == MANY - half
    assert asked(world, "get ") == before


def test_where_no_page_comes_each_is_asked_for_and_one_that_fails_holds_up_none(many, monkeypatch):
    world, events = many
    for event in events:
        world.webhook(event)
    silent = world.payments.fetch_checkout

    def fetch(session_id):
        if session_id == rows(world, WebhookEvent)[0].object_id:
            raise PaymentUnavailableError("no answer")
        return silent(session_id)

    def refuse(*_arguments, **_options):
        raise PaymentUnavailableError("no answer")

    monkeypatch.setattr(world.payments, "paid_between", refuse)
    monkeypatch.setattr(world.payments, "fetch_checkout", fetch)
    assert webhooks.work(world.services) == MANY - 1
    assert states(world) == {"received": MANY - 1, "open": 1}
    monkeypatch.undo()
    assert webhooks.work(world.services) == 1
    assert states(world) == {"received": MANY}


def test_events_of_many_threads_are_each_written_once(many):
    world, events = many
    results, start = [], threading.Barrier(10)

    def send(raw, signature):
        start.wait()
        results.append(webhooks.keep(world.services, raw, signature))

    for event in events[:5]:
        threads = [threading.Thread(target=send, args=event) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Counter(results) == {True: 5, False: 45}
    assert len(rows(world, WebhookEvent)) == 5


def test_an_event_that_could_not_be_written_is_not_answered_as_kept(many, monkeypatch):
    world, events = many
    write = event_store._write_all

    def broken(_db, _group):
        raise OperationalError("disk", None, Exception("full"))

    monkeypatch.setattr(event_store, "_write_all", broken)
    with pytest.raises(OperationalError):
        webhooks.keep(world.services, *events[0])
    monkeypatch.setattr(event_store, "_write_all", write)
    assert webhooks.keep(world.services, *events[1])
    assert len(rows(world, WebhookEvent)) >= 1


def test_two_processes_that_write_one_event_keep_it_once(many, monkeypatch):
    world, events = many
    known = event_store._known
    assert webhooks.keep(world.services, *events[0])
    seen = []

    def late(session, ids):
        seen.append(ids)
        return set() if len(seen) < 3 else known(session, ids)

    monkeypatch.setattr(event_store, "_known", late)  # as if the other wrote after we looked
    assert webhooks.keep(world.services, *events[0]) is False
    assert len(rows(world, WebhookEvent)) == 1
