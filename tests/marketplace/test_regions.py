"""Residency as a matrix: where compute may run, where the order asks, where workers are."""

import hashlib
import os

import pytest
from sqlmodel import select

from compute import preset, terms_sha256
from marketplace import jobs
from marketplace.broker import queue_of
from tests.marketplace.market_world import ASK, SCOPE, new_id

REGIONS = ("local", "gb-lon", "de-fra")


def open_region(world, region):
    """A compute service publishes a key for one more region."""
    from tests.marketplace.market_world import _compute_key

    fields = {**_compute_key(), "key_id": f"epoch-{region}", "region": region}
    world.submit(world.compute, "compute.key_published", fields)


def consent(world, owner, allowed, sealed_for):
    """A standing consent sealed for one region, whose terms allow some regions."""
    terms = preset(
        "everything_at_a_price", valid_from=0, price=200, release_mode="trusted", regions=allowed
    ).to_dict()
    owner.grant, sealed = new_id(), os.urandom(64)
    key = "epoch-1" if sealed_for == "local" else f"epoch-{sealed_for}"
    fields = {
        "grant": owner.grant, "owner": owner.id, "dataset": owner.dataset, "offer": None,
        "terms": terms, "terms_sha256": terms_sha256(terms), "facets": {},
        "recipient": {"key_id": key, "region": sealed_for}, "order": None,
        "sealed_grant_sha256": hashlib.sha256(sealed).hexdigest(),
        "activity_commitment": "0" * 64,
    }  # fmt: skip
    owner.grant_index = world.submit(
        owner.dataset_seed, "consent.granted", fields, salt=os.urandom(32),
        attachments={"sealed_grant": sealed},
    )  # fmt: skip


@pytest.mark.parametrize("allowed", [("*",), ("gb-lon",), ("de-fra", "local")], ids=str)
def test_an_order_runs_only_where_terms_key_and_order_agree(world, allowed):
    for region in REGIONS[1:]:
        open_region(world, region)
    owner, researcher = world.owner(), world.researcher()
    for sealed_for in REGIONS:
        world.withdraw(owner)
        consent(world, owner, allowed, sealed_for)
        world.services.view.refresh()
        for asked in REGIONS:
            request = {**ASK, "scope": {**SCOPE, "region": asked}}
            answer = world.http.post("/api/v1/quotes", json=request, headers=researcher.auth)
            may = asked == sealed_for and (allowed == ("*",) or asked in allowed)
            assert (answer.status_code == 200) == may, answer.json
            assert may or "place <20" in answer.json["detail"]
            if may:
                check_queue(world, researcher, request["scope"], asked)


def check_queue(world, researcher, scope, region):
    order = world.place(researcher, scope=scope)
    world.pay(researcher, order)
    world.turn()
    with world.services.db.read() as session:
        (job,) = session.exec(select(jobs.Job).where(jobs.Job.order_id == order)).all()
    assert (job.region, world.sender.regions[job.id]) == (region, region)


def test_an_order_for_a_region_without_workers_is_refused_with_the_reason(world):
    researcher = world.researcher()
    world.owner()
    world.services.view.refresh()
    request = {**ASK, "scope": {**SCOPE, "region": "us-nyc"}}
    answer = world.http.post("/api/v1/quotes", json=request, headers=researcher.auth)
    assert answer.status_code == 400
    assert "no compute service works in region 'us-nyc'" in answer.json["detail"]
    assert "placed for local" in answer.json["detail"]


def test_each_region_has_a_queue_of_its_own():
    from compute.broker import queue_of as worker_queue_of

    assert {queue_of(region) for region in REGIONS} == {
        "compute", "compute.gb-lon", "compute.de-fra",
    }  # fmt: skip
    assert [queue_of(r) for r in REGIONS] == [worker_queue_of(r) for r in REGIONS]
