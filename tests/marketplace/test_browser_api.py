"""What browsers with keys use: uploads in parts, vaults, sign-in passkeys, one origin allowed."""

import hashlib
import os
from dataclasses import replace

import pytest

from ledger import PasskeyPolicy, b64
from marketplace import passkeys, upload_parts, uploads
from marketplace.app import create_app
from marketplace.errors import ConfigError
from marketplace.keyorigin import build, digest_of
from marketplace.releases import state_release
from tests.marketplace.keyorigin.conftest import trust_document
from tests.marketplace.market_world import ORIGIN, Owner, new_id

KEYS = "http://keys.test"
PART = 3000


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def browsed(world):
    """The small market, with a key origin and passkeys."""
    world.services = replace(
        world.services,
        config=replace(world.services.config, keys_url=KEYS + "/"),
        trust=replace(world.services.trust, passkeys=PasskeyPolicy("localhost", (KEYS,))),
    )
    world.app = create_app(world.services)
    world.http = world.app.test_client()
    return world


@pytest.fixture
def owner(browsed):
    return somebody(browsed)


def somebody(world):
    return world.sign_in(world.register(Owner(), "owner"))


def send(world, owner, dataset, number, data, digest=None):
    headers = {**owner.auth, "X-Content-SHA256": digest or sha(data)}
    url = f"/api/v1/uploads/{dataset}/parts/{number}"
    return world.http.put(url, data=data, headers=headers)


def complete(world, owner, dataset, data, parts, **more):
    body = {"sha256": sha(data), "size": len(data), "parts": parts, **more}
    url = f"/api/v1/uploads/{dataset}/complete"
    return world.http.post(url, json=body, headers=owner.auth)


def test_parts_in_any_order_and_sent_twice_become_one_upload(browsed, owner):
    data, dataset = os.urandom(2 * PART + 17), new_id()
    pieces = [data[i : i + PART] for i in range(0, len(data), PART)]
    for number in (2, 0, 1, 0):
        assert send(browsed, owner, dataset, number, pieces[number]).status_code == 200
    listed = browsed.http.get(f"/api/v1/uploads/{dataset}/parts", headers=owner.auth).json["parts"]
    assert [(p["number"], p["size"], p["sha256"]) for p in listed] == [
        (i, len(piece), sha(piece)) for i, piece in enumerate(pieces)
    ]
    done = complete(browsed, owner, dataset, data, 3)
    assert done.status_code == 200, done.text
    assert done.json == {
        "dataset": dataset,
        "sha256": sha(data),
        "size": len(data),
        "state": "staged",
    }
    assert upload_parts.listed(browsed.services, owner.id, dataset) == []


def test_a_missing_part_or_other_content_completes_nothing(browsed, owner):
    data, dataset = os.urandom(2 * PART), new_id()
    send(browsed, owner, dataset, 0, data[:PART])
    assert complete(browsed, owner, dataset, data, 2).status_code == 404
    send(browsed, owner, dataset, 1, data[PART:])
    assert complete(browsed, owner, dataset, data, 2, size=1).status_code == 400
    assert complete(browsed, owner, dataset, data, 2, sha256="0" * 64).status_code == 422
    assert complete(browsed, owner, dataset, data, 2).status_code == 200


@pytest.mark.parametrize("number", ["-1", "x", "4096", "99999999999"])
def test_a_part_has_a_sensible_number(browsed, owner, number):
    assert send(browsed, owner, new_id(), number, b"x").status_code == 400


def test_a_part_that_is_not_as_announced_or_too_large_is_not_kept(browsed, owner):
    dataset = new_id()
    assert send(browsed, owner, dataset, 0, b"x", digest="0" * 64).status_code == 422
    large = bytes(browsed.services.config.limits.part_bytes + 1)
    assert send(browsed, owner, dataset, 0, large).status_code == 413
    assert upload_parts.listed(browsed.services, owner.id, dataset) == []


def test_nobody_sends_parts_of_anothers_upload(browsed, owner):
    other, dataset = somebody(browsed), new_id()
    send(browsed, owner, dataset, 0, b"mine")
    assert send(browsed, other, dataset, 1, b"yours").status_code == 403
    assert complete(browsed, other, dataset, b"mine", 1).status_code == 404


def test_parts_left_alone_are_swept(browsed, owner):
    dataset = new_id()
    send(browsed, owner, dataset, 0, b"left")
    browsed.clock.now += browsed.services.config.limits.staged_ms + 1
    uploads.sweep(browsed.services)
    assert upload_parts.listed(browsed.services, owner.id, dataset) == []


def a_vault(*locators, box="AAAA"):
    wraps = [{"kind": "code", "box": "AAAA", "locator": one} for one in locators]
    return {"v": 1, "wraps": wraps, "box": box}


def test_a_vault_is_found_by_its_ways_in_and_by_nothing_else(browsed, owner):
    one, two = new_id(), new_id()
    kept = browsed.http.put("/api/v1/me/vault", json=a_vault(one, two), headers=owner.auth)
    assert kept.status_code == 200
    for locator in (one, two):
        found = browsed.http.get(f"/api/v1/vaults/{locator}")
        assert found.json == a_vault(one, two)
        assert found.headers["ETag"] == kept.headers["ETag"]
    assert browsed.http.get(f"/api/v1/vaults/{new_id()}").status_code == 404
    browsed.http.put("/api/v1/me/vault", json=a_vault(one), headers=owner.auth)
    assert browsed.http.get(f"/api/v1/vaults/{two}").status_code == 404


def test_a_vault_is_fetched_by_its_party_and_by_nobody_else(browsed, owner):
    assert browsed.http.get("/api/v1/me/vault", headers=owner.auth).status_code == 404
    mine = a_vault(new_id())
    kept = browsed.http.put("/api/v1/me/vault", json=mine, headers=owner.auth)
    found = browsed.http.get("/api/v1/me/vault", headers=owner.auth)
    assert (found.json, found.headers["ETag"]) == (mine, kept.headers["ETag"])
    other = somebody(browsed)
    assert browsed.http.get("/api/v1/me/vault", headers=other.auth).status_code == 404
    assert browsed.http.get("/api/v1/me/vault").status_code == 401


def test_two_devices_do_not_overwrite_each_other(browsed, owner):
    put = lambda body, tag: browsed.http.put(  # noqa: E731
        "/api/v1/me/vault", json=body, headers={**owner.auth, **({"If-Match": tag} if tag else {})}
    )
    first = put(a_vault(new_id()), None).headers["ETag"]
    second = put(a_vault(new_id(), box="BBBB"), first)
    assert second.status_code == 200
    assert put(a_vault(new_id(), box="CCCC"), first).status_code == 412


def test_a_locator_points_to_one_vault_only(browsed, owner):
    other, locator = somebody(browsed), new_id()
    assert (
        browsed.http.put("/api/v1/me/vault", json=a_vault(locator), headers=owner.auth).status_code
        == 200
    )
    taken = browsed.http.put("/api/v1/me/vault", json=a_vault(locator), headers=other.auth)
    assert taken.status_code == 409


def test_only_the_key_origin_may_read_the_api_from_a_page(browsed):
    preflight = {"Access-Control-Request-Method": "PUT"}
    for origin, allowed in ((KEYS, KEYS), ("http://evil.test", None), (None, None)):
        headers = {**preflight, **({"Origin": origin} if origin else {})}
        answer = browsed.http.options("/api/v1/me/vault", headers=headers)
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert "Access-Control-Allow-Credentials" not in answer.headers
    page = browsed.http.get("/", headers={"Origin": KEYS})
    assert "Access-Control-Allow-Origin" not in page.headers


def test_a_passkey_challenge_works_once_and_for_its_party_only(browsed, owner):
    made = browsed.http.post("/api/v1/me/passkeys/options", headers=owner.auth).json["options"]
    assert made["rp"]["id"] == "localhost"
    assert made["authenticatorSelection"]["userVerification"] == "required"
    again = browsed.http.post("/api/v1/me/passkeys/options", headers=owner.auth).json["options"]
    assert made["challenge"] != again["challenge"]
    client_data = b64(b'{"challenge":"AAAA"}').rstrip("=")
    body = {"credential": {"id": "x", "response": {"clientDataJSON": client_data}}}
    assert (
        browsed.http.post("/api/v1/me/passkeys", json=body, headers=owner.auth).status_code == 401
    )


@pytest.mark.parametrize(
    ("host", "rp_id", "kept_apart"),
    [
        ("market.example.org", "keys.example.org", True),
        ("example.org", "keys.example.org", True),
        ("market.example.org", "example.org", False),
        ("example.org", "example.org", False),
        ("badexample.org", "example.org", True),
    ],
)
def test_the_markets_own_pages_lie_outside_the_domain_of_consent_passkeys(
    browsed, host, rp_id, kept_apart
):
    """A page may ask any passkey of its domain for the secret that opens a person's keys."""
    trust = replace(
        browsed.services.trust, embedded=False, passkeys=PasskeyPolicy(rp_id, (f"https://{rp_id}",))
    )
    config = replace(browsed.services.config, public_url=f"https://{host}/", keys_url=KEYS)
    if kept_apart:
        passkeys.check_apart(config, trust)
    else:
        with pytest.raises(ConfigError, match="their code could use the passkeys that lock"):
            passkeys.check_apart(config, trust)
    passkeys.check_apart(config, replace(trust, embedded=True))


def test_sign_in_passkeys_may_be_of_a_domain_of_their_own(browsed, owner):
    config = replace(browsed.services.config, sign_in_rp_id="example.org")
    services = replace(browsed.services, config=config)
    made, asked = passkeys.creation_options(services, owner.id), passkeys.request_options(services)
    assert (made["rp"]["id"], asked["rpId"]) == ("example.org", "example.org")


@pytest.mark.parametrize(
    "credential", [{}, {"response": {}}, {"response": {"clientDataJSON": "!"}}]
)
def test_a_malformed_passkey_is_a_clear_error(browsed, owner, credential):
    answer = browsed.http.post(
        "/api/v1/me/passkeys", json={"credential": credential}, headers=owner.auth
    )
    assert answer.status_code == 400


def test_no_passkey_no_session(browsed):
    assert passkeys.listed(browsed.services, new_id()) == []
    answer = browsed.http.post("/signin/passkey", json={"id": "x"})
    assert answer.status_code in (400, 401)
    assert "omic" not in answer.headers.get("Set-Cookie", "").split("omic-form")[0]


def test_the_release_of_the_key_pages_goes_on_the_ledger_once(browsed):
    browsed.services.config.trust_file.write_bytes(trust_document())
    digest = state_release(browsed.services)
    assert state_release(browsed.services) == digest
    bundle = build(trust_document())
    assert digest == bundle.digest == digest_of(bundle.files)
    changed = build(trust_document(origin="localhost/other"))
    assert changed.digest != digest


def test_the_bundles_policy_allows_own_code_only():
    policy = build(trust_document()).policy()
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert "connect-src 'self' http://127.0.0.1:9 http://localhost:9 http://127.0.0.1:9;" in policy
    assert ORIGIN not in policy
