"""An account taken back on the key pages, over a real log whose clock can be moved on."""

import json

import pytest

from ledger import b64
from marketplace.client import account
from marketplace.client.home import Home
from marketplace.client.session import Session
from marketplace.client.statements import now_ms
from marketplace.keyorigin import build
from marketplace.keyorigin.server import make_app
from tests.marketplace.client.test_account import ann, full, world  # noqa: F401
from tests.marketplace.keyorigin.conftest import AUTHENTICATOR, CHROMIUM
from tests.served import served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here"),
]
MARKET = "http://localhost:9"
DAY = 86_400_000
CREDENTIAL = {
    "rp": {"id": "localhost", "name": "Omic Market"}, "challenge": "AAAA",
    "user": {"id": "AAAA", "name": "me", "displayName": "me"},
    "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
}  # fmt: skip


@pytest.fixture
def page(world, chromium):  # noqa: F811
    """A browser without keys on the key pages of that log; the market takes whatever it is sent."""
    more = {"marketplace_url": MARKET, "attester_url": MARKET, "max_checkpoint_age_ms": 10_000}
    passkeys = {"rp_id": "localhost", "origins": [MARKET]}
    trust = {**json.loads(world.trust.format()), **more, "passkeys": passkeys}
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    cdp = context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    cdp.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    page.sent = []
    page.route(f"{MARKET}/**", lambda route: answered(page, route))
    with served(make_app(build(json.dumps(trust).encode()))) as port:
        page.base = f"http://localhost:{port}/#"
        yield page
        context.close()


def answered(page, route):
    request = route.request
    page.sent.append((request.method, request.url.removeprefix(MARKET + "/api/v1")))
    body = {"challenge": "c", "token": "t", "options": CREDENTIAL}
    headers = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*",
               "Access-Control-Allow-Methods": "*"}  # fmt: skip
    route.fulfill(status=200, headers=headers, json=body)


def click(page, name, role="button"):
    page.get_by_role(role, name=name, exact=True).click()


def test_an_account_comes_back_in_the_browser_after_its_waiting_time(
    world, ann, page, tmp_path  # noqa: F811
):  # fmt: skip
    account.add_recovery_key(ann, tmp_path / "recovery.key")
    party = ann.home.party
    page.goto(f"{page.base}/recovery")
    page.set_input_files("#recovery-file", tmp_path / "recovery.key")
    click(page, "Ask for my account")
    page.wait_for_selector("#code")
    assert page.inner_text("#number") == party
    (asked,) = {one.id: one for one in full(world).recoveries.values()}.values()
    assert asked.effective_at - now_ms() > 7 * DAY - 60_000
    assert page.sent == []  # the market takes the new key for nobody's yet
    click(page, "I have written it down", "link")
    page.get_by_text("Until then whoever holds the old ones can cancel it").wait_for()
    click(page, "Take it back now")
    page.get_by_text("waiting time of this recovery is not over").wait_for()
    assert asked.key not in full(world).parties[party].keys
    real = world.log.log._clock
    world.log.log._clock = lambda: real() + 8 * DAY
    click(page, "Take it back now")
    page.get_by_text("Your new keys count from now on").wait_for()
    # The log's own fold: a follower refuses, rightly, a clock ahead of the witnesses'.
    keys = world.log.log._state.parties[party].keys
    found = sorted((key.kind, key.use) for key in keys.values())
    assert found == sorted([("ed25519", "sign")] * 2 + [("webauthn", "sign")]
                           + [("x25519", "encrypt")] * 2 + [("ed25519", "recover")] * 2)  # fmt: skip
    assert keys[asked.key].use == "sign"
    assert ("PUT", "/me/vault") in page.sent
    assert ("POST", "/me/passkeys") in page.sent


def test_what_is_no_way_to_an_account_is_refused_and_nothing_is_kept(world, page, tmp_path):  # noqa: F811
    wrong = tmp_path / "wrong.json"
    wrong.write_text("{}")
    page.goto(f"{page.base}/recovery")
    page.set_input_files("#recovery-file", wrong)
    click(page, "Ask for my account")
    page.get_by_text("this is no recovery file").wait_for()
    page.set_input_files("#recovery-file", [])
    page.fill("#party", "me")
    page.fill("#recovery-code", "0000-" * 7 + "0000")
    click(page, "Ask for my account")
    page.get_by_text("your number on the ledger has 32").wait_for()
    page.fill("#party", "0" * 32)
    click(page, "Ask for my account")
    page.get_by_text("the ledger", exact=False).first.wait_for()
    page.wait_for_timeout(500)
    assert page.locator("#code").count() == 0
    assert full(world).recoveries == {}
    page.reload()
    page.wait_for_selector("#party")  # still a browser without keys


def test_a_recovery_is_cancelled_by_its_leaf_alone(world, ann, page):  # noqa: F811
    found, index = kept_of(ann), asked_by_a_thief(world, ann)
    page.goto(f"{page.base}/verify")
    code = """async ([home, index]) => {
      const [r, h, v] = await Promise.all(['recovery', 'home', 'vault'].map((n) => import(`/js/${n}.js`)));
      const made = new h.Home(await v.newVault(home));
      made.vault = await v.addWay(made.vault, h.passphrase('x'));
      return (await r.cancel(made, index)).index; }"""
    done = page.evaluate(code, [found, index])
    assert {one.cancelled for one in full(world).recoveries.values()} == {done}
    with pytest.raises(Exception, match="asks for no account"):
        page.evaluate(code, [found, 0])


def kept_of(session):
    """What a browser keeps of a Python home: identity and key to sign with."""
    seed = session.home.keys.signing().private.private_bytes_raw()
    return {"documents": {"identity.json": session.home.identity}, "keys": {"sign": b64(seed)}}


def asked_by_a_thief(world, session):  # noqa: F811
    path = world.path / "stolen.key"
    account.add_recovery_key(session, path)
    party, key = account.read_recovery(path)
    thief = Home(world.path / "thief")
    thief.create_from(world.trust.format(), "owner", party)
    return account.request(Session.open(thief), key).index
