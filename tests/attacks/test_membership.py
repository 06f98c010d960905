"""Who is in a cohort cannot be told from private answers; without noise it can.

Noise is never seeded, so bars stand a few standard errors above what theory gives; the attack
itself is seeded. Larger runs: `python -m benchmarks.privacy`.
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
)


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
    found = membership(RANDOM, people, variants, trials=250)
    assert found.answered >= 0.9
    assert holds(found, 0.60)


def test_without_noise_a_random_panel_tells():
    assert membership(RANDOM, 100, 100, trials=250, private=False).auc >= 0.70


@pytest.mark.parametrize(("panel", "variants", "control"), [(RARE, 30, 0.95), (MINOR, 100, 0.68)])
def test_a_panel_chosen_from_the_victim_stays_under_the_ceiling(panel, variants, control):
    found = membership(panel, 1000, variants, trials=400)
    assert found.answered >= 0.9
    assert found.auc <= ceiling() + 3 * found.auc_se
    assert found.tpr_at_5 <= 0.12 + 3 * math.sqrt(0.12 * 0.88 / 400)
    without = membership(panel, 1000, variants, trials=400, private=False)
    assert without.auc >= control


def test_many_buyers_who_pool_their_answers_are_one():
    """The same lifetime over ten orders of ten buyers, averaged."""
    pooled = membership(RARE, 10_000, 10, trials=100, orders=10)
    assert pooled.auc <= ceiling() + 3 * pooled.auc_se


def test_missing_calls_change_nothing():
    found = membership(RARE, 1000, 30, trials=250, missing=0.02)
    assert found.auc <= ceiling() + 3 * found.auc_se


def test_a_larger_budget_is_seen_by_the_attack():
    """The control of the controls: at rho 50 the same private answers give members away."""
    assert membership(RARE, 1000, 30, trials=150, rho=Fraction(50)).auc >= 0.9


def test_leaving_a_cohort_reveals_nothing_certain():
    found = differencing(1000, trials=1000)
    assert found.accuracy <= 0.60
    assert found.more["certain_reveals"] == 0
    assert found.answered >= 0.9
    without = differencing(1000, trials=300, private=False)
    assert without.accuracy >= 0.9
    assert without.more["certain_reveals"] > 100


def test_one_person_among_the_attackers_own_stays_unknown():
    assert fake_owners(100, trials=1000).accuracy <= 0.60
    assert fake_owners(100, trials=200, private=False).accuracy >= 0.9
