"""An order's whole life over HTTP, with the simulated ledger and payment provider."""

import hashlib
import hmac

import pytest
from sqlmodel import select

from ledger import canonical, leaf_hash, verify_inclusion
from marketplace.tables import Payment
from tests.marketplace.market_world import ASK, SCOPE, Party, digest

QUERY = ASK["query"]


def test_paid_order_is_approved_run_published_and_settled(world):
    owners = [world.owner(price=200) for _ in range(3)]
    researcher = world.researcher()
    order = world.place(researcher)
    assert world.state(researcher, order) == "awaiting_payment"
    world.pay(researcher, order)
    assert world.state(researcher, order) == "approved"
    access = world.answer(order, owners)
    world.turn()
    assert world.state(researcher, order) == "settled"
    assert world.ledger.types(order) == [
        "order.placed",
        "payment.received",
        "order.approved",
        "access.recorded",
        "result.published",
        "settlement.made",
    ]
    settled = world.ledger.state.orders[order].settlement.payload
    assert settled["access"] == access
    assert settled["shares"] == 3
    assert world.services.db is not None
    got = world.http.get(f"/api/v1/orders/{order}/objects/result", headers=researcher.auth)
    assert got.data == b"encrypted"
    assert world.follower.state.violations == []


def test_each_owner_sees_its_share_with_a_proof_against_the_ledger(world):
    owners = [world.owner() for _ in range(5)]
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    world.answer(order, owners)
    world.turn()
    settled = world.ledger.state.orders[order].settlement
    total = 0
    for owner in owners:
        answer = world.http.get("/api/v1/me/shares", headers=owner.auth)
        (share,) = answer.json["shares"]
        value = {"order": order, "owner": owner.id, "amount": share["amount"], "currency": "gbp"}
        leaf = hmac.new(bytes.fromhex(share["salt"]), canonical(value), hashlib.sha256).digest()
        verify_inclusion(
            share["index"],
            settled.payload["shares"],
            leaf_hash(leaf),
            [bytes.fromhex(step) for step in share["proof"]],
            bytes.fromhex(settled.payload["share_root"]),
        )
        assert share["settlement_index"] == settled.index
        total += share["amount"]
    assert total == settled.payload["owners_total"]


def test_the_draft_waits_for_two_reviewers_then_a_release_job_is_made(world):
    owners = [world.owner() for _ in range(2)]
    researcher, reviewers = world.researcher(), [world.reviewer(), world.reviewer()]
    order = world.place(researcher)
    world.pay(researcher, order)
    job = world.job()
    access = world.record_access(order, owners)
    assert world.deliver(job, "draft", b"a draft").status_code == 200
    scope = [owner.grant for owner in owners]
    commitment = "2" * 64
    world.outcome(
        job, state="awaiting_review", access=access, scope=scope, draft_commitment=commitment
    )
    assert world.state(researcher, order) == "releasing"
    listed = world.http.get("/api/v1/reviews", headers=reviewers[0].auth).json["reviews"]
    assert [(one["order"], one["draft_commitment"]) for one in listed] == [(order, commitment)]
    draft = world.http.get(f"/api/v1/orders/{order}/objects/draft", headers=reviewers[0].auth)
    assert draft.data == b"a draft"
    world.review(reviewers[0], order, commitment)
    sent = len(world.sender.sent)
    world.turn()
    assert len(world.sender.sent) == sent
    world.review(reviewers[1], order, commitment)
    world.turn()
    release = world.job("release")
    world.publish(order, access)
    for name in ("result", "bundle", "auditor_bundle"):
        world.deliver(release, name)
    world.outcome(
        release, state="released", access=access, scope=scope, result_sha256=digest(b"encrypted")
    )
    world.turn()
    assert world.state(researcher, order) == "settled"
    auditor = world.sign_in(world.auditor)
    bundle = world.http.get(f"/api/v1/orders/{order}/objects/auditor_bundle", headers=auditor.auth)
    assert bundle.status_code == 200


def test_a_rejected_draft_fails_the_order_and_the_money_goes_back(world):
    owners = [world.owner()]
    researcher, reviewer = world.researcher(), world.reviewer()
    order = world.place(researcher)
    world.pay(researcher, order)
    job = world.job()
    access = world.record_access(order, owners)
    world.deliver(job, "draft")
    world.outcome(job, state="awaiting_review", access=access, draft_commitment="3" * 64)
    world.review(reviewer, order, "3" * 64, "reject")
    world.turn()
    assert world.state(researcher, order) == "refunded"
    gone = world.http.get(f"/api/v1/orders/{order}/objects/draft", headers=reviewer.auth)
    assert gone.status_code == 404


def test_a_result_is_not_handed_out_before_the_ledger_shows_it(world):
    owners = [world.owner()]
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    job = world.job()
    access = world.record_access(order, owners)
    world.deliver(job, "result")
    world.outcome(
        job, state="released", access=access, scope=[owners[0].grant], result_sha256="0" * 64
    )
    world.turn()
    assert world.state(researcher, order) == "running"
    path = f"/api/v1/orders/{order}/objects/result"
    assert world.http.get(path, headers=researcher.auth).status_code == 404
    world.publish(order, access)
    world.turn()
    assert world.state(researcher, order) == "settled"
    assert world.http.get(path, headers=researcher.auth).data == b"encrypted"


def test_nobody_left_in_scope_refuses_the_order_and_refunds_it(world):
    owner, researcher = world.owner(), world.researcher()
    order = world.place(researcher)
    world.withdraw(owner)
    world.pay(researcher, order)
    world.turn()
    assert world.state(researcher, order) == "refunded"
    assert world.ledger.types(order)[-2:] == ["order.refused", "payment.refunded"]


def test_a_failed_job_refunds_exactly_once(world):
    world.owner()
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    world.payments.fail_after = 1
    world.outcome(world.job(), state="failed", code="internal")
    world.turn(5)
    assert world.state(researcher, order) == "refunded"
    assert len(world.payments.refunds) == 1
    assert world.ledger.types(order).count("payment.refunded") == 1
    status = world.http.get("/api/v1/status").json
    assert status["outbox"] == {"pending": 0, "refused": 0}


def test_a_cancelled_order_that_was_paid_meanwhile_is_refunded(world):
    world.owner()
    researcher = world.researcher()
    order = world.place(researcher)
    session = world.checkout(researcher, order)
    answer = world.http.post(f"/api/v1/orders/{order}/cancel", headers=researcher.auth)
    assert answer.status_code == 200
    world.turn()
    assert world.state(researcher, order) == "cancelled"
    world.webhook(world.payments.pay(session))
    world.turn()
    assert world.state(researcher, order) == "refunded"
    types = world.ledger.types(order)
    assert types[1:] == ["order.cancelled", "payment.received", "payment.refunded"]


def test_an_unpaid_order_expires(world):
    world.owner()
    researcher = world.researcher()
    order = world.place(researcher)
    world.clock.forward(world.services.config.limits.payment_ms + 1)
    world.turn()
    world.sign_in(researcher)
    assert world.state(researcher, order) == "expired"
    assert (
        world.http.post(f"/api/v1/orders/{order}/checkout", headers=researcher.auth).status_code
        == 409
    )


def test_a_lost_webhook_is_made_up_by_asking_again(world):
    world.owner()
    researcher = world.researcher()
    order = world.place(researcher)
    world.payments.pay(world.checkout(researcher, order))
    world.clock.forward(60_000)
    world.turn()
    assert world.state(researcher, order) == "approved"


def test_another_researcher_sees_nothing_of_an_order(world):
    world.owner()
    researcher, other = world.researcher(), world.researcher()
    order = world.place(researcher)
    for method, path in (
        ("get", f"/api/v1/orders/{order}"),
        ("post", f"/api/v1/orders/{order}/checkout"),
        ("post", f"/api/v1/orders/{order}/cancel"),
    ):
        assert getattr(world.http, method)(path, headers=other.auth).status_code == 404
    assert world.http.get("/api/v1/orders", headers=other.auth).json["orders"] == []


def test_facets_narrow_the_scope_and_show_only_buckets(world):
    for population in ("CEU", "CEU", "YRI"):
        world.owner(population)
    researcher = world.researcher()
    seen = world.http.get("/api/v1/catalogue").json
    assert seen["people"] == "<20"
    assert seen["facets"]["population"] == {"CEU": "<20", "YRI": "<20"}
    scope = {**SCOPE, "facets": {"population": ["XXX"]}}
    dry = world.http.post(
        "/api/v1/dry-run", json={**ASK, "scope": scope}, headers=researcher.auth
    ).json
    assert dry["people"] == "0"
    assert dry["price"] is None
    assert dry["left_out"] == {"facets": "<20"}


def test_a_quote_says_whose_terms_are_stricter_than_the_release_asked(world):
    world.owner()
    for _ in range(21):
        world.owner(mode="private", upload=False)
    researcher = world.researcher()

    def asked(path, mode, rho):
        query = {**QUERY, "params": {"variants": ["1-1000-A-G"]}} if rho != "0" else QUERY
        ask = {**ASK, "query": query, "release": {"mode": mode, "rho": rho}}
        return world.http.post(f"/api/v1/{path}", json=ask, headers=researcher.auth).json

    quote = asked("quotes", "trusted", "0")
    assert quote["left_out"] == {"release": "20-49"}
    assert [one["people"] for one in quote["items"] if one["kind"] == "data"] == ["<20"]
    assert asked("dry-run", "private", "1/50")["left_out"] == {}
    assert asked("dry-run", "private", "1/49")["left_out"] == {"release": "20-49"}


def test_a_dry_run_expects_the_error_at_the_frequency_its_buyer_assumes(world):
    world.owner()
    researcher = world.researcher()

    def error(maf):
        body = {**ASK, "assumed_maf": maf}
        answer = world.http.post("/api/v1/dry-run", json=body, headers=researcher.auth)
        return answer.status_code, answer.json.get("expected_error")

    (_, rare), (_, common) = error("1/1000"), error("1/2")
    assert (rare["maf_assumed"], common["maf_assumed"]) == ("1/1000", "1/2")
    assert error("3/4")[1]["kind"] == "refused"
    assert error("a half")[0] == 400


def test_a_dry_run_expects_the_error_at_the_spread_its_buyer_assumes(world):
    world.owner()
    researcher = world.researcher()
    feature = {"v": 1, "family": "feature_distribution", "params":
               {"feature": "F", "low": "0", "high": "10"}}  # fmt: skip
    trait = {**QUERY, "family": "linear_association", "params":
             {"variants": {"panel": "all"}, "trait": {"kind": "covariate", "name": "height"}}}  # fmt: skip

    def dry_run(query, modalities, mode, **assumed):
        scope = {**SCOPE, "modalities": modalities}
        if mode == "private":
            scope = {**scope, "build": None}
        release = {"mode": mode, "rho": "1/20" if mode == "private" else "0"}
        body = {**ASK, "query": query, "scope": scope, "release": release, **assumed}
        return world.http.post("/api/v1/dry-run", json=body, headers=researcher.auth)

    def error(sd):
        answer = dry_run(feature, ["expression"], "private", assumed_sd=sd)
        assert answer.status_code == 200, answer.json
        return answer.json["expected_error"]["more"][0]["sampling_sd"]

    assert error("5") == pytest.approx(4 * error("5/4"), rel=1e-3)
    both = ["genotypes", "participant"]
    exact = dry_run(trait, both, "trusted", assumed_sd="9.5").json["expected_error"]
    assert (exact["statistic"], exact["sd_assumed"]) == ("beta", "9.5")
    for query, modalities, mode, sd, why in (
        (feature, ["expression"], "private", "5.1", "at most 5"),
        (feature, ["expression"], "private", "0", "above 0"),
        (QUERY, ["genotypes"], "trusted", "1", "no measured value"),
    ):
        refused = dry_run(query, modalities, mode, assumed_sd=sd)
        assert refused.status_code == 400
        assert refused.content_type == "application/problem+json"
        assert why in refused.json["detail"]
    for sd in ("nan", "inf", "-1", "1e999", "1/0"):
        assert dry_run(trait, both, "trusted", assumed_sd=sd).status_code == 400


@pytest.mark.parametrize("named", ["GRCh37", None])
def test_people_of_another_build_are_told_in_buckets_and_neither_priced_nor_included(world, named):
    both = world.owner(upload=False)
    world.dataset_of_the_same_person(both, build="GRCh38")
    researcher = world.researcher()
    scope = {key: value for key, value in SCOPE.items() if key != "build"}
    ask = {**ASK, "scope": scope if named is None else {**scope, "build": named}}

    def asked(path):
        return world.http.post(f"/api/v1/{path}", json=ask, headers=researcher.auth).json

    before = asked("quotes")
    assert before["other_builds"] == asked("dry-run")["other_builds"] == {}
    for population in ("YRI", *["CEU"] * 20):
        world.owner(population, upload=False, build="GRCh38")
    world.services.view.refresh()
    after = asked("quotes")
    assert after["other_builds"] == asked("dry-run")["other_builds"] == {"GRCh38": "20-49"}
    assert asked("dry-run")["people"] == "<20"
    assert (after["total"], after["items"]) == (before["total"], before["items"])
    assert "other_builds" not in after["body"]
    ask["scope"]["facets"] = {"population": ["YRI"]}
    assert asked("dry-run")["other_builds"] == {"GRCh38": "<20"}


def test_a_match_is_priced_as_its_scope_and_said_to_be_judged_inside_only(world):
    world.owner(upload=False)
    researcher = world.researcher()
    params = {**QUERY["params"], "match": [{"kind": "carrier", "variant": "1-1000-A-G"}]}
    matched = {**ASK, "query": {**QUERY, "params": params}}

    def asked(path, body):
        return world.http.post(f"/api/v1/{path}", json=body, headers=researcher.auth).json

    for path, total in (("dry-run", "price"), ("quotes", "total")):
        plain, told = asked(path, ASK), asked(path, matched)
        assert (told[total], told["items"]) == (plain[total], plain["items"])
        assert plain["match"] is None
        assert "inside the order only" in told["match"]
    record = [{"kind": "group", "stratum": "sex", "levels": ["female"]}]
    params = {**QUERY["params"], "match": record}
    refused = world.http.post(
        "/api/v1/quotes", json={**ASK, "query": {**QUERY, "params": params}},
        headers=researcher.auth,
    )  # fmt: skip
    assert refused.status_code == 400
    assert "participant" in refused.text


def test_a_stranger_cannot_sign_in(world):
    party = Party()
    challenge = world.http.post("/api/v1/session/challenge", json={"party": party.id}).json
    body = {"party": party.id, **challenge, "public_key": "AAAA", "signature": "AAAA"}
    answer = world.http.post("/api/v1/session", json=body)
    assert answer.status_code == 401
    assert answer.content_type == "application/problem+json"


def test_the_payment_page_of_an_order_that_is_over_is_closed(world):
    world.owner()
    researcher = world.researcher()
    order = world.place(researcher)
    session = world.checkout(researcher, order)
    world.http.post(f"/api/v1/orders/{order}/cancel", headers=researcher.auth)
    world.turn()
    assert world.state(researcher, order) == "cancelled"
    world.clock.forward(60_000)
    world.turn()
    assert world.payments.fetch_checkout(session).status == "expired"
    with world.services.db.read() as db:
        assert [one.state for one in db.exec(select(Payment)).all()] == ["closed"]
