"""Who is in a cohort: stops, forged consents, damaged and hostile files leave one person out."""

import pytest

from ledger import sign_entry
from tests.compute.ingest.vcf_text import vcf
from tests.compute.simulators import now_ms
from tests.compute.worker_world import answered_counts, expected_counts, new_id


@pytest.mark.parametrize("number", range(24))
def test_withdraw_between_order_and_run_leaves_exactly_that_person_out(world, number):
    world.run("ingest")
    order = world.order()
    gone = world.people[number]
    world.withdraw(gone)
    assert world.run("query", order).state == "awaiting_review"
    rest = [person for person in world.people if person is not gone]
    assert world.members(order) == rest
    assert world.access_of(order).payload["cohort_size"] == 23
    assert world.shop.store.head(gone.data["genotypes"].id) is None


def test_withdrawn_people_are_not_in_the_answer(world):
    order = world.order()
    world.withdraw(world.people[3])
    assert world.complete(order).state == "released"
    rest = world.people[:3] + world.people[4:]
    assert answered_counts(world.result(order)) == expected_counts(rest)


def test_a_paused_person_is_out_and_the_copy_stays_shut(world):
    world.run("ingest")
    world.withdraw(world.people[0], type_="consent.paused")
    order = world.order()
    world.run("query", order)
    assert len(world.members(order)) == 23
    assert world.shop.store.head(world.people[0].data["genotypes"].id) is not None


def test_a_forged_consent_is_ignored(world):
    stranger = world.enrol(__import__("numpy").random.default_rng(1), 99, "CEU", ())
    data = world.register(stranger, "genotypes", world.people[0].data["genotypes"].plaintext)
    forger = world.people[0]
    real = forger.data["genotypes"]
    fields = dict(world.log.state.grants[real.grant].terms)
    from ledger import RefusedError

    entry = sign_entry(
        real.signing,
        "consent.granted",
        {
            "id": new_id(),
            "time": now_ms(),
            "grant": new_id(),
            "owner": stranger.id,
            "dataset": data.id,
            "offer": None,
            "terms": fields,
            "terms_sha256": world.log.state.grants[real.grant].terms_sha256,
            "facets": {},
            "recipient": {"key_id": world.epoch.key_id, "region": "local"},
            "sealed_grant_sha256": world.log.state.grants[real.grant].sealed_grant_sha256,
            "activity_commitment": world.log.state.grants[real.grant].activity_commitment,
            "order": None,
        },
    )
    sealed = world.log.sealed[real.grant_index]
    with pytest.raises(RefusedError):
        world.send(entry, {"sealed_grant": sealed})
    order = world.order()
    world.run("query", order)
    assert len(world.members(order)) == 24


def test_a_grant_sealed_to_other_terms_than_signed_is_excluded(world):
    person = world.people[5]
    world.withdraw(person)
    world.grant(person, "genotypes", sealed_terms=world.terms(price=1))
    outcome = world.run("ingest")
    assert outcome.datasets[person.data["genotypes"].id] == "wrong_terms"
    order = world.order()
    world.run("query", order)
    assert person not in world.members(order)
    assert world.access_of(order).payload["excluded"] == {"not_ingested": 1}


def test_one_changed_byte_of_ciphertext_is_excluded_with_a_reason(world):
    data = world.people[2].data["genotypes"]
    file = bytearray(data.file)
    file[-20] ^= 1
    world.market.files[data.id] = bytes(file)
    outcome = world.run("ingest")
    assert outcome.state == "ingested"
    assert outcome.datasets[data.id] == "ciphertext_differs"
    assert sum(code == "ingested" for code in outcome.datasets.values()) == 23
    order = world.order()
    world.run("query", order)
    assert world.people[2] not in world.members(order)


def test_a_file_cut_short_is_excluded(world):
    data = world.people[2].data["genotypes"]
    world.market.files[data.id] = data.file[:-100]
    assert world.run("ingest").datasets[data.id] == "ciphertext_differs"


def test_a_missing_sealed_grant_is_excluded_and_recorded(world):
    person = world.people[4]
    world.log.sealed.pop(person.data["genotypes"].grant_index)
    order = world.order()
    assert world.run("query", order).state == "awaiting_review"
    assert person not in world.members(order)
    assert world.access_of(order).payload["excluded"] == {"not_ingested": 1}
    state, reason = world.shop.book.ingested()[person.data["genotypes"].grant]
    assert (state, reason) == ("excluded", "sealed_grant_missing")


def test_a_file_that_arrives_late_is_ingested_by_the_next_ingest(world):
    data = world.people[1].data["genotypes"]
    file = world.market.files.pop(data.id)
    assert world.run("ingest").datasets[data.id] == "ciphertext_missing"
    world.market.files[data.id] = file
    assert world.run("ingest").datasets == {data.id: "ingested"}


def test_a_file_that_arrives_late_is_taken_in_by_the_next_order(world):
    person = world.people[1]
    data = person.data["genotypes"]
    file = world.market.files.pop(data.id)
    world.run("ingest")
    world.market.files[data.id] = file
    order = world.order()
    assert world.run("query", order).state == "awaiting_review"
    assert person in world.members(order)


def test_a_hostile_file_excludes_one_person_and_the_job_goes_on(world):
    person = world.people[0]
    world.withdraw(person)
    world.register(person, "genotypes", b"not a VCF at all\n")
    world.grant(person, "genotypes")
    outcome = world.run("ingest")
    codes = outcome.datasets
    assert codes[person.data["genotypes"].id].startswith("file.")
    assert list(codes.values()).count("ingested") == 23


def test_a_body_of_two_people_is_refused(world):
    person = world.people[0]
    world.withdraw(person)
    two = vcf(("1", 5, "A", "G", "0/1", "1/1"), samples=("one", "other"))
    world.register(person, "genotypes", two)
    world.grant(person, "genotypes")
    codes = world.run("ingest").datasets
    assert codes[person.data["genotypes"].id] == "file.several_samples"


def test_ingest_happens_once_per_grant(world):
    world.run("ingest")
    parsed = world.parser.parsed
    accesses = world.log.types.count("access.recorded")
    assert world.run("ingest").datasets == {}
    assert (world.parser.parsed, world.log.types.count("access.recorded")) == (parsed, accesses)
    world.complete(world.order())
    assert world.parser.parsed == parsed
