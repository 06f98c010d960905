"""The SystmOne case: opt-outs at every stage of runs, and no opted-out record is ever decrypted.

Small here; `python -m benchmarks.consent` runs the same with 150,000 people.
"""

import pytest

from tests.compute.stored_world import StoredWorld
from tests.compute.storm import ENDS, STAGES, Storm, unguarded
from tests.compute.worker_world import answered_counts


@pytest.fixture
def storm(tmp_path):
    world = StoredWorld(tmp_path, count=300, leavers=150)
    yield Storm(world, each=3)
    world.shop.store.close()


def test_opt_outs_at_every_stage_and_no_opted_out_record_is_decrypted(storm):
    assert storm.run() == list(ENDS)
    assert sorted(storm.fired) == STAGES
    assert storm.opened > storm.world.count
    assert storm.wrong == 0
    world, members = storm.world, storm.members()
    assert len(members) < world.count
    assert world.access_of(storm.order).payload["cohort_size"] == len(members)
    assert answered_counts(world.result(storm.order)) == world.expected(members)


def test_with_the_checks_taken_out_the_same_storm_counts_opted_out_records(storm):
    with unguarded():
        storm.run()
    assert storm.wrong > 0
