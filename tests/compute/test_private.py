import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest

from compute.noise import NoiseError, noise_sd
from compute.private import FormNoise, private_problem
from compute.queries import CohortData, PersonData, VariantTable, parse_query, run
from compute.queries.frequencies import (
    exact_copies,
    frequency,
    score_interval,
    sensitivity_squared,
)
from compute.release import CohortFacts, WithheldError, release_gate
from compute.result import answer_bytes

FACTS = CohortFacts(people=150, complement=0, owners=100)
# (dosage, ploidy) of every state a call can be in: diploid, haploid, no call, not covered
CALLS = ((0, 2), (1, 2), (2, 2), (0, 1), (1, 1), (-1, 0), (-2, 0))


def names_of(count):
    return [f"1-{1000 + at}-A-G" for at in range(count)]


def query_of(names, **more):
    value = {"v": 1, "family": "genotype_counts", "build": "GRCh37"}
    return parse_query({**value, "params": {"variants": names, **more}})


def cohort_of(rows, names=None):
    """rows: one list a person of (dosage, ploidy) a variant."""
    names = names or names_of(len(rows[0]))
    keys = [(0, int(n.split("-")[1]), "A", "G") for n in names]
    people = [
        PersonData(
            f"{at:032x}",
            np.array([d for d, _ in row], np.int8),
            np.array([p for _, p in row], np.int8),
        )
        for at, row in enumerate(rows)
    ]
    return CohortData.of(VariantTable.of("GRCh37", keys), people)


def copies(rows):
    names = names_of(len(rows[0]))
    alt, ref = exact_copies(run(query_of(names), cohort_of(rows)), names)
    return np.concatenate([alt, ref])


def test_the_sensitivity_is_exact_over_every_pair_of_neighbours():
    """Two variants, every person there can be added to every cohort of two: brute force."""
    people = list(itertools.product(CALLS, repeat=2))
    worst = 0
    bases = [list(pair) for pair in itertools.combinations_with_replacement(people[::5], 2)]
    for base in bases:
        before = copies(base)
        for person in people:
            worst = max(worst, int(((copies([*base, person]) - before) ** 2).sum()))
    assert worst == sensitivity_squared(2)


def test_charging_alt_and_ref_copies_beats_charging_ac_and_an():
    moves = [(max(d, 0), p) for d, p in CALLS]
    assert max(ac**2 + an**2 for ac, an in moves) == 8
    assert max(ac**2 + (an - ac) ** 2 for ac, an in moves) == sensitivity_squared(1) == 4


def test_a_variant_nobody_states_is_answered_like_any_other():
    rows = [[(1, 2)] for _ in range(120)]
    names = [*names_of(1), "2-5-C-T", "X-7-G-GA"]
    exact = run(query_of(names), cohort_of(rows, names[:1]))
    told = FormNoise(query_of(names)).add(exact, Fraction(1, 10))
    assert told["columns"]["contig"] == ["1", "2", "X"]
    assert len(told["columns"]["ac"]) == 3
    assert told["columns"]["af"][0] == pytest.approx(0.5, abs=0.3)
    assert told["columns"]["af"][1] is None
    assert told["columns"]["af_na"][1] == "too_few_calls_for_the_noise"


def test_an_answer_says_what_it_rests_on_and_what_is_left_out():
    rows = [[(at % 3, 2), (0, 2)] for at in range(150)]
    names = names_of(2)
    query = query_of(names)
    exact = run(query, cohort_of(rows))
    done = release_gate(exact, FACTS, mode="private", rho=Fraction(1, 20), noise=FormNoise(query))
    told = json.loads(answer_bytes(done.answer))
    assert told["privacy"]["rho"] == "1/20"
    assert told["privacy"]["count_sd"] == pytest.approx(noise_sd(8, Fraction(1, 20)))
    assert set(told["columns"]) == {
        *("stratum", "contig", "pos", "ref", "alt", "ac", "an", "n", "count_sd"),
        *("af", "af_se", "af_noise_sd", "af_low", "af_high", "af_na"),
    }
    assert all(value % 5 == 0 for value in told["columns"]["ac"] + told["columns"]["n"])
    for name in ("hwe_p", "present"):
        assert {"path": f"columns/{name}", "code": "needs_not_noised"} in done.suppressed
    assert {"path": "columns/het", "code": "not_noised"} in done.suppressed


def test_everything_told_follows_from_noised_counts_alone():
    assert frequency(30, 170, 8.0) == frequency(30, 170, 8.0)
    assert frequency(-12, 300, 8.0)["af"] == 0
    assert frequency(-12, 300, 8.0)["ac"] == -10
    assert frequency(310, -10, 8.0)["af"] == 1
    assert frequency(3, 10, 8.0)["af"] is None


@pytest.mark.parametrize(("people", "af", "rho"), [(150, 0.05, "1/20"), (1000, 0.3, "1/100")])
def test_intervals_cover_and_errors_are_as_told(people, af, rho):
    rng = np.random.default_rng(11)
    sd = noise_sd(4, Fraction(rho))
    inside, errors, told_se = 0, [], []
    for _ in range(3000):
        alt = int(rng.binomial(2 * people, af))
        noisy = (np.array([alt, 2 * people - alt]) + np.rint(rng.normal(0, sd, 2))).astype(int)
        row = frequency(int(noisy[0]), int(noisy[1]), sd)
        inside += row["af_low"] <= af <= row["af_high"]
        errors.append(row["af"] - af)
        told_se.append(row["af_se"])
    assert 0.935 <= inside / 3000 <= 0.97
    assert np.mean(told_se) == pytest.approx(math.sqrt(np.mean(np.square(errors))), rel=0.12)


def test_the_interval_without_noise_is_wilsons():
    low, high = score_interval(0.1, 100, 0.0)
    assert (low, high) == (pytest.approx(0.0552, abs=1e-4), pytest.approx(0.1744, abs=1e-4))


def test_the_error_of_one_frequency_is_the_theory():
    """0.0022 for N = 1,000 and 0.0224 for 100 variants, at rho 1/10: the bound at p = 0."""
    for variants, sd in ((1, 0.0022), (100, 0.0224)):
        count = noise_sd(sensitivity_squared(variants), Fraction(1, 10))
        assert count / 2000 == pytest.approx(sd, rel=0.02)
    half = frequency(1000, 1000, noise_sd(4, Fraction(1, 10)))
    assert half["af_noise_sd"] == pytest.approx(0.0022 * math.sqrt(0.5), rel=0.03)


@pytest.mark.parametrize(
    "query",
    [
        query_of(names_of(1), by="sex"),
        query_of({"panel": "all"}),
        query_of({"region": "1:1-1000"}),
        query_of(names_of(1001)),
    ],
)
def test_what_depends_on_the_cohort_is_not_offered(query):
    assert private_problem(query)
    with pytest.raises(NoiseError):
        FormNoise(query).add(run(query_of(names_of(1)), cohort_of([[(0, 2)]])), Fraction(1, 10))


def test_fewer_than_a_hundred_people_are_refused():
    query = query_of(names_of(1))
    exact = run(query, cohort_of([[(1, 2)] for _ in range(99)]))
    with pytest.raises(WithheldError) as refused:
        release_gate(
            exact,
            CohortFacts(99, 0, 50),
            mode="private",
            rho=Fraction(1, 10),
            noise=FormNoise(query),
        )
    assert refused.value.code == "below_floor"
