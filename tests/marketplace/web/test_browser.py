"""Every page in a real browser, wide and narrow, light and dark: no sideways scroll, no error in
the console, no request elsewhere, no accessibility violation. Needs Chromium."""

import json
import os
import shutil
from pathlib import Path

import pytest

from marketplace.client.examples import example, filled
from marketplace.web.dry_run_form import FAMILIES, form_of
from tests.marketplace.web.pictures import fill
from tests.served import served as serving

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
CHROMIUM = shutil.which("chromium")
SIZES = [(1280, "light"), (390, "light"), (390, "dark")]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine"
    ),
]


@pytest.fixture(scope="module")
def served(lively_world):
    """The lively market behind a real HTTP server; yields (address, world, who)."""
    world, who = lively_world
    with serving(world.app) as port:
        yield f"http://127.0.0.1:{port}", world, who


@pytest.fixture(scope="module")
def visitors(served, chromium):
    """Signed-in browser states by role, each made by following a one-time link."""
    base, world, who = served
    states = {None: None}
    for role in ("owner", "researcher", "reviewer", "operator"):
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"{base}/signin#{world.link(who[role])}")
        page.wait_for_url(lambda url: "signin" not in url)
        states[role] = context.storage_state()
        context.close()
    return states


def pages_of(who, world):
    orders = who["orders"]
    personal = next(r.index for r in world.ledger.records if r.leaf.type == "consent.withdrawn")
    public = [
        "/", *(f"/tour/{step}" for step in range(1, 7)), "/docs/api", "/how-it-works", "/glossary", "/catalogue", "/jobs", "/ledger", "/status", "/signin",
        "/login/" + "x" * 43, f"/ledger/{personal}", f"/jobs/{orders['settled']}",
        f"/ledger/{world.ledger.state.orders[orders['settled']].index}",
    ]  # fmt: skip
    research = ["/research", "/dry-run", *(f"/dry-run?family={name}" for name in FAMILIES)]
    research += [f"/orders/{orders[name]}" for name in ("settled", "running", "unpaid", "failed")]
    return [
        *((None, path) for path in public),
        ("owner", "/me"),
        ("owner", "/me/uses"),
        ("owner", "/me/statement"),
        ("operator", "/operator"),
        ("researcher", f"/orders/{orders['unpaid']}/invoice"),
        ("reviewer", "/reviews"),
        *(("researcher", path) for path in research),
    ]


def look(page, base, path):
    """Visit one page, open what is folded, and return what is wrong with it."""
    wrong = []
    page.on("console", lambda message: wrong.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on(
        "request",
        lambda request: request.url.startswith(base) or wrong.append(f"request: {request.url}"),
    )
    answer = page.goto(base + path)
    if answer.status != 200:
        wrong.append(f"status {answer.status}")
    wrong += examine(page)
    return [f"{path}: {one}" for one in wrong]


def examine(page):
    """Return sideways scroll and accessibility violations of the page as it stands."""
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    wrong = []
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        wrong.append("scrolls sideways")
    page.evaluate(AXE)
    options = json.dumps({"runOnly": TAGS})
    found = page.evaluate(f"axe.run(document, {options}).then((r) => r.violations)")
    return wrong + [f"axe {v['id']}: {v['nodes'][0]['html'][:160]}" for v in found]


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_every_page_is_clean(served, chromium, visitors, width, scheme):
    base, world, who = served
    wrong = []
    for role, path in pages_of(who, world):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme,
            storage_state=visitors[role],
        )  # fmt: skip
        wrong += look(context.new_page(), base, path)
        context.close()
    assert wrong == []


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_the_first_screen_says_what_it_is_and_for_whom_and_how_to_begin(
    served, chromium, width, height
):
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.goto(served[0])
    hero = page.locator(".hero > div").first
    told = hero.inner_text()
    for words in ("genomes", "answers, never your data", "people with data of their own",
                  "researchers with a question", "anyone who wants to check", "Take the tour"):  # fmt: skip
        assert words in told
    place = hero.bounding_box()
    assert place["y"] + place["height"] <= height
    page.close()


def test_a_words_meaning_shows_by_mouse_keyboard_and_finger(served, chromium):
    base, path = served[0], "/ledger/6"
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    page.goto(base + path)
    word, meaning = page.locator(".term").first, page.get_by_role("tooltip").first
    shown = lambda: meaning.is_visible()  # noqa: E731
    assert not shown()
    word.hover()
    assert shown()
    meaning.hover()
    assert shown()  # it can be pointed at without vanishing
    page.keyboard.press("Escape")
    assert not shown()
    page.mouse.move(1, 1)
    word.focus()
    assert shown()
    described = page.locator(f"[id='{word.get_attribute('aria-describedby')}']")
    assert described.inner_text() == meaning.inner_text()
    assert examine(page) == []
    page.keyboard.press("Escape")
    assert not shown()
    word.blur()
    word.tap()
    assert shown() and page.url == base + path
    word.tap()
    page.wait_for_url("**/glossary#commitment")
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_error_pages_and_the_dry_runs_answer_are_accessible(served, chromium, visitors, width):
    base, _world, _who = served
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, storage_state=visitors["researcher"]
    )
    page = context.new_page()
    page.goto(base + "/nothing")
    assert examine(page) == []
    page.goto(base + "/dry-run")
    page.get_by_label("Project name").fill("Allele frequencies")
    page.get_by_role("button", name="Estimate").click()
    page.get_by_role("heading", name="The estimate").wait_for()
    assert examine(page) == []
    page.get_by_label("A region").check()
    page.get_by_role("button", name="Estimate").click()
    page.get_by_role("alert").wait_for()
    assert examine(page) == []
    page.goto(base + "/dry-run?family=feature_differential")
    page.get_by_label("Features", exact=False).first.fill(
        " ".join(f"ENSG{n}" for n in range(1, 13))
    )
    page.get_by_label("Naming system").fill("Ensembl")
    page.get_by_label("Unit", exact=True).fill("TPM")
    page.get_by_label("First group").fill("CEU")
    page.get_by_label("Second group").fill("YRI")
    page.get_by_role("button", name="Preview").click()
    page.locator("#preview-plots svg").first.wait_for()
    assert examine(page) == []
    context.close()


@pytest.mark.parametrize(
    ("family", "marks"),
    [("feature_by_genotype", ("rect.bar", "path.curve", "circle.dot")),
     ("age_at_onset", ("path.band", "path.curve", "text:has-text(\"At risk\")"))],
)  # fmt: skip
def test_an_answer_is_drawn_as_its_kind_asks(served, chromium, visitors, family, marks):
    base, _world, _who = served
    context = chromium.new_context(storage_state=visitors["researcher"])
    page = context.new_page()
    page.goto(f"{base}/dry-run?family={family}")
    fill(page, form_of(filled(example(family))).fields)
    page.get_by_role("button", name="Preview").click()
    plot = page.locator("#preview-plots svg")
    plot.first.wait_for()
    assert all(plot.locator(mark).count() for mark in marks)
    assert examine(page) == []
    context.close()


def test_the_page_says_who_allows_the_question_while_it_is_put_together(served, chromium, visitors):
    base, _world, _who = served
    context = chromium.new_context(storage_state=visitors["researcher"])
    page = context.new_page()
    page.goto(base + "/dry-run")
    page.get_by_text("About 20 to 49 people allow this now.").wait_for()
    page.goto(base + "/dry-run?family=clinical_counts")
    page.locator('[name="q:terms"]').fill("HP:0001631")
    page.get_by_text("Nobody allows this now.").wait_for()
    assert examine(page) == []
    context.close()


def test_the_catalogue_counts_while_it_is_searched(served, chromium, visitors):
    base, _world, _who = served
    context = chromium.new_context(storage_state=visitors["researcher"])
    page = context.new_page()
    page.goto(base + "/catalogue")
    page.get_by_label("Usable for").select_option("HMB")
    page.get_by_text("allow exact answers for your purpose").wait_for()
    page.get_by_label("Kind of data", exact=True).select_option("expression")
    page.get_by_text("asked as “Levels”").wait_for()
    assert "use=HMB" in page.url
    assert examine(page) == []
    context.close()


def test_pages_work_without_javascript(served, chromium):
    base, world, who = served
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(base + "/signin")
    page.get_by_label("Or paste the link").fill(world.link(who["owner"]))
    page.locator("main").get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="My files").wait_for()
    page.get_by_role("link", name="All 2 uses").click()
    page.get_by_label("When").select_option(index=1)
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**/me/uses?who=&year=*")
    assert page.locator("ol.uses li").count() == 2
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("heading", name="A consent is a key.").wait_for()
    context.close()


def test_the_keyboard_reaches_the_content_first(served, chromium):
    base, _world, _who = served
    page = chromium.new_page()
    page.goto(base + "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.close()
