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
