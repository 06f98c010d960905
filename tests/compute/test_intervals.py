"""Exact answers bring errors and intervals of what is shown, and none of what is hidden."""

import numpy as np
import pytest
from scipy import stats

from compute.intervals import LEFT_OUT, with_intervals
from compute.queries import Answer


def answer(**columns):
    arrays = {name: np.array(values) for name, values in columns.items()}
    return Answer("x", 1, arrays, {"all": 100})


def test_a_frequency_has_wilsons_interval():
    told = with_intervals(answer(af=[0.1, 0.0], an=[100, 40])).columns
    for at, (k, n) in enumerate(((10, 100), (0, 40))):
        low, high = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert (told["af_low"][at], told["af_high"][at]) == (
            pytest.approx(low, abs=1e-12),
            pytest.approx(high, abs=1e-12),
        )
    assert told["af_se"][0] == pytest.approx(0.03)


def genotypes(rows, p=None, **more):
    hom_ref, het, hom_alt = np.array(rows).T
    n = hom_ref + het + hom_alt
    ac = het + 2 * hom_alt
    p = np.full(len(n), 0.5) if p is None else np.array(p)
    return with_intervals(
        answer(
            hom_ref=hom_ref, het=het, hom_alt=hom_alt, hwe_p=p, af=ac / (2 * n), an=2 * n, **more
        )
    )


def test_a_hwe_p_brings_the_inbreeding_coefficient_with_its_error_and_interval():
    told = genotypes([(50, 40, 10), (81, 18, 1)]).columns
    p = 60 / 200
    assert told["f"][0] == pytest.approx(1 - 40 / (200 * p * (1 - p) / 1))
    assert told["f"][1] == pytest.approx(0, abs=1e-12)
    assert told["f_se"][1] == pytest.approx(0.1)  # 1 / sqrt(n) at F = 0
    for at in (0, 1):
        assert told["f_low"][at] < told["f"][at] < told["f_high"][at]


def test_the_error_of_f_is_the_delta_methods_of_three_shares():
    """The multinomial's covariance through the gradient of F, taken numerically."""
    counts = np.array([50.0, 40.0, 30.0])

    def f(share):
        p = share[2] + share[1] / 2
        return 1 - share[1] / (2 * p * (1 - p))

    share, step = counts / counts.sum(), 1e-6
    slope = np.array([(f(share + step * one) - f(share - step * one)) / (2 * step)
                      for one in np.eye(3)])  # fmt: skip
    covariance = (np.diag(share) - np.outer(share, share)) / counts.sum()
    told = genotypes([counts.astype(int)]).columns
    assert told["f_se"][0] == pytest.approx((slope @ covariance @ slope) ** 0.5, rel=1e-6)


def test_the_interval_of_f_holds_0_where_pearsons_test_of_hwe_does_not_reject():
    rng = np.random.default_rng(31)
    rows = [r for r in rng.multinomial(200, [0.4, 0.42, 0.18], 300) if r.min() > 0]
    told = genotypes(rows).columns
    n = np.array(rows).sum(axis=1)
    rejected = n * told["f"] ** 2 > stats.chi2.ppf(0.95, 1)  # Pearson's X^2 is n F^2
    holds = (told["f_low"] <= 0) & (told["f_high"] >= 0)
    assert (holds == ~rejected).all()
    assert 0 < rejected.sum() < len(rows)


@pytest.mark.parametrize(("people", "p", "f"), [(178, 0.05, 0.0), (178, 0.3, 0.1), (60, 0.2, 0.0)])
def test_the_interval_of_f_covers_it_and_the_plain_one_at_its_bound_does_not(people, p, f):
    rng, q = np.random.default_rng(32), 1 - p
    shares = [q * q + f * p * q, 2 * p * q * (1 - f), p * p + f * p * q]
    rows = rng.multinomial(people, shares, 4_000)
    rows = rows[(rows[:, 1] + rows[:, 2] > 0)]
    told = genotypes(rows).columns
    covered = np.mean((told["f_low"] <= f) & (told["f_high"] >= f))
    assert covered > 0.93
    bound = rows[:, 2] == 0
    assert (
        np.isnan(told["f_se"][bound]).all()
        and np.isfinite(told["f_se"][~bound & (rows[:, 0] > 0)]).all()
    )
    if p == 0.05:  # the control: without the rarer homozygote the formula's error covers nothing
        a = told["af"][bound]
        est, pq = told["f"][bound], a * (1 - a)
        se = np.sqrt((1 - est) / people * ((1 - est) * (1 - 2 * est) + est * (2 - est) / (2 * pq)))
        assert np.mean(np.abs(est - f) <= 1.96 * se) < 0.5


def test_f_is_hidden_with_the_genotypes_and_where_there_is_no_hwe():
    columns = {
        "hom_ref": np.array([50, None, 50], object), "het": np.array([40, None, 40], object),
        "hom_alt": np.array([10, None, 10], object), "hwe_p": np.array([0.5, None, np.nan], object),
        "af": np.array([0.3, 0.3, 0.3]), "an": np.array([200, 200, 200]),
    }  # fmt: skip
    told = with_intervals(Answer("x", 1, columns, {"all": 100}))
    for name in ("f", "f_se", "f_low", "f_high"):
        shown = told.as_json()["columns"][name]
        assert shown[0] is not None and shown[1:] == [None, None], name
    assert "no standard error" in told.facts["hwe"]


def test_a_mean_and_an_effect_have_normal_ones():
    told = with_intervals(answer(mean=[5.0], sd=[2.0], n=[100], beta=[0.3], se=[0.1])).columns
    assert told["mean_se"][0] == pytest.approx(0.2)
    assert (told["mean_low"][0], told["mean_high"][0]) == (
        pytest.approx(4.608, abs=1e-3),
        pytest.approx(5.392, abs=1e-3),
    )
    assert told["beta_high"][0] == pytest.approx(0.496, abs=1e-3)


def test_what_is_hidden_has_no_interval():
    columns = {
        "af": np.array([None, 0.5], object),
        "an": np.array([50, 50]),
        "beta": np.array([None, 1.0], object),
        "se": np.array([None, 0.5], object),
    }
    told = with_intervals(Answer("x", 1, columns, {"all": 50})).as_json()["columns"]
    for name in ("af_se", "af_low", "af_high", "beta_low", "beta_high"):
        assert told[name][0] is None
        assert told[name][1] is not None


def test_a_genome_wide_answer_says_how_instead(monkeypatch):
    monkeypatch.setattr("compute.intervals.MOST_ROWS", 1)
    told = with_intervals(answer(af=[0.1, 0.2], an=[100, 100]))
    assert "af_se" not in told.columns
    assert told.facts["intervals"] == LEFT_OUT


def test_a_prevalence_a_difference_an_odds_ratio_and_a_correlation_have_theirs():
    told = with_intervals(answer(prevalence=[0.1], n=[100])).columns
    interval = stats.binomtest(10, 100).proportion_ci(method="wilson")
    assert told["prevalence_low"][0] == pytest.approx(interval.low)
    told = with_intervals(
        answer(difference=[1.0], sd_a=[2.0], n_a=[50], sd_b=[3.0], n_b=[90], t=[0.0])
    ).columns
    assert told["difference_se"][0] == pytest.approx((4 / 50 + 9 / 90) ** 0.5)
    cells = {"both": [30, 0], "first_only": [20, 9], "second_only": [10, 9], "neither": [40, 9]}
    told = with_intervals(answer(odds_ratio=[6.0, 0.0], **cells)).columns
    table = np.array([[30, 20], [10, 40]])
    sample = stats.contingency.odds_ratio(table, kind="sample").confidence_interval()
    assert told["odds_ratio_low"][0] == pytest.approx(sample.low)
    assert told["odds_ratio_high"][0] == pytest.approx(sample.high)
    assert np.isnan(told["odds_ratio_low"][1])
    rng = np.random.default_rng(1)
    x = rng.normal(size=80)
    peer = stats.pearsonr(x, x + rng.normal(size=80))
    told = with_intervals(answer(r=[peer.statistic], r2=[peer.statistic**2], n=[80])).columns
    assert told["r_low"][0] == pytest.approx(peer.confidence_interval().low)
    assert told["r_high"][0] == pytest.approx(peer.confidence_interval().high)
