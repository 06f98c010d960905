"""What the pages promise of security, requirement by requirement (the table in SECURITY.md)."""

import logging
import re
from dataclasses import replace

from marketplace.app import create_app
from tests.marketplace.web.web_world import post, purpose


def everywhere(world, who):
    yield world.browser(), ["/", "/signin", "/catalogue", "/jobs", "/ledger", "/api/v1/status"]
    yield world.browser(who["owner"]), ["/me", "/me/statement", "/me/everything.json"]
    orders = [f"/orders/{order}" for order in who["orders"].values()]
    yield world.browser(who["researcher"]), ["/research", "/dry-run", *orders]


def test_every_page_and_answer_carries_the_strict_headers(lively_world):
    world, who = lively_world
    for client, paths in everywhere(world, who):
        for path in [*paths, "/nothing-here"]:
            headers = client.get(path).headers
            policy = headers["Content-Security-Policy"]
            assert "unsafe" not in policy, path
            assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy, path
            assert headers["X-Content-Type-Options"] == "nosniff", path
            assert headers["Referrer-Policy"] == "no-referrer", path
            kept = headers["Cache-Control"]
            assert kept == "no-store" or kept == "private, no-cache", (path, kept)


def test_no_page_has_code_or_style_of_its_own(lively_world):
    world, who = lively_world
    for client, paths in everywhere(world, who):
        for path in paths:
            page = client.get(path).text
            assert not re.search(r"<script(?![^>]*(src=|application/json))", page), path
            assert not re.search(r"<[^>]+\\s(style|on[a-z]+)=", page), path


def test_what_people_write_is_shown_as_text(fresh):
    fresh.owner()
    researcher = fresh.researcher()
    evil = "<img src=x onerror=alert(1)>"
    order = fresh.place(researcher, purpose=purpose(evil))
    fresh.turn()
    for path in (f"/orders/{order}", "/research", f"/dry-run?again={order}"):
        page = fresh.browser(researcher).get(path).text
        assert evil not in page and "&lt;img" in page, path
    assert evil not in fresh.browser().get("/jobs").text


def test_no_form_is_taken_without_its_token_or_from_another_site(lively_world):
    world, who = lively_world
    client = world.browser(who["researcher"])
    order = who["orders"]["unpaid"]
    for path in (f"/orders/{order}/cancel", f"/orders/{order}/pay", "/dry-run", "/logout"):
        assert client.post(path, data={}).status_code == 400, path
        other = {"Sec-Fetch-Site": "cross-site"}
        assert client.post(path, data={}, headers=other).status_code == 403, path
    assert client.get("/research").status_code == 200


def test_pages_are_limited_too(tmp_path, fresh):
    config = replace(fresh.services.config, rate_limit="3 per minute")
    client = create_app(replace(fresh.services, config=config)).test_client()
    assert [client.get("/glossary").status_code for _ in range(4)] == [200, 200, 200, 429]


def test_no_address_and_no_log_line_holds_anything_personal(fresh, caplog):
    caplog.set_level(logging.DEBUG)
    owner = fresh.owner("CEU")
    client = fresh.browser(owner)
    page = client.get("/me").text
    post(client, "/me/payee", {"country": "GB"}, page="/me/statement")
    addresses = re.findall(r'(?:href|action)="([^"]+)"', page)
    assert addresses
    for text in [*addresses, *(record.getMessage() for record in caplog.records)]:
        assert owner.id not in text and owner.token not in text and "CEU" not in text, text


def test_no_money_moves_by_hand_without_an_operators_entry(fresh):
    operator = fresh.sign_in(fresh.operators[0])
    path = "/api/v1/operator/payouts"
    entry = fresh.operate(1, "payouts.run", {})
    for body in ({}, {"entry": entry}, {"entry": 0}):
        answer = fresh.http.post(path, json=body, headers=operator.auth)
        assert answer.status_code in (400, 403), body
    mine = fresh.operate(0, "payouts.run", {})
    assert fresh.http.post(path, json={"entry": mine}, headers=operator.auth).status_code == 200
    assert fresh.http.post(path, json={"entry": mine}, headers=operator.auth).status_code == 409
