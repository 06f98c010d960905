"""Pictures of every page, wide and on a phone: python -m tests.marketplace.web.pictures.

Without an option the few pictures of the README are made anew in docs/pictures. --all DIR writes
every page and every question's preview at 1280 and 390 pixels, light and dark, and --keys with it
the key pages' journey too, on a whole market of processes. --only takes one of the three.
"""

import argparse
import shutil
import tempfile
import threading
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from compute.crypt import generate_keypair
from compute.crypt.keyfiles import format_public_key
from marketplace.client.examples import example, filled
from marketplace.web.dry_run_form import FAMILIES, form_of
from tests.marketplace.web.web_world import lively

DOCS = Path(__file__).parents[3] / "docs" / "pictures"
KEYS = "http://localhost:8087"
SIZES = [(1280, "light"), (390, "light"), (1280, "dark"), (390, "dark")]
ROLES = ("owner", "researcher", "reviewer", "operator")


class Studio:
    """The lively market behind a real server, and signed-in browsers by role."""

    def __init__(self, browser) -> None:
        from waitress import create_server

        self.browser = browser
        # As people meet it: with the key pages' address, so that buttons stand before commands.
        self.world, self.who = lively(Path(tempfile.mkdtemp()), keys_url=KEYS)
        self.server = create_server(self.world.app, host="127.0.0.1", port=0, threads=8)
        threading.Thread(target=self.server.run, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.effective_port}"
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
        orders = self.who["orders"]
        yield from (("", p) for p in ("/", "/how-it-works", "/catalogue", "/jobs", "/ledger"))
        yield from (("", p) for p in ("/status", "/glossary", "/signin", "/docs/api", "/ledger/6"))
        yield from (("", f"/tour/{step}") for step in range(1, 7))
        yield "", f"/jobs/{orders['settled']}"
        yield from (("owner", p) for p in ("/me", "/me/uses", "/me/statement"))
        yield from (("researcher", f"/orders/{order}") for order in orders.values())
        yield "researcher", f"/orders/{orders['unpaid']}/invoice"
        yield from (("researcher", f"/dry-run?family={name}") for name in FAMILIES)
        yield from (
            ("researcher", "/research"),
            ("reviewer", "/reviews"),
            ("operator", "/operator"),
        )

    def close(self) -> None:
        self.server.close()
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


def every_page(studio: Studio, folder: Path) -> None:
    for role, path in studio.pages():
        name = path.strip("/").replace("/", "-").replace("?family=", "-")[:60] or "landing"
        for width, scheme in SIZES:
            studio.take(role, path, folder / f"{name}-{width}-{scheme}.png", width, scheme)


def every_preview(studio: Studio, folder: Path) -> None:
    for family in FAMILIES:
        for width, scheme in (SIZES[0], SIZES[3]):
            studio.preview(family, folder / f"preview-{family}-{width}-{scheme}.png", width, scheme)


def key_pages(browser, folder: Path) -> None:
    from tests.e2e.stack import Stack
    from tests.e2e.test_browser_owner import Person, a_vcf

    market = Stack(Path(tempfile.mkdtemp()))
    market.start()
    try:
        person = Person(browser, market)

        def shoot(name: str, press: str = "") -> None:
            for width, scheme in SIZES:
                person.page.set_viewport_size({"width": width, "height": 900})
                person.page.emulate_media(color_scheme=scheme)
                if press:
                    person.page.locator(press).first.click()
                path = folder / f"keys-{name}-{width}-{scheme}.png"
                person.page.screenshot(path=path, full_page=not press)

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
        dataset = person.page.url.rpartition("/")[2]
        for path in (
            "withdraw/" + grant_on(person),
            "unlock",
            "recover",
            "import",
            "verify/3",
            "start?anew",
        ):
            person.keys(path, unlock=False)
            person.page.wait_for_timeout(500)
            shoot(path.split("/")[0].replace("?", "-"))
        person.keys(f"consent/{dataset}")
        person.page.locator(".term").first.wait_for()
        shoot("term", press=".term")
        passport(person, shoot, dataset)
    finally:
        market.stop()


def grant_on(person) -> str:
    """The id of the consent whose page is open."""
    return person.page.get_by_role("link", name="Withdraw").get_attribute("href")[-32:]


def passport(person, shoot, dataset) -> None:
    """Share the dataset with a professional, and look at each page of it, also as theirs."""
    from tests.e2e.test_browser_owner import Person

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
        if options.only != "keys":
            of_market(Studio(browser), options.all, options.only)
        if options.all and (options.keys or options.only == "keys"):
            key_pages(browser, options.all)
        browser.close()


def of_market(studio: Studio, folder: Path | None, only: str | None) -> None:
    if folder is None:
        for_readme(studio)
    if folder and only in (None, "pages"):
        every_page(studio, folder)
    if folder and only in (None, "previews"):
        every_preview(studio, folder)
    studio.close()


if __name__ == "__main__":
    main()
