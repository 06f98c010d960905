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
