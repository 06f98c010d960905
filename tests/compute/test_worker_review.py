"""Review and delivery: two reviewers, and stops that arrive before the answer leaves."""

from compute.bundle import verify_bundle
from compute.crypt import decrypt_file
from compute.worker_outcomes import Code
from ledger import submission_for
from tests.compute.simulators import now_ms
from tests.compute.worker_world import World, answered_counts, expected_counts, reason_of


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
