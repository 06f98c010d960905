"""Payouts: once a period, once each, to the bank or a charity; statements and proofs; reversals."""

import csv
import io

import pytest
from sqlmodel import select

from ledger import FormatError, VerificationError, canonical, leaf_hash, verify_inclusion
from marketplace import book_store, payees, payouts, reconcile
from marketplace.book import Account
from marketplace.config import PayoutConfig
from marketplace.tables import Payee, Payout, PayoutBatch
from tests.marketplace.market_world import World

WEEK = 7 * 86_400_000


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, payouts=PayoutConfig(period_ms=WEEK, minimum=1))
    yield made
    made.close()


def settled(world, owners, **changes):
    researcher = world.researcher()
    order = world.place(researcher, **changes)
    world.pay(researcher, order)
    world.answer(order, owners)
    world.turn()
    return order


def next_period(world):
    world.clock.forward(WEEK)
    for one in world.signed_in:
        world.sign_in(one)
    world.turn(4)


def bank(world, owner, onboard=True):
    answer = world.http.post("/api/v1/me/payee/onboard", json={"country": "gb"}, headers=owner.auth)
    assert answer.json["url"].startswith("http://stripe.test/connect/")
    with world.services.db.read() as session:
        account = session.get(Payee, owner.id).account_id
    if onboard:
        world.payments.onboard(account)
        world.webhook(world.payments.event_of_account(account))
    return account


def owed(world, party, account=Account.OWNERS_PAYABLE):
    with world.services.db.read() as session:
        return book_store.balance(session, account, party, "gbp")


def rows(world, table):
    with world.services.db.read() as session:
        return session.exec(select(table)).all()


def agree(world):
    world.clock.forward(60_000)
    world.turn()
    for _ in range(2):
        run = reconcile.run(world.services, since=0)
    assert run.report["open"] == []
    said = run.report["totals"]["gbp"]
    assert said["difference"] == 0
    assert said["ledger"] == said["book"]
    return said


def test_two_orders_of_a_period_are_one_transfer_with_a_proof_on_the_ledger(world):
    owner, waiting = world.owner(upload=False), world.owner(upload=False)
    bank(world, owner)
    bank(world, waiting, onboard=False)
    for _ in range(2):
        settled(world, [owner, waiting])
    due = owed(world, owner.id)
    assert due > 0
    assert not rows(world, Payout)  # this period's money waits for the next
    next_period(world)
    (payout,) = rows(world, Payout)
    assert (payout.party, payout.amount, payout.state) == (owner.id, due, "sent")
    assert owed(world, owner.id) == 0
    assert owed(world, waiting.id) == due  # until Stripe knows who it is
    assert world.payments.calls["transfer"] == 1
    (batch,) = rows(world, PayoutBatch)
    entry = world.ledger.state.payouts[batch.id].payload
    assert (entry["amount"], entry["payouts"], entry["reversed"]) == (due, 1, 0)
    (shown,) = world.http.get("/api/v1/me/payouts", headers=owner.auth).json["payouts"]
    value = {"payout": shown["payout"], "party": owner.id, "amount": due, "currency": "gbp"}
    verify(value, shown["proof"], entry)
    with pytest.raises(VerificationError):
        verify({**value, "amount": due + 1}, shown["proof"], entry)
    assert agree(world)["ledger"]["paid_out"] == due
    world.turn(4)
    assert world.payments.calls["transfer"] == 1


def verify(value, proof, entry):
    import hashlib
    import hmac

    leaf = hmac.new(bytes.fromhex(proof["salt"]), canonical(value), hashlib.sha256).digest()
    steps = [bytes.fromhex(step) for step in proof["proof"]]
    root = bytes.fromhex(entry["payout_root"])
    try:
        verify_inclusion(proof["index"], entry["payouts"], leaf_hash(leaf), steps, root)
    except FormatError as error:
        raise VerificationError(str(error)) from None


def test_below_the_threshold_a_share_waits(tmp_path):
    world = World(tmp_path, payouts=PayoutConfig(period_ms=WEEK, minimum=50))
    owner, other = world.owner(upload=False), world.owner(upload=False)
    bank(world, owner)
    settled(world, [owner, other])  # £19 each
    next_period(world)
    assert not rows(world, Payout)
    for _ in range(2):
        settled(world, [owner, other])
    next_period(world)
    (payout,) = rows(world, Payout)
    assert payout.amount == 3 * 1900
    world.close()


def test_who_wants_no_money_passes_it_to_a_charity_without_an_account(world):
    owner, other = world.owner(upload=False), world.owner(upload=False)
    payees.add_charity(world.services, "heart_fund", "Heart Fund")
    listed = world.http.get("/api/v1/charities").json["charities"]
    assert listed == [{"code": "heart_fund", "name": "Heart Fund", "ready": False}]
    answer = world.http.post(
        "/api/v1/me/payee/charity", json={"charity": "heart_fund"}, headers=owner.auth
    )
    assert answer.json["mode"] == "charity"
    settled(world, [owner, other])
    due = owed(world, owner.id)
    next_period(world)
    charity = payees.charity_party("heart_fund")
    assert owed(world, owner.id) == 0
    assert owed(world, charity, Account.CHARITY) == due
    assert owed(world, other.id) == due
    payees.onboard(world.services, charity, "GB", "http://localhost:8080/status")
    with world.services.db.read() as session:
        world.payments.onboard(session.get(Payee, charity).account_id)
    world.clock.forward(60_000)
    world.turn()  # the webhook is lost; Stripe is asked
    next_period(world)
    (payout,) = rows(world, Payout)
    assert (payout.party, payout.amount) == (charity, due)
    lines = world.http.get("/api/v1/me/statement", headers=owner.auth).json["lines"]
    assert [(one["kind"], one["amount"]) for one in lines] == [
        ("earned", due), ("passed to charity", -due)
    ]  # fmt: skip
    agree(world)


def test_a_withdrawn_owner_is_paid_for_what_was_used(world):
    owner, other = world.owner(upload=False), world.owner(upload=False)
    bank(world, owner)
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    world.answer(order, [owner, other])
    world.withdraw(owner)
    world.turn()
    next_period(world)
    (payout,) = rows(world, Payout)
    assert payout.party == owner.id


def test_a_custodian_gets_the_part_its_people_consented_to(world):
    custodian = world.register(type(world.owner(upload=False))(), "owner")
    details = {"custodian": "biobank", "party": custodian.id, "percent": 30}
    world.operate(0, "custodian.split", details)
    people = [world.owner(upload=False, custodian="biobank") for _ in range(3)]
    world.operate(0, "custodian.split", {**details, "percent": 90})  # after their consent
    alone = world.owner(upload=False)
    order = settled(world, [*people, alone])
    total = world.ledger.state.orders[order].settlement.payload["owners_total"]
    each = total / 4
    assert owed(world, alone.id) == pytest.approx(each, abs=1)
    for one in people:
        assert owed(world, one.id) == pytest.approx(each * 0.7, abs=1)
    assert owed(world, custodian.id) == pytest.approx(each * 0.9, abs=1)
    shares = [owed(world, one.id) for one in (*people, alone, custodian)]
    assert sum(shares) == total


@pytest.mark.parametrize("cut", ["fail_before", "fail_after"])
def test_a_cut_cable_repeats_no_transfer(world, cut):
    owners = [world.owner(upload=False) for _ in range(3)]
    for owner in owners:
        bank(world, owner)
    settled(world, owners)
    setattr(world.payments, cut, 2)
    next_period(world)
    world.turn(4)
    assert len(world.payments.all("transfer")) == 3
    assert {one.state for one in rows(world, Payout)} == {"sent"}
    assert len(rows(world, PayoutBatch)) == len(world.ledger.state.payouts) == 1
    agree(world)


def test_a_transfer_whose_answer_was_lost_days_ago_is_found_and_not_made_again(world):
    owners = [world.owner(upload=False) for _ in range(2)]
    for owner in owners:
        bank(world, owner)
    settled(world, owners)
    world.clock.forward(WEEK)
    world.payments.fail_after = 1
    assert payouts.run(world.services) == 1  # the other was made, and we never heard
    world.clock.forward(2 * 86_400_000)  # the market was down; Stripe forgot the key meanwhile
    world.turn(4)
    assert len(world.payments.all("transfer")) == 2
    assert {one.state for one in rows(world, Payout)} == {"sent"}
    assert [owed(world, owner.id) for owner in owners] == [0, 0]
    agree(world)


@pytest.mark.parametrize("then", ["bank", "charity"])
def test_what_is_on_its_way_is_not_in_the_next_period_again(world, then):
    """It is sent a week late, an answer is lost, and the next period is planned at once."""
    owners = [world.owner(upload=False) for _ in range(2)]
    accounts = {bank(world, owner) for owner in owners}
    payees.add_charity(world.services, "heart_fund", "Heart Fund")
    settled(world, owners)
    due = {owner.id: owed(world, owner.id) for owner in owners}
    world.clock.forward(WEEK)
    assert payouts.plan_period(world.services, *payouts.period_of(world.clock(), WEEK))
    if then == "charity":
        for owner in owners:
            world.sign_in(owner)
            path, body = "/api/v1/me/payee/charity", {"charity": "heart_fund"}
            assert world.http.post(path, json=body, headers=owner.auth).status_code == 200
    world.payments.fail_after = 1
    next_period(world)
    sent = [(one["destination"], one["amount"]) for one in world.payments.all("transfer")]
    assert {account for account, _amount in sent} == accounts
    assert sorted(amount for _account, amount in sent) == sorted(due.values())
    assert [one.state for one in rows(world, Payout)] == ["sent", "sent"]
    assert [owed(world, owner.id) for owner in owners] == [0, 0]
    assert owed(world, payees.charity_party("heart_fund"), Account.CHARITY) == 0
    agree(world)


def test_a_refused_transfer_is_owed_in_the_next_period_again(world):
    owner, other = world.owner(upload=False), world.owner(upload=False)
    account = bank(world, owner)
    settled(world, [owner, other])
    world.payments.restrict(account)  # and the webhook is lost
    due = owed(world, owner.id)
    next_period(world)
    (payout,) = rows(world, Payout)
    assert payout.state == "failed"
    assert owed(world, owner.id) == due
    world.payments.onboard(account)
    world.webhook(world.payments.event_of_account(account))
    next_period(world)
    assert sorted(one.state for one in rows(world, Payout)) == ["failed", "sent"]
    assert owed(world, owner.id) == 0
    agree(world)


def test_an_operator_takes_a_payout_back_and_it_is_owed_again(world):
    owner, other = world.owner(upload=False), world.owner(upload=False)
    bank(world, owner)
    settled(world, [owner, other])
    next_period(world)
    (payout,) = rows(world, Payout)
    operator = world.sign_in(world.operators[0])
    path = f"/api/v1/operator/payouts/{payout.id}/reverse"

    def take_back(amount, who=operator, said=None):
        details = {"payout": payout.id, "amount": amount if said is None else said}
        entry = world.operate(0, "payout.reversed", details)
        body = {"amount": amount, "entry": entry}
        return body, world.http.post(path, json=body, headers=who.auth).status_code

    assert take_back(200, said=100)[1] == 403
    body, status = take_back(100)
    assert status == 200
    assert world.http.post(path, json=body, headers=operator.auth).status_code == 409
    assert owed(world, owner.id) == 100
    assert take_back(10**9)[1] == 409
    assert take_back(1, who=owner)[1] == 403
    assert take_back(1, who=world.sign_in(world.operators[1]))[1] == 403
    world.webhook(world.payments.event("transfer.reversed", payout.transfer_id))
    assert owed(world, owner.id) == 100
    entry = world.operate(0, "payouts.run", {})
    path = "/api/v1/operator/payouts"
    assert world.http.post(path, headers=operator.auth, json={}).status_code == 400
    answer = world.http.post(path, headers=operator.auth, json={"entry": entry})
    assert answer.status_code == 200
    world.turn(4)
    assert owed(world, owner.id) == 0
    newest = max(world.ledger.state.payouts.values(), key=lambda one: one.index).payload
    assert (newest["amount"], newest["reversed"]) == (100, 100)
    agree(world)


@pytest.mark.parametrize(
    ("path", "action", "more"),
    [
        ("reconciliation", "reconciliation.run", {}),
        ("charities/heart_fund/onboard", "charity.onboarded", {"country": "GB"}),
    ],
)
def test_an_operators_deed_is_refused_until_it_stands_on_the_ledger(world, path, action, more):
    operator, path = world.sign_in(world.operators[0]), f"/api/v1/operator/{path}"
    details = {"code": "heart_fund", **more} if more else {}

    def tried(*stated):
        body = {**more, "entry": world.operate(0, *stated)} if stated else more
        return body, world.http.post(path, json=body, headers=operator.auth).status_code

    assert tried()[1] == 400
    assert tried("payouts.run", details)[1] == 403
    body, status = tried(action, details)
    assert status == 200
    assert world.http.post(path, json=body, headers=operator.auth).status_code == 409


def test_an_operators_deed_is_read_from_the_verified_fold(world, monkeypatch):
    operator, path = world.sign_in(world.operators[0]), "/api/v1/operator/reconciliation"
    stated = world.operate(0, "reconciliation.run", {})
    other = world.operate(0, "payouts.run", {})
    served = world.ledger.entries
    # A log that serves another leaf than the one it was followed over deceives nobody.
    monkeypatch.setattr(world.ledger, "entries", lambda *_: served(stated, stated + 1))
    assert world.http.post(path, json={"entry": other}, headers=operator.auth).status_code == 403
    assert world.http.post(path, json={"entry": stated}, headers=operator.auth).status_code == 200


def test_a_statement_is_the_book_and_only_its_owners(world):
    owner, other = world.owner(upload=False), world.owner(upload=False)
    bank(world, owner)
    order = settled(world, [owner, other])
    next_period(world)
    mine = world.http.get("/api/v1/me/statement", headers=owner.auth).json
    assert [one["kind"] for one in mine["lines"]] == ["earned", "paid out"]
    assert mine["lines"][0]["about"] == order
    assert mine["balances"] == {"gbp": 0}
    theirs = world.http.get("/api/v1/me/statement", headers=other.auth).json
    assert [one["kind"] for one in theirs["lines"]] == ["earned"]
    text = world.http.get("/api/v1/me/statement.csv", headers=owner.auth)
    assert text.mimetype == "text/csv"
    table = list(csv.DictReader(io.StringIO(text.text)))
    assert [line["amount"] for line in table] == ["19.00", "-19.00"]
    assert world.http.get("/api/v1/me/statement").status_code == 401
    bad = world.http.get("/api/v1/me/statement?since=x", headers=owner.auth)
    assert bad.status_code == 400


def test_a_period_is_planned_once(world):
    assert payouts.period_of(0, 10) == ("p0", 0)
    assert payouts.period_of(25, 10) == ("p2", 20)
    owner = world.owner(upload=False)
    bank(world, owner)
    settled(world, [owner])
    now = world.clock() + 1
    assert len(payouts.plan_period(world.services, "by hand", now)) == 1
    assert payouts.plan_period(world.services, "by hand", now) == []
