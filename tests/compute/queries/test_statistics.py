"""The statistics themselves, against exact arithmetic and closed forms."""

from __future__ import annotations

from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.stats import Products, hwe_exact, hwe_exact_many, hwe_x_exact, least_squares
from tests.compute.reference import hwe, hwe_x

counts = st.integers(0, 120)


@given(counts, counts, counts)
def test_hwe_equals_exact_enumeration(hom_ref, het, hom_alt):
    if hom_ref + het + hom_alt == 0:
        assert hwe_exact(0, 0, 0) == 1.0
        return
    exact = hwe(hom_ref, het, hom_alt)
    assert hwe_exact(hom_ref, het, hom_alt) == pytest.approx(exact, rel=1e-11, abs=1e-300)


@given(counts, counts, counts)
def test_hwe_does_not_depend_on_which_allele_is_ref(hom_ref, het, hom_alt):
    assert hwe_exact(hom_ref, het, hom_alt) == hwe_exact(hom_alt, het, hom_ref)


@pytest.mark.parametrize(
    ("hom_ref", "het", "hom_alt", "p"),
    # By hand. Two of each homozygote, no het: 4 A and 4 B. Weights (n!/(a!b!c!) 2^h): 6, 48, 16.
    [(2, 0, 2, 6 / 70), (1, 2, 1, 1.0), (0, 4, 0, 22 / 70), (0, 0, 7, 1.0), (0, 1, 0, 1.0)],
)
def test_hwe_by_hand(hom_ref, het, hom_alt, p):
    assert hwe_exact(hom_ref, het, hom_alt) == pytest.approx(p, rel=1e-12)


few = st.integers(0, 9)


@given(st.tuples(few, few, few, few, few))
def test_hwe_on_x_equals_exact_enumeration(counts):
    assert hwe_x_exact(*counts) == pytest.approx(hwe_x(*counts), rel=1e-11)


@given(counts, counts, counts)
def test_without_men_the_test_on_x_is_that_of_an_autosome(hom_ref, het, hom_alt):
    assert hwe_x_exact(hom_ref, het, hom_alt, 0, 0) == pytest.approx(
        hwe_exact(hom_ref, het, hom_alt), rel=1e-9, abs=1e-300
    )


@pytest.mark.parametrize(
    ("counts", "p"),
    # By hand. One woman, one man, two copies of three: AA with B, or AB with A; weights 1 and 2.
    [((0, 0, 1, 1, 0), 1 / 3), ((0, 1, 0, 0, 1), 1.0), ((5, 0, 0, 7, 0), 1.0),
     # Two women homozygous for REF, two men with ALT: weights 1, 4 (one het), 1 (AA) of 15.
     ((2, 0, 0, 0, 2), 1 / 15)],
)  # fmt: skip
def test_hwe_on_x_by_hand(counts, p):
    assert hwe_x_exact(*counts) == pytest.approx(p, rel=1e-12)


def test_hwe_of_a_large_cohort_does_not_overflow():
    p = hwe_exact(90_000, 9_000, 1_000)
    assert 0 <= p < 1e-100
    assert hwe_exact(81_000, 18_000, 1_000) == pytest.approx(1.0, abs=0.02)


def test_many_equals_one_by_one():
    triples = np.array([[1, 2, 3], [1, 2, 3], [0, 0, 9], [5, 0, 5]]).T
    many = hwe_exact_many(*triples)
    assert many.tolist() == [hwe_exact(*t) for t in triples.T.tolist()]


def closed_form_p(t, df):
    """Two-sided p of Student's t for an even df: a finite sum, in 60 digits."""
    getcontext().prec = 60
    t = Decimal(t)
    cos2 = df / (df + t * t)
    term, total = Decimal(1), Decimal(1)
    for j in range(1, df // 2):
        term *= cos2 * (2 * j - 1) / (2 * j)
        total += term
    return 1 - (t * t / (df + t * t)).sqrt() * total


@pytest.mark.parametrize("df", [4, 74, 88, 176])
@pytest.mark.parametrize("t", [0.01, 0.5, 1.97, 2.2, 4.0, 7.5])
def test_the_tail_of_t_is_exact_to_1e_12(t, df):
    """One predictor, n = df + 2, made to have exactly this t."""
    n = df + 2
    r = t / np.sqrt(t * t + df)
    products = Products(
        n=np.array([n]),
        xx=np.ones((1, 1, 1)),
        xy=np.full((1, 1), r),
        yy=np.ones(1),
        constant=np.zeros(1, bool),
    )
    fit = least_squares(products)
    exact = float(closed_form_p(float(fit.t[0]), df))
    assert fit.t[0] == pytest.approx(t, rel=1e-12)
    assert fit.p[0] == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    ("r2", "reason"), [(0.0, ""), (0.979, ""), (0.981, "collinear"), (1.0, "collinear")]
)
def test_variance_inflation_above_50_is_na(r2, reason):
    """Two predictors correlated so that 1 / (1 - r2) lies on either side of 50, as in plink2."""
    r = np.sqrt(r2)
    products = Products(
        n=np.array([30]),
        xx=np.array([[[1.0, r], [r, 1.0]]]),
        xy=np.array([[0.3, 0.3]]),
        yy=np.ones(1),
        constant=np.zeros(1, bool),
    )
    fit = least_squares(products)
    assert fit.reason.tolist() == [reason]
    assert np.isnan(fit.p[0]) == bool(reason)


@pytest.mark.parametrize(
    ("n", "yy", "constant", "reason"),
    [(0, 0.0, True, "no_people"), (9, 1.0, True, "monomorphic"), (2, 1.0, False, "too_few_people"),
     (9, 0.0, False, "constant_feature"), (3, 1.0, False, "")],
)  # fmt: skip
def test_na_always_has_a_reason(n, yy, constant, reason):
    products = Products(
        np.array([n]),
        np.ones((1, 1, 1)),
        np.full((1, 1), 0.5),
        np.array([yy]),
        np.array([constant]),
    )
    assert least_squares(products).reason.tolist() == [reason]
