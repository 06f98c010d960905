"""Private statistics: sensitivity by brute force, level of the test, and what is told."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from compute.parsed import Clinical, Demographics, Term
from compute.private import FormNoise, private_problem
from compute.queries import (
    CohortData,
    PersonData,
    QueryError,
    VariantTable,
    parse_query,
    private_form,
    query_value,
    run,
)
from compute.queries.noised_fit import fitted, joined
from compute.queries.private_association import SUMS
from compute.queries.product_sums import STEPS, contribution
from compute.queries.top_association import MOVES, scores_of
from compute.utility import UselessError, expected_error, require_useful
from compute.verdict import Release
from tests.compute.noises import seeded

RANGE = {"low": "2", "high": "8"}
NAMES = ["1-1000-A-G", "1-1001-A-G"]
VALUES = (float("nan"), -50.0, 2.0, 3.3, 5.0, 7.9999, 8.0, 1e9)
CALLS = ((0, 2), (1, 2), (2, 2), (0, 1), (1, 1), (-1, 0), (-2, 0))


def query_of(family, **params):
    return parse_query({"v": 1, "family": family, "build": "GRCh37", "params": params})


QUERIES = {
    "feature_distribution": query_of("feature_distribution", feature="F", bins=4, **RANGE),
    "score_distribution": query_of(
        "score_distribution", weights={NAMES[0]: "1.5", NAMES[1]: "-4"}, bins=3, low="-5", high="2"
    ),
    "private_association": query_of("private_association", feature="F", variants=NAMES, **RANGE),
    "top_counts": query_of("top_counts", k=1, variants=NAMES),
    "top_counts of features": query_of(
        "top_counts", k=1, features=["F", "G"], modality="expression", namespace="E", unit="T",
        least="5",
    ),
}  # fmt: skip
SPLIT = {"by": "sex", "levels": ["female", "male"]}
ADJUSTED = {
    "covariates": {"covariates": {"age": "20..80"}},
    "two covariates": {"covariates": {"bmi": "10.5..40", "age": "20..80"}},
    "a category": {"covariates": {"sex": "female|male"}},
    "a category of three and a number": {"covariates": {"sex": "x|female|male", "age": "20..80"}},
    "strata": SPLIT,
    "both": {"covariates": {"age": "20..80"}, **SPLIT},
}


def person(calls, value, covariates=None, **strata):
    return PersonData(
        "p",
        np.array([d for d, _ in calls], np.int8),
        np.array([p for _, p in calls], np.int8),
        strata=strata,
        covariates=covariates or {},
        features={"F": value},
    )


def furthest(moved, shape):
    """How far one person moved the vector, squared: all of it, or the one score moved most."""
    return int((moved**2).max() if shape.picks else (moved**2).sum())


def vector(query, people):
    table = VariantTable.of("GRCh37", [(0, 1000, "A", "G"), (0, 1001, "A", "G")])
    return private_form(query).vector(query.params, run(query, CohortData.of(table, people)))


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_one_person_moves_the_vector_by_no_more_than_declared_and_by_as_much(query):
    """Every person there can be (both calls, every kind of value), added to a cohort."""
    form = private_form(query)
    shape = form.shape(query.params)
    base = [person(((1, 2), (0, 2)), 4.0)]
    before = vector(query, base)
    worst = 0
    for calls in itertools.product(CALLS, repeat=2):
        for value in VALUES:
            moved = vector(query, [*base, person(calls, value)]) - before
            worst = max(worst, furthest(moved, shape))
            assert not shape.monotonic or (moved >= 0).all()
    assert len(before) == shape.values
    assert worst == shape.sensitivity_squared


@pytest.mark.parametrize("more", ADJUSTED.values(), ids=ADJUSTED)
def test_covariates_and_strata_move_no_more_than_declared_and_a_person_is_in_one_stratum(more):
    query = query_of("private_association", feature="F", variants=NAMES[:1], **RANGE, **more)
    shape, worst = private_form(query).shape(query.params), 0
    base = [person(((1, 2), (0, 2)), 4.0, {"age": 50.0, "bmi": 20.0}, sex="male")]
    before = vector(query, base)
    for call, value, age, bmi, sex in itertools.product(
        CALLS, (2.0, 5.5, 1e9), (float("nan"), 20.0, 33.0, 500.0), (-1.0, 25.25, 40.0),
        ("female", "male", "unknown"),
    ):  # fmt: skip
        one = person((call, (0, 2)), value, {"age": age, "bmi": bmi}, sex=sex)
        moved = vector(query, [*base, one]) - before
        worst = max(worst, furthest(moved, shape))
        if "by" in more:
            halves = moved.reshape(2, -1)
            touched = {
                name for name, half in zip(SPLIT["levels"], halves, strict=True) if half.any()
            }
            assert touched <= {sex}
    assert len(before) == shape.values
    assert worst == shape.sensitivity_squared


SPLITS = {
    "genotype_counts": query_of("genotype_counts", variants=NAMES, **SPLIT),
    **{name: query_of(name, **{**query_value(QUERIES[name])["params"], **SPLIT})
       for name in ("feature_distribution", "score_distribution")},
}  # fmt: skip


@pytest.mark.parametrize("query", SPLITS.values(), ids=SPLITS)
def test_all_strata_together_move_no_further_than_one_and_a_person_is_in_one(query):
    """Parallel composition: who is of no listed level moves nothing, the others what they do alone."""
    form = private_form(query)
    shape, worst = form.shape(query.params), 0
    values = {**query_value(query)["params"], "by": None, "levels": None}
    alone = query_of(query.family, **values)
    one = form.shape(alone.params)
    assert shape == replace(one, values=2 * one.values)
    base = [person(((1, 2), (0, 2)), 4.0, sex="male"), person(((1, 2), (2, 2)), 7.0, sex="x")]
    before = vector(query, base)
    for calls in itertools.product(CALLS, repeat=2):
        for value, sex in itertools.product(
            (float("nan"), -50.0, 5.0, 1e9), ("female", "male", "x")
        ):
            moved = vector(query, [*base, person(calls, value, sex=sex)]) - before
            own = dict(zip(SPLIT["levels"], moved.reshape(2, -1), strict=True))
            for level, part in own.items():
                unsplit = vector(alone, [person(calls, value)]) - vector(alone, [])
                assert (part == (unsplit if level == sex else 0)).all()
            worst = max(worst, furthest(moved, shape))
    assert len(before) == shape.values
    assert worst == shape.sensitivity_squared


def test_a_listed_level_nobody_has_is_answered_by_noise_and_one_not_listed_is_not_told():
    people = [person(((1, 2), (0, 2)), 4.0, sex="male") for _ in range(300)]
    for query in SPLITS.values():
        table = VariantTable.of("GRCh37", [(0, 1000, "A", "G"), (0, 1001, "A", "G")])
        told = FormNoise(query, seeded(3)).add(
            run(query, CohortData.of(table, people)), Fraction(1, 10)
        )
        columns = told["columns"]
        assert list(dict.fromkeys(columns["stratum"])) == ["female", "male"]
        count = columns["an"] if "an" in columns else columns["count"]
        own = np.array(columns["stratum"]) == "male"
        assert np.array(count)[own].max() > 250
        assert np.abs(np.array(count)[~own]).max() < 100


def test_frequencies_and_histograms_by_stratum_are_near_the_truth_and_as_expected():
    rng = np.random.default_rng(20)
    sex = rng.integers(0, 2, 3000)
    dosage = rng.binomial(2, np.where(sex, 0.5, 0.2)[:, None], (3000, 2))
    values = rng.normal(5 + sex, 1)
    table = VariantTable.of("GRCh37", [(0, 1000, "A", "G"), (0, 1001, "A", "G")])
    people = [
        PersonData(str(at), dosage[at].astype(np.int8), features={"F": float(values[at])},
                   strata={"sex": ("female", "male")[sex[at]]})
        for at in range(3000)
    ]  # fmt: skip
    cohort = CohortData.of(table, people)
    query = SPLITS["genotype_counts"]
    told = FormNoise(query, seeded(21)).add(run(query, cohort), Fraction(1, 10))["columns"]
    for at, level in enumerate(("female", "female", "male", "male")):
        assert told["stratum"][at] == level
        truth = dosage[sex == (level == "male"), at % 2].mean() / 2
        assert abs(told["af"][at] - truth) < 4 * told["af_noise_sd"][at]
    expected = expected_error(query, Release(mode="private", rho="1/10"), 3000, maf=Fraction(1, 2))
    scaled = expected["noise_sd"] * expected["people_assumed"] / 3000
    assert told["af_noise_sd"][2] == pytest.approx(scaled, rel=0.1)
    query = SPLITS["feature_distribution"]
    told = FormNoise(query, seeded(22)).add(run(query, cohort), Fraction(1, 10))
    means = told["facts"]["strata"]
    for at, level in enumerate(("female", "male")):
        clamped = np.clip(values[sex == at], 2, 8)
        assert abs(means[level]["mean"] - clamped.mean()) < 4 * means[level]["mean_se"]
        exact = np.histogram(clamped, bins=4, range=(2, 8))[0] / (sex == at).sum()
        shares, errors = (np.array(told["columns"][name]) for name in ("share", "share_se"))
        assert (np.abs(shares.reshape(2, 4)[at] - exact) < 5 * errors.reshape(2, 4)[at]).all()


def test_the_interval_of_a_bin_covers_and_its_error_is_as_told():
    """The share of the population, which people are drawn from and noise is added to."""
    query, rho, share = QUERIES["feature_distribution"], Fraction(1, 50), 0.2
    form, rng = private_form(query), np.random.default_rng(23)
    sd = form.shape(query.params).sd(rho)
    inside, errors, said = 0, [], []
    for _ in range(2000):
        counts = rng.multinomial(400, [share, 0.3, 0.4, 0.1]) * STEPS
        noised = np.rint(np.append(counts, 0) + rng.normal(0, sd, 5)).astype(np.int64)
        told = form.told(query.params, noised, sd).columns
        inside += told["share_low"][0] <= share <= told["share_high"][0]
        errors.append(told["share"][0] - share)
        said.append(told["share_se"][0])
    assert 0.935 <= inside / 2000 <= 0.97
    assert np.mean(said) == pytest.approx(np.std(errors), rel=0.07)


def test_a_bin_has_no_share_where_noise_drowns_the_people():
    query = QUERIES["feature_distribution"]
    told = FormNoise(query, seeded(3)).add(run(query, cohort(40)[0]), Fraction(1, 100))
    assert told["columns"]["share"] == [None] * 4
    assert told["facts"]["mean"] is None


def test_one_person_moves_a_pairs_score_by_less_than_declared_and_nearly_by_as_much():
    query = query_of(
        "top_association", k=1, features=["F"], namespace="E", unit="T", variants=NAMES, **RANGE
    )
    shape, worst = private_form(query).shape(query.params), 0
    cohorts = [
        [person((call, (0, 2)), value)] * count
        for count, call, value in itertools.product((0, 1, 60), CALLS, (2.0, 5.0, 8.0))
    ]
    corner = [person(((0, 2), (0, 2)), 2.0)] * 30 + [person(((2, 2), (0, 2)), 8.0)] * 31
    for base in [*cohorts, corner]:
        before = vector(query, base)
        for call, value in itertools.product(CALLS, VALUES):
            moved = vector(query, [*base, person((call, (0, 2)), value)]) - before
            worst = max(worst, furthest(moved, shape))
    assert len(before) == shape.values
    assert (0.97 * MOVES) ** 2 < worst < shape.sensitivity_squared == MOVES**2


MATCH = [
    {"kind": "carrier", "variant": NAMES[0]},
    {"kind": "number", "most": "7", "of": {
        "kind": "feature", "namespace": "Ensembl", "unit": "TPM", "id": "F"}},
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
@pytest.mark.parametrize("match", [MATCH, MATCH[:1], MATCH[1:]], ids=["both", "carrier", "number"])
def test_with_a_match_one_person_moves_the_vector_no_further_and_who_does_not_match_not_at_all(
    query, match
):
    """Added to a cohort in which they are the first who matches, or not: all they move is theirs."""
    form = private_form(query)
    shape, worst, still = form.shape(query.params), 0, 0
    matched = parse_query({**query_value(query), "build": "GRCh37", "params": {
        **query_value(query)["params"], "match": match}})  # fmt: skip
    assert form.shape(matched.params) == shape
    for base in ([], [person(((1, 2), (0, 2)), 4.0)], [person(((0, 2), (1, 2)), 7.5)]):
        before = vector(matched, base)
        for calls in itertools.product(CALLS, repeat=2):
            for value in VALUES:
                moved = vector(matched, [*base, person(calls, value)]) - before
                keeps = (len(match) == 1 and "of" in match[0]) or calls[0][0] > 0
                keeps = keeps and (match == MATCH[:1] or value <= 7)
                alone = vector(query, [person(calls, value)]) - vector(query, [])
                assert (moved == (alone if keeps else 0)).all()
                worst, still = max(worst, furthest(moved, shape)), still + (not keeps)
    assert 0 < worst <= shape.sensitivity_squared
    assert still > 0


def test_what_a_private_answer_says_of_a_match_is_that_it_says_nothing_exact():
    data, _, _ = cohort(400)
    query = query_of("feature_distribution", feature="F", bins=4, match=MATCH[:1], **RANGE)
    told = FormNoise(query, seeded(1)).add(run(query, data), Fraction(1))
    assert {"path": "facts/match", "code": "not_noised"} in told["suppressed"]
    assert "match" not in told["facts"]
    assert "people" not in told


@pytest.mark.parametrize("family", ["feature_distribution", "private_association"])
def test_a_value_in_another_unit_or_namespace_is_no_value(family):
    more = {"variants": NAMES} if family == "private_association" else {}
    one = replace(person(((1, 2), (0, 2)), 4.0), feature_kind=("Ensembl", "TPM"))
    asked = {"feature": "F", **RANGE, **more}
    nobody = vector(query_of(family, **asked), [])
    some = vector(query_of(family, namespace="Ensembl", unit="TPM", **asked), [one])
    assert (some != nobody).any()
    for other in ({"unit": "counts"}, {"namespace": "UniProt", "unit": "TPM"}):
        assert (vector(query_of(family, **other, **asked), [one]) == nobody).all()


def cohort(people, effect=0.0, seed=3):
    rng = np.random.default_rng(seed)
    dosage = rng.binomial(2, 0.3, (people, 2))
    values = 5 + effect * (dosage[:, 0] - 0.6) + rng.normal(0, 1, people)
    table = VariantTable.of("GRCh37", [(0, 1000, "A", "G"), (0, 1001, "A", "G")])
    made = [
        PersonData(str(at), dosage[at].astype(np.int8), features={"F": float(values[at])})
        for at in range(people)
    ]
    return CohortData.of(table, made), dosage, values


def test_without_much_noise_the_fit_is_least_squares_of_the_clamped_feature():
    data, dosage, values = cohort(400, effect=0.5)
    query = QUERIES["private_association"]
    told = FormNoise(query, seeded(1)).add(run(query, data), Fraction(10**6))
    clamped = np.clip(values, 2, 8)
    for at in range(2):
        slope, _ = np.polyfit(dosage[:, at], clamped, 1)
        assert told["columns"]["beta"][at] == pytest.approx(slope, abs=2e-3)
    assert told["columns"]["p"][0] < 1e-6
    assert told["columns"]["na"] == ["", ""]


def test_the_noisy_test_holds_its_level_and_an_uncorrected_one_does_not():
    rng = np.random.default_rng(4)
    people, tests, rho = 1000, 40_000, Fraction(1, 10)
    sd = float(np.sqrt(len(SUMS) * STEPS**2 / (2 * float(rho))))
    sums = np.empty((tests, len(SUMS)))
    for at in range(0, tests, 2000):
        g = rng.binomial(2, 0.3, (2000, people)) - 1
        u = np.clip(rng.normal(0, 1 / 3, (2000, people)), -1, 1)
        parts = (np.ones_like(u), g, u, g * g, g * u, u * u)
        sums[at : at + 2000] = np.stack([part.sum(axis=1) for part in parts], axis=1)
    noised = sums + rng.normal(0, sd / STEPS, sums.shape)
    level = float((fitted(noised, sd / STEPS, 1.0)["p"] < 0.05).mean())
    assert 0.045 <= level <= 0.055
    assert (fitted(noised, 1e-9, 1.0)["p"] < 0.05).mean() > 0.08


def products(terms):
    """Sums over people of every product of two terms, (runs, products)."""
    stacked = np.stack(terms, axis=-1)
    first, second = np.triu_indices(stacked.shape[-1])
    return np.einsum("rpi,rpj->rij", stacked, stacked)[:, first, second]


def level_of(sums, rho, rng):
    sd = float(np.sqrt(sums.shape[1] / (2 * rho)))
    return fitted(sums + rng.normal(0, sd, sums.shape), sd, 1.0)


def test_with_covariates_that_move_both_the_noisy_test_holds_its_level():
    rng = np.random.default_rng(14)
    adjusted, alone = [], []
    for _ in range(20):
        z, w = (np.clip(rng.normal(0.1, 0.4, (1000, 1000)), -1, 1) for _ in range(2))
        g = rng.binomial(2, 0.3 + 0.1 * z) - 1.0
        u = np.clip(rng.normal(0, 0.3, z.shape) + 0.3 * z - 0.2 * w, -1, 1)
        adjusted.append(products([np.ones_like(u), g, u, z, w]))
        alone.append(products([np.ones_like(u), g, u]))
    level = (level_of(np.concatenate(adjusted), 0.1, rng)["p"] < 0.05).mean()
    assert 0.045 <= level <= 0.055
    assert (level_of(np.concatenate(alone), 0.1, rng)["p"] < 0.05).mean() > 0.12


def test_strata_that_differ_in_both_leave_the_joined_test_its_level():
    rng = np.random.default_rng(15)
    strata, mixed = [], []
    for _ in range(20):
        g = np.concatenate([rng.binomial(2, p, (1000, 500)) for p in (0.2, 0.5)], axis=1) - 1.0
        u = np.clip(rng.normal(0, 0.3, g.shape) + np.repeat([-0.2, 0.2], 500), -1, 1)
        terms = np.ones_like(u), g, u
        strata.append(
            [products([one[:, at] for one in terms]) for at in (slice(500), slice(500, None))]
        )
        mixed.append(products(terms))
    fits = [level_of(np.concatenate(one), 0.1, rng) for one in zip(*strata, strict=True)]
    level = (joined(fits)["p"] < 0.05).mean()
    assert 0.045 <= level <= 0.055
    assert (level_of(np.concatenate(mixed), 0.1, rng)["p"] < 0.05).mean() > 0.3


def test_without_much_noise_covariates_and_strata_give_least_squares():
    rng = np.random.default_rng(16)
    age, sex = rng.uniform(20, 80, 900), rng.integers(0, 2, 900)
    dosage = rng.binomial(2, 0.2 + 0.004 * age)
    values = 5 + 0.3 * dosage + 0.02 * (age - 50) + 0.5 * sex + rng.normal(0, 0.5, 900)
    dosage[:30] = -1
    table = VariantTable.of("GRCh37", [(0, 1000, "A", "G")])
    people = [
        PersonData(str(at), dosage[at : at + 1].astype(np.int8), features={"F": float(values[at])},
                   strata={"sex": ("female", "male")[sex[at]]}, covariates={"age": float(age[at])})
        for at in range(900)
    ]  # fmt: skip
    query = query_of("private_association", feature="F", variants=NAMES[:1], **RANGE,
                     covariates={"age": "20..80"}, **SPLIT)  # fmt: skip
    exact = run(query, CohortData.of(table, people))
    told = FormNoise(query, seeded(1)).add(exact, Fraction(10**6))["columns"]
    assert told["stratum"] == ["female", "male", "all"]
    for at, kept in enumerate((sex == 0, sex == 1)):
        kept = kept & (dosage >= 0)
        x = np.column_stack([np.ones(kept.sum()), dosage[kept], age[kept]])
        y = np.clip(values[kept], 2, 8)
        slope, left = np.linalg.lstsq(x, y, rcond=None)[:2]
        se = np.sqrt(left[0] / (kept.sum() - 3) * np.linalg.inv(x.T @ x)[1, 1])
        assert told["beta"][at] == pytest.approx(slope[1], abs=2e-3)
        assert told["se"][at] == pytest.approx(se, rel=0.02)
        assert abs(told["n"][at] - kept.sum()) <= 3
    assert min(told["beta"][:2]) <= told["beta"][2] <= max(told["beta"][:2])
    assert told["se"][2] < min(told["se"][:2])


def test_a_category_that_moves_both_leaves_the_test_its_level():
    """As sex or population would: adjusted for, its level holds; left out, it does not."""
    rng = np.random.default_rng(19)
    adjusted, alone = [], []
    for _ in range(20):
        z = np.where(rng.random((1000, 1000)) < 0.4, 1.0, -1.0)
        g = rng.binomial(2, 0.3 + 0.1 * z) - 1.0
        u = np.clip(rng.normal(0, 0.3, z.shape) + 0.15 * z, -1, 1)
        adjusted.append(products([np.ones_like(u), g, u, z]))
        alone.append(products([np.ones_like(u), g, u]))
    level = (level_of(np.concatenate(adjusted), 0.1, rng)["p"] < 0.05).mean()
    assert 0.045 <= level <= 0.055
    assert (level_of(np.concatenate(alone), 0.1, rng)["p"] < 0.05).mean() > 0.12


def test_without_much_noise_a_category_is_least_squares_on_its_indicators():
    rng = np.random.default_rng(24)
    population = rng.integers(0, 4, 900)
    dosage = rng.binomial(2, 0.2 + 0.1 * population)
    values = 4 + 0.3 * dosage + 0.5 * population + rng.normal(0, 0.5, 900)
    names = ("AFR", "EAS", "EUR", "not listed")
    table = VariantTable.of("GRCh37", [(0, 1000, "A", "G")])
    people = [
        PersonData(str(at), dosage[at : at + 1].astype(np.int8), features={"F": float(values[at])},
                   strata={"population": names[population[at]]})
        for at in range(900)
    ]  # fmt: skip
    query = query_of("private_association", feature="F", variants=NAMES[:1], **RANGE,
                     covariates={"population": "EUR|AFR|EAS"})  # fmt: skip
    told = FormNoise(query, seeded(1)).add(
        run(query, CohortData.of(table, people)), Fraction(10**6)
    )
    kept = population < 3
    indicators = [population[kept] == level for level in (1, 2)]
    x = np.column_stack([np.ones(kept.sum()), dosage[kept], *indicators])
    slope = np.linalg.lstsq(x, np.clip(values[kept], 2, 8), rcond=None)[0]
    assert told["columns"]["beta"][0] == pytest.approx(slope[1], abs=2e-3)
    assert abs(told["columns"]["n"][0] - kept.sum()) <= 3
    assert told["facts"]["covariates"] == {"population": "AFR|EAS|EUR"}


def test_levels_in_another_order_are_the_same_question():
    one, other = (
        query_of("private_association", feature="F", variants=NAMES, **RANGE,
                 covariates={"sex": text})
        for text in ("female|male", "male|female|male")
    )  # fmt: skip
    assert query_value(one) == query_value(other)


def test_a_covariate_that_hardly_varies_gives_no_number_instead_of_a_wild_one():
    rng = np.random.default_rng(17)
    g, u = rng.binomial(2, 0.3, (50, 1000)) - 1.0, rng.normal(0, 0.3, (50, 1000))
    flat = np.full_like(u, 0.9) + rng.normal(0, 0.01, u.shape)
    fit = level_of(products([np.ones_like(u), g, u, flat]), 0.1, rng)
    assert np.isnan(fit["beta"]).all()


@pytest.mark.parametrize("wrong", [
    {"by": "sex"}, {"levels": ["female", "male"]}, {"covariates": {"age": "80..20"}},
    {"covariates": {"age": "20"}}, {"covariates": {f"PC{n}": "-1..1" for n in range(6)}},
    {"by": "sex", "levels": ["female"]}, {"covariates": {"sex": "0..1"}},
    {"covariates": {"sex": "female"}}, {"covariates": {"sex": "female|"}},
    {"covariates": {"age": "young|old"}}, {"covariates": {"sex": "female|male"}, **SPLIT},
    {"covariates": {"population": "A|B|C|D|E|F", "age": "0..1"}},
])  # fmt: skip
def test_covariates_and_strata_are_public_bounds_and_lists(wrong):
    with pytest.raises(QueryError):
        query_of("private_association", feature="F", variants=NAMES, **RANGE, **wrong)


TOP = query_of("top_association", k=2, features=["F", "H"], namespace="E", unit="T",
               variants=[*NAMES, "1-1002-A-G"], **RANGE)  # fmt: skip


def test_the_largest_are_named_and_nothing_of_how_large():
    rng = np.random.default_rng(18)
    dosage = rng.binomial(2, 0.4, (3000, 3))
    table = VariantTable.of("GRCh37", [(0, pos, "A", "G") for pos in (1000, 1001, 1002)])
    effects = {"F": (0, 0.9, 0), "H": (0, 0, -0.6)}
    people = [
        PersonData(str(at), dosage[at].astype(np.int8), features={
            name: float(5 + dosage[at] @ effect - 0.8 * sum(effect) + rng.normal(0, 0.5))
            for name, effect in effects.items()})
        for at in range(3000)
    ]  # fmt: skip
    told = FormNoise(TOP).add(run(TOP, CohortData.of(table, people)), Fraction(1, 10))
    assert told["columns"]["rank"] == [1, 2]
    assert told["columns"]["feature"] == ["F", "H"]
    assert told["columns"]["pos"] == [1001, 1002]
    assert told["privacy"]["mechanism"].startswith("report noisy top-k")
    assert {"path": "columns/score", "code": "not_noised"} in told["suppressed"]
    assert "score" not in told["columns"]
    assert told["facts"]["gap_in_order_19_of_20"] > told["facts"]["score_noise_sd"] > 0


def test_a_score_is_the_absolute_sum_of_products_about_the_means_even_for_a_country():
    data, dosage, values = cohort(500, effect=0.3)
    query = query_of(
        "top_association", k=1, features=["F"], namespace="E", unit="T", variants=NAMES, **RANGE
    )
    found = run(query, data).columns["score"]
    u = np.rint(STEPS * (np.clip(values, 2, 8) - 5) / 3)
    for at in range(2):
        g = dosage[:, at]
        assert abs(found[at] - abs(((g - g.mean()) * (u - u.mean())).sum())) <= 1
    many = np.array([[65 * 10**6], [6 * 10**7], [3 * 10**10], [4 * 10**10]], np.int64)
    exact = abs(4 * 10**10 * 65 * 10**6 - 6 * 10**7 * 3 * 10**10) // (65 * 10**6)
    assert scores_of(many).tolist() == [exact]


def test_top_counts_counts_carriers_terms_and_values_from_a_least_on():
    people = [
        person(((1, 2), (0, 2)), 4.0), person(((2, 2), (-1, 0)), 5.0), person(((1, 1), (1, 1)), 9.0)
    ]  # fmt: skip
    assert vector(QUERIES["top_counts"], people).tolist() == [3, 1]
    assert vector(QUERIES["top_counts of features"], people).tolist() == [2, 0]
    terms = query_of("top_counts", k=1, terms=TERMS[:2])
    sick = [patient("a", TERMS[0]), patient("b", *TERMS[:2]), patient("c", ruled_out=TERMS[:1])]
    exact = run(terms, CohortData.of(VariantTable.of("GRCh37", []), sick))
    assert private_form(terms).vector(terms.params, exact).tolist() == [2, 1]
    assert terms.build is None


@pytest.mark.parametrize("wrong", [
    {}, {"variants": NAMES, "terms": ["HP:0000001", "HP:0000002"]},
    {"features": ["F", "G"]}, {"variants": NAMES, "least": "1"},
    {"variants": NAMES, "ontology": "0" * 64},
])  # fmt: skip
def test_top_counts_takes_one_list_with_what_belongs_to_it(wrong):
    with pytest.raises(QueryError):
        query_of("top_counts", k=1, **wrong)


def test_as_many_as_there_are_cannot_be_named():
    query = query_of("top_counts", k=2, variants=NAMES)
    assert "candidates" in private_problem(query)


def test_the_dry_run_of_a_ranking_says_how_few_can_be_named():
    many = [f"1-{at}-A-G" for at in range(1000, 1100)]
    query = query_of("top_counts", k=50, variants=many)
    small = Release(mode="private", rho="1/100")
    needs = expected_error(query, small, 200)["needs"]
    assert 0 < needs["places"] < 50
    fewer = query_of("top_counts", k=needs["places"], variants=many)
    assert require_useful(fewer, small, 200)["useful"]


def test_the_top_is_the_top_of_the_same_noised_numbers():
    data, _, _ = cohort(400, effect=0.8)
    params = {"feature": "F", "variants": NAMES, **RANGE}
    exact = run(QUERIES["private_association"], data)
    whole = FormNoise(QUERIES["private_association"], seeded(2)).add(exact, Fraction(1))
    one = query_of("private_association", top=1, **params)
    top = FormNoise(one, seeded(2)).add(exact, Fraction(1))
    assert top["columns"]["pos"] == [1000]
    assert top["columns"]["beta"] == whole["columns"]["beta"][:1]


def test_a_histogram_and_its_mean_are_near_the_truth_and_say_how_near():
    data, _, values = cohort(2000)
    query = QUERIES["feature_distribution"]
    told = FormNoise(query, seeded(5)).add(run(query, data), Fraction(1, 10))
    exact, _ = np.histogram(np.clip(values, 2, 8), bins=4, range=(2, 8))
    unit = told["privacy"]["count_sd"]
    assert unit == pytest.approx((1 / 0.1) ** 0.5)
    assert np.abs(np.array(told["columns"]["count"]) - exact).max() < 5 * unit + 5
    assert abs(told["facts"]["mean"] - np.clip(values, 2, 8).mean()) < 4 * told["facts"]["mean_se"]
    assert "total" not in told["facts"]


def test_a_score_counts_copies_by_weight_and_leaves_out_who_was_hardly_called():
    query = QUERIES["score_distribution"]
    people = [person(((2, 2), (0, 2)), 0.0)] * 3 + [person(((-1, 0), (0, 2)), 0.0)]
    found = vector(query, people)
    assert found[:3].tolist() == [0, 0, 3 * STEPS]
    assert found[3] == 3 * STEPS  # 3.0 is clamped to the range's end


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_dry_run_tells_the_error_and_refuses_noise(query):
    assert private_problem(query) is None
    small = Release(mode="private", rho="1/1000")
    with pytest.raises(UselessError):
        require_useful(query, small, 100)
    found = require_useful(query, Release(mode="private", rho="1"), 1000)
    assert found["noise_sd"] < found["sampling_sd"] * 2
    needs = expected_error(query, small, 100)["needs"]
    assert require_useful(query, Release(mode="private", rho=needs["rho"]), 100)["useful"]


def test_the_error_expected_is_the_error_told():
    data, _, _ = cohort(1000)
    query = QUERIES["private_association"]
    told = FormNoise(query, seeded(6)).add(run(query, data), Fraction(1, 2))
    expected = expected_error(query, Release(mode="private", rho="1/2"), 1000, maf=Fraction(3, 10))
    assert told["columns"]["noise_sd"][0] == pytest.approx(expected["noise_sd"], rel=0.25)
    assert told["columns"]["se"][0] == pytest.approx(expected["se"], rel=0.25)


def test_a_contribution_never_passes_a_step_a_place():
    query = QUERIES["private_association"]
    for value in VALUES[1:]:
        found = contribution(query.params, value, np.array([-1, 0, 1]))
        assert np.abs(found).max() <= STEPS


TERMS = ["HP:0000118", "HP:0000365", "MONDO:0005148"]


def patient(name, *terms, ruled_out=()):
    stated = [Term(term, "") for term in terms] + [Term(t, "", excluded=True) for t in ruled_out]
    clinical = Clinical("phenopacket", tuple(stated), (), Demographics())
    return PersonData(name, np.zeros(0, np.int8), clinical=clinical)


def prevalence(people, **more):
    query = query_of("clinical_counts", terms=TERMS, **more)
    return query, run(query, CohortData.of(VariantTable.of("GRCh37", []), people))


@pytest.mark.parametrize("more", [{}, SPLIT], ids=["whole", "split"])
def test_one_patient_moves_people_and_every_term_by_one_at_most(more):
    first = replace(patient("a", TERMS[0]), strata={"sex": "male"})
    query, exact = prevalence([first], **more)
    form = private_form(query)
    before, worst = form.vector(query.params, exact), 0
    for *held, sex in itertools.product(*[[False, True]] * 3, ("female", "male", "x")):
        terms = [term for term, has in zip(TERMS, held, strict=True) if has]
        ruled = [term for term in TERMS if term not in terms]
        other = replace(patient("b", *terms, ruled_out=ruled), strata={"sex": sex})
        _, exact = prevalence([first, other], **more)
        moved = form.vector(query.params, exact) - before
        worst = max(worst, int((moved**2).sum()))
        assert not more or sex != "x" or not moved.any()
    assert worst == form.shape(query.params).sensitivity_squared == 4
    assert len(before) == form.shape(query.params).values


def test_a_private_prevalence_is_near_the_truth_and_tells_no_more():
    people = [patient(str(at), *TERMS[: 1 + (at % 4 == 0)]) for at in range(400)]
    query, exact = prevalence(people)
    told = FormNoise(query, seeded(9)).add(exact, Fraction(1, 10))
    for found, truth in zip(told["columns"]["prevalence"], (1.0, 0.25, 0.0), strict=True):
        assert abs(found - truth) < 5 * told["columns"]["noise_sd"][0]
    assert "stated_absent" not in told["columns"]
    assert private_problem(query_of("clinical_counts", terms=TERMS, by="sex"))
    by_sex = query_of("clinical_counts", terms=TERMS, **SPLIT)
    split = [replace(one, strata={"sex": ("female", "male", "x")[at % 3]})
             for at, one in enumerate(people)]  # fmt: skip
    told = FormNoise(by_sex, seeded(9)).add(
        run(by_sex, CohortData.of(VariantTable.of("GRCh37", []), split)), Fraction(1, 10)
    )["columns"]
    assert told["stratum"] == ["female"] * 3 + ["male"] * 3
    assert all(abs(n - 134) <= 30 for n in told["n"])
    assert abs(told["prevalence"][4] - 0.25) < 5 * told["noise_sd"][4]
    expected = expected_error(query, Release(mode="private", rho="1/10"), 400)
    assert expected["statistic"] == "prevalence"
