"""Jobs end to end against simulators of the ledger and the marketplace, with 24 people."""

import json

import pytest

from compute.bundle import verify_bundle
from compute.crypt import CryptError, decrypt_file
from compute.orderbook import Phase
from compute.release import Floors
from ledger import access_tag
from tests.compute.simulators import now_ms
from tests.compute.worker_world import (
    GENE,
    World,
    answered_counts,
    counts_query,
    expected_counts,
    new_id,
    run_job,
)

CIS = {
    "v": 1,
    "family": "cis_association",
    "build": "GRCh37",
    "params": {"gene": GENE, "chrom": "1", "start": 5000, "end": 6000, "window_bp": 10_000},
}


def test_an_order_runs_to_a_verified_answer(world):
    order = world.order()
    outcome = world.complete(order)
    assert outcome.state == "released"
    result = world.result(order)
    assert answered_counts(result) == expected_counts(world.people)
    assert result["n"] == {"bucket": "20-49"}
    access = world.access_of(order).payload
    assert (access["cohort_size"], access["opened"], access["attempt"]) == (24, 24, 1)
    assert sorted(outcome.scope) == sorted(p.data["genotypes"].grant for p in world.people)
    assert world.log.state.violations == []


def test_both_bundles_verify_offline_and_the_researchers_opens_nobody(world):
    order = world.order()
    world.complete(order)
    opened = decrypt_file(world.market.objects[order, "bundle"], world.result_secret)
    report = verify_bundle(opened, world.trust, now_ms(), leaves=world.log.leaves)
    assert report.ok, report.verdict
    assert b"consent.granted" not in opened
    full = decrypt_file(world.market.objects[order, "auditor_bundle"], world.auditor_secret)
    report = verify_bundle(full, world.trust, now_ms(), leaves=world.log.leaves)
    assert report.complete, report.verdict
    damaged = json.loads(full)
    damaged["members"] = damaged["members"][1:]
    assert not verify_bundle(damaged, world.trust, now_ms(), leaves=world.log.leaves).ok


def test_the_marketplace_holds_nothing_it_can_read(world):
    order = world.order()
    world.complete(order)
    for (_, name), data in world.market.objects.items():
        assert data.startswith(b"crypt4gh"), name
        assert b"genotype_counts" not in data
    with pytest.raises(CryptError):
        decrypt_file(world.market.objects[order, "draft"], world.result_secret)
    for reviewer in world.reviewers:
        draft = json.loads(decrypt_file(world.market.objects[order, "draft"], reviewer.secret))
        assert draft["draft_commitment"] == world.shop.book.find(order).commitment


def test_every_owner_finds_the_use_with_its_own_key_and_no_stranger_does(world):
    order = world.order()
    world.complete(order)
    assert len(world.members(order)) == 24
    ingest = next(a for a in world.log.state.accesses.values() if a.payload["purpose"] == "ingest")
    tree = set(world.log.trees[ingest.payload["cohort_root"]])
    for person in world.people:
        grant = world.log.state.grants[person.data["genotypes"].grant]
        commitment = bytes.fromhex(grant.activity_commitment)
        assert access_tag(commitment, ingest.id) in tree
    assert ingest.payload["opened"] == 24


def test_association_with_expression_of_the_same_people(tmp_path):
    world = World(tmp_path, people=24, modalities=("genotypes", "expression"))
    order = world.order(query=CIS, modalities=("genotypes", "expression"))
    assert world.complete(order).state == "released"
    access = world.access_of(order).payload
    assert (access["cohort_size"], access["opened"]) == (24, 48)
    columns = world.result(order)["answer"]["columns"]
    assert len(columns["beta"]) == 12
    assert min(columns["n"]) >= 20


def test_strata_come_from_records_and_facets_select(tmp_path):
    world = World(
        tmp_path, people=44, modalities=("genotypes", "participant"), populations=("CEU", "YRI")
    )
    both = ("genotypes", "participant")
    order = world.order(query=counts_query("population"), modalities=both)
    assert world.complete(order).state == "released"
    assert set(world.result(order)["answer"]["columns"]["stratum"]) == {"CEU", "YRI"}
    one = world.order(modalities=both, facets={"population": ["CEU"]})
    assert world.complete(one).state == "released"
    ceu = [person for person in world.people if person.population == "CEU"]
    assert answered_counts(world.result(one)) == expected_counts(ceu)


def test_a_job_delivered_again_gives_the_same_outcome_and_one_result(world):
    order = world.order()
    first = world.complete(order)
    assert world.run("release", order) == first
    assert world.run("query", order) == first
    assert world.log.types.count("result.published") == 1


def test_a_silent_ledger_decides_nothing(world):
    order = world.order()
    world.log.down = True
    assert world.run("query", order) is None
    assert world.market.outcomes == []
    world.log.down = False
    assert world.complete(order).state == "released"


def test_a_lost_lease_writes_nothing_more(world):
    order = world.order()
    job_id = world.market.add(new_id(), "query", order)
    start = world.shop.follower.syncs

    def steal(count):
        if count == start + 2:
            world.market.current[job_id] = 10_000

    world.shop.follower.on_sync = steal
    assert run_job(world.shop, job_id) is None
    assert not world.market.objects
    assert world.market.outcomes == []


def test_floors_can_be_raised_only():
    assert Floors(people=100).people == 100


def test_every_phase_has_a_step_or_is_an_end():
    from compute.orderbook import TERMINAL
    from compute.worker_query import _STEPS

    assert set(_STEPS) | TERMINAL == set(Phase)
    assert not set(_STEPS) & TERMINAL
