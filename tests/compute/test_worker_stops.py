"""Stops that come while a job runs: mid-sum, mid-ingest, at publishing and at delivery."""

import logging
import os
import sqlite3
import threading
from dataclasses import replace

import pytest

from compute import worker, worker_publish
from compute.bundle import verify_bundle
from compute.crypt import decrypt_file, grant_info, manifest_of, reencrypt_header, seal_grant
from compute.worker_outcomes import Code
from ledger import activity_commitment, sign_entry, submission_for
from tests.compute import worker_world
from tests.compute.simulators import Death, now_ms, sha256
from tests.compute.worker_world import World, answered_counts, expected_counts, new_id


class Clock:
    """The worker's clock; a test moves it on."""

    ahead = 0

    def __call__(self):
        return now_ms() + self.ahead


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, people=24)
    made.clock = Clock()
    made.shop = replace(made.shop, clock=made.clock)
    yield made
    made.shop.store.close()


def watch_reader(world, monkeypatch, then):
    """Call then(count) after each opening of data keys; return who was opened, by access.

    One person a batch, one batch at a time, so that something can happen between two people.
    """
    opened, read = {}, world.shop.vault.batch

    def batch(grants, access):
        found = read(grants, access)
        opened.setdefault(access.access, []).extend(grants)
        then(sum(map(len, opened.values())))
        return found

    monkeypatch.setattr(world.shop.vault, "batch", batch)
    monkeypatch.setattr("compute.cohort_reader.BATCH", 1)
    monkeypatch.setattr("compute.cohort_reader.OPENED", 1)
    monkeypatch.setattr("compute.worker_engine.cores", lambda: 1)
    return opened


# -- while a job runs ------------------------------------------------------------------------------


def test_a_stop_in_the_middle_of_a_sum_ends_it_within_seconds(world, monkeypatch):
    world.run("ingest")
    order = world.order()
    gone = world.people[5]

    def stop(count):
        if count == 3:
            world.withdraw(gone)
            world.clock.ahead += 4000

    opened = watch_reader(world, monkeypatch, stop)
    assert world.run("query", order).state == "awaiting_review"
    first, second = (opened[name] for name in world.log.state.orders[order].accesses)
    assert len(first) == 3
    assert gone.data["genotypes"].grant not in second
    assert world.access_of(order).payload["attempt"] == 2
    world.approve(order)
    assert world.run("release", order).state == "released"
    rest = [person for person in world.people if person is not gone]
    assert answered_counts(world.result(order)) == expected_counts(rest)


def test_a_quick_sum_does_not_follow_the_log_for_every_person(world):
    world.run("ingest")
    order = world.order()
    before = world.shop.follower.syncs
    world.run("query", order)
    assert world.shop.follower.syncs - before < 12


def test_a_log_that_falls_silent_in_the_middle_of_a_sum_opens_nobody_else(world, monkeypatch):
    world.run("ingest")
    order = world.order()

    def silence(count):
        if count == 3:
            world.log.down = True
            world.clock.ahead += 4000

    opened = watch_reader(world, monkeypatch, silence)
    assert world.run("query", order) is None
    assert [len(names) for names in opened.values()] == [3]


def test_a_stop_in_the_middle_of_an_ingest_batch_is_not_opened(world, monkeypatch):
    gone = world.people[-1].data["genotypes"]
    parse, first = world.shop.parser.parse, threading.Event()

    def stop(*args, **more):
        if not first.is_set():
            first.set()
            world.withdraw(world.people[-1])
            world.clock.ahead += 4000
        return parse(*args, **more)

    monkeypatch.setattr(world.shop.parser, "parse", stop)
    outcome = world.run("ingest")
    assert outcome.datasets[gone.id] == "stopped"
    assert list(outcome.datasets.values()).count("ingested") == 23
    assert world.shop.store.head(gone.id) is None


# -- stops a heartbeat brings ----------------------------------------------------------------------


def at_step(monkeypatch, step, do):
    monkeypatch.setattr(
        worker_publish, "checkpoint_step", lambda name: do() if name == step else None
    )


def ready(world):
    order = world.order()
    world.run("query", order)
    world.approve(order)
    stop = submission_for(world.stop_entry(world.people[3]), b"s" * 32)
    return order, stop


def test_a_stop_the_heartbeat_brings_before_publishing_publishes_nothing(world, monkeypatch):
    order, stop = ready(world)
    at_step(monkeypatch, "release_result_signed", lambda: world.market.stops.append(stop))
    outcome = world.run("release", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.MEMBER_STOPPED.value)
    assert "result.published" not in world.log.types


def test_a_stop_sequenced_before_publishing_publishes_nothing(world, monkeypatch):
    order, _ = ready(world)
    at_step(monkeypatch, "release_result_signed", lambda: world.withdraw(world.people[3]))
    outcome = world.run("release", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.MEMBER_STOPPED.value)
    assert "result.published" not in world.log.types


def test_a_stop_the_heartbeat_brings_before_delivery_withholds(world, monkeypatch):
    order, stop = ready(world)
    at_step(monkeypatch, "release_result_appended", lambda: world.market.stops.append(stop))
    outcome = world.run("release", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.MEMBER_STOPPED.value)
    assert (order, "result") not in world.market.objects


def test_a_stop_the_log_has_after_the_result_is_decided_by_the_log(world, monkeypatch):
    order, stop = ready(world)

    def both():
        world.market.stops.append(stop)
        world.log.append([stop])

    at_step(monkeypatch, "release_result_appended", both)
    assert world.run("release", order).state == "released"


def test_a_stop_after_a_result_whose_worker_died_is_decided_by_the_log(world, monkeypatch):
    order, stop = ready(world)

    def die():
        world.log.append([stop])
        raise Death

    with monkeypatch.context() as patch:
        at_step(patch, "release_result_appended", die)
        with pytest.raises(Death):
            world.run("release", order)
    world.restart()
    assert world.run("release", order).state == "released"
    assert world.log.types.count("result.published") == 1


def test_an_account_closed_after_the_result_still_lets_it_be_delivered(world, monkeypatch):
    order, _ = ready(world)
    person = world.people[7]
    at_step(monkeypatch, "release_result_appended", lambda: erase(world, person))
    assert world.run("release", order).state == "released"
    assert person.id not in world.shop.follower.state.parties
    opened = decrypt_file(world.market.objects[order, "bundle"], world.result_secret)
    assert verify_bundle(opened, world.trust, now_ms(), leaves=world.log.leaves).ok
    full = decrypt_file(world.market.objects[order, "auditor_bundle"], world.auditor_secret)
    assert person.id.encode() not in full


def erase(world, person):
    state, data = world.log.state, person.data["genotypes"]
    fields = {
        "id": new_id(),
        "time": now_ms(),
        "dataset": data.id,
        "owner": person.id,
        "stops": state.stops_of_dataset(data.id),
        "erases": state.erases_of_account(person.id),
    }
    return world.send(sign_entry(person.seed, "dataset.erased", fields))


def test_a_replacement_the_heartbeat_brings_is_a_stop(world):
    world.run("ingest")
    person = world.people[3]
    data = person.data["genotypes"]
    fields = {
        "id": new_id(),
        "time": now_ms(),
        "dataset": data.id,
        "owner": person.id,
        "stops": [data.grant_index],
        "erases": [],
    }
    entry = sign_entry(data.signing, "dataset.replaced", fields)
    world.market.stops.append(submission_for(entry, b"s" * 32))
    order = world.order()
    world.run("query", order)
    assert person not in world.members(order)
    assert world.shop.store.head(data.id) is None


def rekey(world, person):
    """Move a grant to the same epoch again, under a new leaf."""
    data, state = person.data["genotypes"], world.log.state
    old = state.grants[data.grant]
    info = grant_info(person.id, data.id, old.id, old.terms)
    header = data.file[: manifest_of(data.file).header_size]
    header = reencrypt_header(header, person.secret, world.epoch.crypt4gh_public)
    sealed = seal_grant(header, data.activity, world.epoch.hpke_public, info)
    fields = {
        "id": new_id(),
        "time": now_ms(),
        "grant": old.id,
        "owner": person.id,
        "dataset": data.id,
        "offer": None,
        "terms": old.terms,
        "terms_sha256": old.terms_sha256,
        "facets": old.facets,
        "recipient": dict(old.recipient),
        "sealed_grant_sha256": sha256(sealed),
        "activity_commitment": activity_commitment(data.activity),
        "order": None,
        "replaces": old.index,
    }
    return world.send(sign_entry(data.signing, "consent.rekeyed", fields), {"sealed_grant": sealed})


@pytest.mark.parametrize("signer", ["owner", "stranger"])
def test_a_stop_signed_before_a_rekey_still_stops_if_its_signer_may(world, signer):
    world.run("ingest")
    person = world.people[3]
    seed = None if signer == "owner" else os.urandom(32)
    stop = submission_for(world.stop_entry(person, seed=seed), b"s" * 32)
    rekey(world, person)
    world.market.stops.append(stop)
    order = world.order()
    world.run("query", order)
    assert (person in world.members(order)) is (signer == "stranger")


def test_a_stop_of_somebody_elses_grant_stops_nobody(world):
    world.run("ingest")
    mallory, victim = world.people[0], world.people[1].data["genotypes"]
    own = mallory.data["genotypes"]
    fields = {
        "id": new_id(),
        "time": now_ms(),
        "grant": own.grant,
        "dataset": own.id,
        "owner": mallory.id,
        "stops": [victim.grant_index],
    }
    entry = sign_entry(own.signing, "consent.withdrawn", fields)
    world.market.stops.append(submission_for(entry, b"s" * 32))
    order = world.order()
    world.run("query", order)
    assert len(world.members(order)) == 24


# -- reviewers, tending ----------------------------------------------------------------------------


def bad_reviewer(world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(worker_world, "generate_keypair", lambda: (b"", bytes(32)))
        reviewer = world.party("reviewer", encrypt=True)
    world.claims(reviewer, {"output_reviewer": True})


def test_a_reviewer_with_an_unusable_key_is_passed_over(world, monkeypatch):
    bad_reviewer(world, monkeypatch)
    assert world.complete(world.order()).state == "released"


def test_only_unusable_keys_mean_no_reviewer(world, monkeypatch):
    bad_reviewer(world, monkeypatch)
    for reviewer in world.reviewers:
        world.claims(reviewer, {"output_reviewer": False})
    outcome = world.run("query", world.order())
    assert (outcome.state, outcome.code) == ("withheld", Code.NO_REVIEWER.value)


class Rounds:
    """An event that ends after some rounds."""

    def __init__(self, rounds):
        self.left = rounds

    def wait(self, _seconds):
        self.left -= 1
        return self.left < 0


def test_tending_outlives_any_error_and_logs_its_type_only(world, tmp_path, caplog):
    before = world.shop.follower.syncs

    def fail(count):
        if count == before + 1:
            raise sqlite3.OperationalError("disk of ann@example.org")

    world.shop.follower.on_sync = fail
    busy = threading.Lock()
    with caplog.at_level(logging.WARNING, logger="compute.worker"):
        worker._tend(world.shop, tmp_path / "keys", busy, Rounds(3))
    assert world.shop.follower.syncs == before + 3
    assert not busy.locked()
    assert "OperationalError" in caplog.text
    assert "ann@example.org" not in caplog.text
