"""What the HTTP faces refuse, how they say it, and what they promise in their own document."""

import io
import json
import os
from dataclasses import replace

import pytest
from openapi_spec_validator import validate
from sqlmodel import select

from marketplace.api.protocol import BEGUN_MS
from marketplace.config import Limits
from marketplace.tables import KeptAnswer
from tests.marketplace.market_world import ASK, PURPOSE, QUERY, Owner, Party, World, digest, new_id


def problem(answer, status, word):
    assert answer.status_code == status, answer.get_data(as_text=True)
    assert answer.content_type == "application/problem+json"
    assert set(answer.json) >= {"type", "title", "status", "detail"}
    assert answer.json["status"] == status
    assert word in answer.json["detail"], answer.json
    return answer.json


# -- sessions ---------------------------------------------------------------------------------


def test_no_token_a_wrong_token_and_a_wrong_role_are_told_apart(world):
    problem(world.http.get("/api/v1/orders"), 401, "POST /api/v1/session")
    bad = {"Authorization": "Bearer nonsense"}
    problem(world.http.get("/api/v1/orders", headers=bad), 401, "sign in again")
    owner = world.owner(upload=False)
    problem(world.http.get("/api/v1/orders", headers=owner.auth), 403, "researcher")


def test_a_challenge_works_once(world):
    party = world.register(Party(), "researcher")
    challenge = world.http.post("/api/v1/session/challenge", json={"party": party.id})
    text = challenge.json["challenge"]
    body = _signed(party, text)
    assert world.http.post("/api/v1/session", json=body).status_code == 200
    problem(world.http.post("/api/v1/session", json=body), 401, "ask again")


def test_a_challenge_of_another_party_or_one_too_old_is_refused(world):
    party, other = world.researcher(), world.researcher()
    text = world.http.post("/api/v1/session/challenge", json={"party": other.id}).json["challenge"]
    problem(world.http.post("/api/v1/session", json=_signed(party, text)), 401, "ask again")
    text = world.http.post("/api/v1/session/challenge", json={"party": party.id}).json["challenge"]
    world.clock.forward(world.services.config.limits.challenge_ms)
    problem(world.http.post("/api/v1/session", json=_signed(party, text)), 401, "ask again")


def test_a_signature_for_another_market_is_refused(world):
    party = world.researcher()
    text = world.http.post("/api/v1/session/challenge", json={"party": party.id}).json["challenge"]
    body = _signed(party, text, origin="https://evil.example")
    problem(world.http.post("/api/v1/session", json=body), 401, "does not verify")


def test_a_removed_key_ends_its_sessions(world):
    party = world.researcher()
    fresh = Party(id=party.id)
    key = {"public_key": world_b64(fresh.key), "kind": "ed25519", "use": "sign"}
    fields = {"party": party.id, "role": "researcher"}
    world.submit(party.seed, "party.key_added", {**fields, "key": key})
    from ledger import fingerprint

    world.submit(fresh.seed, "party.key_removed", {**fields, "fingerprint": fingerprint(party.key)})
    world.services.view.refresh()
    problem(world.http.get("/api/v1/orders", headers=party.auth), 401, "no longer in force")


def test_a_session_ends_with_its_time_and_at_sign_out(world):
    party = world.researcher()
    assert world.http.delete("/api/v1/session", headers=party.auth).status_code == 204
    problem(world.http.get("/api/v1/orders", headers=party.auth), 401, "sign in again")
    world.sign_in(party)
    world.clock.forward(world.services.config.limits.session_ms)
    problem(world.http.get("/api/v1/orders", headers=party.auth), 401, "sign in again")


def test_a_link_signs_in_once(world):
    from marketplace import accounts
    from marketplace.errors import ExpiredError

    party = world.researcher()
    url = world.http.post("/api/v1/session/link", headers=party.auth).json["url"]
    secret = url.partition("#")[2]
    opened = accounts.redeem_link(world.services, secret)
    assert accounts.authenticate(world.services, opened.token).party == party.id
    with pytest.raises(ExpiredError):
        accounts.redeem_link(world.services, secret)


def test_no_token_is_stored_in_clear(world):
    party = world.researcher()
    data = b"".join(
        path.read_bytes() for path in world.services.config.directory.glob("market.sqlite*")
    )
    assert party.token.encode() not in data
    assert party.id.encode() in data


def _signed(party, text, origin="http://localhost:8080"):
    from ledger import sign_ed25519

    message = b"omic/session/v1\n" + text.encode() + b"\n" + origin.encode()
    return {
        "party": party.id,
        "challenge": text,
        "public_key": world_b64(party.key),
        "signature": world_b64(sign_ed25519(party.seed)(message).parts[0]),
    }


def world_b64(data):
    from ledger import b64

    return b64(data)


# -- uploads ----------------------------------------------------------------------------------


def test_a_body_that_is_not_what_was_announced_is_not_kept(world):
    owner = world.sign_in(world.register(Owner(), "owner"))
    problem(world.upload(owner, sha256="0" * 64), 422, "send the file again")
    assert stored_files(world) == []
    assert (
        world.http.put(
            f"/api/v1/uploads/{owner.dataset}", data=b"x", headers=owner.auth
        ).status_code
        == 400
    )


def test_an_upload_larger_than_accepted_is_refused_with_or_without_a_length(tmp_path):
    world = World(tmp_path, limits=Limits(upload_bytes=500))
    owner = world.sign_in(world.register(Owner(), "owner"))
    problem(world.upload(owner), 413, "500 bytes")
    headers = {**owner.auth, "X-Content-SHA256": digest(owner.file)}
    answer = world.http.put(
        f"/api/v1/uploads/{owner.dataset}",
        input_stream=io.BytesIO(owner.file),
        headers=headers,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    problem(answer, 413, "500 bytes")
    assert stored_files(world) == []
    world.close()


def test_a_file_of_several_megabytes_goes_up_and_comes_back(world):
    owner = Owner(file=os.urandom(5 << 20))
    world.sign_in(world.register(owner, "owner"))
    assert world.upload(owner).json["size"] == 5 << 20
    world.register_dataset(owner)
    body = {"dataset": owner.dataset}
    assert world.http.post("/api/v1/datasets", json=body, headers=owner.auth).status_code == 200
    path = f"/api/v1/datasets/{owner.dataset}/file"
    assert world.http.get(path, headers=owner.auth).data == owner.file


def test_a_dataset_counts_only_when_the_ledger_registers_the_same_file(world):
    owner = world.sign_in(world.register(Owner(), "owner"))
    assert world.upload(owner).json["state"] == "staged"
    world.register_dataset(owner, data=os.urandom(1000))
    body = {"dataset": owner.dataset}
    problem(world.http.post("/api/v1/datasets", json=body, headers=owner.auth), 422, "not the one")
    path = f"/worker/v1/datasets/{owner.dataset}/file"
    problem(world.http.get(path, headers=world.worker_auth), 404, "no ciphertext")


def test_a_file_the_ledger_registers_already_counts_as_soon_as_it_is_there(world):
    owner = world.sign_in(world.register(Owner(), "owner"))
    world.register_dataset(owner)
    world.services.view.refresh()
    assert world.upload(owner, data=os.urandom(500)).json["state"] == "staged"
    path = f"/worker/v1/datasets/{owner.dataset}/file"
    problem(world.http.get(path, headers=world.worker_auth), 404, "no ciphertext")
    assert world.upload(owner).json["state"] == "active"
    assert world.http.get(path, headers=world.worker_auth).data == owner.file
    problem(world.upload(owner), 409, "registered already")


def test_a_dataset_of_somebody_else_cannot_be_activated_or_overwritten(world):
    owner, thief = world.owner(), world.sign_in(world.register(Owner(), "owner"))
    thief.dataset = owner.dataset
    problem(world.upload(thief), 409, "registered already")
    body = {"dataset": owner.dataset}
    problem(
        world.http.post("/api/v1/datasets", json=body, headers=thief.auth), 403, "another party"
    )
    unknown = {"dataset": new_id()}
    problem(world.http.post("/api/v1/datasets", json=unknown, headers=thief.auth), 404, "staged")
    path = f"/api/v1/datasets/{owner.dataset}/file"
    assert world.http.get(path, headers=owner.auth).data == owner.file
    problem(world.http.get(path, headers=thief.auth), 404, "no dataset")


def test_ranges_of_a_ciphertext(world):
    owner = world.owner()
    path = f"/worker/v1/datasets/{owner.dataset}/file"

    def ask(text):
        return world.http.get(path, headers={**world.worker_auth, "Range": text})

    got = ask("bytes=10-19")
    assert (got.status_code, got.data) == (206, owner.file[10:20])
    assert got.headers["Content-Range"] == "bytes 10-19/1000"
    assert ask("bytes=990-").data == owner.file[990:]
    assert ask("bytes=990-5000").data == owner.file[990:]
    beyond = ask("bytes=1000-")
    problem(beyond, 416, "1000 bytes")
    assert beyond.headers["Content-Range"] == "bytes */1000"
    assert got.headers["Content-Disposition"] == 'attachment; filename="data.c4gh"'
    assert ask("lines=1-2").data == owner.file


def test_uploads_nobody_activates_are_swept_after_a_day(world):
    owner = world.sign_in(world.register(Owner(), "owner"))
    world.upload(owner)
    world.upload(owner)
    world.turn(1)
    assert len(stored_files(world)) == 1
    world.clock.forward(world.services.config.limits.staged_ms + 1)
    world.turn(1)
    assert stored_files(world) == []


def test_an_erased_dataset_loses_its_ciphertext(world):
    owner = world.owner()
    state = world.ledger.state
    world.submit(
        owner.seed,
        "dataset.erased",
        {
            "dataset": owner.dataset,
            "owner": owner.id,
            "stops": state.stops_of_dataset(owner.dataset),
            "erases": state.erases_of_dataset(owner.dataset),
        },
        salt=os.urandom(32),
    )
    world.clock.forward(20_000)
    world.turn(2)
    assert stored_files(world) == []
    path = f"/worker/v1/datasets/{owner.dataset}/file"
    problem(world.http.get(path, headers=world.worker_auth), 404, "erased")


def stored_files(world):
    return [p for p in (world.services.config.directory / "objects").rglob("*") if p.is_file()]


# -- quotes and orders ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"query": {**QUERY, "family": "steal_everything"}}, "family must be one of"),
        ({"purpose": {"primary": "XX", "commercial": False}}, "purpose"),
        ({"scope": {"modalities": []}}, "scope"),
        ({"release": {"mode": "loud"}}, "release"),
        ({"surprise": 1}, "surprise"),
        ({"scope": {"modalities": ["expression"], "region": "local"}}, "genotypes"),
    ],
)
def test_a_malformed_question_says_which_part(world, change, word):
    researcher = world.researcher()
    answer = world.http.post("/api/v1/quotes", json={**ASK, **change}, headers=researcher.auth)
    problem(answer, 400, word)


def test_a_quote_is_itemised_adds_up_and_is_priced_on_the_bucket(world):
    for price in (100, 200, 300):
        world.owner(price=price, upload=False)
    quote = world.quote(world.researcher())
    assert sum(item["amount"] for item in quote["items"]) == quote["total"]
    (data,) = [item for item in quote["items"] if item["kind"] == "data"]
    assert (data["people"], data["people_priced"], data["unit"]) == ("<20", 19, 300)
    world.owner(upload=False)
    assert world.quote(world.researcher())["total"] == quote["total"]


def test_nobody_permitting_leaves_nothing_to_price(world):
    researcher = world.researcher()
    answer = world.http.post("/api/v1/quotes", json=ASK, headers=researcher.auth)
    problem(answer, 409, "nobody in this scope")


def test_what_a_buyer_assumes_decides_if_a_price_is_had_and_is_kept_nowhere(world, monkeypatch):
    """A frequency at which noise would drown the answer is not sold; no price or signature moves."""
    for _ in range(3):
        world.owner()
    monkeypatch.setattr("compute.utility.least_of_bucket", lambda _people: 200)
    variants = {"variants": ["1-1000-A-G"]}
    private = {"query": {**ASK["query"], "params": variants},
               "release": {"mode": "private", "rho": "1/200"}}  # fmt: skip
    researcher = world.researcher()
    common = world.quote(researcher, **private, assumed_maf="0.5")
    rare = {**ASK, **private, "assumed_maf": "1/100"}
    refused = world.http.post("/api/v1/quotes", json=rare, headers=researcher.auth)
    problem(refused, 409, "the noise")
    assert "assumed" not in json.dumps(common)
    plain = world.quote(researcher, **private)
    assert plain["order_fields"]["query"] == common["order_fields"]["query"]
    assert plain["total"] == common["total"]


def test_an_expired_quote_is_refused(world):
    world.owner(upload=False)
    researcher = world.researcher()
    quote = world.quote(researcher)
    world.clock.forward(world.services.config.limits.quote_ms)
    _order, index = world.sign_order(researcher, quote)
    answer = world.http.post(
        "/api/v1/orders", json={"quote": quote["quote"], "index": index}, headers=researcher.auth
    )
    problem(answer, 410, "POST /quotes")


@pytest.mark.parametrize(
    "change",
    [
        {"price": {"amount": 1, "currency": "gbp"}},
        {"release": {"mode": "private", "rho": "1/100"}},
        {"scope": {"modalities": ["expression"], "region": "local"}},
        {"quote_sha256": "0" * 64},
        {"purpose": {"primary": "POA"}},
    ],
)
def test_an_order_that_differs_from_its_quote_is_refused_by_field(world, change):
    world.owner(upload=False)
    researcher = world.researcher()
    quote = world.quote(researcher)
    _order, index = world.sign_order(researcher, quote, **change)
    body = {"quote": quote["quote"], "index": index}
    answer = world.http.post("/api/v1/orders", json=body, headers=researcher.auth)
    assert next(iter(change)) in problem(answer, 422, "differs from quote")["detail"]


def test_an_order_that_is_not_on_the_ledger_or_another_s_is_refused(world, monkeypatch):
    monkeypatch.setattr("marketplace.view.WAIT_SECONDS", 0.2)
    world.owner(upload=False)
    researcher, other = world.researcher(), world.researcher()
    quote = world.quote(researcher)
    body = {"quote": quote["quote"], "index": 0}
    answer = world.http.post("/api/v1/orders", json=body, headers=researcher.auth)
    problem(answer, 404, "not an order.placed")
    _order, index = world.sign_order(researcher, quote)
    body = {"quote": quote["quote"], "index": index}
    answer = world.http.post("/api/v1/orders", json=body, headers=other.auth)
    problem(answer, 404, "no such quote")


def test_the_same_order_again_is_the_same_order_and_a_quote_is_used_once(world):
    world.owner(upload=False)
    researcher = world.researcher()
    quote = world.quote(researcher)
    order, index = world.sign_order(researcher, quote)
    body = {"quote": quote["quote"], "index": index}
    for _ in range(2):
        answer = world.http.post("/api/v1/orders", json=body, headers=researcher.auth)
        assert answer.json["order"] == order
    _second, index = world.sign_order(researcher, quote)
    body = {"quote": quote["quote"], "index": index}
    answer = world.http.post("/api/v1/orders", json=body, headers=researcher.auth)
    problem(answer, 409, "used already")


def test_an_unknown_order_is_named_as_such(world):
    researcher = world.researcher()
    answer = world.http.get(f"/api/v1/orders/{new_id()}", headers=researcher.auth)
    problem(answer, 404, "GET /orders")


def test_a_paid_order_cannot_be_paid_or_cancelled_once_approved(world):
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    for action in ("checkout", "cancel"):
        answer = world.http.post(f"/api/v1/orders/{order}/{action}", headers=researcher.auth)
        problem(answer, 409, "approved")


def test_a_silent_ledger_is_said_plainly_and_nothing_is_decided(world):
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    world.follower.silent = True
    session = world.checkout(researcher, order)
    assert world.webhook(world.payments.pay(session)).status_code == 200
    world.background.run_once()
    assert world.state(researcher, order) == "funded"
    world.follower.silent = False
    world.turn()
    assert world.state(researcher, order) == "approved"


# -- workers ----------------------------------------------------------------------------------


def test_only_the_worker_token_opens_the_worker_api(world):
    researcher = world.researcher()
    for headers in ({}, researcher.auth):
        answer = world.http.post(
            f"/worker/v1/jobs/{new_id()}/lease", json={"worker": "w"}, headers=headers
        )
        assert answer.status_code == 401
    answer = world.http.get("/api/v1/orders", headers=world.worker_auth)
    assert answer.status_code == 401


def test_an_object_or_outcome_under_a_lost_lease_is_refused(world):
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    job_id, lease = world.job()
    world.clock.forward(world.services.config.limits.lease_ms)
    world.turn(1)
    old, new = (job_id, lease), world.job()
    problem(world.deliver(old, "result"), 409, "keep nothing")
    problem(world.outcome(old, state="failed", code="internal"), 409, "keep nothing")
    beat = world.http.post(
        f"/worker/v1/jobs/{job_id}/heartbeat", json={"lease": lease}, headers=world.worker_auth
    )
    problem(beat, 409, "keep nothing")
    assert world.deliver(new, "result").status_code == 200
    assert world.state(researcher, order) == "running"


def test_a_buyer_sees_how_far_the_work_is_and_nobody_else(world):
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    job_id, lease = world.job()

    def beat(**progress):
        body = {"lease": lease, "progress": progress}
        url = f"/worker/v1/jobs/{job_id}/heartbeat"
        return world.http.post(url, json=body, headers=world.worker_auth)

    def shown():
        answer = world.http.get(f"/api/v1/orders/{order}", headers=researcher.auth)
        return answer.json["progress"]

    assert shown() is None
    assert beat(step="summing", done=3, total=8).status_code == 200
    assert shown() == {"step": "summing", "done": 3, "total": 8}
    assert beat(step="summing", people=31, total=8).status_code == 400
    assert beat(step="opening NA12878").status_code == 400
    other = world.researcher()
    answer = world.http.get(f"/api/v1/orders/{order}", headers=other.auth)
    assert answer.status_code == 404
    world.outcome((job_id, lease), state="failed", code="internal")
    assert shown() is None


def test_a_worker_that_dies_every_time_ends_in_a_refund(world):
    world.owner(upload=False)
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    for _ in range(world.services.config.limits.attempts):
        world.job()
        world.clock.forward(world.services.config.limits.lease_ms)
        world.turn(1)
    world.turn()
    assert world.state(researcher, order) == "refunded"


def test_an_outcome_must_be_one_the_worker_can_have(world):
    world.owner(upload=False)
    researcher = world.researcher()
    world.pay(researcher, world.place(researcher))
    job = world.job()
    problem(world.outcome(job, state="released"), 400, "outcome")
    problem(world.outcome(job, state="wonderful"), 400, "outcome")
    problem(world.deliver(job, "genome"), 400, "auditor_bundle")


def test_an_outcome_paying_people_the_access_entry_does_not_count_settles_nothing(world):
    owners = [world.owner(upload=False) for _ in range(3)]
    researcher = world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    job = world.job()
    access = world.record_access(order, owners)
    world.publish(order, access)
    scope = [owners[0].grant]
    world.outcome(job, state="released", access=access, scope=scope, result_sha256="0" * 64)
    world.turn()
    assert world.state(researcher, order) == "releasing"
    assert "settlement.made" not in world.ledger.types(order)


def test_new_grants_make_one_ingest_job_after_a_quiet_moment(world):
    world.owner(upload=False)
    world.owner(upload=False)
    world.turn(1)
    assert world.sender.sent == []
    world.clock.forward(2_000)
    world.turn(2)
    assert len(world.sender.sent) == 1
    job = world.job("ingest")
    assert world.outcome(job, state="ingested").status_code == 200
    world.turn(2)
    assert len(world.sender.sent) == 1
    world.owner(upload=False)
    world.clock.forward(2_000)
    world.turn(2)
    assert len(world.sender.sent) == 2


def test_a_ledger_that_is_never_quiet_makes_an_ingest_job_all_the_same(world):
    for second in range(9):
        assert world.sender.sent == [], second
        world.owner(upload=False)
        world.turn(1)
        world.clock.forward(600)
    world.owner(upload=False)
    world.turn(2)
    assert len(world.sender.sent) == 1


def test_a_file_that_arrives_after_compute_looked_for_it_makes_one_more_ingest_job(world):
    owner = world.owner(upload=False)
    world.clock.forward(2_000)
    world.turn(2)
    job, report = world.job("ingest"), {owner.dataset: "ciphertext_missing"}
    assert world.outcome(job, state="ingested", datasets=report).status_code == 200
    world.turn(2)
    assert len(world.sender.sent) == 1
    arrive(world, owner)
    world.turn(2)
    assert len(world.sender.sent) == 2
    # The second worker had looked before a third file was there, and says so after it came.
    other = world.owner(upload=False)
    job, report = world.job("ingest"), {other.dataset: "ciphertext_missing"}
    world.clock.forward(1)
    arrive(world, other)
    assert world.outcome(job, state="ingested", datasets=report).status_code == 200
    world.turn(2)
    assert len(world.sender.sent) == 3
    # A file that was there all along and is said to be missing is not asked for again and again.
    world.clock.forward(1)
    job = world.job("ingest")
    assert world.outcome(job, state="ingested", datasets=report).status_code == 200
    world.clock.forward(2_000)
    world.turn(2)
    assert len(world.sender.sent) == 3


def arrive(world, owner):
    world.upload(owner)
    activated = world.http.post(
        "/api/v1/datasets", json={"dataset": owner.dataset}, headers=owner.auth
    )
    assert activated.status_code == 200, activated.json


# -- the face itself --------------------------------------------------------------------------


def test_the_openapi_document_is_valid_and_names_every_route(world):
    spec = world.http.get("/openapi.json").json
    assert spec["openapi"] == "3.1.0"
    validate(spec)
    routes = {
        str(rule).replace("<", "{").replace(">", "}")
        for rule in world.app.url_map.iter_rules()
        if str(rule).startswith(("/api/v1", "/worker/v1", "/stripe"))
    }
    assert routes == {path for path in spec["paths"] if path.startswith(("/api", "/work", "/str"))}
    for path in spec["paths"].values():
        for operation in path.values():
            assert operation["responses"]["400"]["$ref"] in spec_names(spec)


def spec_names(spec):
    return {f"#/components/responses/{name}" for name in spec["components"]["responses"]}


def test_security_headers_stand_on_everything(world):
    asked = [
        ("GET", path)
        for path in (
            "/healthz",
            "/api/v1/status",
            "/nothing-here",
            "/docs/api",
            "/openapi.json",
            "/api/v1/nothing",
            "/worker/v1/nothing",
        )
    ]
    for method, path in [*asked, ("TRACE", "/"), ("DELETE", "/api/v1/status"), ("POST", "/me"),
                         ("OPTIONS", "/api/v1/orders"), ("POST", "/api/v1/session")]:  # fmt: skip
        headers = world.http.open(path, method=method).headers
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'self'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"


def test_unknown_paths_methods_and_broken_json_are_problems(world):
    for path in ("/api", "/api/", "/api/v1/nothing", "/worker/v1/nothing"):
        problem(world.http.get(path), 404, "nothing at this address")
    answer = world.http.delete("/api/v1/status")
    problem(answer, 405, "other methods")
    assert "GET" in answer.headers["Allow"]
    problem(world.http.open("/api/v1/status", method="TRACE"), 405, "other methods")
    send = lambda data, kind: world.http.post(  # noqa: E731
        "/api/v1/session", data=data, headers={"Content-Type": kind}
    )
    problem(send(b"{broken", "application/json"), 400, "not JSON")
    problem(send(b"\xff\xfe{", "application/json"), 400, "not JSON")
    problem(send(b"a=b", "application/x-www-form-urlencoded"), 415, "Content-Type")
    problem(send(b"[]", "application/json"), 400, "the body")
    body = {"scopes": ["read"], "minutes": "5"}
    answer = world.http.post("/api/v1/tokens", json=body, headers=world.researcher().auth)
    problem(answer, 400, "minutes")
    problem(world.http.get("/api/v1/catalogue?sex=f&sex=m"), 400, "more than once")


def test_a_body_too_large_for_json_is_refused(world):
    answer = world.http.post("/api/v1/session/challenge", json={"party": "0" * (2 << 20)})
    problem(answer, 413, "")


def test_an_unexpected_fault_says_nothing_of_its_cause(world):
    @world.app.get("/boom")
    def boom():
        raise RuntimeError("a secret")

    world.app.config["PROPAGATE_EXCEPTIONS"] = False
    answer = world.http.get("/boom")
    assert "a secret" not in answer.get_data(as_text=True)
    problem(answer, 500, "fault of the marketplace")


def test_too_many_requests_are_slowed_down(tmp_path):
    from marketplace.app import create_app

    world = World(tmp_path)
    config = replace(world.services.config, rate_limit="3 per minute")
    http = create_app(replace(world.services, config=config)).test_client()
    said = [{"X-Forwarded-For": f"10.0.0.{n}", "X-Real-IP": f"10.0.0.{n}"} for n in range(4)]
    answers = [http.get("/api/v1/status", headers=one) for one in said]  # believed by nobody
    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    problem(answers[3], 429, "Retry-After")
    assert answers[3].headers["Retry-After"] == "60"
    world.close()


def test_a_list_comes_in_pages_and_a_page_that_is_not_there_is_refused(world):
    world.owner()
    researcher = world.researcher()
    placed = []
    for _ in range(5):
        placed.append(world.place(researcher))
        world.clock.forward(1000)
    seen, after = [], None
    while True:
        path = "/api/v1/orders?limit=2" + (f"&after={after}" if after else "")
        page = world.http.get(path, headers=researcher.auth).json
        seen += [one["order"] for one in page["orders"]]
        after = page["next"]
        if after is None:
            break
    assert seen == placed[::-1]
    other = world.researcher()
    foreign = world.place(other)
    at_once = {foreign, *(world.place(other) for _ in range(2))}
    first = world.http.get("/api/v1/orders?limit=1", headers=other.auth).json
    rest = world.http.get(f"/api/v1/orders?after={first['next']}", headers=other.auth).json
    assert {one["order"] for one in first["orders"] + rest["orders"]} == at_once
    mixed = world.http.get(f"/api/v1/orders?after={foreign}", headers=researcher.auth)
    assert mixed.status_code == 400
    for wrong in ("limit=0", "limit=x", "limit=501", f"after={'0' * 32}"):
        assert world.http.get(f"/api/v1/orders?{wrong}", headers=researcher.auth).status_code == 400


def test_what_did_not_change_is_not_sent_again(world):
    first = world.http.get("/api/v1/catalogue")
    tag = {"If-None-Match": first.headers["ETag"]}
    again = world.http.get("/api/v1/catalogue", headers=tag)
    assert (again.status_code, again.data) == (304, b"")
    world.owner()
    world.services.view.refresh()
    assert world.http.get("/api/v1/catalogue", headers=tag).status_code == 200


def test_a_request_sent_twice_under_one_key_is_carried_out_once(world):
    world.owner()
    researcher, other = world.researcher(), world.researcher()
    key = {"Idempotency-Key": "k-1"}
    send = lambda who, body, **more: world.http.post(  # noqa: E731
        "/api/v1/quotes", json=body, headers={**who.auth, **key, **more}
    )
    first, again = send(researcher, ASK), send(researcher, ASK)
    assert first.status_code == 200
    assert again.json == first.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert send(other, ASK).json["quote"] != first.json["quote"]
    changed = {**ASK, "purpose": {**PURPOSE, "project": "another"}}
    assert send(researcher, changed).status_code == 422
    # What failed is not kept: the same key serves once the request is right.
    later = {"Idempotency-Key": "k-2"}
    assert send(researcher, {**ASK, "query": {}}, **later).status_code == 400
    assert send(researcher, ASK, **later).status_code == 200
    for wrong in ("k" * 300, "", "a b"):
        assert send(researcher, ASK, **{"Idempotency-Key": wrong}).status_code == 400
    # A request that died with its process does not hold its key for a day.
    with world.services.db.write() as session:
        for row in session.exec(select(KeptAnswer)).all():
            row.status = 0
            row.expires_at = world.clock() + BEGUN_MS
            session.add(row)
    assert send(researcher, ASK).status_code == 409
    world.clock.forward(BEGUN_MS)
    assert send(researcher, ASK).status_code == 200


def test_a_scoped_token_reaches_no_further_and_makes_no_other(world):
    world.owner()
    researcher = world.researcher()

    def token(*scopes):
        answer = world.http.post("/api/v1/tokens", json={"scopes": scopes}, headers=researcher.auth)
        assert answer.status_code == 201, answer.json
        return {"Authorization": f"Bearer {answer.json['token']}"}

    read, ask = token("read"), token("read", "ask")
    assert world.http.get("/api/v1/orders", headers=read).status_code == 200
    assert world.http.post("/api/v1/dry-run", json=ASK, headers=read).status_code == 403
    assert world.http.post("/api/v1/dry-run", json=ASK, headers=ask).status_code == 200
    placing = ("/orders", {"quote": "0" * 32, "index": 0})
    for path, body in (
        placing, ("/session/link", None), ("/tokens", {"scopes": ["read"]}),
        ("/me/passkeys", {"credential": {}}), ("/me/passkeys/options", None),
    ):  # fmt: skip
        assert world.http.post(f"/api/v1{path}", json=body, headers=ask).status_code == 403, path
    wrong = world.http.post("/api/v1/tokens", json={"scopes": ["all"]}, headers=researcher.auth)
    assert wrong.status_code == 400
    world.clock.forward(61 * 60_000)
    assert world.http.get("/api/v1/orders", headers=read).status_code == 401


def test_all_other_sessions_of_a_party_end_at_its_word(world):
    researcher, other = world.researcher(), world.researcher()
    lost, here = dict(researcher.auth), world.sign_in(researcher).auth
    answer = world.http.post("/api/v1/tokens", json={"scopes": ["read"]}, headers=here)
    scoped = {"Authorization": f"Bearer {answer.json['token']}"}
    assert world.http.delete("/api/v1/me/sessions", headers=scoped).status_code == 403
    assert world.http.delete("/api/v1/me/sessions", headers=here).json == {"ended": 2}
    for gone in (lost, scoped):
        problem(world.http.get("/api/v1/orders", headers=gone), 401, "sign in again")
    for still in (here, other.auth):
        assert world.http.get("/api/v1/orders", headers=still).status_code == 200
