"""Attacks on the budget: averaging rewritten questions, colluding buyers, a short-changing noise."""

import math
from fractions import Fraction

import pytest

from benchmarks.attacks import LIFETIME
from benchmarks.attacks_mechanism import (
    association_null,
    audit_bound,
    averaging,
    locus_power,
    regression_null,
    regression_power,
)
from compute.accountant import Accountant, BudgetExceededError, Charge
from compute.queries import parse_query, query_digest
from compute.tables import open_engine, upgrade
from tests.compute.noises import seeded


@pytest.fixture
def accountant(tmp_path):
    url = f"sqlite:///{tmp_path / 'budget.sqlite'}"
    upgrade(url)
    return Accountant(open_engine(url))


def granted(accountant, orders, rho, share):
    """How many of some orders the accountant lets through, everybody in all of them."""
    charges = [Charge(f"o/{at}", (f"d{at}",), LIFETIME, share) for at in range(20)]
    got = 0
    for at in range(orders):
        try:
            accountant.reserve(f"order{at}", f"access{at}", charges, rho)
        except BudgetExceededError:
            continue
        got += 1
    return got


def test_200_rewritten_equivalents_end_before_half_a_copy(accountant):
    rho = LIFETIME / 5
    got, error = averaging(200, rho, granted(accountant, 200, rho, Fraction(1, 5)), seeded(41))
    assert got == 5
    assert error > 3.5
    # The control: nobody counts, and 200 answers at the whole lifetime each do reach it.
    assert averaging(200, LIFETIME, 200, seeded(42))[1] < 0.5


def test_50_colluding_buyers_gain_nothing_over_one(accountant):
    assert granted(accountant, 50, LIFETIME / 50, Fraction(1, 5)) == 50
    with pytest.raises(BudgetExceededError):
        accountant.reserve("last", "last", [Charge("o/0", ("d0",), LIFETIME)], Fraction(1, 10**6))
    _, pooled = averaging(50, LIFETIME / 50, 50, seeded(43))
    _, single = averaging(1, LIFETIME, 1, seeded(44))
    assert pooled == pytest.approx(single, rel=0.25)


def test_equivalent_ways_to_write_a_question_are_one_question():
    names = ["1-1000-A-G", "1-2000-C-T", "2-5-G-GA"]

    def digest(variants, **more):
        value = {"v": 1, "family": "genotype_counts", "build": "GRCh37", **more}
        return query_digest(parse_query({**value, "params": {"variants": variants}}))

    same = {digest(names), digest(names[::-1]), digest(names * 3), digest(names, version=1)}
    assert len(same) == 1
    assert digest(names[:2]) not in same


def test_the_mechanism_gives_the_privacy_it_is_charged_for():
    """20,000 + 20,000 runs at rho 1/10; a bound above sqrt(2 rho) would be a broken promise."""
    promised = math.sqrt(2 * LIFETIME)
    # OpenDP's own sampler, at a confidence that a sound one fails once in ten million runs.
    assert audit_bound(LIFETIME, 20_000, confidence=1 - 1e-7) <= promised
    assert audit_bound(LIFETIME, 20_000, sampler=seeded(45)) <= promised
    assert audit_bound(LIFETIME, 20_000, shrink=0.8, sampler=seeded(46)) > promised


def test_the_corrected_association_test_holds_its_level():
    """SE of 20,000 tests is 0.0015; uncorrected, the same noise gives far more."""
    assert 0.043 <= association_null(1000, 10, LIFETIME, 20_000, sampler=seeded(47)) <= 0.057
    # The product's own test: SE of 4,000 tests is 0.0035.
    assert 0.038 <= regression_null(1000, LIFETIME, 4_000, sampler=seeded(48)) <= 0.063


def test_power_is_lost_to_noise_and_bought_back_by_people():
    """Free of noise both loci are found alike; the noise costs the small cohort most."""
    without = [locus_power(n, 1, odds, None, 500) for n, odds in ((1_000, 1.9), (10_000, 1.2))]
    assert all(0.4 < share < 0.99 for share in without)
    assert regression_power(1000, 0.04, None, 50) > 0.9
