"""kill -9 of every process while orders run: nothing lost, nothing opened unrecorded, paid once.

One market, one small cohort, several orders. The worker dies at each of its named steps; one
order's worker dies several times in a row, each time at a later step, so that every death is met
by a worker that must pick up what another left. Ledger and marketplace are killed at moments of
a running order.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import httpx
import pytest

from compute import parse_scope
from marketplace.client import demo_orders
from marketplace.client.errors import ClientError, RemoteError
from marketplace.client.researcher import Request
from tests.e2e.stack import a_people

# compute.worker_steps.STEPS, in the chains below; a test holds them to be all there are.
INGEST = (
    "ingest_before_access",
    "ingest_access_appended",
    "ingest_before_open",
    "ingest_one_stored",
)
BEFORE_ACCESS = {"query_started", "query_judged", "query_reserved"}
ANSWERED = {
    "early": ("query_started", "query_access_appended", "query_before_open", "query_answer_kept",
              "release_result_signed", "release_half_delivered"),
    "late": ("query_judged", "query_access_included", "query_half_summed", "query_draft_uploaded",
             "release_result_appended", "release_delivered"),
    "between": ("query_reserved", "release_before_delivery"),
}  # fmt: skip
CEU, YRI = 22, 6


def question(number, population=None):
    """A different question each time; None = everybody in scope."""
    ask = demo_orders.different_request().request
    scope = ask.scope.to_dict()
    scope["facets"] = {} if population is None else {"population": [population]}
    params = {"variants": {"region": f"1:{700_000 + number}-1500000"}}
    query = {**ask.query, "params": params}
    return Request(ask.purpose, query, parse_scope(scope), ask.release)


def rows(path, statement):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


@pytest.fixture(scope="module")
def cohort(market):
    """28 people who join while the worker dies at every step of taking their data in."""
    market.crowd([])
    market.worker_that_dies_at(INGEST[0])
    market.crowd(a_people(CEU, YRI))
    for step, then in zip(INGEST, [*INGEST[1:], None], strict=True):
        market.until_dead(step, then)
    database = market.layout.directory("compute") / "compute.sqlite"
    count = 3 * (CEU + YRI)

    def ingested():
        states = [state for (state,) in rows(database, "SELECT state FROM compute_ingest")]
        return states.count("ingested") >= count

    market.until(ingested, what="the ingest of everybody")
    market.team()
    yield market
    judge_everything(market)


def judge_everything(market):
    """What must hold after all the killing: the log sound, the money whole."""
    state = market.ledger_state()
    report = market.audited()
    assert report.verdict == "pass", report.words()
    assert state.violations == []
    # Every order of ours ended: its money went to the owners or back to the buyer.
    unpaid = [order for order in state.orders.values() if not order.payments]
    assert all(o in unpaid or o.settlement or o.paid() == 0 for o in state.orders.values())
    folder = market.layout.root
    (total,) = rows(
        folder / "marketplace" / "marketplace.sqlite", "SELECT sum(amount) FROM book_lines"
    )
    assert total == (0,)
    received = sum(
        p.amount for o in state.orders.values() for p in o.payments if p.kind == "received"
    )
    refunded = sum(
        p.amount for o in state.orders.values() for p in o.payments if p.kind == "refunded"
    )
    # What a payee received is a charge too, on its own account.
    ours = "SELECT kind, body FROM object WHERE account = ''"
    bodies = rows(folder / "stripe" / "devstripe.sqlite", ours)
    charges = [json.loads(body) for kind, body in bodies if kind == "charge"]
    refunds = [json.loads(body) for kind, body in bodies if kind == "refund"]
    assert sum(c["amount_captured"] for c in charges) == received
    assert sum(r["amount"] for r in refunds) == refunded


def judge(market, order, ended):
    """Exactly one payment, and exactly one result or one refund."""
    # The marketplace calls an order final once the log took the entry; witnesses come after.
    last = {"settled": "settlement.made", "refunded": "payment.refunded"}[ended]
    market.until(lambda: last in market.entries(order), what=f"{last} on the witnessed log")
    kinds = market.entries(order)
    counts = {kind: kinds.count(kind) for kind in kinds}
    assert counts["payment.received"] == 1
    assert counts.get("access.recorded", 0) <= 1
    if ended == "settled":
        assert counts["access.recorded"] == counts["result.published"] == 1
        assert counts["settlement.made"] == 1
        assert "payment.refunded" not in counts
        answer = market.trying(lambda: market.team().researcher.answer(order), "the answer")
        assert answer.result["order"] == order
    else:
        assert ended == "refunded"
        assert counts["payment.refunded"] == 1
        assert "result.published" not in counts
        assert "settlement.made" not in counts
    assert market.ledger_state().violations == []


def die_through(market, order, steps, decision="approve"):
    """Pay an order and let the worker die at each step in turn; return where the order ended."""
    market.worker_that_dies_at(steps[0])
    market.pay(order)
    reviewed = False
    for step, then in zip(steps, [*steps[1:], None], strict=True):
        if not step.startswith("query") and not reviewed and decision is not None:
            market.until_state(order, "releasing")
            market.review(order, decision)
            reviewed = True
        market.until_dead(step, then)
        recorded = market.entries(order).count("access.recorded")
        if step.startswith(("query", "release")):
            assert recorded == (0 if step in BEFORE_ACCESS else 1), step
    return market.until_state(order, "settled", "refunded")


def test_the_chains_are_all_the_steps_there_are():
    from compute.worker_steps import STEPS

    named = {*INGEST, *(step for chain in ANSWERED.values() for step in chain), "close_appended"}
    assert named == set(STEPS)


def test_ingest_died_at_every_step_and_opened_nothing_unrecorded(cohort):
    state = cohort.ledger_state()
    recorded = {a.id for a in state.accesses.values() if a.payload["purpose"] == "ingest"}
    database = cohort.layout.directory("compute") / "compute.sqlite"
    used = {access for (access,) in rows(database, "SELECT DISTINCT access FROM compute_ingest")}
    assert used <= recorded
    assert (
        len(recorded) >= 3
    )  # a try that died after its entry leaves it standing: seen, not hidden


@pytest.mark.parametrize("chain", ANSWERED)
def test_a_worker_killed_at_each_step_still_answers_once(chain, cohort):
    order = cohort.place(question(10 + list(ANSWERED).index(chain)))
    judge(cohort, order, die_through(cohort, order, ANSWERED[chain]))
    assert cohort.state(order) == "settled"


def test_a_refused_order_is_refunded_once_whatever_dies(cohort):
    """Six people are below the floor: refused before anything is recorded or opened."""
    order = cohort.place(question(20, "YRI"))
    ended = die_through(cohort, order, ("query_started", "close_appended"), decision=None)
    judge(cohort, order, ended)
    assert ended == "refunded"
    assert "access.recorded" not in cohort.entries(order)


def test_a_rejected_draft_is_refunded_once_whatever_dies(cohort):
    order = cohort.place(question(30))
    cohort.worker_that_dies_at("query_draft_uploaded")
    cohort.pay(order)
    cohort.until_dead("query_draft_uploaded", None)
    cohort.until_state(order, "releasing")
    cohort.review(order, "reject")
    cohort.kill("compute")
    ended = cohort.until_state(order, "settled", "refunded")
    judge(cohort, order, ended)
    assert ended == "refunded"
    assert cohort.entries(order).count("access.recorded") == 1  # seen, though nothing came of it


@pytest.mark.parametrize("process", ["ledger", "marketplace"])
def test_a_server_killed_at_moments_of_an_order_loses_nothing(process, cohort):
    order = cohort.place(question(40 if process == "ledger" else 41))
    size = cohort.ledger_state().size
    cohort.kill(process)
    cohort.pay(order)
    cohort.kill(process)  # the webhook may be under way
    cohort.until_state(order, "approved", "running", "releasing")
    cohort.kill(process)  # the worker is at it, or about to be
    cohort.until_state(order, "releasing")
    cohort.until(lambda: (cohort.review(order), True)[1], what="the reviews")
    cohort.kill(process)
    ended = cohort.until_state(order, "settled", "refunded")
    assert ended == "settled"
    judge(cohort, order, ended)
    assert cohort.ledger_state().size > size


SKEWED = """
import time
real = time.time_ns
time.time_ns = lambda: real() + {shift}
time.time = lambda: time.time_ns() / 1e9
"""


def accesses(market):
    """How many uses the log itself holds, witnessed or not: nothing is opened before its entry."""
    path = market.layout.directory("ledger") / "ledger.sqlite"
    return sum(b"access.recorded" in leaf for (leaf,) in rows(path, "SELECT data FROM leaves"))


def waits(market, order, why, start):
    """The worker said why not since its log was `start` long; nothing was opened for the order."""
    log = market.layout.root / "logs" / "compute.log"
    before = accesses(market)
    market.until(lambda: why in log.read_bytes()[start:], what=f"the worker saying {why}")
    time.sleep(1)
    assert accesses(market) == before
    assert market.state(order) in ("approved", "running")


def approved(market, order):
    market.pay(order)
    market.until_state(order, "approved", "running")


def answered(market, order):
    market.until_state(order, "releasing")
    market.review(order)
    judge(market, order, market.until_state(order, "settled", "refunded"))
    assert market.state(order) == "settled"


def test_a_log_that_fell_silent_opens_nothing_and_loses_no_order(cohort):
    order = cohort.place(question(42))
    compute, *witnesses = (cohort.child(name) for name in ("compute", "witness-1", "witness-2"))
    os.killpg(compute.process.pid, signal.SIGSTOP)
    approved(cohort, order)
    for witness in witnesses:
        os.killpg(witness.process.pid, signal.SIGSTOP)
    try:
        time.sleep(cohort.view.trust.max_checkpoint_age_ms / 1000 + 1)
        start = (cohort.layout.root / "logs" / "compute.log").stat().st_size
        os.killpg(compute.process.pid, signal.SIGCONT)
        waits(cohort, order, b"the log has been silent for", start)
    finally:
        for witness in witnesses:
            os.killpg(witness.process.pid, signal.SIGCONT)
    answered(cohort, order)


@pytest.mark.parametrize(
    ("hours", "why"), [(-1, b"ahead of this machine's"), (1, b"the log has been silent for")]
)
def test_a_worker_whose_clock_is_off_opens_nothing_and_loses_no_order(
    hours, why, cohort, tmp_path, monkeypatch
):
    order = cohort.place(question(44 + hours))
    (tmp_path / "sitecustomize.py").write_text(SKEWED.format(shift=hours * 3_600 * 10**9))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    log = cohort.layout.root / "logs" / "compute.log"
    start = log.stat().st_size
    cohort.kill("compute")
    approved(cohort, order)
    waits(cohort, order, why, start)
    monkeypatch.delenv("PYTHONPATH")
    cohort.kill("compute")
    answered(cohort, order)


def test_an_expired_quote_is_refused_and_nothing_is_owed(cohort):
    """Seen by the client before it signs; and by the marketplace, whose own table is aged."""
    researcher = cohort.team().researcher
    request = question(50)
    quote = cohort.trying(lambda: researcher.quote(request), "a quote")
    size = cohort.ledger_state().size
    with pytest.raises(ClientError, match="past its time; ask for a new one"):
        researcher.order(request, {**quote, "valid_until": 1})
    assert cohort.ledger_state().size == size
    database = cohort.layout.directory("marketplace") / "marketplace.sqlite"
    with closing(sqlite3.connect(database, timeout=20)) as connection, connection:
        aged = "UPDATE quotes SET valid_until = 1 WHERE id = ?"
        assert connection.execute(aged, (quote["quote"],)).rowcount == 1
    with pytest.raises(RemoteError, match="past its time") as caught:
        researcher.order(request, quote)
    assert 400 <= caught.value.status < 500
    kept = researcher.session.home.documents("orders")
    assert quote["quote"] not in [document["fields"]["quote"] for document in kept]


@pytest.fixture
def settled(cohort):
    """An order that was answered, whichever test bought it."""
    orders = cohort.ledger_state().orders.values()
    done = [order.id for order in orders if order.settlement is not None]
    if done:
        return done[0]
    order = cohort.place(question(60))
    cohort.pay(order)
    cohort.until_state(order, "releasing")
    cohort.review(order)
    cohort.until_state(order, "settled")
    return order


def onboard(market, person):
    """Let an owner be paid to a bank, as the command and Stripe's own page do it."""
    asked = {"country": "GB"}
    url = market.trying(
        lambda: person.owner.session.market.post("/me/payee/onboard", asked)["url"], "a page"
    )
    assert httpx.post(url).status_code == 303


def payouts_of(market, state=None):
    folder = market.layout.directory("marketplace") / "marketplace.sqlite"
    found = rows(folder, "SELECT party, amount, state FROM payouts")
    return [one for one in found if state in (None, one[2])]


def test_owners_are_paid_once_though_market_ledger_and_stripe_die(settled, cohort):
    people = cohort.owners[:6]
    for person in people:
        onboard(cohort, person)
    for process in ("marketplace", "stripe", "ledger", "marketplace", "ledger"):
        cohort.kill(process)  # payouts are planned, sent or stated at about this time
    parties = {person.owner.session.home.party for person in people}
    cohort.until(
        lambda: {one[0] for one in payouts_of(cohort, "sent")} >= parties, what="everybody paid"
    )

    def all_stated():
        stated = cohort.ledger_state().payouts.values()
        sent = sum(amount for _party, amount, _state in payouts_of(cohort, "sent"))
        return sent == sum(one.payload["amount"] for one in stated)

    cohort.until(all_stated, what="the ledger's totals")
    bodies = rows(
        cohort.layout.root / "stripe" / "devstripe.sqlite",
        "SELECT body FROM object WHERE kind = 'transfer'",
    )
    transfers = [json.loads(body) for (body,) in bodies]
    assert sorted(one["amount"] for one in transfers) == sorted(
        amount for _party, amount, _state in payouts_of(cohort, "sent")
    )
    for person in people:
        home = person.owner.session.home.path
        status, said = omic("--home", home, "--json", "statement")
        assert status == 0
        assert said["shares_checked"] > 0
        assert said["payouts_checked"] >= 1
        paid = -sum(line["amount"] for line in said["lines"] if line["kind"] == "paid out")
        earned = sum(line["amount"] for line in said["lines"] if line["kind"] == "earned")
        assert 0 < paid <= earned


def omic(*arguments):
    """Run the installed command: (exit status, parsed JSON)."""
    command = [sys.executable, "-m", "marketplace.client.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_the_command_line_audits_a_result_and_the_ledger(settled, cohort, tmp_path):
    home = cohort.team().researcher.session.home.path
    ledger, trust = cohort.view.trust.ledger_url, cohort.layout.trust_file
    cohort.audited()  # the newest entries are witnessed
    assert omic("--home", home, "--json", "order", "result", settled, "-o", tmp_path)[0] == 0
    bundle = tmp_path / f"{settled}.bundle.json"
    command = ("--home", tmp_path / "nobody", "--json", "audit", "result", bundle, "--trust", trust)
    status, report = omic(*command, "--mirror", ledger)
    assert (status, report["ok"]) == (0, True), report
    assert {check["ok"] for check in report["checks"]} <= {True, None}

    document = json.loads(bundle.read_text())
    columns = document["result"]["answer"]["columns"]
    columns["af"][0] = 0.25 if columns["af"][0] != 0.25 else 0.5
    bundle.write_text(json.dumps(document))
    status, report = omic(*command)
    assert (status, report["ok"]) == (1, False)
    bundle.write_text("{")
    assert omic(*command)[0] == 1
    bundle.unlink()
    assert omic(*command)[0] == 2

    token = cohort.layout.root / "auditor" / "ledger.token"
    audit = ("--json", "audit", "ledger", "--trust", trust)
    for more, kind in (((), "public"), (("--token-file", token), "full")):
        status, report = omic(*audit, *more)
        assert (status, report["verdict"], report["kind"]) == (0, "pass", kind)
