"""Pictures of every page, wide and on a phone: python -m tests.marketplace.web.pictures.

Without an option the README's pictures (docs/pictures) and the gallery of every page (docs/PAGES.md,
docs/pages) are made anew. --all DIR only writes every page and every question's preview at 1280 and
390 pixels, light and dark, and --keys with it the key pages' journey, on a whole market of
processes. --only takes one of the three.
"""

import argparse
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from compute.crypt import generate_keypair
from compute.crypt.keyfiles import format_public_key
from marketplace.client.examples import example, filled
from marketplace.web.dry_run_form import FAMILIES, form_of
from tests.marketplace.web.gallery import write_gallery
from tests.marketplace.web.web_world import lively
from tests.served import served

DOCS = Path(__file__).parents[3] / "docs" / "pictures"
KEYS = "http://localhost:8087"
SIZES = [(1280, "light"), (390, "light"), (1280, "dark"), (390, "dark")]
LIGHT = SIZES[:2]
ROLES = ("owner", "researcher", "reviewer", "operator")


class Studio:
    """The lively market behind a real server, and signed-in browsers by role."""

    def __init__(self, browser) -> None:
        self.browser, self.stack = browser, ExitStack()
        # As people meet it: with the key pages' address, so that buttons stand before commands.
        self.world, self.who = lively(Path(tempfile.mkdtemp()), keys_url=KEYS)
        port = self.stack.enter_context(served(self.world.app, threads=8))
        self.base = f"http://127.0.0.1:{port}"
        self.states = {role: self._sign_in(role) for role in ROLES} | {"": None}

    def _sign_in(self, role):
        context = self.browser.new_context()
        page = context.new_page()
        page.goto(f"{self.base}/signin#{self.world.link(self.who[role])}")
        page.wait_for_url(lambda url: "signin" not in url)
        state = context.storage_state()
        context.close()
        return state

    def take(self, role, path, file, width=1280, scheme="light", press="", whole=True):
        context = self.browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme,
            storage_state=self.states[role],
        )  # fmt: skip
        page = context.new_page()
        page.goto(self.base + path)
        if press:
            page.get_by_role("button", name=press).click()
            drawn(page)
            page.locator("#preview").scroll_into_view_if_needed()
        page.screenshot(path=file, full_page=whole)
        context.close()

    def preview(self, family, file, width, scheme):
        """Fill a family's form with its example, ask for a preview, take the whole page."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme,
            storage_state=self.states["researcher"],
        )  # fmt: skip
        page = context.new_page()
        page.goto(f"{self.base}/dry-run?family={family}")
        fill(page, form_of(filled(example(family))).fields)
        page.get_by_role("button", name="Preview").click()
        drawn(page)
        page.screenshot(path=file, full_page=True)
        context.close()

    def pages(self):
        """Yield (whose, address, name) of every page once."""
        orders = self.who["orders"]
        public = ("how-it-works", "catalogue", "jobs", "ledger", "status", "glossary", "signin")
        yield "", "/", "landing"
        yield from (("", f"/{path}", path) for path in public)
        yield from (("", f"/tour/{step}", f"tour-{step}") for step in range(1, 7))
        yield "", "/docs/api", "docs-api"
        yield "", "/ledger/6", "ledger-entry"
        yield "", f"/jobs/{orders['settled']}", "job"
        yield "", "/nothing-here", "not-found"
        yield "owner", "/me", "me"
        yield "owner", "/me/uses", "uses"
        yield "owner", "/me/statement", "statement"
        yield "researcher", "/research", "research"
        yield from (
            ("researcher", f"/orders/{one}", f"order-{name}") for name, one in orders.items()
        )
        yield "researcher", f"/orders/{orders['unpaid']}/invoice", "invoice"
        yield from (("researcher", f"/dry-run?family={f}", f"dry-run-{f}") for f in FAMILIES)
        yield "reviewer", "/reviews", "reviews"
        yield "operator", "/operator", "operator"

    def close(self) -> None:
        self.stack.close()
        self.world.close()


def drawn(page):
    """Wait for a preview and its plots, which a question that only names things has none of."""
    page.locator("#preview").wait_for()
    page.wait_for_load_state("load")


def fill(page, fields):
    """Put a form's texts into its fields on the page; choices first, since they show others."""
    asked = [(name, value) for name, value in fields.items() if name.startswith("q:") and value]
    for radios in (True, False):
        for name, value in asked:
            field = page.locator(f'[name="{name}"]')
            if (field.first.get_attribute("type") == "radio") is not radios:
                continue
            if radios:
                page.locator(f'[name="{name}"][value="{value}"]').check()
            elif field.evaluate("(one) => one.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)


def for_readme(studio: Studio) -> None:
    studio.take("", "/", DOCS / "landing.png", whole=False)
    studio.take("owner", "/me", DOCS / "my-data.png", whole=False)
    builder = "/dry-run?family=genotype_counts"
    studio.take("researcher", builder, DOCS / "preview.png", press="Preview", whole=False)
    studio.take("", "/ledger/6", DOCS / "ledger-entry.png", whole=False)
    studio.take("", "/tour/2", DOCS / "tour-phone.png", width=390, whole=False)
    for path in DOCS.glob("*.png"):
        Image.open(path).convert("RGB").quantize(96).save(path, optimize=True)


def every_page(studio: Studio, folder: Path, sizes=SIZES) -> None:
    for role, path, name in studio.pages():
        for width, scheme in sizes:
            studio.take(role, path, folder / f"{name}-{width}-{scheme}.png", width, scheme)


def every_preview(studio: Studio, folder: Path, sizes=(SIZES[0], SIZES[3])) -> None:
    for family in FAMILIES:
        for width, scheme in sizes:
            studio.preview(family, folder / f"preview-{family}-{width}-{scheme}.png", width, scheme)


def key_pages(browser, folder: Path, sizes=SIZES) -> None:
    from tests.e2e.stack import Stack
    from tests.e2e.test_browser_owner import Person

    market = Stack(Path(tempfile.mkdtemp()))
    market.start()
    try:
        person = Person(browser, market)

        def shoot(name: str, press: str = "") -> None:
            for width, scheme in sizes:
                person.page.set_viewport_size({"width": width, "height": 900})
                person.page.emulate_media(color_scheme=scheme)
                if press:
                    person.page.locator(press).first.click()
                path = folder / f"keys-{name}-{width}-{scheme}.png"
                person.page.screenshot(path=path, full_page=not press)

        dataset = shared(person, shoot)
        others(person, shoot, dataset)
        passport(person, shoot, dataset)
        recovery(person, shoot)
    finally:
        market.stop()


def grant_on(person) -> str:
    """The id of the consent whose page is open."""
    return person.page.get_by_role("link", name="Withdraw").get_attribute("href")[-32:]


def shared(person, shoot) -> str:
    """Walk from new keys to a granted consent; return the dataset's id."""
    from tests.e2e.test_browser_owner import a_vcf

    person.keys("start", unlock=False)
    shoot("start")
    person.click("Make my keys")
    person.page.wait_for_selector("#code")
    shoot("code")
    person.click("I have written it down", "link")
    chosen = {"name": "me.vcf", "mimeType": "text/plain", "buffer": a_vcf()}
    person.page.set_input_files("#file", chosen)
    person.page.wait_for_selector("table.would")
    person.page.locator("details.adjust summary").click()
    shoot("share")
    person.click("Encrypt and register")
    person.page.wait_for_selector(".exact")
    shoot("consent")
    person.click("Consent with my passkey")
    person.sees("Your consent is in force")
    shoot("granted")
    return person.page.url.rpartition("/")[2]


def others(person, shoot, dataset) -> None:
    """Look at the ways in, the end of a consent, other terms, proofs, and a word explained."""
    paths = (
        "withdraw/" + grant_on(person),
        "unlock",
        "recover",
        "import",
        "verify/3",
        "start?anew",
    )
    for path in paths:
        person.keys(path, unlock=False)
        person.page.wait_for_timeout(500)
        shoot(path.split("/")[0].replace("?", "-"))
    person.page.goto(f"{person.page.url.partition('#')[0]}verify.html")
    shoot("check")
    for name, path, there in (
        ("uses", "uses", "text=Every use"), ("terms", f"terms/{dataset}", "table.would"),
    ):  # fmt: skip
        person.keys(path)
        person.page.locator(there).first.wait_for()
        person.page.wait_for_timeout(1500)  # the ledger is read
        shoot(name)
    person.keys(f"consent/{dataset}")
    person.page.locator(".term").first.wait_for()
    shoot("term", press=".term")


def passport(person, shoot, dataset) -> None:
    """Share the dataset with a professional, and look at each page of it, also as theirs."""
    key = format_public_key(generate_keypair()[1]).decode()
    person.keys(f"passport/{dataset}")
    person.page.fill("#reader", "Dr Ada Example")
    person.page.fill("#key", key)
    shoot("passport-form")
    person.click("Share with my passkey")
    person.sees("Shared with Dr Ada Example")
    shoot("passport-given")
    share, token = person.page.inner_text(".code-sheet").split("/")[-2:]
    person.keys("passport")
    person.sees("What you share")
    shoot("passport-list")
    for name, path in (
        ("unshare", f"unshare/{share}/{dataset}"),
        ("fetch", f"fetch/{share}/{token}"),
    ):
        person.keys(path, unlock=False)
        shoot(name)


def recovery(person, shoot) -> None:
    """Look at what is kept, at a recovery somebody else asked for, and at one of one's own."""
    from tests.e2e.test_browser_owner import Person

    person.keys()
    person.sees("Unlocked on this device")
    shoot("overview")
    person.keys("cancel/6")
    person.sees("Somebody asked for your account")
    shoot("cancel-recovery")
    newcomer = Person(person.context.browser, person.market)
    newcomer.keys("recovery")
    person.page = newcomer.page  # shot by the same camera: a browser without keys
    shoot("recovery")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path)
    parser.add_argument("--keys", action="store_true")
    parser.add_argument("--only", choices=["pages", "previews", "keys"])
    options = parser.parse_args()
    with sync_playwright() as driver:
        path = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        if options.all:
            options.all.mkdir(parents=True, exist_ok=True)
            to_look_at(browser, options.all, options.only, options.keys)
        else:
            to_keep(browser)
        browser.close()


def to_look_at(browser, folder: Path, only: str | None, keys: bool) -> None:
    if only != "keys":
        studio = Studio(browser)
        if only != "previews":
            every_page(studio, folder)
        if only != "pages":
            every_preview(studio, folder)
        studio.close()
    if keys or only == "keys":
        key_pages(browser, folder)


def to_keep(browser) -> None:
    """Make the pictures of the documents: the README's, and every page's."""
    folder = Path(tempfile.mkdtemp())
    studio = Studio(browser)
    for_readme(studio)
    every_page(studio, folder, LIGHT)
    every_preview(studio, folder, LIGHT)
    studio.close()
    key_pages(browser, folder, LIGHT)
    write_gallery(folder, DOCS.parent)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
