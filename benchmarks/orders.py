"""Orders and money: python -m benchmarks.orders [--quick] [--only PART] [--steps N] [--json FILE].

Webhooks per second through the whole server (waitress, signature, one durable row each), what they
are about looked up at the development Stripe server and booked meanwhile, beside bare Flask + the
same database in the same run; settlement of one order over many owners, the payouts of a period to
as many, statements and proofs among them. --steps walks the money machine of the tests that many
random steps instead, from --seed (nightly: 100000).
"""

import argparse
import hashlib
import hmac
import json
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import waitress
from flask import Flask, request
from sqlmodel import col, select

from benchmarks import orders_payouts, orders_walk
from benchmarks.harness import Figure, machine, percentile, report, say
from marketplace import book_store, earnings, owners, settlement, webhooks
from marketplace.app import create_app
from marketplace.background import TICK_SECONDS
from marketplace.book import Account
from marketplace.payments import Payments
from marketplace.server import THREADS, let_requests_through
from marketplace.services import Services
from marketplace.store import Database
from marketplace.tables import Order, Payment, Quote, Share, WebhookEvent
from tests.marketplace.market_world import World
from tests.marketplace.settled_world import GENOTYPES, answered_order
from tests.marketplace.stripe_world import BASE, KEY, SECRET

RATE = 200  # webhooks a second asked for
START_SECONDS = 3  # until the load begins
BOOKED_WITHIN_S = 2  # of the last webhook
STATEMENT_MS, SETTLE_S, P99_MS = 200, 60, 250


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.orders", description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer owners, shorter load")
    parser.add_argument("--only", action="append", choices=list(PARTS), help="these parts alone")
    parser.add_argument("--steps", type=int, help="run the money state machine for so many steps")
    parser.add_argument("--seed", type=int, default=1, help="of the walk")
    parser.add_argument("--processes", type=int, default=1, help="of the walk")
    options = parser.parse_args(arguments)
    started = machine()
    if options.steps:
        figures = walk(options.seed, options.steps, options.processes)
    else:
        figures = [one for part in options.only or PARTS for one in PARTS[part](options.quick)]
    report(figures, options.json, started)
    return 0


# -- webhooks --------------------------------------------------------------------------------------


def webhook_load(quick: bool) -> list[Figure]:
    """Send one event for each of many paid orders at a fixed rate; measure the answers' times.

    Server (its background working on the events meanwhile), development Stripe server and load are
    processes of their own, on these cores.
    """
    count = (5 if quick else 30) * RATE
    with tempfile.TemporaryDirectory() as folder:
        bare = _bare_limit(Path(folder), count)
        served, lag = _served_webhooks(Path(folder), count)
    note, limit = f"{count} events at {RATE}/s, {served.failed} failed", "Flask + database"
    return [
        Figure("webhooks sustained", served.rate, "1/s", RATE * 0.98, True, bare.rate, limit, note),
        Figure("webhook p50", served.p50, "ms", None, False, bare.p50, limit),
        Figure("webhook p99", served.p99, "ms", P99_MS, False, bare.p99, limit),
        Figure("payments booked", count / (count / served.rate + lag), "1/s", RATE * 0.95),
        Figure("last one booked after the last webhook", lag, "s", BOOKED_WITHIN_S, False),
    ]


@dataclass(frozen=True)
class Measured:
    """What one load measured; p50 and p99 in ms from when a request was due."""

    rate: float
    p50: float
    p99: float
    failed: int


def _served_webhooks(folder: Path, count: int) -> tuple[Measured, float]:
    world = World(folder / "world")
    say(f"making {count} paid orders")
    bodies = [json.loads(_paid_event(world, number)) for number in range(count)]
    events = _dated(world, bodies, int(time.time()) + START_SECONDS)
    world.payments.close()
    with devstripe(folder / "world" / "stripe") as stripe_url:
        payments = Payments(
            KEY, base_url=stripe_url, webhook_secret=SECRET, success_url=f"{BASE}/done",
            cancel_url=f"{BASE}/back",
        )  # fmt: skip
        services = replace(world.services, payments=payments)
        let_requests_through()  # as the server does
        done = threading.Event()
        worker = threading.Thread(target=_work, args=(services, done))
        worker.start()
        with serving(create_app(services)) as url:
            measured = _load(folder, f"{url}/stripe/webhook", events)
        done.set()
        lag = _timed(worker.join)
        with services.db.read() as session:
            states = Counter(session.exec(select(Payment.state)).all())
    assert states["received"] == count - measured.failed, states
    world.services.db.close()
    return measured, lag


def _work(services: Services, loaded: threading.Event) -> None:
    """Do the background's part as its leader does, until the load is over and nothing waits."""
    while webhooks.work(services) or not loaded.is_set():
        time.sleep(TICK_SECONDS)


def _paid_event(world: World, number: int) -> bytes:
    """Make an order whose checkout is paid at Stripe but not booked yet; return its event."""
    order, key = secrets.token_hex(16), f"k{number}"
    made = world.payments.create_checkout(order, 900, "gbp", "x", key)
    now = world.clock()
    with world.services.db.write() as session:
        session.add(Quote(id=order, party="r", body={}, sha256="", created_at=now, valid_until=now))
        session.flush()
        session.add(_order(order, now, number + 1, amount=900, state="awaiting_payment"))
        session.flush()
        session.add(
            Payment(
                id=order, order_id=order, provider="stripe-test", checkout_id=made.session_id,
                checkout_url=made.url, idempotency_key=key, amount=900, currency="gbp",
                reference_salt="00" * 32, created_at=now, changed_at=now,
            )
        )  # fmt: skip
    raw, _signature = world.payments.pay(made.session_id)
    return raw


def _order(name: str, now: int, place: int, *, amount: int, state: str) -> Order:
    return Order(
        id=name, researcher="r", quote_id=name, state=state, payload={}, placed_index=place,
        amount=amount, platform_fee=0, compute_fee=0, owners_total=amount, currency="gbp",
        created_at=now, changed_at=now, deadline=now,
    )  # fmt: skip


def _dated(
    world: World, bodies: Sequence[dict[str, Any]], start: int
) -> list[tuple[str, dict[str, str]]]:
    """Let charges and events have happened at RATE a second from `start` (Unix s); sign these."""
    with world.payments.unit() as unit:
        charges = unit.db.execute("SELECT seq FROM object WHERE kind = 'charge' ORDER BY seq")
        rows = [(start + n // RATE, seq) for n, (seq,) in enumerate(charges.fetchall())]
        unit.db.executemany("UPDATE object SET created = ? WHERE seq = ?", rows)
    return [_signed({**body, "created": start + n // RATE}) for n, body in enumerate(bodies)]


def _signed(body: dict[str, Any]) -> tuple[str, dict[str, str]]:
    raw, now = json.dumps(body), int(time.time())
    mac = hmac.new(SECRET.encode(), f"{now}.{raw}".encode(), hashlib.sha256).hexdigest()
    return raw, {"Stripe-Signature": f"t={now},v1={mac}"}


def _bare_limit(folder: Path, count: int) -> Measured:
    """Measure a bare Flask view that stores one row a request, under the same load."""
    db = Database(f"sqlite:///{folder / 'bare.sqlite'}")
    db.migrate()
    app = Flask("bare")

    @app.post("/bare")
    def take() -> str:
        body = json.loads(request.get_data())
        with db.write() as session:
            session.add(WebhookEvent(id=body["id"], type=body["type"], received_at=0))
        return "ok"

    events = [(json.dumps({"id": f"evt_{i}", "type": "x"}), dict[str, str]()) for i in range(count)]
    with serving(app) as url:
        measured = _load(folder, f"{url}/bare", events)
    db.close()
    return measured


@contextmanager
def devstripe(folder: Path) -> Iterator[str]:
    """Run the development Stripe server's own program on a folder."""
    command = [sys.executable, "-m", "marketplace.devstripe", "--port", "0", "--dir", str(folder)]
    process = subprocess.Popen(
        [*command, "--key", KEY], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().rsplit(" ", 1)[-1].strip()
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """Serve an app with the server's own number of threads until the block ends."""
    server = waitress.create_server(app, host="127.0.0.1", port=0, threads=THREADS)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.effective_port}"
    finally:
        server.close()


def _load(folder: Path, url: str, events: Sequence[tuple[str, dict[str, str]]]) -> Measured:
    """Post events at RATE a second from another process."""
    (folder / "load.json").write_text(json.dumps([url, RATE, events]))
    command = [sys.executable, "-m", "benchmarks.orders_load", str(folder / "load.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    said = json.loads(done.stdout)
    ms, rate = said["ms"], len(events) / said["seconds"]
    return Measured(rate, percentile(ms, 0.5), percentile(ms, 0.99), said["failed"])


# -- settlement ------------------------------------------------------------------------------------


def settle(people: int) -> list[Figure]:
    """Settle one order over many owners, then read statements and a proof among them."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        order = answered_order(world, people)
        weights = {secrets.token_hex(16): 100 for _ in range(people)}
        say(f"settling {people} owners")
        seconds = _timed(lambda: _settle(world, order, weights))
        some = list(weights)[:: max(1, people // 50)]
        pages = [_timed(lambda one=one: earnings.statement(world.services, one)) for one in some]
        first = _timed(lambda: settlement.shares_of(world.services, some[0]))
        proofs = [_timed(lambda one=one: settlement.shares_of(world.services, one)) for one in some]
        limit = _insert_limit(Path(folder), people)
        world.close()
    return [
        Figure(
            f"settle {people:,} owners",
            seconds,
            "s",
            SETTLE_S,
            False,
            limit,
            "two row inserts each",
        ),
        Figure("statement p99", percentile(pages, 0.99) * 1000, "ms", STATEMENT_MS, False),
        Figure("first proof of an order", first * 1000, "ms", None, False, note="builds the tree"),
        Figure("next proofs p99", percentile(proofs, 0.99) * 1000, "ms", STATEMENT_MS, False),
    ]


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _settle(world: World, order_id: str, weights: dict[str, int]) -> None:
    """Do what the background does once it knows who is paid: split, book, sign."""
    services = world.services
    paid = owners.Paid(len(weights), weights, asked=GENOTYPES)
    assert settlement.settle(services, order_id, paid)
    with services.db.read() as session:
        total = sum(session.exec(select(Share.amount).where(col(Share.order_id) == order_id)).all())
        assert total == session.get_one(Order, order_id).owners_total
        assert book_store.balance(session, Account.ESCROW, order_id, "gbp") == 0


def _insert_limit(folder: Path, people: int) -> float:
    """Return how long SQLite alone takes to insert as many rows, two for each owner."""
    db = sqlite3.connect(folder / "limit.sqlite")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c INTEGER, d TEXT)")
    db.execute("CREATE INDEX i ON t (a)")
    rows = [(secrets.token_hex(16), "x" * 32, i, "y" * 64) for i in range(2 * people)]
    start = time.perf_counter()
    db.executemany("INSERT INTO t (a, b, c, d) VALUES (?, ?, ?, ?)", rows)
    db.commit()
    return time.perf_counter() - start


# -- the random walk -------------------------------------------------------------------------------


def walk(seed: int, steps: int, processes: int) -> list[Figure]:
    """Run the money machine for so many random steps; a broken promise ends the program."""
    done = orders_walk.in_parallel(seed, steps, processes)
    ends = ", ".join(f"{n} {state}" for state, n in sorted(done.ends.items()))
    note = f"{done.seconds:.0f} s, {processes} processes from seed {seed}; {ends}"
    return [Figure("random steps held", done.steps, "steps", steps, note=note)]


def _people(quick: bool) -> int:
    return 5_000 if quick else 100_000


PARTS: dict[str, Callable[[bool], list[Figure]]] = {
    "webhooks": webhook_load,
    "settle": lambda quick: settle(_people(quick)),
    "payouts": lambda quick: orders_payouts.pay(_people(quick)),
}


if __name__ == "__main__":
    raise SystemExit(main())
