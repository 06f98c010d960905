"""Stops handed to the marketplace while the ledger is silent: honoured at once, posted later."""

import os
from dataclasses import replace

import pytest
from sqlmodel import select

from ledger import submission_to_json
from marketplace.app import create_app
from marketplace.config import Limits
from marketplace.tables import OutboxRow
from tests.marketplace.market_world import Owner, World

TYPES = (
    "consent.withdrawn", "consent.paused", "objection.raised", "dataset.erased",
    "dataset.replaced",
)  # fmt: skip


def hand_in(world, submission, **changes):
    return world.http.post("/api/v1/stops", json={**submission_to_json(submission), **changes})


def rows(world):
    with world.services.db.read() as session:
        return session.exec(select(OutboxRow).where(OutboxRow.type.in_(TYPES))).all()


@pytest.mark.parametrize("type_", TYPES)
def test_a_stop_reaches_workers_at_once_and_the_ledger_when_it_answers(world, type_):
    owner, researcher = world.owner(), world.researcher()
    order = world.place(researcher)
    world.pay(researcher, order)
    job = world.job()
    stop = world.stop(owner, type_)
    world.follower.silent, world.ledger.fail_before = True, 1
    answer = hand_in(world, stop)
    assert (answer.status_code, answer.json["state"], answer.json["index"]) == (
        202,
        "pending",
        None,
    )
    world.background.publish()
    beat = {"json": {"lease": job[1]}, "headers": world.worker_auth}
    told = world.http.post(f"/worker/v1/jobs/{job[0]}/heartbeat", **beat).json["stops"]
    assert told == [submission_to_json(stop)]
    world.follower.silent = False
    world.clock.forward(60_000)
    world.turn()
    index = world.ledger.state.size - 1
    assert world.ledger.records[index].entry == stop.entry
    assert not world.ledger.state.grant_in_force(owner.grant)
    again = hand_in(world, stop)
    assert again.json == {"entry": stop.entry.payload["id"], "state": "posted", "index": index}
    assert world.ledger.types().count(type_) == 1


def test_a_posted_stop_leaves_no_statement_of_its_owner_here(world):
    owner = world.owner()
    hand_in(world, world.stop(owner))
    world.turn()
    (row,) = rows(world)
    assert (row.state, row.submission) == ("posted", {})


def test_a_stop_by_a_stranger_is_refused_and_fills_nothing(world):
    owner = world.owner()
    world.services.view.refresh()
    answer = hand_in(world, world.stop(owner, seed=os.urandom(32)))
    assert answer.status_code == 409
    assert answer.content_type == "application/problem+json"
    nobody = Owner(grant_index=owner.grant_index)
    for type_ in TYPES:
        assert hand_in(world, world.stop(nobody, type_)).status_code == 409
    assert rows(world) == []


def test_what_is_no_stop_or_not_what_was_signed_is_refused(world):
    owner, stop = world.owner(), None
    stop = world.stop(owner)
    other = submission_to_json(world.stop(owner))
    assert hand_in(world, stop, payload=other["payload"]).status_code == 422
    assert hand_in(world, stop, payload="%%%").status_code == 400
    assert hand_in(world, stop, salt=None).status_code == 400
    assert hand_in(world, stop, attachments={"x": "AAAA"}).status_code == 400
    assert world.http.post("/api/v1/stops", json={"payload": "x"}).status_code == 400
    lifted = submission_to_json(stop)["payload_type"].replace(
        "consent.withdrawn", "offer.withdrawn"
    )
    assert hand_in(world, stop, payload_type=lifted).status_code == 400
    assert rows(world) == []


def test_a_stop_of_what_was_given_a_moment_ago_is_taken(world):
    world.services.view.refresh()
    assert hand_in(world, world.stop(world.owner(upload=False))).status_code == 202


def test_one_owner_cannot_fill_the_outbox(tmp_path):
    world = World(tmp_path, limits=Limits(pending_stops=2))
    owner = world.owner()
    world.services.view.refresh()
    answers = [hand_in(world, world.stop(owner)) for _ in range(3)]
    assert [one.status_code for one in answers] == [202, 202, 429]
    world.close()


def test_refused_stops_do_not_hold_back_the_outbox(world, monkeypatch):
    monkeypatch.setattr("marketplace.outbox.BATCH", 1)
    owner = world.owner()
    world.services.view.refresh()
    for _ in range(12):  # more than is looked at together; the ledger takes only the first
        assert hand_in(world, world.stop(owner)).status_code == 202
    world.turn(20)
    last = world.owner()
    world.services.view.refresh()
    hand_in(world, world.stop(last))
    world.turn()
    assert not world.ledger.state.grant_in_force(last.grant)


def test_handing_in_is_limited_by_address(world):
    config = replace(world.services.config, stop_rate_limit="2 per minute")
    http = create_app(replace(world.services, config=config)).test_client()
    codes = [http.post("/api/v1/stops", json={}).status_code for _ in range(3)]
    assert codes == [400, 400, 429]
    assert http.get("/api/v1/status").status_code == 200
