"""The money pages in a real browser, wide and narrow, light and dark, and as printed."""

import csv
import io

import pytest

from marketplace import payees, payouts, reconcile
from marketplace.config import Limits, PayoutConfig
from marketplace.tables import Payee
from tests.marketplace.web.test_browser import SIZES, examine, look, pytestmark  # noqa: F401
from tests.marketplace.web.web_world import WebWorld, purpose
from tests.served import served

WEEK = 7 * 86_400_000


def earned(path):
    """Return a market where an owner earned, was paid and gave, and who lives in it."""
    limits = Limits(session_ms=52 * WEEK)
    world = WebWorld(path, limits=limits, payouts=PayoutConfig(period_ms=WEEK, minimum=1))
    owners = [world.owner() for _ in range(3)]
    researcher, operator = world.researcher(), world.sign_in(world.operators[0])
    payees.add_charity(world.services, "heart_fund", "Heart Fund")
    account = world.http.post(
        "/api/v1/me/payee/onboard", json={"country": "GB"}, headers=owners[0].auth
    )
    assert account.status_code == 200
    for number in range(3):
        order = world.place(researcher, purpose=purpose(f"Study {number}"))
        world.pay(researcher, order)
        world.answer(order, owners)
        world.turn()
        world.clock.forward(WEEK // 2)
    with world.services.db.read() as session:
        world.payments.onboard(session.get_one(Payee, owners[0].id).account_id)
    payees.look_again(world.services)
    world.clock.forward(WEEK)
    payouts.run(world.services)
    world.turn()
    unpaid = world.place(researcher, purpose=purpose("A university pays by bank"))
    body = {"purchase_order": "PO-2026-118"}
    path = f"/api/v1/orders/{unpaid}/invoice"
    assert world.http.post(path, json=body, headers=researcher.auth).status_code == 200
    lost = world.place(researcher, purpose=purpose("Its webhook was lost"))
    world.payments.pay(world.checkout(researcher, lost))
    reconcile.run(world.services, since=0)
    who = {"owner": owners[0], "newcomer": owners[1], "researcher": researcher}
    return world, {**who, "operator": operator}, unpaid


@pytest.fixture(scope="module")
def money(tmp_path_factory, chromium):
    """The market behind a real server; yields (address, signed-in states by who, invoice's page)."""
    world, who, unpaid = earned(tmp_path_factory.mktemp("money"))
    with served(world.app) as port:
        base = f"http://127.0.0.1:{port}"
        yield base, signed_in(chromium, world, base, who), f"/orders/{unpaid}/invoice"
    world.close()


def signed_in(chromium, world, base, who):
    """Return each party's browser state, made by following a one-time link."""
    states = {}
    for name, party in who.items():
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{base}/signin#{world.link(party)}")
        page.wait_for_url(lambda url: "signin" not in url)
        states[name] = context.storage_state()
        context.close()
    return states


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_money_pages_are_clean(money, chromium, width, scheme):
    base, states, invoice = money
    wrong = []
    pages = [("owner", "/me/statement"), ("newcomer", "/me/statement"), ("researcher", invoice),
             ("operator", "/operator")]  # fmt: skip
    for role, path in pages:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme,
            storage_state=states[role],
        )  # fmt: skip
        wrong += look(context.new_page(), base, path)
        context.close()
    assert wrong == []


def test_a_statement_prints_without_its_forms_and_downloads_as_csv(money, chromium):
    base, states, _invoice = money
    context = chromium.new_context(storage_state=states["owner"])
    page = context.new_page()
    page.goto(f"{base}/me/statement")
    assert page.get_by_role("button", name="Change my bank at Stripe").is_visible()
    shown = page.locator("section[aria-labelledby=lines] tbody tr").count()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download every line as CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    assert len(rows) == shown
    assert rows[-1]["kind"] == "paid out"
    assert float(rows[-1]["balance"]) == 0
    page.emulate_media(media="print")
    assert not page.get_by_role("button", name="Change my bank at Stripe").is_visible()
    assert page.get_by_role("table").first.is_visible()
    assert examine(page) == []
    context.close()


def test_a_charity_is_chosen_on_the_statement_and_left_again(money, chromium):
    base, states, _invoice = money
    context = chromium.new_context(storage_state=states["newcomer"])
    page = context.new_page()
    page.goto(f"{base}/me/statement")
    page.get_by_role("button", name="Give what I earn").click()
    page.get_by_text("What you earn goes to Heart Fund").wait_for()
    assert examine(page) == []
    page.get_by_role("button", name="Stop giving").click()
    page.get_by_text("You chose nothing yet").wait_for()
    assert page.get_by_label("Country you live in").input_value() == ""
    context.close()
