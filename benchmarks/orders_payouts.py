"""The payouts of `benchmarks.orders`: one period in which very many owners are paid.

Planned, booked and closed for everybody; transfers through the development Stripe server (in this
process, over the real SDK) for some of them, as a rate: Stripe itself takes about 100 writes a
second, which is the limit of a real run. The others' transfers are taken as made.
"""

import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import insert
from sqlmodel import col, func, select

from benchmarks.harness import Figure, percentile, say
from marketplace import book, book_store, earnings, payouts
from marketplace.tables import OutboxRow, Payee, Payout, PayoutBatch
from tests.marketplace.market_world import World

STRIPE_WRITES = 100  # a second: https://docs.stripe.com/rate-limits
SENT = 1_500  # through the server
EARNED = 2_500  # minor units each
WEEK_MS = 7 * 86_400_000
STATEMENT_MS = 200


def pay(people: int) -> list[Figure]:
    """Pay one period to so many owners; a figure for each step."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        say(f"paying {people} owners")
        _owed(world, people)
        services, took = world.services, list[float]()
        with _timed(took):
            period, began = payouts.period_of(world.clock(), WEEK_MS)
            (batch,) = payouts.plan_period(services, period, began)
        with _timed(took):
            sent = 0
            while sent < min(SENT, people):
                sent += payouts.work(services)
        with _timed(took):
            _take_as_made(world, batch)
        with _timed(took):
            payouts.work(services)
        _check(world, people)
        pages = _pages(world)
        world.close()
    planned, some, booked, closed = took
    limit = "Stripe's own limit"
    return [
        Figure(f"plan {people:,} payouts", planned, "s"),
        Figure("transfers sent", sent / some, "1/s", STRIPE_WRITES, True, STRIPE_WRITES, limit),
        Figure("payouts booked", (people - sent) / booked, "1/s"),
        Figure(f"close the batch of {people:,}", closed, "s", note="leaves, root, entry"),
        Figure("statement of a paid owner p99", percentile(pages, 0.99), "ms", STATEMENT_MS, False),
    ]


@contextmanager
def _timed(took: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    took.append(time.perf_counter() - start)


def _owed(world: World, people: int) -> None:
    """Let everybody be owed money that lies at Stripe, with an account that can be paid."""
    parties = [secrets.token_hex(16) for _ in range(people)]
    total, before = EARNED * people, book_store.moment(world.clock() - 2 * WEEK_MS)
    account = world.payments.create_account("all", "GB", "k").account_id
    world.payments.onboard(account)
    with world.payments.unit() as unit:
        unit.add_balance("gbp", total)
    rows = [
        {"party": one, "mode": "bank", "account_id": account if n == 0 else f"acct_{n}",
         "ready": True, "submitted": True, "changed_at": 0}
        for n, one in enumerate(parties)
    ]  # fmt: skip
    amounts = dict.fromkeys(parties, EARNED)
    with world.services.db.write() as session:
        session.execute(insert(Payee), rows)
        paid = book.payment_received("order", total, "gbp", time=before, payment="p")
        split = book.order_settled("order", "gbp", amounts, {}, time=before)
        for one in (paid, split):
            book_store.record(session, one)
    # One real account stands for all: a development server of 100,000 accounts says nothing more.
    transfer = world.payments.transfer
    world.payments.transfer = lambda _account, *rest: transfer(account, *rest)


def _take_as_made(world: World, batch: str) -> None:
    """Book the transfers that are still planned as `payouts` does when Stripe made them."""
    query = select(Payout.id).where(
        col(Payout.batch_id) == batch, col(Payout.state) == payouts.PLANNED
    )
    with world.services.db.read() as session:
        left = session.exec(query).all()
    for start in range(0, len(left), payouts.AT_ONCE):
        made = {one: f"tr_{one}" for one in left[start : start + payouts.AT_ONCE]}
        with world.services.db.write() as session:
            payouts._sent(world.services, session, made)


def _check(world: World, people: int) -> None:
    with world.services.db.read() as session:
        assert session.exec(select(func.sum(Payout.amount))).one() == EARNED * people
        assert {one.state for one in session.exec(select(PayoutBatch)).all()} == {payouts.CLOSED}
        kinds = session.exec(select(OutboxRow.type)).all()
        assert kinds == ["payout.made"]
        owed = book_store.owed_before(session, book.Account.OWNERS_PAYABLE, world.clock() + 1)
        assert owed == {}


def _pages(world: World) -> list[float]:
    with world.services.db.read() as session:
        some = session.exec(select(Payee.party).limit(50)).all()
    took: list[float] = []
    for party in some:
        with _timed(took):
            earnings.statement(world.services, party)
    return [one * 1000 for one in took]
