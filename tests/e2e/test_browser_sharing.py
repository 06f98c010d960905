"""The health passport given, fetched and stopped in a browser, on a real market; clinical files.

The professional has no account: a link, a crypt4gh key of their own, and the ordinary tool.
"""

import io
from datetime import UTC, datetime, timedelta

import pytest
from crypt4gh.keys import c4gh, get_private_key, get_public_key
from crypt4gh.lib import decrypt

from ledger import LedgerClient, b64, parse_entry_bytes
from marketplace.client import passport
from marketplace.client.errors import RemoteError
from marketplace.client.session import Session
from marketplace.client.statements import now_ms
from tests.compute.ingest.real import real
from tests.e2e.test_browser_owner import (
    Person,
    a_vcf,
    full_state,
    is_accessible_and_fits,
    person_home,
    pytestmark,  # noqa: F401 (marks these tests too)
)

DAY = 86_400_000


@pytest.fixture(scope="module")
def owner(chromium, market):
    """Somebody with one dataset and no consent: a share needs none."""
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    person.file = a_vcf(seed=11)
    person.dataset = person.share("me.vcf", person.file)
    yield person
    assert person.trouble == []
    person.context.close()


@pytest.fixture(scope="module")
def doctor(tmp_path_factory):
    """The key pair of a professional, made by the crypt4gh package."""
    folder = tmp_path_factory.mktemp("doctor")
    secret, public = folder / "me.sec", folder / "me.pub"
    c4gh.generate(str(secret), str(public), passphrase=b"", comment=None)
    return secret, public


def opened(data: bytes, secret) -> bytes:
    """Decrypt with the crypt4gh package, as its command does."""
    out = io.BytesIO()
    decrypt([(0, get_private_key(str(secret), lambda: ""), None)], io.BytesIO(data), out)
    return out.getvalue()


def given(owner, public, reader="Dr Who", part="") -> str:
    """Give the dataset, or a part of it, on the key pages; return the address to send."""
    owner.keys(f"passport/{owner.dataset}")
    page = owner.page
    page.fill("#reader", reader)
    page.fill("#key", public.read_text())
    page.get_by_text("Ask them to read you the last letters").wait_for()
    last = datetime.now(UTC) + timedelta(days=9)
    page.fill("#until", last.strftime("%Y-%m-%d"))
    if part:
        page.get_by_text("Share only a part of it").click()
        page.fill("#part", part)
    owner.click("Share with my passkey")
    owner.sees(f"Shared with {reader}")
    return page.inner_text(".code-sheet")


def downloaded(chromium, address) -> bytes:
    """What a professional gets who opens the link in a browser of their own."""
    page = chromium.new_page()
    page.goto(address)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the encrypted file").click()
    data = download.value.path().read_bytes()
    page.close()
    return data


def test_a_share_given_in_the_browser_is_opened_by_the_ordinary_tool(
    owner, doctor, chromium, market
):
    secret, public = doctor
    address = given(owner, public)
    assert opened(downloaded(chromium, address), secret) == owner.file
    (mine,) = [s for s in full_state(market).shares.values() if s.dataset == owner.dataset]
    assert mine.stopped is None
    assert now_ms() + 8 * DAY < mine.valid_until <= now_ms() + 10 * DAY
    token = (market.layout.root / "auditor" / "ledger.token").read_text().strip()
    (envelope,) = LedgerClient(market.layout.url("ledger"), token).envelopes([mine.index])
    entry = parse_entry_bytes(envelope.entry)
    assert entry.signatures[0].kind == "webauthn"
    assert entry.payload["recipient_key"] == b64(get_public_key(str(public)))
    assert "Who" not in str(entry.payload)
    owner.keys("passport")
    owner.sees("Dr Who")
    owner.page.get_by_text("Fetched once").wait_for()
    # The same home on the command line knows the share, and its link is the command's too.
    session = Session.open(person_home(owner, market, "look"))
    (listed,) = passport.shares(session)
    assert (listed["share"], listed["status"], listed["fetches"]) == (mine.id, "open", 1)
    link = session.home.read(f"passport/{mine.id}.json")["link"]
    assert opened(b"".join(passport.fetch(link)), secret) == owner.file


def test_a_part_is_cut_on_the_owners_device_and_holds_nothing_else(owner, doctor, chromium, market):
    secret, public = doctor
    lines = owner.file.decode().splitlines()
    places = [int(line.split("\t")[1]) for line in lines if not line.startswith("#")]
    before = len(full_state(market).shares)
    owner.keys(f"passport/{owner.dataset}")
    owner.page.fill("#key", public.read_text())
    owner.page.get_by_text("Share only a part of it").click()
    for wrong, said in (("22", "write the part as"), ("2:1-9", "nothing in the file lies there")):
        owner.page.fill("#part", wrong)
        owner.click("Share with my passkey")
        owner.page.get_by_text(said).wait_for()
    assert len(full_state(market).shares) == before
    part = f"chr1:{places[3]}-{places[9]}"
    address = given(owner, public, reader="A counsellor", part=part)
    text = opened(downloaded(chromium, address), secret).decode().splitlines()
    found = [int(line.split("\t")[1]) for line in text if not line.startswith("#")]
    assert found == places[3:10]
    owner.keys("passport")
    owner.page.get_by_text(f"A part of me.vcf ({part})").wait_for()


def test_a_share_the_market_did_not_take_is_sent_again(owner, doctor, chromium):
    secret, public = doctor
    page, there = owner.page, "**/api/v1/passport*"
    owner.keys(f"passport/{owner.dataset}")
    page.fill("#reader", "Dr Late")
    page.fill("#key", public.read_text())
    page.route(there, lambda route: route.abort())
    owner.click("Share with my passkey")
    page.get_by_text("does not answer").wait_for()
    page.get_by_text("Not sent yet").wait_for()
    is_accessible_and_fits(page)
    page.unroute(there)
    owner.keys("passport")
    owner.click("Send it now")
    owner.sees("Shared with Dr Late")
    assert opened(downloaded(chromium, page.inner_text(".code-sheet")), secret) == owner.file


def test_what_is_no_public_key_is_refused_before_anything_is_signed(owner, doctor, market):
    secret, public = doctor
    before = len(full_state(market).shares)
    owner.keys(f"passport/{owner.dataset}")
    page = owner.page
    lines = public.read_text().splitlines()
    damaged = "\n".join([lines[0], b64(bytes(32)), lines[2]])  # shares no secret with anybody
    for text, said in (
        (secret.read_text(), "private key"), ("hello", "no Crypt4GH public key"),
        (damaged, "is damaged"),
    ):  # fmt: skip
        page.fill("#key", text)
        page.get_by_text(said).first.wait_for()
        owner.click("Share with my passkey")
        page.wait_for_timeout(100)
    page.set_input_files("#key-file", str(public))
    page.get_by_text("Ask them to read you the last letters").wait_for()
    page.fill("#until", "2020-01-31")
    owner.click("Share with my passkey")
    page.get_by_text("today or later").wait_for()
    assert len(full_state(market).shares) == before


def test_a_share_is_stopped_in_two_clicks_and_its_link_is_dead(owner, doctor, chromium, market):
    address = given(owner, doctor[1], reader="A laboratory")
    assert downloaded(chromium, address).startswith(b"crypt4gh")
    share = address.split("/")[-2]
    owner.click("Go to my data")
    owner.page.wait_for_url("**/me")
    link = owner.page.get_by_role("link", name=f"Stop sharing {share[:8]}")
    market.until(lambda: owner.page.reload() and link.count(), what="the share's card")
    owner.clicks = 1
    link.click()
    owner.click("Stop with my passkey")
    owner.sees("The share is stopped")
    assert owner.clicks == 2
    assert full_state(market).shares[share].stopped is not None
    token = address.split("/")[-1]
    with pytest.raises(RemoteError):
        list(passport.fetch(f"{market.layout.url('marketplace')}/api/v1/passport/{share}#{token}"))
    page = chromium.new_page()
    page.goto(address)
    page.get_by_role("button", name="Download the encrypted file").click()
    page.get_by_text("stopped this share").wait_for()
    page.close()


def test_every_page_of_the_passport_is_accessible_and_fits(owner, doctor):
    share, token = given(owner, doctor[1], reader="Ms Long " + "x" * 60).split("/")[-2:]
    is_accessible_and_fits(owner.page)
    for path in (
        "passport", f"passport/{owner.dataset}", f"unshare/{share}/{owner.dataset}",
        f"fetch/{share}/{token}",
    ):  # fmt: skip
        owner.keys(path, unlock=not path.startswith(("unshare", "fetch")))
        owner.page.wait_for_selector("main h1")
        is_accessible_and_fits(owner.page)
    owner.keys(f"passport/{'0' * 32}")
    owner.page.get_by_text("do not hold that dataset").wait_for()
    # From the list, with the keys unlocked, it is one link and one button too.
    owner.keys("passport")
    owner.page.locator(f"a[href*='unshare/{share}']").click()
    owner.click("Stop sharing now")
    owner.sees("The share is stopped")
    owner.keys(f"unshare/{share}/{'0' * 32}", unlock=False)
    owner.click("Stop with my passkey")
    owner.page.get_by_text("do not hold the key of that dataset").wait_for()


def test_a_clinical_record_is_told_shared_and_taken_in(chromium, market):
    person = Person(chromium, market)
    person.keys("start")
    person.enrol()
    page, sent = person.page, []
    page.wait_for_selector("#file")
    page.on("request", lambda request: sent.append(request.url))
    two = b'{"resourceType": "Bundle", "entry": [' + b",".join(
        b'{"resource": {"resourceType": "Patient", "id": "%d"}}' % n for n in (1, 2)
    ) + b"]}"  # fmt: skip
    record = real("phenopacket.json")
    for data, said in ((two, "speaks of 2 people"), (record[:-60], "cut short")):
        page.set_input_files("#file", {"name": "x.json", "mimeType": "", "buffer": data})
        page.get_by_text(said).first.wait_for()
        assert page.get_by_role("button", name="Encrypt and register").count() == 0
    assert sent == []
    dataset = person.share("me.json", record)
    given = person.consent()
    grant = full_state(market).grants[given]
    assert full_state(market).datasets[dataset].modality == "clinical"
    session = Session.open(person_home(person, market, "clinical"))

    def taken_in():
        (row,) = session.market.get("/me/datasets")["datasets"]
        return row["dataset"] == grant.dataset and row["compute"]

    assert market.until(taken_in, what="compute taking the file in") == "ingested"
    assert person.trouble == []
    person.context.close()
