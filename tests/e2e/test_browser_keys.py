"""Keys in a real browser when things go wrong: lost devices, closed prompts, servers away, two tabs.

Whatever stops a person, nothing of theirs is lost, and the page says what to do next.
"""

import pytest

from compute.crypt import decrypt_file
from ledger import LedgerClient, parse_entry_bytes, unb64
from marketplace.client.owner import Owner
from marketplace.client.session import Session
from marketplace.client.vault import export
from tests.e2e.test_browser_owner import (
    PASSPHRASE,
    Person,
    a_vcf,
    full_state,
    grant_of,
    is_accessible_and_fits,
    person_home,
    pytestmark,  # noqa: F401 (marks these tests too)
)

FORGET_BROWSER = "new Promise((done) => { indexedDB.deleteDatabase('omic').onsuccess = done; })"
HANDED = "async () => (await import('/js/home.js')).unlocked().list('handed')"
PASSKEYS = "async () => (await import('/js/home.js')).unlocked().passkeys"


@pytest.fixture
def person(chromium, market):
    """Somebody with keys, on the page where a file is chosen."""
    made = Person(chromium, market)
    made.keys("start")
    made.code = made.enrol()
    made.sees("Which data?")
    yield made
    assert made.trouble == []
    made.context.close()


@pytest.fixture
def other(chromium, market):
    """A browser without keys, on another device."""
    made = Person(chromium, market)
    yield made
    assert made.trouble == []
    made.context.close()


def by_code(device, code):
    """Bring the keys to a device with the printed code."""
    device.keys("recover")
    device.page.fill("#in-Printed-code", code)
    device.click("Use my printed code")


def signer_of(market, grant):
    """The public key that signed a consent, and how."""
    token = (market.layout.root / "auditor" / "ledger.token").read_text().strip()
    client = LedgerClient(market.layout.url("ledger"), token)
    (envelope,) = client.envelopes([full_state(market).grants[grant].index])
    (one,) = parse_entry_bytes(envelope.entry).signatures
    return one.kind, one.public_key


def consent_passkeys(person):
    asked = {"authenticatorId": person.authenticator}
    made = person.cdp.send("WebAuthn.getCredentials", asked)["credentials"]
    return [one for one in made if "Consent" in one.get("userName", "")]


# -- a lost device


def test_a_lost_device_is_replaced_by_the_printed_code_and_the_new_one_consents(
    person, other, market
):
    dataset = person.share("me.vcf", a_vcf())
    first = person.page.evaluate(PASSKEYS)
    by_code(other, person.code.lower().replace("0", "o"))
    other.sees("Unlocked on this device")
    (second,) = [one for one in other.page.evaluate(PASSKEYS) if one not in first]
    other.keys(f"consent/{dataset}")
    given = other.consent()
    assert signer_of(market, given) == ("webauthn", unb64(second["public_key"]))
    # The first device was lost for a day only: it knows what was done meanwhile, and can end it.
    person.keys(f"withdraw/{given}", unlock=False)
    person.click("Withdraw with my passkey")
    person.sees("Your consent is withdrawn")
    other.keys()
    other.page.get_by_text("Used by nobody").wait_for()
    other.keys(f"withdraw/{given}", unlock=False)
    other.click("Withdraw with my passkey")
    other.sees("This consent has ended")


def test_a_code_that_opens_nothing_is_said(other):
    by_code(other, "0000-" * 7 + "0000")
    other.page.get_by_text("no vault is found").wait_for()
    other.page.fill("#in-Printed-code", "0000-1111")
    other.click("Use my printed code")
    other.page.get_by_text("has 32 letters and digits; here are 8").wait_for()


def test_a_second_passkey_opens_the_keys_in_another_browser_and_consents_there(person, market):
    dataset = person.share("me.vcf", a_vcf())
    person.keys()
    person.sees("Unlocked on this device")
    first = person.page.evaluate(PASSKEYS)
    person.click("Add a passkey")
    person.page.get_by_text("This device already has a passkey of yours").wait_for()
    person.cdp.send(
        "WebAuthn.removeVirtualAuthenticator", {"authenticatorId": person.authenticator}
    )
    person.authenticator = person.device()
    person.click("Add a passkey")
    person.page.get_by_text("It signs for you, and opens your keys").wait_for()
    is_accessible_and_fits(person.page)
    (second,) = [one for one in person.page.evaluate(PASSKEYS) if one not in first]
    person.page.evaluate(FORGET_BROWSER)
    person.keys("recover")
    person.click("Use a passkey I have")
    person.sees("Unlocked on this device")
    person.keys(f"consent/{dataset}")
    assert signer_of(market, person.consent()) == ("webauthn", unb64(second["public_key"]))


def test_a_new_printed_code_takes_the_place_of_the_old_one_on_the_ledger_too(chromium, market):
    person = Person(chromium, market)
    person.keys("start")
    old = person.enrol()
    person.keys()
    party = person.page.locator("code.whole").inner_text()

    def recovers():
        keys = full_state(market).parties[party].keys
        return [name for name, key in keys.items() if key.use == "recover"]

    (first,) = recovers()
    person.click("Make a new printed code")
    person.sees("Keep this code on paper")
    assert person.page.inner_text("#code") != old
    assert person.page.inner_text("#number") == party
    (second,) = recovers()
    assert second != first
    assert person.trouble == []
    person.context.close()


def test_an_account_asked_for_by_code_and_number_is_cancelled_by_its_owner(chromium, market):
    owner, other = Person(chromium, market), Person(chromium, market)
    owner.keys("start")
    code = owner.enrol()
    owner.keys()
    party = owner.page.locator("code.whole").inner_text()
    other.keys("recover")
    other.click("Ask for your account back", "link")
    other.sees("Ask for your account back")
    is_accessible_and_fits(other.page)
    other.page.fill("#party", party)
    other.page.fill("#recovery-code", code)
    other.click("Ask for my account")
    other.sees("Keep this code on paper")
    is_accessible_and_fits(other.page)
    other.click("I have written it down", "link")
    other.sees("Your account comes back")
    is_accessible_and_fits(other.page)
    other.keys()  # unlocked again on that device, it says what it waits for
    other.page.get_by_text("You asked for this account back").wait_for()
    owner.click("Go to my data")
    owner.page.wait_for_url("**/me")
    link = owner.page.get_by_role("link", name="Look and cancel it")
    market.until(lambda: owner.page.reload() and link.count(), what="the notice")
    link.click()
    owner.unlock()
    owner.sees("Somebody asked for your account")
    is_accessible_and_fits(owner.page)
    owner.click("It was not me: cancel it")
    owner.sees("It is cancelled")
    found = full_state(market).recoveries.values()
    assert [one.cancelled is None for one in found if one.party == party] == [False, False]
    assert owner.trouble + other.trouble == []
    owner.context.close()
    other.context.close()


def test_a_passkey_that_is_not_used_changes_nothing_and_says_so(chromium, market):
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    dataset = person.share("mine.vcf", a_vcf(seed=5))
    user = {"authenticatorId": person.authenticator, "isUserVerified": False}
    person.cdp.send("WebAuthn.setUserVerified", user)
    person.click("Consent with my passkey")
    person.page.get_by_text("The passkey was not used").first.wait_for()
    assert person.page.get_by_role("button", name="Consent with my passkey").is_enabled()
    assert not [g for g in full_state(market).grants.values() if g.dataset == dataset]
    assert person.trouble == []
    person.context.close()


# -- the omic command


def test_an_identity_goes_to_the_command_and_on_to_another_browser_as_one(person, other, market):
    """Each goes on with it, and what any of them did is known to all; the ways in stay."""
    dataset = person.share("me.vcf", a_vcf())
    home = person_home(person, market, "round")
    Owner(Session.open(home)).erase(dataset)
    file = market.layout.root / "round-back.json"
    file.write_bytes(export(home, PASSPHRASE))
    page = other.page
    other.keys("import")
    other.click("Import")
    page.get_by_text("Choose the file first").wait_for()
    page.set_input_files("#file", {"name": "x.json", "mimeType": "", "buffer": b"{}"})
    other.click("Import")
    page.get_by_text("x.json holds no keys").wait_for()
    page.set_input_files("#file", file)
    page.fill("#phrase", "another passphrase")
    other.click("Import")
    page.get_by_text("Check it for typing errors").wait_for()
    assert page.evaluate("async () => (await import('/js/home.js')).known()") is None
    page.fill("#phrase", PASSPHRASE)
    other.click("Import")
    other.sees("Unlocked on this device")
    page.get_by_text("There is none yet").wait_for()
    other.click("Share data", "link")
    other.share("second.vcf", a_vcf(seed=7))
    given = other.consent()
    person.keys()
    person.page.get_by_role("heading", name="second.vcf").wait_for()
    assert person.page.get_by_role("heading", name="me.vcf").count() == 0
    person.keys(f"withdraw/{given}", unlock=False)
    person.click("Withdraw with my passkey")
    person.sees("Your consent is withdrawn")
    page.evaluate(FORGET_BROWSER)
    by_code(other, person.code)
    other.sees("Unlocked on this device")


# -- a device without PRF


def test_a_passphrase_locks_the_keys_where_a_passkey_cannot(chromium, market):
    person = Person(chromium, market, prf=False)
    page = person.page
    person.keys("start")
    person.click("Make my keys")
    page.get_by_text("Choose a passphrase for that").wait_for()
    is_accessible_and_fits(page)
    page.fill("#phrase", "too short")
    person.click("Make my keys")
    page.get_by_text("has 12 characters or more; this one has 9").wait_for()
    page.fill("#phrase", PASSPHRASE)
    page.get_by_label("Show what I type").check()
    assert page.get_attribute("#phrase", "type") == "text"
    person.enrol()
    assert len(consent_passkeys(person)) == 1
    person.share("me.vcf", a_vcf())
    given = person.consent()
    assert signer_of(market, given)[0] == "webauthn"
    person.keys(f"withdraw/{given}", unlock=False)
    assert page.get_by_role("button", name="Withdraw with my passkey").count() == 0
    is_accessible_and_fits(page)
    page.fill("#in-Passphrase", "not the passphrase")
    person.click("Use my passphrase")
    page.get_by_text("Check it for typing errors").wait_for()
    page.fill("#in-Passphrase", PASSPHRASE)
    person.click("Use my passphrase")
    person.click("Withdraw now")
    person.sees("Your consent is withdrawn")
    assert person.trouble == []
    person.context.close()


# -- a market, a ledger or an attester that is away


def test_enrolling_goes_on_where_it_stopped(other, market):
    page, there = other.page, f"{market.layout.url('attester')}/**"
    other.keys("start")
    page.route(there, lambda route: route.abort())
    other.click("Make my keys")
    page.get_by_text("does not answer").wait_for()
    page.unroute(there)
    page.route("**/me/passkeys/options", lambda route: route.abort())
    other.click("Make my keys")
    page.get_by_text("does not answer").wait_for()
    page.unroute("**/me/passkeys/options")
    before = len(full_state(market).parties)
    other.keys("share")  # a reload, half way
    other.sees("Finish making your keys")
    is_accessible_and_fits(page)
    other.click("Finish")
    page.wait_for_selector("#code")
    other.code = page.inner_text("#code")
    other.click("I have written it down", "link")
    other.sees("Which data?")
    assert len(full_state(market).parties) == before
    assert len(consent_passkeys(other)) == 1
    page.evaluate(FORGET_BROWSER)
    by_code(other, other.code)
    other.sees("Unlocked on this device")


def test_who_has_keys_here_is_never_made_to_replace_them(person):
    person.keys("start", unlock=False)
    person.sees("Unlock your keys")
    person.unlock()
    person.sees("Which data?")
    person.keys("start", unlock=False)
    person.page.get_by_text("These are not my keys").click()
    person.click("make keys of your own", "link")
    person.page.get_by_text("This browser holds keys already").wait_for()
    is_accessible_and_fits(person.page)


def test_no_ledger_is_said_and_the_same_button_works_later(person, market):
    dataset = person.share("me.vcf", a_vcf())
    there = f"{market.layout.url('ledger')}/entries**"
    person.page.route(there, lambda route: route.abort())
    person.click("Consent with my passkey")
    person.page.get_by_text("does not answer. Nothing was lost; try again").wait_for()
    assert not [one for one in full_state(market).grants.values() if one.dataset == dataset]
    person.page.unroute(there)
    assert full_state(market).in_force(grant_of(market, person.consent()))


def test_what_was_signed_is_kept_when_the_market_does_not_take_its_copy(person, market):
    dataset = person.share("me.vcf", a_vcf())
    person.page.route("**/me/vault", lambda route: route.abort())
    given = person.consent()
    person.page.unroute("**/me/vault")
    person.keys(f"withdraw/{given}", unlock=False)
    person.click("Withdraw with my passkey")
    person.sees("Your consent is withdrawn")
    assert [one.id for one in full_state(market).grants.values() if one.dataset == dataset] == [
        given
    ]


def test_a_withdrawal_without_a_ledger_is_handed_to_the_market(person, market):
    person.share("me.vcf", a_vcf())
    given = person.consent()
    page, there = person.page, f"{market.layout.url('ledger')}/entries**"
    handed = "**/api/v1/stops"
    page.route(there, lambda route: route.abort())
    page.route(handed, lambda route: route.abort())
    person.keys(f"withdraw/{given}", unlock=False)
    person.click("Withdraw with my passkey")
    page.get_by_text("neither the ledger nor the market answers").wait_for()
    page.unroute(handed)
    with page.expect_response(handed) as answer:
        person.keys(f"withdraw/{given}")  # what was signed is sent again by itself
        person.page.get_by_role("button", name="Another way to unlock").click()
        person.unlock()
    assert answer.value.ok
    # The market's own outbox may have brought it to the ledger already.
    market.until(lambda: not full_state(market).in_force(grant_of(market, given)), what="the end")
    page.unroute(there)
    person.keys()
    person.sees("Unlocked on this device")
    assert page.evaluate(HANDED) == []


# -- the wrong file, two tabs


def test_another_file_of_the_same_name_and_size_is_not_mixed_with_the_first(person, market):
    page = person.page
    first, second = a_vcf(seed=3), a_vcf(seed=5)
    assert len(first) == len(second)
    page.route("**/complete", lambda route: route.abort())
    page.set_input_files("#file", {"name": "me.vcf", "mimeType": "", "buffer": first})
    page.wait_for_selector("#terms")
    person.click("Encrypt and register")
    page.get_by_text("does not answer").wait_for()
    page.unroute("**/complete")
    person.keys("share")
    page.get_by_text("An upload of me.vcf is not finished").wait_for()
    is_accessible_and_fits(page)
    dataset = person.share("me.vcf", second)
    home = person_home(person, market, "second")
    sent = Session.open(home).market.download(f"/datasets/{dataset}/file")
    assert decrypt_file(sent, home.keys.encryption().secret) == second
    person.keys("share")
    assert page.get_by_text("is not finished").count() == 0


def test_two_tabs_lose_nothing_of_each_other(person, market):
    tab = person.context.new_page()
    tab.goto(f"{market.layout.url('keys')}/#/share")
    tab.get_by_text("I cannot use it now").click()
    tab.fill("#in-Printed-code", person.code)
    tab.get_by_role("button", name="Use my printed code").click()
    tab.wait_for_selector("#file")
    dataset = person.share("first.vcf", a_vcf(seed=2))
    tab.set_input_files("#file", {"name": "second.vcf", "mimeType": "", "buffer": a_vcf(seed=4)})
    tab.wait_for_selector("#terms")
    tab.get_by_role("button", name="Encrypt and register").click()
    tab.wait_for_selector(".exact")
    # The other tab's file is there without a reload, and so is ours after one.
    tab.goto(f"{market.layout.url('keys')}/#/consent/{dataset}")
    tab.get_by_text("first.vcf").wait_for()
    tab.close()
    person.keys()
    person.sees("Unlocked on this device")
    for name in ("first.vcf", "second.vcf"):
        assert person.page.get_by_role("heading", name=name).count() == 1


# -- words


def test_a_word_of_the_trade_is_explained_where_it_stands(other, market):
    """By pointer, by keyboard and by touch; one word once in a view, and never in a button."""
    page = other.page
    other.keys("recovery")
    word, tip = page.locator(".term[data-word='printed code']"), page.get_by_role("tooltip")
    word.wait_for()
    page.locator("#standin").wait_for()
    assert word.count() == 1
    assert tip.count() == 0
    word.hover()
    page.get_by_text("bring your keys back when every device is lost").wait_for()
    page.mouse.move(1, 1)
    tip.wait_for(state="hidden")
    page.set_viewport_size({"width": 390, "height": 900})
    word.focus()
    tip.wait_for()
    box = tip.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    is_accessible_and_fits(page)
    page.keyboard.press("Escape")
    tip.wait_for(state="hidden")
    assert page.locator("button .term, a .term, label .term, h1 .term").count() == 0
    glossary = page.get_by_role("link", name="Glossary").get_attribute("href")
    assert glossary == f"{market.layout.url('marketplace')}/glossary"
