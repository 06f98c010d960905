"""Who is in a cohort cannot be told from private answers; without noise it can.

The noise comes from a seeded source injected at the gate's port, so these tests cannot fail by
chance; that OpenDP's sampler draws the same distribution is tested in tests/compute/test_noise.py,
and `python -m benchmarks.privacy` runs the same attacks on it, larger.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

from benchmarks.attacks import (
    MINOR,
    RANDOM,
    RARE,
    auc,
    auc_error,
    ceiling,
    differencing,
    fake_owners,
    membership,
    membership_real,
)
from benchmarks.people import real
from tests.compute.noises import seeded


def holds(found, bar):
    """An AUC's bar, with the room its own standard error asks for in a small run."""
    return found.auc <= bar + 2 * found.auc_se


def test_the_area_is_the_one_of_two_shifted_normals():
    rng = np.random.default_rng(0)
    area = auc(rng.normal(1, 1, 4000), rng.normal(0, 1, 4000))
    assert area == pytest.approx(0.760, abs=4 * auc_error(area, 4000, 4000))
    assert auc(np.zeros(9), np.zeros(9)) == 0.5


@pytest.mark.parametrize(("people", "variants"), [(100, 12), (1000, 120)])
def test_a_random_panel_of_a_whole_lifetime_tells_little(people, variants):
    found = membership(RANDOM, people, variants, trials=250, sampler=seeded(31))
    assert found.answered >= 0.9
    assert holds(found, 0.60)


def test_without_noise_a_random_panel_tells():
    assert membership(RANDOM, 100, 100, trials=250, private=False).auc >= 0.70


@pytest.mark.parametrize(("panel", "variants", "control"), [(RARE, 30, 0.95), (MINOR, 100, 0.68)])
def test_a_panel_chosen_from_the_victim_stays_under_the_ceiling(panel, variants, control):
    found = membership(panel, 1000, variants, trials=400, sampler=seeded(32))
    assert found.answered >= 0.9
    assert found.auc <= ceiling() + 3 * found.auc_se
    assert found.tpr_at_5 <= 0.12 + 3 * math.sqrt(0.12 * 0.88 / 400)
    without = membership(panel, 1000, variants, trials=400, private=False)
    assert without.auc >= control


def test_many_buyers_who_pool_their_answers_are_one():
    """The same lifetime over ten orders of ten buyers, averaged."""
    pooled = membership(RARE, 10_000, 10, trials=100, orders=10, sampler=seeded(33))
    assert pooled.auc <= ceiling() + 3 * pooled.auc_se


def test_missing_calls_change_nothing():
    found = membership(RARE, 1000, 30, trials=250, missing=0.02, sampler=seeded(34))
    assert found.auc <= ceiling() + 3 * found.auc_se


def test_a_larger_budget_is_seen_by_the_attack():
    """The control of the controls: at rho 50 the same private answers give members away."""
    assert membership(RARE, 1000, 30, trials=150, rho=Fraction(50), sampler=seeded(35)).auc >= 0.9


def test_leaving_a_cohort_reveals_nothing_certain():
    found = differencing(1000, trials=1000, sampler=seeded(36))
    assert found.accuracy <= 0.60
    assert found.more["certain_reveals"] == 0
    assert found.answered >= 0.9
    without = differencing(1000, trials=300, private=False)
    assert without.accuracy >= 0.9
    assert without.more["certain_reveals"] > 100


def test_one_person_among_the_attackers_own_stays_unknown():
    assert fake_owners(100, trials=1000, sampler=seeded(37)).accuracy <= 0.60
    assert fake_owners(100, trials=200, private=False).accuracy >= 0.9


@pytest.mark.parametrize(
    ("kind", "people", "variants", "bar"), [("random", 400, 40, 0.60), ("rarest", 100, 10, 0.63)]
)
def test_real_haplotypes_with_their_linkage_change_nothing(kind, people, variants, bar):
    _, copies = real()
    found = membership_real(kind, copies, people, variants, trials=200, sampler=seeded(38))
    assert found.answered >= 0.9
    assert found.auc <= bar


@pytest.mark.parametrize(
    ("kind", "people", "variants"), [("random", 400, 400), ("rarest", 100, 30)]
)
def test_without_noise_real_haplotypes_tell(kind, people, variants):
    _, copies = real()
    assert membership_real(kind, copies, people, variants, trials=100, private=False).auc >= 0.74
