"""Money in and back: once each, whatever is repeated, reordered, lost or cut."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from marketplace import book, book_store, settlement
from marketplace import owners as owners_of
from marketplace.orders import OrderState
from marketplace.tables import Order, Payment, Share
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
    used = [owners_of.used_grant(state, one) for one in state.grants]
    assert len(used) == 2
    assert owners_of.people_in(used) == Counter({owner.id: 1})
    assert owners_of.used_grant(state, "0" * 32) is None


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_interleaving_ends_balanced_and_in_one_end(tmp_path_factory, data):
    world = World(tmp_path_factory.mktemp("walk"))
    owners = [world.owner(upload=False) for _ in range(2)]
    researcher = world.researcher()
    order = world.place(researcher)
    session = world.checkout(researcher, order)
    moves = ["pay", "cancel", "turn", "cut", "work", "fail", "repeat", "withdraw", "wait"]
    for move in data.draw(st.lists(st.sampled_from(moves), max_size=12)):
        _move(world, researcher, order, session, owners, move)
    world.clock.forward(world.services.config.limits.owners_ms)
    world.ledger.fail_before = world.ledger.fail_after = world.payments.fail_after = 0
    for _ in range(4):
        world.clock.forward(11_000)
        world.turn(3)
    _finish(world, order, owners)
    with world.services.db.read() as reader:
        state = reader.get(Order, order).state
    paid = world.payments.sessions[session].is_paid
    assert state in ({"settled", "refunded"} if paid else {"cancelled", "expired"})
    assert len(world.payments.refunds) == (state == "refunded")
    left = balances(world)
    assert left.get("escrow", 0) == left.get("refunds_payable", 0) == 0
    assert world.follower.state.violations == []
    world.close()


def _move(world, researcher, order, session, owners, move):
    if move == "pay" and not world.payments.sessions[session].is_paid:
        world.webhook(world.payments.pay(session))
    elif move == "repeat" and world.payments.sessions[session].is_paid:
        world.webhook(world.payments.event("checkout.session.completed", session))
    elif move == "cancel":
        world.http.post(f"/api/v1/orders/{order}/cancel", headers=researcher.auth)
    elif move == "turn":
        world.turn(1)
    elif move == "cut":
        world.ledger.fail_after = 1
        world.payments.fail_after = 1
    elif move == "wait":
        world.clock.forward(3_600_000)
    elif move == "withdraw" and len(owners) > 1:
        world.withdraw(owners.pop())
    elif move in ("work", "fail"):
        world.turn(1)
        _work(world, order, owners, fails=move == "fail")


def _work(world, order, owners, *, fails):
    try:
        job = world.job()
    except AssertionError:
        return
    if fails:
        world.outcome(job, state="failed", code="internal")
        return
    access = world.record_access(order, owners)
    world.publish(order, access)
    scope = [owner.grant for owner in owners]
    world.outcome(job, state="released", access=access, scope=scope, result_sha256="0" * 64)


def _finish(world, order, owners):
    """Do whatever job is left, or let its attempts run out."""
    for _ in range(8):
        _work(world, order, owners, fails=False)
        world.clock.forward(61_000)
        world.turn(3)
