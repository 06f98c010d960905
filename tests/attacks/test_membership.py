"""Who is in a cohort cannot be told from private answers; without noise it can.

The noise comes from a seeded source injected at the gate's port, so these tests cannot fail by
chance; that OpenDP's sampler draws the same distribution is tested in tests/compute/test_noise.py,
and `python -m benchmarks.privacy` runs the same attacks on it, larger.
"""

import math
from fractions import Fraction

import numpy as np
import pytest

from benchmarks.attacks import auc, auc_error, ceiling
from benchmarks.attacks_membership import MINOR, RARE, chosen_panel, random_panel
from benchmarks.attacks_pairs import (
    KINDS,
    OVERLAP,
    differencing,
    fake_owners,
    floor_refuses_complement_of_one,
)
from benchmarks.attacks_people import random_variants, rarest_variants
from benchmarks.people import common_real, real
from tests.compute.noises import seeded


def test_the_area_is_the_one_of_two_shifted_normals():
    rng = np.random.default_rng(0)
    area = auc(rng.normal(1, 1, 4000), rng.normal(0, 1, 4000))
    assert area == pytest.approx(0.760, abs=4 * auc_error(area, 4000, 4000))
    assert auc(np.zeros(9), np.zeros(9)) == 0.5


@pytest.mark.parametrize(("people", "variants"), [(100, 12), (1000, 120)])
def test_a_random_panel_of_a_whole_lifetime_tells_little(people, variants):
    found = random_panel(people, variants, releases=20, sampler=seeded(31))
    assert found.answered >= 0.9
    assert found.auc <= 0.60


def test_without_noise_a_random_panel_tells():
    assert random_panel(100, 100, releases=20, private=False).auc >= 0.74


@pytest.mark.parametrize(("panel", "variants", "control"), [(RARE, 30, 0.95), (MINOR, 100, 0.66)])
def test_a_panel_chosen_from_the_victim_stays_under_the_ceiling(panel, variants, control):
    found = chosen_panel(panel, 1000, variants, trials=400, sampler=seeded(32))
    assert found.answered >= 0.9
    assert found.auc <= ceiling() + 3 * found.auc_se
    assert found.tpr_at_5 <= 0.12 + 3 * math.sqrt(0.12 * 0.88 / 400)
    without = chosen_panel(panel, 1000, variants, trials=400, private=False)
    assert without.auc >= control


def test_many_buyers_who_pool_their_answers_are_one():
    """The same lifetime over ten orders of ten buyers, averaged; ten lifetimes tell more."""
    pooled = chosen_panel(RARE, 10_000, 10, trials=100, orders=10, sampler=seeded(33))
    assert pooled.auc <= ceiling() + 3 * pooled.auc_se


def test_missing_calls_change_nothing():
    found = chosen_panel(RARE, 1000, 30, trials=250, missing=0.02, sampler=seeded(34))
    assert found.auc <= ceiling() + 3 * found.auc_se
    assert random_panel(400, 40, releases=10, missing=0.02, sampler=seeded(39)).auc <= 0.60


def test_a_larger_budget_is_seen_by_the_attack():
    """The control of the controls: at rho 50 the same private answers give members away."""
    found = chosen_panel(RARE, 1000, 30, trials=150, rho=Fraction(50), sampler=seeded(35))
    assert found.auc >= 0.9


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_two_cohorts_one_person_apart_reveal_nothing_certain(kind):
    trials = 400 if kind is OVERLAP else 1000
    found = differencing(kind, 1000, trials=trials, sampler=seeded(36))
    assert found.accuracy <= 0.60
    assert found.more["certain_reveals"] == 0
    assert found.answered >= 0.9
    without = differencing(kind, 1000, trials=300, private=False)
    assert without.accuracy >= 0.9
    assert without.more["certain_reveals"] > 100


def test_a_filter_that_leaves_one_person_out_is_refused():
    assert floor_refuses_complement_of_one(1000)


def test_one_person_among_the_attackers_own_stays_unknown():
    assert fake_owners(100, trials=1000, sampler=seeded(37)).accuracy <= 0.60
    assert fake_owners(100, trials=200, private=False).accuracy >= 0.9


def test_real_people_and_their_linkage_change_nothing():
    found = random_variants(common_real(), 400, 40, releases=10, sampler=seeded(38))
    assert found.answered >= 0.9
    assert found.auc <= 0.60
    rarest = rarest_variants(real()[1], 100, 10, trials=200, sampler=seeded(38))
    assert rarest.answered >= 0.9
    assert rarest.auc <= ceiling() + 3 * rarest.auc_se


def test_without_noise_real_people_tell():
    assert random_variants(common_real(), 400, 883, releases=2, private=False).auc >= 0.74
    assert rarest_variants(real()[1], 100, 300, trials=20, private=False).auc >= 0.95
