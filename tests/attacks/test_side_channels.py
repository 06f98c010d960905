"""The attack by time, status and length can see what it looks for, and nothing where there is none."""

import numpy as np

from benchmarks.attacks_http import compared, told_apart
from marketplace.client.errors import RemoteError


def test_a_shift_and_a_spread_are_both_seen_and_chance_is_not():
    rng = np.random.default_rng(1)
    times = rng.gamma(4, 0.005, (2, 2000))
    assert told_apart(*times) < 0.53
    assert told_apart(times[0] + 0.002, times[1]) > 0.55
    assert told_apart(times[0], times[1].mean() + 2 * (times[1] - times[1].mean())) > 0.6


def same(one, other):
    found = compared("x", 30, one, other)
    return next(figure for figure in found if "same status" in figure.name)


def failing():
    raise RemoteError("the market did not answer")


def test_another_length_or_status_is_seen_and_so_is_no_answer_at_all():
    assert same(lambda: (200, 10), lambda: (200, 10)).met
    assert not same(lambda: (200, 10), lambda: (200, 11)).met
    assert not same(lambda: (200, 10), lambda: (404, 10)).met
    assert not same(lambda: (200, 10), failing).met
    assert not same(failing, failing).met
