"""Bank transfers against an invoice: two operators, on the ledger, both ways."""

import pytest

from ledger import RefusedError
from marketplace import reconcile, settlement
from tests.marketplace.market_world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def invoiced(world):
    owner, researcher = world.owner(upload=False), world.researcher()
    order = world.place(researcher)
    answer = world.http.post(
        f"/api/v1/orders/{order}/invoice", json={"purchase_order": "PO-77"}, headers=researcher.auth
    )
    assert answer.status_code == 200, answer.json
    return researcher, order, owner, answer.json


def waiting(world):
    operator = world.sign_in(world.operators[0])
    return world.http.get("/api/v1/operator/transfers", headers=operator.auth).json["transfers"]


def confirm(world, *who):
    (one,) = waiting(world)
    for number in who:
        world.operate(number, one["action"], one["details"])
    world.turn()


def test_an_invoice_counts_after_two_operators_and_then_runs_as_any_order(world, invoiced):
    researcher, order, owner, invoice = invoiced
    assert invoice["purchase_order"] == "PO-77"
    assert sum(item["amount"] for item in invoice["items"]) == invoice["total"]
    again = world.http.post(
        f"/api/v1/orders/{order}/invoice", json={"purchase_order": "PO-78"}, headers=researcher.auth
    )
    assert again.json["invoice"] == invoice["invoice"]
    confirm(world, 0)
    assert world.state(researcher, order) == "awaiting_payment"
    assert waiting(world)[0]["stated"] == 1
    with pytest.raises(RefusedError, match="already"):
        confirm(world, 0)
    confirm(world, 1)
    assert world.state(researcher, order) == "approved"
    assert waiting(world) == []
    world.answer(order, [owner])
    world.turn()
    assert world.state(researcher, order) == "settled"
    book = settlement.trial_balance(world.services)["gbp"]
    assert book["bank_clearing"] == invoice["total"]
    assert "stripe_clearing" not in book
    read = world.http.get(f"/api/v1/orders/{order}/invoice", headers=researcher.auth).json
    assert read["state"] == "received"


def test_money_goes_back_by_bank_after_two_operators(world, invoiced):
    researcher, order, _owner, invoice = invoiced
    confirm(world, 0, 1)
    world.outcome(world.job(), state="failed", code="internal")
    world.turn()
    assert world.state(researcher, order) == "failed"
    (one,) = waiting(world)
    assert (one["action"], one["details"]["amount"]) == ("bank.sent", invoice["total"])
    confirm(world, 1)
    assert world.state(researcher, order) == "failed"
    confirm(world, 2)
    assert world.state(researcher, order) == "refunded"
    assert settlement.trial_balance(world.services) == {"gbp": {}}
    world.clock.forward(60_000)
    world.turn()
    assert reconcile.run(world.services).report["open"] == []


def test_paid_by_card_and_by_bank_the_second_goes_back(world, invoiced):
    researcher, order, _owner, _invoice = invoiced
    (one,) = waiting(world)
    world.pay(researcher, order)
    for number in (0, 1):
        world.operate(number, one["action"], one["details"])
    world.turn()
    (back,) = waiting(world)
    assert back["action"] == "bank.sent"
    confirm(world, 0, 1)
    assert waiting(world) == []
    assert settlement.trial_balance(world.services)["gbp"].get("bank_clearing", 0) == 0
    assert world.ledger.types(order).count("payment.received") == 1


def test_strangers_and_empty_purchase_orders_are_refused(world, invoiced):
    researcher, order, owner, _invoice = invoiced
    other = world.researcher()
    path = f"/api/v1/orders/{order}/invoice"
    assert world.http.get(path, headers=other.auth).status_code == 404
    empty = world.http.post(path, json={"purchase_order": "  "}, headers=researcher.auth)
    assert empty.status_code == 400
    for path in ("transfers", "payouts", "reconciliation"):
        assert world.http.get(f"/api/v1/operator/{path}", headers=owner.auth).status_code == 403
