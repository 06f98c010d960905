"""Money in and back: once each, whatever is repeated, reordered, lost or cut."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlmodel import select

from marketplace import book, book_store, payees, settlement
from marketplace import owners as owners_of
from marketplace.background import Background
from marketplace.orders import OrderState
from marketplace.tables import Order, Payee, Payment, Share
from tests.marketplace.market_world import World


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def market(request, tmp_path):
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else None
    made = World(tmp_path, url=url)
    yield made
    made.close()


@pytest.fixture
def placed(market):
    owner, researcher = market.owner(upload=False), market.researcher()
    return market, researcher, market.place(researcher), [owner]


def payments(world):
    with world.services.db.read() as session:
        return session.exec(select(Payment)).all()


def balances(world):
    totals = settlement.trial_balance(world.services)
    assert all(sum(accounts.values()) == 0 for accounts in totals.values())
    return totals.get("gbp", {})


def test_ten_copies_of_a_webhook_at_once_make_one_payment(placed):
    world, researcher, order, _owners = placed
    event = world.payments.pay(world.checkout(researcher, order))

    def send(_):
        raw, signature = event
        return (
            world.app.test_client()
            .post("/stripe/webhook", data=raw, headers={"Stripe-Signature": signature})
            .status_code
        )

    with ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(send, range(10)))
    assert set(codes) == {200}
    world.turn()
    assert [one.state for one in payments(world)] == ["received"]
    assert world.ledger.types(order).count("payment.received") == 1
    amount = payments(world)[0].amount
    assert balances(world) == {"stripe_clearing": amount, "escrow": -amount}


def test_different_events_of_one_checkout_at_once_make_one_payment(placed):
    world, researcher, order, _owners = placed
    session = world.checkout(researcher, order)
    world.payments.pay(session)
    events = [world.payments.event("checkout.session.completed", session) for _ in range(5)]

    def send(event):
        raw, signature = event
        return (
            world.app.test_client()
            .post("/stripe/webhook", data=raw, headers={"Stripe-Signature": signature})
            .status_code
        )

    with ThreadPoolExecutor(5) as pool:
        assert set(pool.map(send, events)) == {200}
    world.turn()
    assert world.ledger.types(order).count("payment.received") == 1


def test_a_forged_webhook_and_one_for_an_unpaid_session_do_nothing(placed):
    world, researcher, order, _owners = placed
    session = world.checkout(researcher, order)
    raw, _signature = world.payments.event("checkout.session.completed", session)
    answer = world.webhook((raw, "forged"))
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert world.webhook(world.payments.event("checkout.session.completed", session)).json == {
        "stored": True
    }
    world.turn()
    assert world.state(researcher, order) == "awaiting_payment"


def test_the_checkout_page_is_one_however_often_it_is_asked_for(placed):
    world, researcher, order, _owners = placed
    first = world.checkout(researcher, order)
    assert world.checkout(researcher, order) == first
    assert world.payments.calls["checkout"] == 1


def test_a_cut_after_the_provider_opened_the_checkout_opens_no_second_one(placed):
    world, researcher, order, _owners = placed
    world.payments.fail_after = 1
    answer = world.http.post(f"/api/v1/orders/{order}/checkout", headers=researcher.auth)
    assert answer.status_code == 503
    world.checkout(researcher, order)
    assert len(world.payments.sessions) == 1


def test_a_payment_of_another_amount_is_given_back_and_the_order_still_waits(placed):
    world, researcher, order, _owners = placed
    world.webhook(world.payments.pay(world.checkout(researcher, order), amount=1))
    world.turn()
    assert world.state(researcher, order) == "awaiting_payment"
    (refund,) = world.payments.refunds.values()
    assert refund.amount == 1
    assert balances(world) == {}
    assert "payment.received" not in world.ledger.types(order)


def test_a_settled_order_empties_its_escrow_to_the_last_penny(placed):
    world, researcher, order, owners = placed
    world.pay(researcher, order)
    world.answer(order, owners)
    world.turn()
    with world.services.db.read() as session:
        row = session.get(Order, order)
        shares = session.exec(select(Share)).all()
    assert row.state == OrderState.SETTLED
    assert sum(share.amount for share in shares) == row.owners_total
    assert balances(world) == {
        "stripe_clearing": row.amount,
        "owners_payable": -row.owners_total,
        "platform_income": -row.platform_fee,
        "compute_fee": -row.compute_fee,
    }


def test_a_refunded_order_leaves_nothing_and_is_refunded_once(placed):
    world, researcher, order, _owners = placed
    world.pay(researcher, order)
    world.payments.fail_after = 2
    world.outcome(world.job(), state="refused", code="below_floor")
    world.turn(6)
    assert world.state(researcher, order) == "refunded"
    assert len(world.payments.refunds) == 1
    assert world.payments.calls["refund"] == 3
    assert balances(world) == {}
    assert world.ledger.state.orders[order].paid() == 0


def test_the_book_refuses_to_take_more_from_an_order_than_it_holds(placed):
    world, researcher, order, _owners = placed
    world.pay(researcher, order)
    amount = payments(world)[0].amount
    refund = book.order_refunded(
        order, amount + 1, "gbp", time=book_store.moment(world.clock()), refund="x"
    )
    with pytest.raises(book.BookError), world.services.db.write() as session:
        book_store.record(session, refund, order)


def test_one_person_with_two_datasets_gets_one_share(market):
    world = market
    owner = world.owner(upload=False)
    world.dataset_of_the_same_person(owner)
    state = world.ledger.state
    order = world.place(world.researcher())
    scope = owners_of.Scope(state, world.trust.pins, order)
    used = [scope.used(one) for one in state.grants]
    assert len(used) == 2
    assert owners_of.people_in(used) == Counter({owner.id: 1})
    assert scope.used("0" * 32) is None


def test_every_kind_of_event_ten_times_at_once_in_any_order_acts_once(market):
    world = market
    owner, researcher = world.owner(upload=False), world.researcher()
    order = world.place(researcher)
    session = world.checkout(researcher, order)
    world.payments.pay(session)
    dispute = world.payments.dispute(session)
    world.payments.decide(dispute, "lost")
    payees.onboard(world.services, owner.id, "GB", "http://localhost:8080/me")
    with world.services.db.read() as reader:
        world.payments.onboard(reader.get(Payee, owner.id).account_id)
    events = world.payments.events() * 10
    random.Random(7).shuffle(events)

    def send(event):
        raw, signature = event
        client = world.app.test_client()
        headers = {"Stripe-Signature": signature}
        return client.post("/stripe/webhook", data=raw, headers=headers).status_code

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(send, events)) == {200}
    world.turn(6)
    assert world.state(researcher, order) == "refunded"
    types = Counter(world.ledger.types(order))
    assert types["payment.received"] == types["payment.disputed"] == types["payment.refunded"] == 1
    assert balances(world) == {}
    with world.services.db.read() as reader:
        assert reader.get(Payee, owner.id).ready


@pytest.mark.parametrize("write", range(1, 11))
def test_a_process_that_dies_at_any_write_charges_and_settles_or_refunds_once(tmp_path, write):
    """Die as kill -9 does at the n-th commit of the money's way: nothing is lost, nothing twice."""
    ends = ("settled", "refunded")[write // 2 % 2]
    world = World(tmp_path / ends)
    owner, researcher = world.owner(upload=False), world.researcher()
    order = world.place(researcher)
    session = world.checkout(researcher, order)
    event = world.payments.pay(session)
    with dying(world.services.db, write):
        world.webhook(event)
        world.turn(2)
        _end(world, order, owner, ends)
        world.turn(4)
    world.background = Background(world.services)  # a new process on the same files
    world.webhook(event)
    world.turn(3)
    _end(world, order, owner, ends)
    world.clock.forward(61_000)
    world.turn(3)
    _end(world, order, owner, ends)
    world.turn(6)
    assert world.state(researcher, order) == ends
    assert len(world.payments.all("charge")) == 1
    assert len(world.payments.refunds) == (ends == "refunded")
    types = Counter(world.ledger.types(order))
    assert types["payment.received"] == 1
    assert types["settlement.made"] + types["payment.refunded"] == 1
    left = balances(world)
    assert left.get("escrow", 0) == left.get("refunds_payable", 0) == 0
    world.close()


class Died(BaseException):
    """What nothing catches: the process is gone."""


@contextmanager
def dying(db, write):
    """Let the n-th write transaction, and all after it, die just before or after its commit."""
    left, real = [write], type(db).write

    @contextmanager
    def mortal(self):
        if left[0] <= 0:
            raise Died
        left[0] -= 1
        with real(self) as session:
            yield session
            if left[0] == 0 and write % 2:
                raise Died  # before the commit: it is rolled back
        if left[0] == 0:
            raise Died

    type(db).write = mortal
    try:
        yield
    except Died:
        return
    finally:
        type(db).write = real


def _end(world, order, owner, ends):
    world.services.view.refresh()
    try:
        job = world.job()
    except AssertionError:
        return
    if ends == "refunded":
        world.outcome(job, state="failed", code="internal")
        return
    access = world.record_access(order, [owner])
    world.publish(order, access)
    scope = [owner.grant]
    world.outcome(job, state="released", access=access, scope=scope, result_sha256="0" * 64)
