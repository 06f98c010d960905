"""The statement, the invoice and the operator's desk, as pages."""

import pytest

from marketplace import payees, reconcile
from marketplace.config import InvoiceConfig
from marketplace.tables import Reconciliation, WebhookEvent
from marketplace.web.text import money
from tests.marketplace.market_world import World
from tests.marketplace.web.web_world import post


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def browser(world, party):
    """Return a client signed in by cookie, as the one-time link does."""
    from marketplace.web.sessions import cookie_name

    client = world.app.test_client()
    client.set_cookie(cookie_name(world.services.config), party.token, domain="localhost")
    return client


def test_an_owners_statement_shows_its_own_lines_and_ways_to_be_paid(world):
    owner, other, researcher = (*(world.owner(upload=False) for _ in range(2)), world.researcher())
    payees.add_charity(world.services, "heart_fund", "Heart Fund")
    order = world.place(researcher)
    world.pay(researcher, order)
    world.answer(order, [owner, other])
    world.turn()
    page = browser(world, owner).get("/me/statement")
    assert page.status_code == 200
    for text in ("£19.00", "earned", order[:8], "Heart Fund", "Be paid to my bank"):
        assert text in page.text
    assert other.id not in page.text
    assert '<option value="GB">United Kingdom</option>' in page.text
    assert '<option value="ZZ">' not in page.text
    # What one is owed and how it is paid comes before the lines it is made of.
    assert page.text.index("How you are paid") < page.text.index("Line by line")
    assert "£19.00" not in browser(world, owner).get("/me/statement?page=2").text.split("lines")[-1]
    assert browser(world, owner).get("/me/statement?page=0").status_code == 400
    table = browser(world, owner).get("/me/statement.csv").text
    assert "19.00" in table
    assert world.app.test_client().get("/me/statement").status_code in (302, 303, 401)
    assert browser(world, researcher).get("/me/statement").status_code == 403


def test_an_invoice_can_be_printed(tmp_path):
    bill = InvoiceConfig(payee="Omic Market Ltd", address="1 Gene Street", tax_id="GB 123")
    world = World(tmp_path, invoices=bill)
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    path = f"/api/v1/orders/{order}/invoice"
    world.http.post(path, json={"purchase_order": "PO-<7>"}, headers=researcher.auth)
    page = browser(world, researcher).get(f"/orders/{order}/invoice")
    assert page.status_code == 200
    for text in ("PO-&lt;7&gt;", "INV-", "a university", "1 Gene Street", "GB 123", "Waiting for"):
        assert text in page.text
    world.close()


def test_the_operator_sees_what_was_compared_and_done(world):
    world.owner(upload=False)
    researcher, operator = world.researcher(), world.sign_in(world.operators[0])
    order = world.place(researcher)
    world.payments.pay(world.checkout(researcher, order))  # the webhook is lost
    reconcile.run(world.services, since=0)
    page = browser(world, operator).get("/operator")
    assert page.status_code == 200
    assert "payment not booked" in page.text
    assert "omic operator reconcile" in page.text
    assert browser(world, researcher).get("/operator").status_code == 403


def test_the_operators_page_tells_what_needs_a_person_and_what_operators_did(lively_world):
    world, _who = lively_world
    with world.services.db.write() as session:
        session.add(WebhookEvent(id="evt_late", type="x", state="new", received_at=0))
    index = world.operate(
        1, "custodian.split", {"custodian": "bank", "party": "0" * 32, "percent": 1}
    )
    world.services.view.refresh()
    operator = world.sign_in(world.operators[0])
    page = browser(world, operator).get("/operator").text
    assert "One thing needs you" in page
    assert page.index("Webhooks not acted on: 1") < page.index("Health and queues")
    assert "Compare everything now." in page
    assert "A draft to review" in page
    assert f"/ledger/{index}" in page
    assert "custodian split" in page or "custodian: split" in page
    with world.services.db.write() as session:
        session.delete(session.get(WebhookEvent, "evt_late"))


def test_at_three_in_the_morning_the_desk_says_first_what_is_broken_and_what_to_do(fresh):
    world = fresh
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)  # its job is queued, and no worker comes
    desk = browser(world, world.sign_in(world.operators[0]))
    assert "Nothing needs you now" in desk.get("/operator").text
    world.reader.awake = (0, 1)
    world.clock.forward(20 * 60_000)
    world.services.view.refresh()
    world.ledger.fail_before = 10**6
    run = {"closed": [], "totals": {}, "open": [
        {"what": "ledger and book differ", "about": "gbp", "do": "compare the totals"}]}  # fmt: skip
    with world.services.db.write() as session:
        session.add(Reconciliation(at=world.clock(), ok=False, report=run))
    page = desk.get("/operator").text
    first, _, rest = page.partition("Health and queues")
    assert "3 things need you" in first
    for told in (
        "Witness witness-3 is silent: last signed 20 minutes ago", "Restart it, or ask who runs it",
        "Jobs that wait too long: 1; compute last reported: never", "See that a compute worker runs",
        "Book, ledger and Stripe differ: ledger and book differ (gbp)", "compare the totals",
    ):  # fmt: skip
        assert told in first, told
    assert "signed last 20 minutes ago" in rest
    status = world.http.get("/status").text
    assert "Running, with something to mend" in status and "witness-3 is silent" in status
    assert "Restart it" not in status and "differ" not in status


def test_a_ledger_never_reached_since_the_start_is_said_to_whoever_is_signed_in(fresh):
    """Who may see the desk is judged by the ledger, so it stays shut; the status page does not."""
    desk = browser(fresh, fresh.sign_in(fresh.operators[0]))
    fresh.reader.silent = fresh.follower.silent = True
    fresh.services.view._snapshot = None
    page = desk.get("/operator")
    assert page.status_code == 503
    assert "One of our services does not answer" in page.text and "/status" in page.text
    status = desk.get("/status")
    assert status.status_code == 200 and "The ledger cannot be reached" in status.text


def test_an_owner_sees_what_waits_and_earnings_by_month_and_takes_everything_along(lively_world):
    world, who = lively_world
    client = world.browser(who["owner"])
    assert "Earned by month" in client.get("/me/statement").text
    page = client.get("/me").text
    assert "Shared with nobody" in page
    everything = client.get("/me/everything.json")
    assert everything.headers["Content-Disposition"].startswith("attachment")
    assert everything.json["party"] == who["owner"].id
    assert everything.json["tables"]
    assert world.app.test_client().get("/me/everything.json").status_code in (302, 303, 401)


def test_a_buyer_asks_for_an_invoice_on_the_orders_page_and_prints_it(world):
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    client = browser(world, researcher)
    assert "Get an invoice" in client.get(f"/orders/{order}").text
    made = post(
        client, f"/orders/{order}/invoice", {"purchase_order": "PO-5"}, page=f"/orders/{order}"
    )
    assert made.status_code == 303
    assert "PO-5" in client.get(made.headers["Location"]).text
    page = client.get(f"/orders/{order}").text
    assert "to be transferred against an invoice" in page
    assert f"/orders/{order}/invoice" in page
    assert "Get an invoice" not in page


def test_a_buyer_sees_what_was_paid_with_its_receipt_and_what_went_back(world):
    researcher, order = world.answered_by_fewer()
    world.turn(5)
    page = browser(world, researcher).get(f"/orders/{order}").text
    for words in ("paid by card", "/receipts/", "given back, because fewer people took part"):
        assert words in page
    told = world.http.get(f"/api/v1/orders/{order}", headers=researcher.auth).json
    assert [one["kind"] for one in told["money"]] == ["paid", "refund"]
    assert told["money"][0]["amount"] == told["amount"]
    listed = world.http.get("/api/v1/orders", headers=researcher.auth).json["orders"]
    assert listed[0]["money"] == []


def test_a_buyer_sees_that_its_bank_holds_the_money(world):
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    session = world.checkout(researcher, order)
    world.webhook(world.payments.pay(session))
    world.turn()
    dispute = world.payments.dispute(session)
    world.told(world.payments.event("charge.dispute.created", dispute))
    page = browser(world, researcher).get(f"/orders/{order}").text
    assert "Your bank holds" in page


def test_everybody_sees_where_the_money_went(lively_world):
    world, who = lively_world
    made = [r.leaf.entry.payload for r in world.ledger.records if r.leaf.type == "settlement.made"]
    page = world.http.get("/jobs").text
    for name, label in (
        ("gross", "Paid"),
        ("platform_fee", "Platform"),
        ("owners_total", "To owners"),
    ):
        told = money(sum(one[name] for one in made), "gbp")
        assert f'data-label="{label}">{told}</td>' in page, name
    one = next(one for one in made if one["order"] == who["orders"]["settled"])
    job = world.http.get(f"/jobs/{one['order']}").text
    assert f"{money(one['platform_fee'], 'gbp')} to the platform" in job
    assert "to the platform" not in world.http.get(f"/jobs/{who['orders']['running']}").text
