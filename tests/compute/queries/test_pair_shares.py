"""Shares of related pairs: a jackknife over people, and an interval that covers where a binomial
one does not.
"""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from compute.intervals import with_intervals
from compute.queries import Answer
from compute.queries.pair_shares import design, pair_shares
from compute.queries.relatedness import BOUNDS, DEGREES, pairs_by_degree
from compute.suppress import suppress_cells

Z = 1.959963984540054
FIRST = DEGREES.index("first")


def families(numbers):
    """Return (counts, pairs of each person) where people of one family are of first degree."""
    numbers = np.asarray(numbers)

    def kinship(one, other):
        return np.where(numbers[one][:, None] == numbers[other][None, :], 0.25, 0.0)

    return pairs_by_degree(kinship, len(numbers))


def released(numbers):
    """Return the rows of an answer as it leaves: hidden, rounded, with intervals."""
    counts, own = families(numbers)
    columns = {
        "degree": np.array(DEGREES, object),
        "n": np.full(len(DEGREES), len(numbers)),
        "pairs": np.array(counts),
        "pairs_design": np.array([*map(design, own), np.nan]),
    }
    kept, _ = suppress_cells(Answer("relatedness", 1, columns, {"all": len(numbers)}))
    return with_intervals(kept).rows()


def left_out_variance(numbers):
    """The jackknife by its definition: the share anew without each person."""
    shares = []
    for gone in range(len(numbers)):
        rest = [one for at, one in enumerate(numbers) if at != gone]
        pairs = sum(a == b for a, b in itertools.combinations(rest, 2))
        shares.append(pairs / math.comb(len(rest), 2))
    n = len(numbers)
    return (n - 1) / n * sum((one - sum(shares) / n) ** 2 for one in shares)


@pytest.mark.parametrize("numbers", [[0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7], [*range(20), 0, 1, 2]])
def test_the_design_effect_is_that_of_leaving_people_out_one_by_one(numbers):
    counts, own = families(numbers)
    n = len(numbers)
    share = counts[FIRST] / math.comb(n, 2)
    exact = left_out_variance(numbers) / (share * (1 - share) / math.comb(n, 2))
    found = design(own[FIRST])
    assert found == max(1.0, math.ceil(exact * 2 - 1e-9) / 2)
    assert found - 0.5 < exact <= found + 1e-9


def test_people_in_many_blocks_are_counted_as_in_one():
    numbers = np.random.default_rng(1).integers(0, 150, 600)  # more than two blocks of people
    counts, own = families(numbers)
    each = np.array([(numbers == one).sum() - 1 for one in numbers])
    assert own[FIRST].tolist() == each.tolist()
    assert counts[FIRST] == each.sum() // 2
    assert sum(counts) == math.comb(600, 2)
    assert own.shape == (len(BOUNDS), 600)


def test_the_interval_covers_the_populations_share_where_a_binomial_one_does_not():
    """Cohorts of 150 of a population with a few large families: 400 of them."""
    rng = np.random.default_rng(33)
    sizes = np.append(np.full(6, 0.03), np.full(820, 0.001))
    truth = float((sizes**2).sum())
    mine = plain = 0
    for _ in range(400):
        row = released(rng.choice(len(sizes), 150, p=sizes))[FIRST]
        low, high = stats.binomtest(row["pairs"], math.comb(150, 2)).proportion_ci(method="wilson")
        plain += low <= truth <= high
        mine += row["share_low"] <= truth <= row["share_high"]
    assert mine / 400 > 0.92
    assert plain / 400 < 0.85  # the control


def test_what_is_told_is_made_of_what_is_shown_and_nothing_of_a_small_count():
    rows = released([0] * 12 + [*range(1, 60)])
    first = rows[FIRST]
    n = first["n"]
    assert first["pairs"] == 65  # 66, rounded
    assert first["share"] == pytest.approx(65 / math.comb(n, 2))
    assert first["share_se"] == pytest.approx(
        (first["pairs_design"] * first["share"] * (1 - first["share"]) / math.comb(n, 2)) ** 0.5
    )
    small = released([0, 0, 0, *range(1, 60)])[FIRST]  # three pairs
    for name in ("pairs", "pairs_design", "share", "share_se", "share_low", "share_high"):
        assert small[name] is None, name


def test_small_counts_of_every_shape_look_alike():
    """One to seven pairs, as a trio or apart: the released rows but "unrelated" are the same."""
    apart = [0, 0, 1, 1, 2, 2, *range(3, 60)]
    trio = [0, 0, 0, *range(1, 61)]
    assert len(apart) == len(trio)
    assert released(apart)[:4] == released(trio)[:4]
    names = ("share", "share_se", "share_low", "share_high", "pairs_design")
    for rows in (released(apart), released(trio)):
        assert {rows[-1][name] for name in names} == {None}


def test_no_pair_has_no_error_and_an_interval_of_pairs_that_share_nobody():
    row = released(range(100))[FIRST]
    assert (row["pairs"], row["share"], row["share_se"], row["share_low"]) == (0, 0, None, 0)
    assert row["share_high"] == pytest.approx(
        stats.binomtest(0, 50).proportion_ci(method="wilson").high
    )


def test_a_cohort_of_one_has_nothing_to_tell():
    told = pair_shares(
        np.array(["first"], object), *(np.array([v]) for v in (0.0, np.nan, 1.0)), z=Z
    )
    assert all(np.isnan(column).all() for column in told.values())
