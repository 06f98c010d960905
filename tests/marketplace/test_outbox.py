"""The outbox: at least once, in order per order, and a crash between any two steps is harmless."""

import pytest
from sqlmodel import select

from ledger import Appended, RefusedError, UnavailableError, submission_to_json
from marketplace import outbox
from marketplace.orders import OrderEvent
from marketplace.tables import Order, OutboxRow, Quote
from tests.marketplace.market_world import new_id


class PickyLedger:
    """Takes everything but the entry types it is told to refuse, and remembers the order."""

    def __init__(self, refuses=()):
        self.refuses, self.taken = refuses, []

    def append(self, submissions):
        if any(one.entry.type in self.refuses for one in submissions):
            raise RefusedError("this entry breaks a rule")
        self.taken += [one.entry.payload for one in submissions]
        return [Appended(n, b"", 0) for n, _ in enumerate(submissions)]


def entry(world, order, type_="order.failed"):
    fields = {"order": order, "reason": "x"}
    return world.services.signer.sign(type_, fields, now=world.clock(), id_=new_id())


def put(world, order, n, type_="order.failed"):
    with world.services.db.write() as session:
        return outbox.enqueue(
            session, entry(world, order, type_), dedupe=f"{order}:{n}", now=world.clock()
        )


def rows(world):
    with world.services.db.read() as session:
        return session.exec(select(OutboxRow).order_by(OutboxRow.seq)).all()


@pytest.fixture
def paid(world):
    """A world with one funded order: its payment entry waits in the outbox."""
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    world.told(world.payments.pay(world.checkout(researcher, order)))
    return world, researcher, order


def test_the_same_decision_is_enqueued_once(world):
    order = new_id()
    assert put(world, order, 1)
    assert not put(world, order, 1)
    assert len(rows(world)) == 1


def test_the_database_is_never_ahead_of_the_ledger(paid):
    world, researcher, order = paid
    assert world.state(researcher, order) == "awaiting_payment"
    world.ledger.fail_before = 1
    world.background.publish()
    assert world.state(researcher, order) == "awaiting_payment"
    world.clock.forward(1_000)
    world.background.publish()
    assert world.state(researcher, order) == "funded"
    history = world.http.get(f"/api/v1/orders/{order}", headers=researcher.auth).json["history"]
    index = history[-1]["index"]
    assert world.ledger.records[index].leaf.type == "payment.received"


def test_an_answer_lost_after_the_ledger_took_the_entry_posts_it_once(paid):
    world, researcher, order = paid
    world.ledger.fail_after = 1
    world.background.publish()
    assert world.state(researcher, order) == "awaiting_payment"
    world.clock.forward(1_000)
    world.background.publish()
    assert world.state(researcher, order) == "funded"
    assert world.ledger.types(order).count("payment.received") == 1


def test_a_crash_before_the_index_is_stored_sends_the_very_same_bytes_again(paid):
    world, researcher, order = paid

    def crash(session, row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outbox.publish(world.services.db, world.ledger, crash, world.clock())
    assert [row.state for row in rows(world)] == ["pending"]
    world.background.publish()
    assert world.state(researcher, order) == "funded"
    assert world.ledger.types(order).count("payment.received") == 1


def test_entries_of_one_order_keep_their_order_and_a_refused_one_holds_the_rest(world):
    first, second = new_id(), new_id()
    _insert_orders(world, [first, second])
    with world.services.db.write() as session:
        for n, (order, type_) in enumerate(
            [(first, "order.failed"), (first, "payment.refunded"), (second, "order.failed")]
        ):
            session.add(row(world, order, type_, n))
    ledger = PickyLedger(refuses=("order.failed",))
    taken = outbox.publish(world.services.db, ledger, lambda s, r: None, world.clock())
    assert taken == 0
    assert [one.state for one in rows(world)] == ["refused", "pending", "refused"]
    ledger.refuses = ()
    assert outbox.publish(world.services.db, ledger, lambda s, r: None, world.clock()) == 0
    assert ledger.taken == []


def test_one_refused_entry_does_not_hold_other_orders(world):
    orders = [new_id() for _ in range(3)]
    _insert_orders(world, orders)
    with world.services.db.write() as session:
        for n, order in enumerate(orders):
            session.add(row(world, order, "order.refused" if n == 1 else "order.failed", n))
    ledger = PickyLedger(refuses=("order.refused",))
    outbox.publish(world.services.db, ledger, lambda s, r: None, world.clock())
    assert [one["order"] for one in ledger.taken] == [orders[0], orders[2]]


def test_a_silent_ledger_is_asked_less_and_less_often(world):
    put(world, new_id(), 1)

    class Silent:
        asked = 0

        def append(self, submissions):
            self.asked += 1
            raise UnavailableError("silent")

    ledger = Silent()
    for _ in range(50):
        outbox.publish(world.services.db, ledger, lambda s, r: None, world.clock())
        world.clock.forward(250)
    assert 4 <= ledger.asked <= 10
    assert rows(world)[0].state == "pending"


def test_a_decision_on_its_way_keeps_others_out(paid):
    world, researcher, order = paid
    world.background.publish()
    answer = world.http.post(f"/api/v1/orders/{order}/cancel", headers=researcher.auth)
    assert answer.status_code == 200
    with world.services.db.read() as session:
        assert outbox.decision_pending(session, order)
    world.services.view.refresh()
    world.background.run_once()
    world.turn()
    assert world.state(researcher, order) == "refunded"
    assert "order.approved" not in world.ledger.types(order)


def test_two_publishers_at_once_post_everything_once(paid):
    from concurrent.futures import ThreadPoolExecutor

    world, researcher, order = paid
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: world.background.publish(), range(4)))
    assert world.state(researcher, order) == "funded"
    assert world.ledger.types(order).count("payment.received") == 1


def row(world, order, type_, n):
    made = entry(world, order, type_)
    return OutboxRow(
        entry_id=made.entry.payload["id"], dedupe=f"{order}:{n}", type=type_,
        event=OrderEvent.FAIL.value, submission=submission_to_json(made), created_at=0,
        order_id=order,
    )  # fmt: skip


def _insert_orders(world, orders):
    with world.services.db.write() as session:
        for n, order in enumerate(orders):
            session.add(Quote(id=order, party="p", body={}, sha256="", created_at=0, valid_until=0))
            session.flush()
            session.add(
                Order(
                    id=order,
                    researcher="p",
                    quote_id=order,
                    payload={},
                    placed_index=n,
                    amount=1,
                    platform_fee=0,
                    compute_fee=0,
                    owners_total=1,
                    currency="gbp",
                    created_at=0,
                    changed_at=0,
                    deadline=0,
                )
            )
