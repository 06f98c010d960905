"""Jobs end to end against simulators of the ledger and the marketplace, with 30 people."""

import json
from dataclasses import replace

import pytest

from compute.accountant import LedgerMismatchError
from compute.bundle import verify_bundle
from compute.crypt import CryptError, decrypt_file
from compute.orderbook import Phase
from compute.release import Floors
from compute.worker_outcomes import Code
from compute.worker_start import reconcile
from ledger import access_tag, sign_entry, submission_for
from tests.compute.ingest.vcf_text import vcf
from tests.compute.simulators import now_ms
from tests.compute.worker_world import (
    GENE,
    World,
    answered_counts,
    counts_query,
    expected_counts,
    new_id,
)

CIS = {
    "v": 1,
    "family": "cis_association",
    "build": "GRCh37",
    "params": {"gene": GENE, "chrom": "1", "start": 5000, "end": 6000, "window_bp": 10_000},
}


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, people=24)
    yield made
    made.shop.store.close()


def reason_of(world, order):
    done = world.log.state.orders[order]
    return [one.payload["reason"] for one in (*done.refusals, *done.withheld)]


def opened_after_access(world):
    return world.log.types.count("access.recorded")


# -- the whole way ---------------------------------------------------------------------------------


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


# -- who is in -------------------------------------------------------------------------------------


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
    accesses = opened_after_access(world)
    assert world.run("ingest").datasets == {}
    assert (world.parser.parsed, opened_after_access(world)) == (parsed, accesses)
    world.complete(world.order())
    assert world.parser.parsed == parsed


# -- orders that may not run -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"paid": 0}, Code.NOT_PAID),
        ({"paid": 999}, Code.NOT_PAID),
        ({"code_digest": "0" * 64}, Code.WRONG_CODE),
        ({"query_digest": "0" * 64}, Code.WRONG_QUERY),
        ({"release": {"mode": "private", "rho": "1/100"}}, Code.NOT_PRIVATE),
        ({"modalities": ("expression",)}, Code.BAD_ORDER),
        ({"purpose": {"primary": "nonsense"}}, Code.BAD_ORDER),
        (
            {
                "scope": {
                    "modalities": ["genotypes"],
                    "build": None,
                    "facets": {},
                    "region": "mars",
                }
            },
            Code.WRONG_REGION,
        ),
        ({"facets": {"population": ["YRI"]}}, Code.COHORT_FLOOR),
    ],
)
def test_refused_before_anything_is_opened(world, changes, code):
    order = world.order(**changes)
    outcome = world.run("query", order)
    assert (outcome.state, outcome.code) == ("refused", code.value)
    assert reason_of(world, order) == [code.value]
    assert world.log.state.orders[order].accesses == []
    assert not world.market.objects


def test_buyer_picked_variants_are_refused_in_trusted_mode(world):
    query = counts_query()
    query["params"] = {"variants": ["1-1000-A-G"]}
    assert world.run("query", world.order(query=query)).code == Code.PICKED


def test_an_order_without_accreditation_is_refused(world):
    world.claims(world.researcher, {"accredited_researcher": False})
    assert world.run("query", world.order()).code == Code.ATTESTATION


def test_an_expired_attestation_is_refused(world):
    world.claims(world.researcher, {"country": "GB"}, expires_at=now_ms() + 60_000)
    order = world.order()
    world.shop.follower.ahead_ms = 61_000
    assert world.run("query", order).code == Code.ATTESTATION


def test_a_disputed_and_a_refunded_payment_are_refused(world):
    for kind in ("payment.disputed", "payment.refunded"):
        order = world.order()
        world.pay(order, 1000, kind)
        assert world.run("query", order).code == Code.NOT_PAID


def test_an_unknown_and_a_cancelled_order_are_refused(world):
    assert world.run("query", new_id()).code == Code.UNKNOWN_ORDER
    order = world.order()
    world.cancel(order)
    assert world.run("query", order).code == Code.NOT_OPEN


def test_nineteen_people_are_refused(tmp_path):
    world = World(tmp_path, people=19)
    order = world.order()
    assert world.run("query", order).code == Code.COHORT_FLOOR
    assert world.log.state.orders[order].accesses == []


def test_a_complement_of_one_is_refused(tmp_path):
    world = World(tmp_path, people=24)
    rng = __import__("numpy").random.default_rng(1)
    world.people.append(world.enrol(rng, 99, "YRI", ("genotypes",)))
    assert world.run("query", world.order(facets={"population": ["CEU"]})).code == "below_floor"
    assert world.run("query", world.order()).state == "awaiting_review"


def test_owners_nobody_attests_do_not_hold_the_floor(tmp_path):
    world = World(tmp_path, people=24)
    for person in world.people[:22]:
        world.claims(person, {"unaffiliated": False})
    assert world.run("query", world.order()).code == Code.COHORT_FLOOR


def test_no_reviewer_means_no_draft(world):
    for reviewer in world.reviewers:
        world.claims(reviewer, {"output_reviewer": False})
    order = world.order()
    outcome = world.run("query", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.NO_REVIEWER.value)


# -- review and delivery ---------------------------------------------------------------------------


def test_one_approval_is_not_enough_and_the_same_reviewer_counts_once(world):
    order = world.order()
    world.run("query", order)
    world.review(order, world.reviewers[0])
    assert world.run("release", order).state == "awaiting_review"
    assert "result.published" not in world.log.types
    world.review(order, world.reviewers[1])
    assert world.run("release", order).state == "released"


def test_an_approval_of_other_bytes_does_not_count(world):
    order = world.order()
    world.run("query", order)
    for reviewer in world.reviewers:
        world.review(order, reviewer, commitment="ab" * 32)
    assert world.run("release", order).state == "awaiting_review"


def test_a_rejection_withholds(world):
    order = world.order()
    world.run("query", order)
    world.review(order, world.reviewers[0])
    world.review(order, world.reviewers[1], "reject")
    outcome = world.run("release", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.REVIEW_REJECTED.value)
    assert (order, "result") not in world.market.objects
    assert world.shop.store.kept(f"{order}/1/result") is None


def test_a_member_who_stops_before_release_means_one_new_attempt(world):
    order = world.order()
    world.run("query", order)
    world.approve(order)
    world.withdraw(world.people[0])
    again = world.run("release", order)
    assert again.state == "awaiting_review"
    assert world.access_of(order).payload["attempt"] == 2
    world.approve(order)
    assert world.run("release", order).state == "released"
    assert answered_counts(world.result(order)) == expected_counts(world.people[1:])
    assert world.log.types.count("result.published") == 1


def test_a_second_change_of_the_cohort_closes_the_order(world):
    order = world.order()
    for person in world.people[:2]:
        world.run("query", order)
        world.withdraw(person)
    outcome = world.run("release", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.COHORT_CHANGED.value)


def test_a_second_attempt_below_the_floor_withholds_the_first(tmp_path):
    world = World(tmp_path, people=20)
    order = world.order()
    world.run("query", order)
    world.withdraw(world.people[0])
    outcome = world.run("release", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.COHORT_FLOOR.value)
    assert outcome.access == world.access_of(order).id
    assert reason_of(world, order) == [Code.COHORT_FLOOR.value]
    assert world.log.state.orders[order].status == "withheld"


def test_a_stop_sequenced_before_the_result_withholds_it(world):
    order = world.order()
    world.run("query", order)
    world.approve(order)

    def race(entry):
        if entry.type == "result.published":
            world.log.on_append = None
            world.withdraw(world.people[7])

    world.log.on_append = race
    outcome = world.run("release", order)
    assert (outcome.state, outcome.code) == ("withheld", Code.MEMBER_STOPPED.value)
    assert (order, "result") not in world.market.objects
    assert world.shop.store.kept(f"{order}/1/file") is None


def test_a_stop_sequenced_after_the_result_does_not(world):
    order = world.order()
    world.run("query", order)
    world.approve(order)
    before = world.log.append

    def append(submissions, wait=False):
        found = before(submissions, wait)
        if submissions[0].entry.type == "result.published":
            world.withdraw(world.people[7])
        return found

    world.log.append = append
    assert world.run("release", order).state == "released"
    full = decrypt_file(world.market.objects[order, "auditor_bundle"], world.auditor_secret)
    report = verify_bundle(full, world.trust, now_ms(), leaves=world.log.leaves)
    assert report.complete, report.verdict


def test_a_stop_only_the_heartbeat_brings_is_honoured(world):
    world.run("ingest")
    entry = world.stop_entry(world.people[3])
    world.market.stops.append(submission_for(entry, b"s" * 32))
    order = world.order()
    world.run("query", order)
    assert world.people[3] not in world.members(order)
    assert world.shop.store.head(world.people[3].data["genotypes"].id) is None


def test_a_stop_nobody_may_sign_changes_nothing(world):
    world.run("ingest")
    entry = world.stop_entry(world.people[3], seed=world.people[4].data["genotypes"].signing)
    world.market.stops.append(submission_for(entry, b"s" * 32))
    order = world.order()
    world.run("query", order)
    assert len(world.members(order)) == 24


def test_a_cancelled_lease_closes_the_order(world):
    world.market.cancelled = True
    assert world.run("query", world.order()).code == Code.CANCELLED


# -- redelivery, silence, money --------------------------------------------------------------------


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
    from compute.worker_run import run_job

    assert run_job(world.shop, job_id, beat=False) is None
    assert not world.market.objects
    assert world.market.outcomes == []


def test_the_budget_of_every_member_is_charged_and_stated(world):
    rho = {"mode": "trusted", "rho": "1/100"}
    for _ in range(2):
        order = world.order(release=rho)
        assert world.complete(order).state == "released"
    person = world.people[0]
    spent = world.shop.accountant.spent(f"{person.id}/{person.participant}")
    assert str(spent) == "1/50"
    assert world.shop.accountant.open_reservations() == []


def test_people_without_budget_leave_the_cohort_as_one_reason(world):
    # Variants apart from the second question's: exact answers a person apart are refused otherwise.
    first = counts_query()
    first["params"] = {"variants": {"region": "1:10000-90000"}}
    order = world.order(query=first, release={"mode": "trusted", "rho": "1/50"})
    world.run("query", order)
    person = world.people[0]
    from fractions import Fraction

    from compute.accountant import Charge

    who = f"{person.id}/{person.participant}"
    charge = Charge(who, (person.data["genotypes"].id,), Fraction(1, 10))
    world.shop.accountant.reserve("other", "access-elsewhere", [charge], Fraction(8, 100))
    other = counts_query()
    other["params"] = {"variants": {"region": "1:1000-6000"}}
    second = world.order(query=other, release={"mode": "trusted", "rho": "1/50"})
    world.run("query", second)
    assert person not in world.members(second)
    assert world.access_of(second).payload["excluded"] == {"budget": 1}


def test_an_owner_may_cap_the_exact_statistics_that_count_them(world):
    capped, free = world.people[:2]
    world.withdraw(capped)
    world.grant(capped, "genotypes", terms=world.terms(exact_statistics=1))
    order = world.order()
    assert world.complete(order).state == "released"
    assert capped not in world.members(order)
    assert world.access_of(order).payload["excluded"] == {"budget": 1}
    rows = len(world.result(order)["answer"]["columns"]["pos"])
    given = world.shop.accountant.exact_given
    assert given(f"{free.id}/{free.participant}") == rows > 1
    assert given(f"{capped.id}/{capped.participant}") == 0


def test_one_exact_question_over_nearly_the_same_people_is_refused(world):
    order = world.order()
    assert world.complete(order).state == "released"
    assert world.complete(world.order()).state == "released"
    world.withdraw(world.people[0])
    outcome = world.run("query", world.order())
    assert (outcome.state, outcome.code) == ("refused", Code.NEAR_COHORT.value)


def test_another_way_of_asking_about_the_same_variants_is_refused_too(world):
    """A wider region over everybody but one would give that one person's genotypes away."""
    assert world.complete(world.order()).state == "released"
    world.withdraw(world.people[0])
    wider = {
        "v": 1,
        "family": "genotype_counts",
        "build": "GRCh37",
        "params": {"variants": {"region": "1:1-249000000"}},
    }
    outcome = world.run("query", world.order(query=wider))
    assert (outcome.state, outcome.code) == ("refused", Code.NEAR_COHORT.value)


def test_floors_can_be_raised_only():
    assert Floors(people=100).people == 100


def test_every_phase_has_a_step_or_is_an_end():
    from compute.orderbook import TERMINAL
    from compute.worker_query import _STEPS

    assert set(_STEPS) | TERMINAL == set(Phase)
    assert not set(_STEPS) & TERMINAL


def test_a_new_regions_worker_does_not_answer_for_another_regions_budget(world, tmp_path):
    world.run("ingest")
    assert world.run("query", world.order()).state == "awaiting_review"
    (tmp_path / "eu").mkdir()
    world.folder = tmp_path / "eu"
    fresh = world.worker()
    fresh.follower.sync()
    with pytest.raises(LedgerMismatchError):
        reconcile(fresh)  # a worker of this region that lost its database
    assert reconcile(replace(fresh, region="eu")) == 0
    fresh.store.close()
