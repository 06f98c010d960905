"""The money commands against a whole marketplace in this process: owner, buyer and operators."""

import csv
import io
import json
import re
from types import SimpleNamespace

import httpx
import pytest
from sqlmodel import select

from marketplace import payees
from marketplace.client import cli_money, cli_operator, cli_researcher
from marketplace.client.market import Market
from marketplace.client.operator import Operator
from marketplace.client.researcher import Researcher
from marketplace.config import InvoiceConfig, PayoutConfig
from marketplace.tables import BookLine, Payee, Payout
from tests.marketplace.market_world import World

WEEK = 7 * 86_400_000
BILL = InvoiceConfig(payee="Omic Market Ltd", address="1 Gene Street", bank="IBAN GB00")


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "world", payouts=PayoutConfig(period_ms=WEEK, minimum=1), invoices=BILL)
    yield made
    made.close()


@pytest.fixture
def tmp_path(tmp_path):
    (tmp_path / "world").mkdir()
    return tmp_path


def market_of(world, party):
    """The client's own marketplace connection, signed in as somebody, without a socket."""
    market = Market(
        "http://localhost:8080", httpx.Client(transport=httpx.WSGITransport(app=world.app))
    )
    market._token = party.token
    return market


class Person:
    """A session of the client: whose it is, its market, and its own look at the ledger."""

    def __init__(self, world, party):
        self.world, self.market = world, market_of(world, party)
        self.home = SimpleNamespace(party=party.id)
        self.view = self

    def sync(self):
        self.world.follower.sync()
        return self.world.follower.state


class Clerk(Operator):
    """An operator whose statements go to the world's ledger."""

    def __init__(self, world, number):
        party = world.sign_in(world.operators[number])
        self.__dict__.update(world=world, number=number, market=market_of(world, party))

    def act(self, action, details):
        index = self.world.operate(self.number, action, details)
        self.world.turn()
        return index


@pytest.fixture
def as_owner(world, omic, monkeypatch):
    owner = world.owner(upload=False)
    monkeypatch.setattr(cli_money, "session_of", lambda _context: Person(world, owner))
    return owner, omic


@pytest.fixture
def clerk(world, omic, monkeypatch):
    def run(number, *arguments):
        monkeypatch.setattr(cli_operator, "_operator", lambda *_options: Clerk(world, number))
        return omic("operator", *arguments)

    return run


def bought(world, owners):
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    world.answer(order, owners)
    world.turn()
    return researcher, order


def onboard(world, owner):
    with world.services.db.read() as session:
        account = session.get(Payee, owner.id).account_id
    world.payments.onboard(account)
    world.told(world.payments.event_of_account(account))


def said(run):
    status, out, err = run
    assert status == 0, err
    return " ".join(out.split())


# -- how an owner is paid --------------------------------------------------------------------------


def test_an_owner_is_led_to_stripe_and_told_what_is_missing(world, as_owner):
    owner, omic = as_owner
    assert "what you earn waits for you" in said(omic("payout", "show"))
    status, _out, err = omic("payout", "bank")
    assert status == 2
    assert "omic payout bank --country" in err
    assert "http://stripe.test/connect/" in said(omic("payout", "bank", "--country", "DE"))
    assert "Stripe still needs something" in said(omic("payout", "show"))
    onboard(world, owner)
    assert "Paid to your bank" in said(omic("payout", "show"))
    # To change the bank nobody is asked for the country again.
    assert "http://stripe.test/connect/" in said(omic("payout", "bank"))


def test_an_owner_gives_to_a_charity_and_stops(world, as_owner):
    _owner, omic = as_owner
    assert "lists no charity yet" in said(omic("payout", "charity"))
    payees.add_charity(world.services, "heart_fund", "Heart Fund")
    listed = said(omic("payout", "charity"))
    assert "heart_fund Heart Fund" in listed
    assert "omic payout charity CODE" in listed
    status, _out, err = omic("payout", "charity", "heart_found")
    assert status == 2
    assert "no charity" in err
    chosen = said(omic("payout", "charity", "heart_fund"))
    assert "goes to Heart Fund" in chosen
    assert "--stop" in chosen
    assert "goes to Heart Fund" in said(omic("payout", "show"))
    stopped = said(omic("payout", "charity", "--stop"))
    assert "Nothing more is passed on" in stopped
    assert "what you earn waits for you" in stopped
    assert json.loads(omic("--json", "payout", "show")[1])["charity"] is None


def test_who_stopped_giving_is_paid_to_the_bank_chosen_before(world, as_owner):
    owner, omic = as_owner
    payees.add_charity(world.services, "heart_fund", "Heart Fund")
    omic("payout", "bank", "--country", "GB")
    onboard(world, owner)
    omic("payout", "charity", "heart_fund")
    assert "Paid to your bank" in said(omic("payout", "charity", "--stop"))


# -- the statement ---------------------------------------------------------------------------------


def test_a_statement_is_checked_written_and_cut_by_days(world, as_owner, tmp_path):
    owner, omic = as_owner
    _researcher, order = bought(world, [owner, world.owner(upload=False)])
    text = said(omic("statement"))
    for words in ("earned", "£19.00", "Checked: 1 shares and 0 payouts", "omic open"):
        assert words in text
    path = tmp_path / "mine.csv"
    assert str(path) in said(omic("statement", "--csv", path)).replace(" ", "")
    (line,) = csv.DictReader(io.StringIO(path.read_text()))
    assert (line["kind"], line["order_or_payout"], line["amount"]) == ("earned", order, "19.00")
    whole = json.loads(omic("--json", "statement")[1])
    assert (whole["shares_checked"], len(whole["lines"])) == (1, 1)
    assert json.loads(omic("--json", "statement", "--until", "2020-01-01")[1])["lines"] == []
    assert len(json.loads(omic("--json", "statement", "--since", "2020-01-01")[1])["lines"]) == 1
    omic("statement", "--csv", path, "--until", "2020-01-01")
    assert len(path.read_text().splitlines()) == 1
    assert omic("statement", "--since", "yesterday")[0] == 2
    status, _out, err = omic("statement", "--csv", tmp_path / "nowhere" / "x.csv")
    assert status == 2
    assert "cannot write" in err


def test_a_statement_that_is_not_what_the_ledger_proves_is_refused(world, as_owner):
    owner, omic = as_owner
    bought(world, [owner])
    with world.services.db.write() as session:
        line = session.exec(select(BookLine).where(BookLine.owner == owner.id)).one()
        line.amount -= 1
    status, _out, err = omic("statement")
    assert status == 2
    assert "is not the one on the ledger" in err


# -- operators -------------------------------------------------------------------------------------


def test_a_transfer_counts_after_two_people_confirmed_it(world, clerk, omic, monkeypatch):
    world.owner(upload=False)
    buyer = world.researcher()
    order = world.place(buyer)
    made = Researcher(Person(world, buyer))
    monkeypatch.setattr(cli_researcher, "_researcher", lambda _context: made)
    bill = said(omic("order", "invoice", order, "--po", "PO-9"))
    number = re.search(r"INV-\S+", bill).group()
    for words in ("Omic Market Ltd", "IBAN GB00", f"/orders/{order}/invoice", "PO-9"):
        assert words in bill
    assert "0 of 2" in said(clerk(0, "bank"))
    assert "1 more operator must confirm it" in said(clerk(0, "confirm", number, "--yes"))
    assert clerk(0, "confirm", number, "--yes")[0] != 0
    assert "it counts now" in said(clerk(1, "confirm", number, "--yes"))
    world.turn()
    assert world.state(buyer, order) == "approved"
    status, _out, err = clerk(1, "confirm", number, "--yes")
    assert status == 2
    assert "omic operator bank" in err


def test_operators_pay_take_back_and_compare(world, clerk, as_owner):
    owner, omic = as_owner
    omic("payout", "bank", "--country", "GB")
    onboard(world, owner)
    bought(world, [owner])
    world.clock.forward(60_000)
    paid = said(clerk(0, "payouts", "--now"))
    assert "£38.00" in paid
    world.turn(4)
    with world.services.db.read() as session:
        payout = session.exec(select(Payout)).one()
    assert payout.state == "sent"
    assert "Checked: 1 shares and 1 payouts" in said(omic("statement"))
    assert "it is owed again" in said(clerk(0, "reverse", payout.id, "--amount", "100"))
    assert "payout returned" in said(omic("statement"))
    world.clock.forward(60_000)
    world.turn()
    agreed = said(clerk(0, "reconcile"))
    assert "All three agree" in agreed
    assert "paid_out" in agreed
    assert "All three agree" in said(clerk(1, "reconcile", "--last"))


def test_a_comparison_that_leaves_something_open_ends_with_status_1(world, clerk, as_owner):
    owner, _omic = as_owner
    bought(world, [owner])
    with world.services.db.write() as session:
        session.exec(select(BookLine)).first().amount += 1
    status, out, _err = clerk(0, "reconcile")
    assert status == 1
    assert "Something is open" in out
    assert "transaction does not balance" in out
