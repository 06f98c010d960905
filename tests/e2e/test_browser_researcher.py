"""A researcher's journey in a real browser: keys, dry run, price, order, payment, answer, proof.

And an auditor's: an entry proved in the browser, a bundle checked offline, a falsified one refused.
"""

import json
import os
import subprocess
import sys

import pytest

from marketplace.client.coauthors import parse_answer_key, share
from marketplace.client.researcher import Answer
from tests.e2e.stack import a_people
from tests.e2e.test_browser_owner import (
    AXE,
    CHROMIUM,
    TAGS,
    Person,
    a_vcf,
    full_state,
    is_accessible_and_fits,
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]

COLLABORATION = {"id": "DUO:0000020", "parameters": {}}


def ordered(person, market, project, match=""):
    """Place an order in the browser; return it and the link that leads to the payment."""
    page = person.page
    page.goto(f"{market.layout.url('marketplace')}/dry-run")
    page.fill("#project", project)
    page.fill("#q-match", match)
    person.click("Estimate")
    if match:
        page.get_by_text("judged on encrypted data, inside the order only").wait_for()
    person.click("Get a binding price and order", "link")
    person.click("Unlock with my passkey")
    page.wait_for_selector("tfoot")
    person.click("Order with my passkey")
    pay = page.locator("a.button", has_text="Pay ")
    pay.wait_for()
    return page.inner_text("code.whole"), pay


@pytest.fixture(scope="module")
def researcher(chromium, market):
    """Somebody with research keys, on a market where 24 people consented."""
    if len(market.owners) < 24:
        market.crowd(a_people(24, 0))
    market.team()  # reviewers have joined before an answer wants them
    person = Person(chromium, market)
    person.page.goto(market.layout.url("marketplace"))
    person.click("Make research keys", "link")
    person.enrol()
    person.click("Go to my research")
    person.page.wait_for_url("**/research")
    yield person
    assert person.trouble == []
    person.context.close()


@pytest.fixture(scope="module")
def answered(researcher, market):
    """A researcher who asked, paid, and opened the answer in the browser."""
    person, page, base = researcher, researcher.page, market.layout.url("marketplace")
    person.order, pay = ordered(person, market, "A browser's project", "population CEU")
    pay.click()
    page.locator("button", has_text="Pay").first.click()
    page.wait_for_load_state()
    page.goto(f"{base}/orders/{person.order}")
    opened, reviewed = page.get_by_role("link", name="Open it in this browser"), []

    def shown():
        waiting = market.team().reviewers[0].waiting()
        if not reviewed and any(w["order"] == person.order for w in waiting):
            reviewed.append(market.review(person.order))
        return opened.count()

    market.until(shown, seconds=150, what="the answer, shown live without reloading")
    person.click("Open it in this browser", "link")
    person.click("Unlock with my passkey")
    page.get_by_role("heading", name="It checks out").wait_for()
    return person


def test_the_answer_is_opened_drawn_and_checked_in_the_browser(answered, market):
    page = answered.page
    assert page.locator("figure.plot svg").count() >= 1
    assert "code with digest" in page.inner_text("#methods")
    assert "population CEU" in page.inner_text("#methods")
    assert "People: 20-49, those whom the match keeps." in page.inner_text("header.page")
    assert answered.order in page.inner_text("#citation")
    cited = page.locator("#citation a").get_attribute("href")
    assert "result.published" in page.request.get(cited).text()
    assert all(text for text in page.locator("figure.plot figcaption").all_inner_texts())
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    rows = download.value.path().read_text().splitlines()
    assert "af" in rows[0].split(",")
    assert len(rows) > 100


def test_a_co_author_opens_what_was_shared_with_them_and_nobody_else_does(
    answered, chromium, market, tmp_path
):
    coauthor, stranger = Person(chromium, market), Person(chromium, market)
    for person in (coauthor, stranger):
        person.keys("start?role=researcher", unlock=False)
        person.enrol()
        person.page.goto(f"{market.layout.url('keys')}/#/shared")
        person.page.wait_for_selector("#answer-key")
    is_accessible_and_fits(coauthor.page)
    page = answered.page
    page.get_by_text("Share with a co-author").click()
    page.fill("#coauthor", "omic-answers:wrong")
    answered.click("Make the file")
    page.get_by_text("not a co-author's key").wait_for()
    page.fill("#coauthor", coauthor.page.inner_text("#answer-key"))
    with page.expect_download() as download:
        answered.click("Make the file")
    file = tmp_path / "answer.shared.c4gh"
    download.value.save_as(file)
    stranger.page.set_input_files("#shared", file)
    stranger.page.get_by_text("does not open with your keys").wait_for()
    is_accessible_and_fits(stranger.page)
    coauthor.page.set_input_files("#shared", file)
    coauthor.page.get_by_role("heading", name="It checks out").wait_for()
    assert coauthor.page.locator("figure.plot svg").count() >= 1
    for person in (coauthor, stranger):
        assert person.trouble == []
        person.context.close()


def test_another_answer_behind_a_true_proof_is_not_shown(answered, chromium, market, tmp_path):
    """The files are made as `omic order share` makes them, so that the two read each other."""
    coauthor = Person(chromium, market)
    coauthor.keys("start?role=researcher", unlock=False)
    coauthor.enrol()

    def saved(name):
        with answered.page.expect_download() as download:
            answered.page.get_by_role("button", name=name).click()
        return download.value.path().read_bytes()

    def opened(result):
        coauthor.page.goto(f"{market.layout.url('keys')}/#/shared")
        reader = parse_answer_key(coauthor.page.locator("#answer-key").inner_text())
        file.write_bytes(share(Answer({}, result, bundle), answered.order, reader))
        coauthor.page.set_input_files("#shared", file)

    file, result, bundle = tmp_path / "a.c4gh", saved("JSON"), saved("Proof bundle")
    lie = result.replace(b'"bucket":"20-49"', b'"bucket":"1000-1999"')
    assert lie != result
    opened(lie)
    coauthor.page.get_by_text("Do not use this answer").wait_for()
    assert coauthor.page.locator("figure, table").count() == 0
    coauthor.page.reload()
    coauthor.unlock()
    opened(result)
    coauthor.page.get_by_role("heading", name="It checks out").wait_for()
    coauthor.context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_answers_page_is_accessible_and_fits(answered, width):
    page = answered.page
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(AXE.read_text())
    found = page.evaluate("(tags) => axe.run({ runOnly: tags })", TAGS)["violations"]
    assert [(one["id"], one["nodes"][0]["html"][:120]) for one in found] == []
    page.set_viewport_size({"width": 1280, "height": 900})


def test_plots_and_numbers_are_saved_in_every_format(answered):
    page = answered.page
    figure = page.locator("figure.plot").first
    for label, begins in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with page.expect_download() as download:
            figure.get_by_role("button", name=label, exact=True).click()
        assert download.value.path().read_bytes().startswith(begins)
    with page.expect_download() as download:
        page.get_by_role("button", name="Parquet").click()
    assert download.value.path().read_bytes()[:4] == b"PAR1"


def test_the_notebooks_lines_run_as_they_stand(answered, market, tmp_path):
    """With the keys taken from the browser, as the page says; the numbers are those of the CSV."""
    page, folder = answered.page, tmp_path / ".omic"
    snippet = page.inner_text("pre[aria-label=Python]")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    rows = download.value.path().read_text().splitlines()
    answered.keys()
    page.fill("#export-phrase", "a phrase of some words")
    with page.expect_download() as download:
        answered.click("Download my keys")
    trust = market.layout.trust_file
    words = ("identity", "import", str(download.value.path()), "--trust", str(trust))
    surroundings = {**os.environ, "HOME": str(tmp_path), "OMIC_IDENTITY_PASSPHRASE": "a phrase of some words"}  # fmt: skip
    omic = [sys.executable, "-m", "marketplace.client.cli", "--home", str(folder), *words]
    subprocess.run(omic, env=surroundings, check=True, timeout=60)
    ending = f"\nprint(len(table), list(table.columns) == {rows[0].split(',')!r})"
    made = subprocess.run(
        [sys.executable, "-c", snippet + ending],
        env=surroundings, check=True, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert made.stdout.split() == [str(len(rows) - 1), "True"]
    answered.keys(f"answer/{answered.order}")
    page.get_by_role("heading", name="It checks out").wait_for()


def test_no_plaintext_answer_is_at_the_marketplace(answered, market):
    with answered.page.expect_download() as download:
        answered.page.get_by_role("button", name="JSON", exact=True).click()
    text = download.value.path().read_bytes()
    document = json.loads(text)
    opening = document["opening"]["salt"].encode()
    for path in (market.layout.root / "marketplace").rglob("*"):
        if path.is_file():
            assert opening not in path.read_bytes(), path


def test_a_bundle_is_checked_offline_and_a_changed_one_is_refused(answered, chromium, market):
    page = answered.page
    with page.expect_download() as download:
        page.get_by_role("button", name="Proof bundle").click()
    bundle = download.value.path().read_bytes()
    anybody = Person(chromium, market)
    anybody.keys("verify")
    anybody.context.set_offline(True)
    choose = lambda data: anybody.page.set_input_files(  # noqa: E731
        "#proof", {"name": "b.json", "mimeType": "application/json", "buffer": data}
    )
    choose(bundle)
    anybody.page.get_by_role("heading", name="It holds").wait_for()
    at = bundle.index(b'"af":[') + 8
    digit = next(i for i in range(at, len(bundle)) if bundle[i : i + 1] in b"123456789")
    changed = (
        bundle[:digit] + (b"1" if bundle[digit : digit + 1] != b"1" else b"2") + bundle[digit + 1 :]
    )
    choose(changed)
    anybody.page.get_by_text("It does not hold").wait_for()
    assert anybody.trouble == []
    anybody.context.close()


def test_an_entry_is_proved_in_the_browser(chromium, market):
    anybody = Person(chromium, market)
    anybody.page.goto(f"{market.layout.url('marketplace')}/ledger/3")
    anybody.click("Prove it in my browser", "link")
    anybody.sees("Entry 3 is in the ledger")
    assert anybody.page.locator("ol.climb li").count() >= 3
    assert anybody.trouble == []
    anybody.context.close()


def wanting_a_collaboration(route):
    """Serve the presets with one DUO condition more: collaboration required."""
    answer = route.fetch()
    document = answer.json()
    for preset in document["presets"].values():
        preset["terms"]["modifiers"].append(COLLABORATION)
    route.fulfill(response=answer, json=document)


def test_an_order_that_asks_first_gets_its_yes_for_that_order_alone(researcher, chromium, market):
    """The presets ask nobody; these terms also want a collaboration, which only the owner can judge."""
    owner = Person(chromium, market)
    owner.page.route("**/words.json", wanting_a_collaboration)
    owner.keys("start")
    owner.enrol()
    dataset = owner.share("mine.vcf", a_vcf(seed=11), exact=True)
    standing = owner.consent()
    order, _ = ordered(researcher, market, "A project that asks first")
    owner.click("Go to my data")
    owner.page.wait_for_url("**/me")
    decide = owner.page.locator(f'a[href$="/#/approve/{order}/{dataset}"]')
    market.until(lambda: owner.page.reload() and decide.count(), what="the order that waits")
    decide.click()
    owner.click("Unlock with my passkey")
    owner.sees("A project that asks first")
    assert "only together with people I name" in owner.page.inner_text("main")
    is_accessible_and_fits(owner.page)
    owner.click("Yes, for this order, with my passkey")
    owner.sees("You said yes to this order")
    is_accessible_and_fits(owner.page)
    state = full_state(market)
    given = {g.order: g.id for g in state.grants.values() if g.dataset == dataset}
    assert set(given) == {None, order}
    assert given[None] == standing
    owner.keys(f"approve/{order}/{dataset}")
    owner.page.get_by_text("does not wait for you").first.wait_for()
    assert owner.trouble == []
    owner.context.close()
