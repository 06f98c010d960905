"""An individual's whole journey in a real browser with a virtual authenticator, on a real market.

Landing page to granted consent with a file of 20 MB, compute taking it in, withdrawal, erasure; the
same identity on the command line. What goes wrong with keys is in test_browser_keys.py.
"""

import json
import os
import re
import shutil
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from compute.crypt import decrypt_file
from compute.keys import new_epoch, write_epoch
from ledger import Follower, LedgerClient, TrustPolicy, parse_entry_bytes
from marketplace.client.cli import app
from marketplace.client.home import Home
from marketplace.client.owner import Owner
from marketplace.client.session import Session
from marketplace.client.statements import now_ms
from tests.marketplace.keyorigin.conftest import AUTHENTICATOR

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here"),
]
WAIT = 30_000
MANY = 620_000  # lines of a VCF of 20 MB
PASSPHRASE = "a long enough passphrase"
AXE = Path(__file__).parents[1] / "marketplace" / "web" / "axe" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def a_vcf(seed=1, lines=3000) -> bytes:
    head = [
        "##fileformat=VCFv4.2", '##FILTER=<ID=PASS,Description="ok">',
        "##contig=<ID=1,length=249250621>",
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="GT">',
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tme",
    ]  # fmt: skip
    calls = ("0/1", "1/1", "0/0", "./.")
    rows = [
        f"1\t{10_000 + 37 * i + seed}\t.\tA\tG\t.\tPASS\t.\tGT\t{calls[(i * seed) % 4]}"
        for i in range(lines)
    ]
    return ("\n".join(head + rows) + "\n").encode()


def is_accessible_and_fits(page) -> None:
    """Axe finds nothing and nothing overflows: wide and light, on a phone and dark."""
    page.evaluate(AXE.read_text())
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, scheme)
        found = page.evaluate("(tags) => axe.run({ runOnly: tags })", TAGS)["violations"]
        assert [(one["id"], one["nodes"][0]["html"][:120]) for one in found] == [], (width, scheme)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")


class Person:
    """A browser with an authenticator of its own; counts the clicks it makes."""

    def __init__(self, browser, market, prf=True, **context):
        self.market, self.clicks = market, 0
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.trouble = []
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.cdp = self.context.new_cdp_session(self.page)
        self.cdp.send("WebAuthn.enable")
        self.authenticator = self.device(prf=prf)

    def device(self, **more):
        """Have one more authenticator at hand; return its id."""
        options = {**AUTHENTICATOR, **{f"has{n.title()}": v for n, v in more.items() if n == "prf"}}
        added = self.cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        return added["authenticatorId"]

    def keys(self, path="", unlock=True):
        """Open a view of the key pages afresh, unlocking when asked."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.market.layout.url('keys')}/#/{path}")
        self.page.wait_for_selector("main h1")
        if unlock and self.page.get_by_role("button", name="Unlock with my passkey").count():
            self.unlock()

    def click(self, name, role="button"):
        self.clicks += 1
        self.page.get_by_role(role, name=name, exact=True).first.click()

    def sees(self, text):
        self.page.get_by_role("heading", name=text).first.wait_for()

    def enrol(self):
        self.click("Make my keys")
        self.page.wait_for_selector("#code")
        code = self.page.inner_text("#code")
        self.click("I have written it down", "link")
        return code

    def share(self, name, data, exact=False):
        chosen = {"name": name, "mimeType": "text/plain", "buffer": data}
        self.clicks += 1
        self.page.set_input_files("#file", chosen)
        self.page.wait_for_selector("#terms")
        if exact:
            self.page.check("#exact")
        self.click("Encrypt and register")
        self.sees("Your consent")
        self.page.wait_for_selector(".exact")
        return re.search(r"consent/([0-9a-f]{32})", self.page.url)[1]

    def consent(self):
        self.click("Consent with my passkey")
        self.sees("Your consent is in force")
        return self.page.get_by_role("link", name="Withdraw").get_attribute("href")[-32:]

    def withdraw(self, grant):
        """Withdraw from the page of my data, where the consent's card appears by itself."""
        self.from_my_data(f"Withdraw consent {grant[:8]}")
        self.click("Withdraw with my passkey")
        self.sees("Your consent is withdrawn")

    def from_my_data(self, name):
        """Follow a link of the page of my data, once it is there; that is the first click."""
        self.click("Go to my data")
        self.page.wait_for_url("**/me")
        link = self.page.get_by_role("link", name=name)
        self.market.until(lambda: self.page.reload() and link.count(), what=name)
        self.clicks = 1
        link.click()

    def unlock(self):
        self.click("Unlock with my passkey")

    def token(self):
        """A session of this person, through a link made in the page."""
        self.click("Go to my data")
        self.page.wait_for_url("**/me")


@pytest.fixture(scope="module")
def owner(chromium, market):
    """Somebody who came from the landing page and consented; with what was measured on the way."""
    person = Person(chromium, market)
    began = time.monotonic()
    person.page.goto(market.layout.url("marketplace"))
    person.click("Share my data", "link")
    person.code = person.enrol()
    person.file = a_vcf(lines=MANY)
    person.dataset = person.share("me.vcf", person.file)
    person.grant = person.consent()
    person.seconds, person.first_clicks = time.monotonic() - began, person.clicks
    yield person
    assert person.trouble == []
    person.context.close()


def grant_of(market, grant):
    """The grant as the ledger's own envelopes have it (an auditor's view)."""
    return full_state(market).grants.get(grant)


def full_state(market):
    token = (market.layout.root / "auditor" / "ledger.token").read_text().strip()
    policy = TrustPolicy.load(market.layout.trust_file)
    follower = Follower(LedgerClient(policy.ledger_url, token), policy, personal=True, clock=now_ms)
    follower.sync()
    return follower.state


def test_landing_to_granted_consent_in_at_most_eight_clicks_and_two_minutes(owner, market):
    assert len(owner.file) >= 20e6
    assert owner.first_clicks <= 8
    assert owner.seconds < 120
    state = full_state(market)
    party = state.parties[state.grants[owner.grant].owner]
    assert state.in_force(state.grants[owner.grant])
    assert {key.kind for key in party.keys.values()} == {"ed25519", "webauthn", "x25519"}
    assert {key.use for key in party.keys.values()} == {"sign", "encrypt", "recover"}


def test_the_consent_is_signed_by_the_passkey(owner, market):
    state = full_state(market)
    token = (market.layout.root / "auditor" / "ledger.token").read_text().strip()
    client = LedgerClient(market.layout.url("ledger"), token)
    (envelope,) = client.envelopes([state.grants[owner.grant].index])
    entry = parse_entry_bytes(envelope.entry)
    assert entry.signatures[0].kind == "webauthn"
    assert entry.payload["terms"]["permissions"] == ["DUO:0000042"]


def test_compute_opens_what_the_browser_encrypted_and_granted(owner, market):
    home = person_home(owner, market, "look")
    session = Session.open(home)

    def taken_in():
        (row,) = session.market.get("/me/datasets")["datasets"]
        return row if row["compute"] else None

    assert market.until(taken_in, what="compute taking the file in")["compute"] == "ingested"
    ciphertext = session.market.download(f"/datasets/{owner.dataset}/file")
    assert decrypt_file(ciphertext, home.keys.encryption().secret) == owner.file


def test_the_browser_finds_every_use_by_itself_and_says_in_one_sentence_what_it_proved(
    owner, market
):
    """As `omic activity` does; what the ledger shows about somebody else's data is not ours."""
    page = owner.page
    market.until(lambda: full_state(market).accesses, what="compute opening the file")
    owner.keys("uses")
    page.get_by_text("1 use of your data found").wait_for()
    assert "me.vcf" in page.inner_text("ol.timeline")
    owner.click("prove it", "link")
    owner.sees("Proved: your data was in it")
    assert re.search(r"Proved: This use .* before anything was opened\.", page.inner_text("main"))
    index = page.url.rpartition("/")[2]
    owner.keys(f"verify/{index}", unlock=False)
    owner.sees(f"Entry {index} is in the ledger")
    assert re.search(r"[23] witnesses have signed", page.inner_text("main"))
    owner.click("Was my data in it?", "link")
    owner.unlock()
    owner.sees("Proved: your data was in it")
    # Read on from where it was: nothing new, and nothing twice.
    page.get_by_role("link", name="Every use of my data").click()
    page.get_by_text("1 use of your data found").wait_for()
    # Another leaf in the place of the use: the entries no longer have the hash the signed tree has.
    page.route("**/tile/entries/**", lambda route: hide(route, int(index)))
    page.evaluate("""async () => {
      delete (await import('/js/home.js')).unlocked().documents['uses.json'];
      window.location.hash = '#/share';
    }""")
    owner.sees("Which data?")
    page.evaluate("window.location.hash = '#/uses'")
    page.get_by_text("its signed tree does not hold").wait_for()
    page.unroute("**/tile/entries/**")


def hide(route, index):
    """Answer with the bundle of entries the ledger has, the first leaf in the place of one."""
    answer, leaves, at = route.fetch(), [], 0
    data = answer.body()
    while at < len(data):
        size = int.from_bytes(data[at : at + 2])
        leaves.append(data[at : at + 2 + size])
        at += 2 + size
    leaves[index] = leaves[0]
    route.fulfill(response=answer, body=b"".join(leaves))


def person_home(owner, market, name) -> Home:
    """Export in the browser, import with the omic command: one identity."""
    path = market.layout.root / f"home-{name}"
    if path.exists():
        return Home(path)
    owner.keys()
    owner.page.fill("#export-phrase", PASSPHRASE)
    with owner.page.expect_download() as download:
        owner.click("Download my keys")
    file = market.layout.root / f"{name}.json"
    download.value.save_as(file)
    arguments = ["--home", str(path), "--json", "identity", "import", str(file)]
    arguments += ["--trust", str(market.layout.trust_file), "--passphrase", PASSPHRASE]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["datasets"] == 1
    return Home(path)


def test_browser_and_command_are_one_identity(owner, market):
    home = person_home(owner, market, "look")
    assert home.read(f"datasets/{owner.dataset}.json")["name"] == "me.vcf"
    session = Session.open(home)
    stopped = Owner(session).pause(owner.grant)
    assert stopped.index is not None
    assert not full_state(market).in_force(grant_of(market, owner.grant))
    owner.keys(f"resume/{owner.grant}")


def test_a_passkey_of_its_own_signs_in(chromium, market):
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    page = person.page
    page.goto(f"{market.layout.url('marketplace')}/signin")
    sign_in = page.get_by_role("button", name="Sign in with a passkey")
    sign_in.wait_for()
    asked = {"authenticatorId": person.authenticator}
    made = person.cdp.send("WebAuthn.getCredentials", asked)["credentials"]
    (consent_key,) = [c for c in made if "Consent" in c.get("userName", "")]
    assert len(made) == 2
    sign_in.click()
    page.wait_for_timeout(500)
    if not page.url.endswith("/me"):
        # The authenticator offered the other one: it signs nobody in, and the page says why.
        assert "signs consents and nothing else" in page.inner_text("#passkey-trouble")
        gone = {**asked, "credentialId": consent_key["credentialId"]}
        person.cdp.send("WebAuthn.removeCredential", gone)
        sign_in.click()
    page.wait_for_url("**/me")
    assert person.trouble == []
    person.context.close()


def test_a_files_quality_is_kept_with_the_keys_alone(owner):
    owner.keys()
    owner.page.get_by_text("What is in it", exact=True).click()
    told = owner.page.inner_text("details[open] dl")
    for text in ("GRCh37", f"{MANY:,}", "75.0 %", "ledger entry"):
        assert text in told


def test_taking_back_takes_fewer_clicks_than_giving_and_erasing_reaches_the_file(
    owner, chromium, market
):
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    dataset = person.share("mine.vcf", a_vcf(seed=3))
    person.keys()
    person.from_my_data("Choose terms and consent")
    person.unlock()
    person.click("Consent to these terms with my passkey")
    person.sees("Your new terms are in force")
    giving = person.clicks
    grant = person.page.get_by_role("link", name="Withdraw").get_attribute("href")[-32:]
    steps = [
        (f"Pause consent {grant[:8]}", "Pause with my passkey", "Your consent is paused"),
        (f"Resume consent {grant[:8]}", "Resume with my passkey", "Your consent counts again"),
        (f"Withdraw consent {grant[:8]}", "Withdraw with my passkey", "Your consent is withdrawn"),
    ]  # fmt: skip
    for link, button, said in steps:
        person.from_my_data(link)
        person.click(button)
        person.sees(said)
        assert person.clicks == 2 < giving
        assert full_state(market).in_force(grant_of(market, grant)) is (said == steps[1][2])
    person.from_my_data(re.compile(f"Erase .*{dataset[:8]}"))
    person.click("Erase it for good with my passkey")
    person.sees("It is erased")
    assert person.clicks == 2
    assert full_state(market).erased_datasets.get(dataset) is not None
    assert person.trouble == []
    person.context.close()


def test_what_cannot_be_shared_is_said_before_anything_leaves(owner, market):
    page = owner.page
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    owner.keys("share")
    page.wait_for_selector("#file")
    sent.clear()
    two = a_vcf().replace(b"FORMAT\tme\n", b"FORMAT\tme\tyou\n")
    cut = a_vcf()[:-1]
    unknown = b"hello, this is no data\n"
    wanted = [(two, "holds 2 people"), (cut, "cut short"), (unknown, "not a kind of file we know")]
    for data, text in wanted:
        page.set_input_files("#file", {"name": "x.vcf", "mimeType": "text/plain", "buffer": data})
        page.get_by_text(text).first.wait_for()
        assert page.get_by_role("button", name="Encrypt and register").count() == 0
    assert sent == []


def test_an_upload_is_paused_cut_off_and_goes_on_where_it_stopped_after_a_reload(chromium, market):
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    page, sent, away = person.page, [], []
    file = {"name": "big.vcf", "mimeType": "text/plain", "buffer": a_vcf(seed=9, lines=MANY)}

    def slowly(route):
        if route.request.method == "PUT" and away:
            return route.abort()
        if route.request.method == "PUT":
            sent.append(route.request.url.rpartition("/")[2])
            page.wait_for_timeout(700)
        return route.continue_()

    def begin():
        page.set_input_files("#file", file)
        page.wait_for_selector("#terms")
        person.click("Encrypt and register")
        page.get_by_role("button", name="Pause", exact=True).wait_for()

    page.route("**/parts/*", slowly)
    begin()
    person.click("Pause")
    page.wait_for_timeout(1_500)  # what was on its way arrives
    before = list(sent)
    page.wait_for_timeout(1_500)
    assert sent == before
    person.click("Continue")
    market.until(lambda: page.wait_for_timeout(100) or len(sent) > len(before), what="a part")
    # The connection is cut: it is said, and the upload goes on by itself when it is back.
    away.append("the network")
    page.get_by_text("The connection is cut").wait_for()
    away.clear()
    before = list(sent)
    market.until(lambda: page.wait_for_timeout(100) or len(sent) > len(before), what="a part")
    person.keys("share")  # a reload: the keys are locked again
    page.get_by_text("An upload of big.vcf is not finished").wait_for()
    begin()
    person.sees("Your consent")
    assert sorted(set(sent)) == ["0", "1", "2", "3", "4"]
    # What was there is not sent again; only the part the reload cut off may be.
    assert len(sent) <= 6, sent
    assert person.trouble == []
    person.context.close()


def next_epoch(market):
    """Give compute its next recipient key, as it draws one every sixty days; return its id."""
    folder = market.layout.directory("compute") / "keys"
    fresh = new_epoch("local", now_ms())
    write_epoch(folder, fresh)
    market.kill("compute")
    url = f"{market.layout.url('marketplace')}/api/v1/compute-keys"
    told = lambda: httpx.get(url).json()["keys"][0]["key_id"] == fresh.key_id  # noqa: E731
    market.until(told, what="the next key on the ledger")
    return fresh.key_id


def test_consents_are_moved_to_computes_next_key_when_the_keys_are_unlocked(chromium, market):
    """Unasked, with no passkey but the one that unlocks, under the same terms; a pause stays one."""
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    dataset = person.share("mine.vcf", a_vcf(seed=9))
    given = person.consent()
    before = full_state(market).grants[given]
    person.keys()
    assert person.page.locator("#renewed").count() == 0
    key_id = next_epoch(market)
    person.keys()
    person.page.locator("#renewed").wait_for()
    after = full_state(market).grants[given]
    assert (before.recipient["key_id"] != key_id, after.recipient["key_id"]) == (True, key_id)
    assert (after.terms, after.activity_commitment) == (before.terms, before.activity_commitment)
    assert full_state(market).in_force(after)
    # Compute opens it under the new key, and the browser goes on with the moved consent.
    session = Session.open(person_home(person, market, "renewed"))

    def taken_in():
        (row,) = session.market.get("/me/datasets")["datasets"]
        return row["dataset"] == dataset and row["compute"]

    assert market.until(taken_in, what="compute taking the file in") == "ingested"
    person.keys(f"pause/{given}")
    person.click("Pause with my passkey")
    person.sees("Your consent is paused")
    key_id = next_epoch(market)
    person.keys()
    person.page.locator("#renewed").wait_for()
    moved = full_state(market).grants[given]
    assert (moved.recipient["key_id"], full_state(market).in_force(moved)) == (key_id, False)
    person.keys(f"resume/{given}")
    person.click("Resume with my passkey")
    person.sees("Your consent counts again")
    assert full_state(market).in_force(grant_of(market, given))
    assert person.trouble == []
    person.context.close()


AS_IF_SEEN = """async (seen) => {
  const home = (await import('/js/home.js')).unlocked();
  home.documents['ledger.json'] = { ...home.documents['ledger.json'], ...seen };
  await home.save({ backup: false });
}"""


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"root": "0" * 64}, "is no part of the one|two different trees"),
        ({"size": 10**9}, "before and"),
    ],
)
def test_a_ledger_that_changed_its_past_is_a_loud_error(chromium, market, seen, said):
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    person.keys()
    person.sees("Unlocked on this device")  # control: what it showed before is still there
    person.page.evaluate(AS_IF_SEEN, seen)
    person.keys("share")
    person.sees("Your ledger changed its past")
    assert re.search(said, person.page.inner_text("[role=alert]"))
    is_accessible_and_fits(person.page)
    assert person.page.locator("#file").count() == 0
    assert person.trouble == []
    person.context.close()


def test_every_detail_of_the_terms_can_be_decided_is_judged_first_and_can_be_changed_later(
    chromium, market
):
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    page = person.page
    chosen = {"name": "mine.vcf", "mimeType": "text/plain", "buffer": a_vcf(seed=7)}
    page.set_input_files("#file", chosen)
    page.wait_for_selector("#terms")
    page.get_by_text("Decide every detail yourself").click()
    page.get_by_label("Commercial research").select_option("At a price")
    page.get_by_text("say what a use costs for commercial research").wait_for()
    page.locator("#adj-amount-commercial_research").fill("2.50")
    page.get_by_label("Only non-profit organisations").uncheck()
    page.get_by_label("No commercial use").uncheck()
    page.get_by_label("Ask me before each use").check()
    page.get_by_label("Population", exact=True).fill("CEU")
    page.locator("tr", has_text="drug company").get_by_text("Asks you first").wait_for()
    page.locator("tr", has_text="drug company").get_by_text("pays £2.50").wait_for()
    is_accessible_and_fits(page)
    person.click("Encrypt and register")
    person.sees("Your consent")
    said = page.inner_text(".exact")
    assert "Price for commercial research: 2.50 GBP a use." in said
    assert "only projects I name. You are asked each time." in said
    given = person.consent()
    grant = full_state(market).grants[given]
    assert grant.facets == {"population": "CEU"}
    assert grant.terms["prices"]["commercial_research"] == 250
    changed(person, grant)
    assert person.trouble == []
    person.context.close()


def changed(person, old):
    """Change the terms on the form that shows them; the old consent ends as the new one begins."""
    page = person.page
    person.keys(f"terms/{old.dataset}")
    person.sees("Change your terms")
    page.get_by_text("You would consent to").wait_for()
    assert "Price for commercial research: 2.50 GBP a use." in page.inner_text(".exact")
    page.get_by_text("Decide every detail yourself").click()
    page.get_by_label("Clinical care", exact=True).select_option("Free")
    page.locator(".exact").get_by_text("Price for clinical care: free.").wait_for()
    is_accessible_and_fits(page)
    person.click("Consent to these terms with my passkey")
    person.sees("Your new terms are in force")
    new = page.get_by_role("link", name="Withdraw").get_attribute("href")[-32:]
    state = full_state(person.market)
    assert (state.in_force(state.grants[old.id]), state.in_force(state.grants[new])) == (
        False,
        True,
    )
    terms = state.grants[new].terms
    assert terms["prices"] == {**old.terms["prices"], "clinical_care": 0}
    assert (terms["modifiers"], state.grants[new].facets) == (old.terms["modifiers"], old.facets)


def test_the_key_pages_are_the_release_the_ledger_names(market):
    arguments = ["--json", "check-pages", market.layout.url("keys")]
    done = CliRunner().invoke(app, [*arguments, "--trust", str(market.layout.trust_file)])
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["index"] >= 0


def test_the_marketplace_never_sees_a_key(owner, market):
    """What lies at the marketplace opens with nothing that lies there."""
    database = (market.layout.root / "marketplace" / "marketplace.sqlite").read_bytes()
    home = person_home(owner, market, "look")
    for secret in home.keys.secrets().values():
        assert secret.encode() not in database
    assert owner.file[200:400] not in database


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "light"), (390, "dark")])
def test_every_key_page_is_accessible_and_fits(owner, width, scheme):
    page = owner.page
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)
    paths = ["", "share", f"consent/{owner.dataset}", f"withdraw/{owner.grant}"]
    paths += [f"pause/{owner.grant}", f"erase/{owner.dataset}", "verify", "verify/3", "recover"]
    paths += ["uses", f"terms/{owner.dataset}"]
    found = {}
    for path in [*paths, "import", "nowhere"]:
        owner.keys(path, unlock=not path.startswith("withdraw"))
        if path == "share":
            chosen = {"name": "a.vcf", "mimeType": "text/plain", "buffer": owner.file}
            page.set_input_files("#file", chosen)
            page.wait_for_selector("table.would")
        if path == "verify/3":
            page.get_by_text("How your browser worked it out").click()
            page.wait_for_selector("ol.climb")
        if pictures := os.environ.get("OMIC_PICTURES"):
            name = path.split("/")[0] or "keys"
            page.screenshot(path=f"{pictures}/{name}-{width}-{scheme}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert "null" not in page.inner_text("main").split(), path
        page.evaluate(AXE.read_text())
        result = page.evaluate("(tags) => axe.run({ runOnly: tags })", TAGS)
        found[path] = [
            (item["id"], [n["html"][:120] for n in item["nodes"]]) for item in result["violations"]
        ]
    page.set_viewport_size({"width": 1280, "height": 900})
    assert {path: items for path, items in found.items() if items} == {}
