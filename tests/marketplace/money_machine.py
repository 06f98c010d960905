"""Orders, payments, disputes and payouts in any order: one machine, for suite and nightly run.

Everything real but the ledger's network: the fold admits entries, Stripe is the development server
through the real SDK, cables are cut before and after calls. One step is one action of one party.
What must hold is asked after every step (the book balances) and at the end, when whatever waits
has been let through. hypothesis drives it in the suite (`MoneyMachine`), a seed in the benchmark.
"""

import shutil
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlmodel import select

from ledger import RefusedError
from marketplace import book_store, invoices, payees, payouts, reconcile, settlement
from marketplace.book import Account
from marketplace.config import Limits, PayoutConfig
from marketplace.jobs import OPEN
from marketplace.store import Database
from marketplace.tables import BookLine, BookTransaction, Job, Order, Payee, Payment, Payout, Share
from tests.marketplace.market_world import World

WEEK, DAY, HOUR, YEAR = 7 * 86_400_000, 86_400_000, 3_600_000, 365 * 86_400_000
LIMITS = Limits(session_ms=100 * YEAR)
STEPS, ENDS = Counter(), Counter()
# What happens how often: most of it is ordinary business, or nothing would ever get far.
WEIGHTS = {
    "turn": 14, "serve": 10, "pay": 8, "place": 7, "checkout": 7, "event": 6, "cut": 4, "wait": 3,
    "onboard": 3, "state_transfer": 3, "dispute": 3, "consent": 2, "invoice": 2, "decide": 2,
    "charity": 2, "restrict": 1, "take_back": 1, "cancel": 1, "reconcile": 1,
}  # fmt: skip
ACTIONS = [name for name, weight in WEIGHTS.items() for _ in range(weight)]
WAITS = (11_000, 61_000, 61_000, HOUR, HOUR, HOUR, DAY, WEEK)
ENDINGS = ("released", "released", "released", "failed", "refused")
MOST_ORDERS = 20


@cache
def _empty_database():
    """Return the bytes of a migrated database: made once, for a walk opens many markets."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.sqlite"
        made = Database(f"sqlite:///{path}")
        made.migrate()
        made.forget()
        made.close()
        return path.read_bytes()


class MoneyWorld:
    """One small market whose money is pushed around: `act`, after which `the_book_balances`."""

    def __init__(self, folder=None):
        self.path = Path(tempfile.mkdtemp(dir=folder))
        (self.path / "market.sqlite").write_bytes(_empty_database())
        self.world = World(
            self.path, limits=LIMITS, payouts=PayoutConfig(period_ms=WEEK, minimum=1)
        )
        self.custodian = self.world.register(type(self.world.researcher())(), "owner")
        split = {"custodian": "biobank", "party": self.custodian.id, "percent": 25}
        self.world.operate(0, "custodian.split", split)
        self.owners = [self.world.owner(upload=False, custodian="biobank")]
        self.owners += [self.world.owner(upload=False) for _ in range(2)]
        self.researcher = self.world.researcher()
        self.orders, self.sessions, self.disputes = [], {}, []
        payees.add_charity(self.world.services, "heart_fund", "Heart Fund")

    def act(self, action, n):
        """Do one action of one party; n chooses among what there is to choose."""
        STEPS[action] += 1
        getattr(self, action)(n)

    def end(self):
        """Let everything through and ask what must hold in the end; the market is gone then."""
        try:
            self.let_everything_through()
            self.check_end()
        finally:
            self.close()

    def close(self):
        self.world.close()
        shutil.rmtree(self.path, ignore_errors=True)

    # -- what researchers do -----------------------------------------------------------------

    def place(self, n):
        self.world.services.view.refresh()  # a price is made on what the market knows by now
        if self.live() and len(self.orders) < MOST_ORDERS:
            self.orders.append(self.world.place(self.researcher))

    def checkout(self, n):
        if not self.orders:
            return
        order = self.pick(self.orders, -1 - n % 4)
        path = f"/api/v1/orders/{order}/checkout"
        answer = self.world.http.post(path, headers=self.researcher.auth)
        assert answer.status_code in (200, 409, 503), answer.json
        if answer.status_code == 200:
            self.sessions[answer.json["session_id"]] = order

    def pay(self, n):
        if not self.sessions:
            return
        session = self.pick(list(self.sessions), -1 - n % 3)
        if self.world.payments.fetch_checkout(session).status == "open":
            event = self.world.payments.pay(session)
            if n % 4:  # one in four webhooks is lost
                self.world.webhook(event)

    def invoice(self, n):
        if not self.orders:
            return
        path = f"/api/v1/orders/{self.pick(self.orders, n)}/invoice"
        body = {"purchase_order": "PO-1"}
        answer = self.world.http.post(path, json=body, headers=self.researcher.auth)
        assert answer.status_code in (200, 409), answer.json

    def cancel(self, n):
        if not self.orders:
            return
        path = f"/api/v1/orders/{self.pick(self.orders, n)}/cancel"
        answer = self.world.http.post(path, headers=self.researcher.auth)
        assert answer.status_code in (200, 409), answer.json

    # -- what operators, banks and networks do -------------------------------------------------

    def state_transfer(self, n):
        if waiting := invoices.waiting(self.world.services):
            one = self.pick(waiting, n)
            try:
                self.world.operate(n % 3, one["action"], one["details"])
            except RefusedError:
                return  # this operator said so already

    def event(self, n):
        if events := self.world.payments.events():
            for _ in range(1 + n % 3):
                answer = self.world.webhook(self.pick(events, n))
                assert answer.status_code in (200, 503), answer.json

    def cut(self, n):
        where = self.world.payments if n % 2 else self.world.ledger
        setattr(where, "fail_before" if n % 3 else "fail_after", 1)

    def dispute(self, n):
        if not self.sessions:
            return
        session = self.pick(list(self.sessions), n)
        state = self.world.payments.fetch_checkout(session)
        if state.is_paid:
            charge = self.world.payments.charge_of(session)
            if not charge["disputed"] and not charge["amount_refunded"]:
                self.disputes.append(self.world.payments.dispute(session))

    def decide(self, n):
        if self.disputes:
            dispute = self.pick(self.disputes, n)
            self.disputes.remove(dispute)
            self.world.payments.decide(dispute, "won" if n % 2 else "lost")

    def reconcile(self, n):
        try:
            reconcile.run(self.world.services, since=0)
        except Exception as error:  # a cut cable: it runs again
            assert "answer" in str(error) or "cut" in str(error) or "repeated" in str(error)

    # -- what owners and workers do ------------------------------------------------------------

    def onboard(self, n):
        owner = self.pick(self.owners, n)
        body = {"country": "GB"}
        path = "/api/v1/me/payee/onboard"
        self.world.http.post(path, json=body, headers=owner.auth)
        with self.world.services.db.read() as session:
            payee = session.get(Payee, owner.id)
        if payee is not None and payee.account_id:
            self.world.payments.onboard(payee.account_id)

    def restrict(self, n):
        with self.world.services.db.read() as session:
            payee = session.get(Payee, self.pick(self.owners, n).id)
        if payee is not None and payee.account_id:
            self.world.payments.restrict(payee.account_id)

    def charity(self, n):
        owner, path = self.pick(self.owners, n), "/api/v1/me/payee/charity"
        if n % 2:
            self.world.http.post(path, json={"charity": "heart_fund"}, headers=owner.auth)
        else:
            self.world.http.delete(path, headers=owner.auth)

    def consent(self, n):
        owner = self.pick(self.owners, n)
        if owner in self.live():
            self.world.withdraw(owner)
        else:
            self.world.grant(owner)

    def turn(self, n):
        self.world.turn(1)

    def serve(self, n):
        """Compute an answer, or fail to."""
        self.do_job(self.pick(ENDINGS, n))

    def wait(self, n):
        self.world.clock.forward(self.pick(WAITS, n))
        self.world.turn(1)

    def take_back(self, n):
        with self.world.services.db.read() as session:
            sent = session.exec(select(Payout).where(Payout.state == "sent")).all()
        if sent:
            payout = self.pick(sent, n)
            left = payout.amount - payout.reversed
            if left:
                try:
                    payouts.reverse(self.world.services, payout.id, min(1 + n % 3000, left))
                except Exception as error:
                    assert "Stripe" in str(error), error

    # -- helpers -------------------------------------------------------------------------------

    def pick(self, items, n):
        return items[n % len(items)]

    def live(self):
        state = self.world.ledger.state
        return [o for o in self.owners if state.in_force(state.grants[o.grant])]

    def do_job(self, end):
        self.world.services.view.refresh()
        if (job := self.leased()) is None:
            return False
        with self.world.services.db.read() as session:
            order = session.get(Job, job[0]).order_id
        people = self.live()
        if end != "released" or not people:
            self.world.outcome(job, state="failed" if end == "released" else end, code="internal")
            return True
        attempt = len(self.world.ledger.state.orders[order].accesses) + 1
        access = self.world.record_access(order, people, attempt=attempt)
        self.world.publish(order, access)
        scope = [owner.grant for owner in people]
        self.world.outcome(
            job, state="released", access=access, scope=scope, result_sha256="0" * 64
        )
        return True

    def leased(self):
        """Lease the newest job that was sent and is open; None when there is none."""
        with self.world.services.db.read() as session:
            query = select(Job.id).where(
                Job.kind == "query", Job.state.in_(OPEN), Job.sent_at.is_not(None)
            )
            found = session.exec(query.order_by(Job.created_at.desc())).first()
        if found is None:
            return None
        answer = self.world.http.post(
            f"/worker/v1/jobs/{found}/lease", json={"worker": "w1"},
            headers=self.world.worker_auth,
        )  # fmt: skip
        assert answer.status_code in (200, 409), answer.json
        return (found, answer.json["lease"]) if answer.status_code == 200 else None

    # -- what must hold ------------------------------------------------------------------------

    def the_book_balances(self):
        for accounts in settlement.trial_balance(self.world.services).values():
            assert sum(accounts.values()) == 0

    def let_everything_through(self):
        world = self.world
        world.ledger.fail_before = world.ledger.fail_after = 0
        world.payments.fail_before = world.payments.fail_after = 0
        for dispute in self.disputes:
            world.payments.decide(dispute, "won")
        world.deliver_events()
        for wait in (61_000, 16 * DAY, 16 * DAY, 61_000):
            world.clock.forward(wait)
            world.turn(2)
            self.state_waiting()
            while self.do_job("released"):
                world.turn(2)
            world.clock.forward(61_000)
            world.turn(2)

    def state_waiting(self):
        for one in invoices.waiting(self.world.services):
            for who in (0, 1):
                try:
                    self.world.operate(who, one["action"], one["details"])
                except RefusedError:
                    continue
        self.world.turn(2)

    def check_end(self):
        services = self.world.services
        for _ in range(2):
            run = reconcile.run(services, since=0)
        assert run.report["open"] == [], run.report
        for said in run.report["totals"].values():
            assert said["difference"] == 0
            assert said["ledger"] == said["book"]
        assert self.world.follower.state.violations == []
        with services.db.read() as session:
            for order in session.exec(select(Order)).all():
                self.check_order(session, order)
                ENDS[order.state] += 1
            for owner in (*self.owners, self.custodian):
                self.check_owner(session, owner.id)

    def check_order(self, session, order):
        rows = session.exec(select(Payment).where(Payment.order_id == order.id)).all()
        asked = [one for one in rows if one.state in ("received", "refunded")]
        assert len(asked) <= 1
        assert not [one for one in rows if one.state == "surplus"]
        if order.state == "settled":
            assert [one.state for one in asked] == ["received"]
        elif asked:
            assert (order.state, asked[0].state) == ("refunded", "refunded")
        else:
            assert order.state in ("cancelled", "expired"), order.state
        for account in (Account.ESCROW, Account.REFUNDS_PAYABLE):
            assert book_store.balance(session, account, order.id, order.currency) == 0
        shares = session.exec(select(Share).where(Share.order_id == order.id)).all()
        assert bool(shares) == (order.state == "settled")
        assert sum(one.amount for one in shares) == (order.owners_total if shares else 0)

    def check_owner(self, session, party):
        earned = sum(
            one.amount for one in session.exec(select(Share).where(Share.owner == party)).all()
        )
        sent = [
            one.amount - one.reversed
            for one in session.exec(select(Payout).where(Payout.party == party)).all()
            if one.state == "sent"
        ]
        owed = book_store.balance(session, Account.OWNERS_PAYABLE, party, "gbp")
        given = -sum(
            line.amount
            for line, transaction in _lines(session, party)
            if transaction.id.startswith("passed_on:")
        )
        assert earned == sum(sent) + owed - given


class MoneyMachine(RuleBasedStateMachine):
    """The same, driven by hypothesis."""

    money = None

    @initialize()
    def begin(self):
        self.money = MoneyWorld()

    @rule(action=st.sampled_from(ACTIONS), n=st.integers(0, 10_000))
    def step(self, action, n):
        self.money.act(action, n)

    @invariant()
    def the_book_balances(self):
        if self.money is not None:
            self.money.the_book_balances()

    def teardown(self):
        if self.money is not None:
            self.money.end()


def _lines(session, party):
    query = select(BookLine, BookTransaction).join(BookTransaction)
    return session.exec(
        query.where(BookLine.account == "owners_payable", BookLine.owner == party)
    ).all()
