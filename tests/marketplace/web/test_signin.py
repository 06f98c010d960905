"""One-time links, cookies, roles, signing out."""

import pytest

from tests.marketplace.web.web_world import post


def cookie(answer, name="omic"):
    return next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith(name + "="))


def test_a_link_signs_in_once(fresh):
    researcher = fresh.researcher()
    secret = fresh.link(researcher)
    answer = post(fresh.app.test_client(), "/signin", {"code": secret})
    assert answer.status_code == 303
    assert answer.location == "/research"
    for part in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie(answer)
    again = post(fresh.app.test_client(), "/signin", {"code": secret})
    assert again.status_code == 410
    assert "used up" in again.text


def test_opening_the_address_of_a_link_does_not_use_it(fresh):
    secret = fresh.link(fresh.researcher())
    client = fresh.app.test_client()
    page = client.get(f"/login/{secret}")
    assert page.status_code == 200
    assert page.headers["Referrer-Policy"] == "no-referrer"
    token = page.text.split('name="csrf_token" value="')[1].split('"')[0]
    assert client.post("/signin", data={"csrf_token": token, "code": secret}).status_code == 303


@pytest.mark.parametrize("wrap", ["{}", "http://localhost:8080/signin#{}", "http://x/login/{} "])
def test_a_pasted_link_works_as_well_as_its_code(fresh, wrap):
    secret = fresh.link(fresh.researcher())
    answer = post(fresh.app.test_client(), "/signin", {"code": wrap.format(secret)})
    assert answer.status_code == 303


def test_a_wrong_code_says_what_to_do(fresh):
    answer = post(fresh.http, "/signin", {"code": "wrong"})
    assert answer.status_code == 410
    assert "omic open" in answer.text


def test_private_pages_ask_to_sign_in(fresh):
    for path in ("/me", "/research", "/dry-run", "/reviews", "/orders/" + "0" * 32):
        answer = fresh.http.get(path)
        assert answer.status_code == 401
        assert "omic open" in answer.text


def test_a_role_sees_its_own_pages_only(fresh):
    client = fresh.browser(fresh.researcher())
    answer = client.get("/me")
    assert answer.status_code == 403
    assert "not yours to see" in answer.text


def test_an_order_of_somebody_else_is_not_found(lively_world):
    world, who = lively_world
    stranger = world.browser(world.researcher())
    assert stranger.get(f"/orders/{who['orders']['settled']}").status_code == 404
    assert stranger.get(f"/orders/{who['orders']['settled']}/download/result").status_code == 404


def test_signing_out_ends_the_session_for_good(fresh):
    client = fresh.browser(fresh.researcher())
    kept = client.get_cookie("omic").value
    gone = post(client, "/logout", {}, page="/research")
    assert gone.status_code == 303
    assert gone.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert client.get("/research").status_code == 401
    client.set_cookie("omic", kept)
    assert client.get("/research").status_code == 401


def test_signing_out_everywhere_ends_the_other_browsers_too(fresh):
    party, other = fresh.researcher(), fresh.researcher()
    here, lost, elses = fresh.browser(party), fresh.browser(party), fresh.browser(other)
    post(here, "/logout", {"everywhere": "yes"}, page="/research")
    assert [one.get("/research").status_code for one in (here, lost, elses)] == [401, 401, 200]
    assert post(here, "/logout", {"everywhere": "yes"}, page="/signin").status_code == 303


def test_an_ended_session_is_nobody(fresh):
    client = fresh.browser(fresh.researcher())
    fresh.clock.forward(13 * 3_600_000)
    assert client.get("/research").status_code == 401
    assert client.get("/").status_code == 200


def test_cookies_on_https_are_secure_and_bound_to_the_host(tmp_path):
    from dataclasses import replace

    from web_world import WebWorld

    from marketplace.app import create_app
    from marketplace.web import install
    from marketplace.web.ports import EXTENSION

    world = WebWorld(tmp_path)
    secret = world.link(world.researcher())
    config = replace(world.services.config, public_url="https://market.example")
    services = replace(world.services, config=config)
    app = create_app(services)
    if EXTENSION not in app.extensions:
        install(app, services, world.reader)
    answer = post_https(app.test_client(), secret)
    assert answer.status_code == 303
    assert "Secure" in cookie(answer, "__Host-omic")
    page = app.test_client().get("/signin", base_url="https://market.example")
    for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie(page, "__Host-omic-form"), part
    for path in ("/", "/nothing", "/api/v1/nothing", "/api/v1/status"):
        told = app.test_client().get(path, base_url="https://market.example").headers
        assert told["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    world.close()


def post_https(client, secret):
    base = "https://market.example"
    page = client.get("/signin", base_url=base)
    token = page.text.split('name="csrf_token" value="')[1].split('"')[0]
    return client.post("/signin", base_url=base, data={"csrf_token": token, "code": secret})
