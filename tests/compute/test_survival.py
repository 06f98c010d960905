"""Kaplan and Meier's estimate: a published example, scipy's estimator, the noise in it."""

import numpy as np
import pytest
from scipy import stats

from compute.queries.onset_noise import noise_variance
from compute.survival import kaplan_meier

# Remission of 21 children on 6-mercaptopurine (Freireich et al. 1963), weeks at risk, relapses,
# S and Greenwood's error as in Klein and Moeschberger, Survival Analysis (2003), section 4.2.
FREIREICH = [
    (21, 3, 0.857, 0.0764), (17, 1, 0.807, 0.0869), (15, 1, 0.753, 0.0963), (12, 1, 0.690, 0.1068),
    (11, 1, 0.627, 0.1141), (7, 1, 0.538, 0.1282), (6, 1, 0.448, 0.1346),
]  # fmt: skip


def test_the_published_curve_of_the_remission_trial():
    at_risk, events, share, error = (np.array(column) for column in zip(*FREIREICH, strict=True))
    found = kaplan_meier(at_risk, events)
    assert found.share == pytest.approx(share, abs=6e-4)
    assert found.se == pytest.approx(error, abs=6e-5)


def test_the_interval_is_scipys():
    rng = np.random.default_rng(2)
    times, gone = rng.integers(0, 12, 300), rng.random(300) < 0.4
    sample = stats.CensoredData(uncensored=times[gone], right=times[~gone])
    known = stats.ecdf(sample).sf
    bounds = known.confidence_interval(0.95, method="log-log")
    bands = np.arange(12)
    at_risk = np.array([(times >= band).sum() for band in bands])
    events = np.array([(times[gone] == band).sum() for band in bands])
    found = kaplan_meier(at_risk, events)
    assert found.share == pytest.approx(known.evaluate(bands))
    assert found.low == pytest.approx(bounds.low.evaluate(bands))
    assert found.high == pytest.approx(bounds.high.evaluate(bands))


def test_no_interval_before_the_first_event_and_no_curve_after_the_last_person():
    found = kaplan_meier(np.array([[10, 10, 4, 0]]), np.array([[0, 6, 4, 0]]))
    assert found.share[0, :3].tolist() == [1.0, 0.4, 0.0] and np.isnan(found.share[0, 3])
    assert np.isnan(found.low[0, [0, 2, 3]]).all() and 0 < found.low[0, 1] < 0.4 < found.high[0, 1]
    assert np.isnan(found.se[0, 2:]).all()


def test_the_noise_of_the_curve_is_what_simulation_finds():
    rng = np.random.default_rng(7)
    events, censored, sd = np.array([40, 90, 60, 30]), np.array([300, 500, 700, 900]), 4.0
    made = np.empty((40_000, 4))
    for at in range(len(made)):
        d, c = events + rng.normal(0, sd, 4), censored + rng.normal(0, sd, 4)
        n = (d + c)[::-1].cumsum()[::-1]
        made[at] = np.cumsum(np.log(1 - d / n))
    n = (events + censored)[::-1].cumsum()[::-1].astype(float)
    told = noise_variance(n, events.astype(float), sd)
    assert np.sqrt(told) == pytest.approx(made.std(axis=0), rel=0.03)
