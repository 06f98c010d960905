"""Each kernel against the obvious way of doing it, and numba's against numpy's."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.kernels import (
    BitCounter,
    CodeCounter,
    LinearAssociation,
    LogisticFit,
    LogisticScore,
    NullModel,
    PolygenicScores,
    TraitError,
    hwe_exact,
    hwe_x_exact,
    pack_bits,
    pack_dosages,
    unpack_bits,
    unpack_dosages,
)
from compute.kernels.engine import engine
from compute.kernels.reference import logistic_one
from compute.stats import hwe_exact_many, hwe_x_exact_many

CALLED = st.integers(0, 2**32 - 1)


@pytest.fixture(params=["compiled", "plain"], autouse=True, scope="module")
def kernels(request):
    patch = pytest.MonkeyPatch()
    patch.setenv("OMIC_KERNELS", request.param)
    engine.cache_clear()
    assert engine().__name__.endswith(request.param)
    yield request.param
    patch.undo()
    engine.cache_clear()


def cohort(seed, people, rows, missing=0.05):
    random = np.random.default_rng(seed)
    dosage = random.binomial(2, random.uniform(0, 0.6, rows), (people, rows)).astype(np.int8)
    dosage[random.random((people, rows)) < missing] = -1
    return random, dosage


@given(CALLED, st.integers(1, 40), st.integers(1, 1100))
@settings(deadline=None, max_examples=20)
def test_planes_round_trip(seed, people, rows):
    _, dosage = cohort(seed, people, rows)
    assert np.array_equal(unpack_dosages(pack_dosages(dosage), rows), dosage)


@given(CALLED, st.lists(st.integers(0, 70), min_size=1, max_size=4), st.integers(1, 700))
@settings(deadline=None, max_examples=20)
def test_counts_are_those_of_adding_one_by_one(seed, blocks, rows):
    _, dosage = cohort(seed, sum(blocks), rows)
    one, other = CodeCounter(rows), CodeCounter(rows)
    start = 0
    for number, block in enumerate(blocks):
        target = one if number % 2 else other
        target.add(pack_dosages(dosage[start : start + block]))
        start += block
    one.merge(other)
    wanted = [(dosage == code).sum(axis=0) for code in (1, 2, -1)]
    assert np.array_equal(one.counts(), wanted)
    assert one.people == sum(blocks)


def test_counters_are_emptied_before_they_overflow():
    dosage = np.full((1300, 3), 2, np.int8)
    counter, bits = CodeCounter(3), BitCounter(3)
    for _ in range(2):
        counter.add(pack_dosages(dosage))
        bits.add(pack_bits(dosage == 2, 8))
    assert counter.counts().tolist() == [[0] * 3, [2600] * 3, [0] * 3]
    assert bits.counts().tolist() == [2600] * 3


def test_bits_round_trip_in_little_order():
    bits = np.zeros((2, 70), bool)
    bits[0, 0] = bits[1, 65] = True
    packed = pack_bits(bits, 8)
    assert packed[0, 0] == 1
    assert packed[1, 1] == 2
    assert np.array_equal(unpack_bits(packed, 70), bits)


@given(st.lists(st.tuples(*[st.integers(0, 60)] * 3), min_size=1, max_size=30))
@settings(deadline=None, max_examples=60)
def test_hwe_is_the_enumerated_one(triples):
    counts = np.array(triples, np.int64).T
    assert np.allclose(hwe_exact(*counts), hwe_exact_many(*counts), rtol=1e-8, atol=0)


@given(st.lists(st.tuples(*[st.integers(0, 25)] * 5), min_size=1, max_size=20))
@settings(deadline=None, max_examples=60)
def test_hwe_on_x_is_the_enumerated_one(rows):
    counts = np.array(rows, np.int64).T
    assert np.allclose(hwe_x_exact(*counts), hwe_x_exact_many(*counts), rtol=1e-8, atol=0)


def test_hwe_on_x_of_large_and_lopsided_counts():
    rows = [(400, 90, 10, 300, 200), (0, 900, 0, 5, 900), (900, 9, 1, 0, 1000), (0, 0, 50, 900, 0),
            (0, 0, 0, 3, 4), (500, 0, 500, 1, 0), (0, 0, 0, 0, 0)]  # fmt: skip
    counts = np.array(rows, np.int64).T
    assert np.allclose(hwe_x_exact(*counts), hwe_x_exact_many(*counts), rtol=1e-7, atol=1e-280)


def test_hwe_of_large_and_lopsided_counts():
    triples = np.array(
        [(4000, 900, 100), (0, 10_000, 0), (99_000, 999, 1), (5000, 0, 5000), (0, 0, 0)], np.int64
    ).T
    assert np.allclose(hwe_exact(*triples), hwe_exact_many(*triples), rtol=1e-7, atol=1e-300)


def test_linear_is_least_squares_over_the_people_with_a_call():
    random, dosage = cohort(7, 300, 200)
    dosage[:, 0] = 0  # monomorphic
    dosage[:, 1] = -1  # nobody
    covariates = random.normal(size=(300, 3)) * [1, 100, 0.01] + [0, 1e6, 3]
    y = 0.3 * dosage.clip(0)[:, 5] + covariates[:, 0] + random.normal(size=300) + 1e4
    whole = LinearAssociation(y, covariates, 200)
    other = LinearAssociation(y, covariates, 200)
    whole.add(0, pack_dosages(dosage[:170]))
    other.add(170, pack_dosages(dosage[170:]))
    whole.merge(other)
    found = whole.result()
    assert found.reason[:2].tolist() == ["monomorphic", "no_people"]
    for row in range(2, 200):
        called = dosage[:, row] >= 0
        x = np.column_stack([np.ones(300), dosage[:, row], covariates])[called]
        if len(set(dosage[called, row].tolist())) < 2:
            assert found.reason[row] == "monomorphic"
            continue
        x[:, 1:] -= x[:, 1:].mean(axis=0)
        x[:, 2:] /= x[:, 2:].std(axis=0)
        inverse = np.linalg.inv(x.T @ x)
        b = inverse @ x.T @ (y[called] - y[called].mean())
        left = y[called] - y[called].mean() - x @ b
        variance = left @ left / (called.sum() - 5) * inverse[1, 1]
        assert found.n[row] == called.sum()
        assert found.ac[row] == dosage[called, row].sum()
        assert np.isclose(found.beta[row], b[1], rtol=1e-7)
        assert np.isclose(found.se[row], np.sqrt(variance), rtol=1e-7)


def test_a_constant_trait_and_twin_covariates_have_reasons():
    random, dosage = cohort(8, 60, 5, missing=0)
    covariate = random.normal(size=(60, 1))
    for y, c, reason in (
        (np.full(60, 3.3), covariate, "constant_trait"),
        (random.normal(size=60), np.hstack([covariate, covariate]), "collinear"),
        (random.normal(size=60), np.ones((60, 1)), "collinear"),
    ):
        one = LinearAssociation(y, c, 5)
        one.add(0, pack_dosages(dosage))
        assert set(one.result().reason.tolist()) - {"monomorphic"} == {reason}


def case_control(seed, people, rows, missing=0.03):
    random, dosage = cohort(seed, people, rows, missing)
    covariates = random.normal(size=(people, 2))
    chance = 1 / (1 + np.exp(-(0.8 * dosage.clip(0)[:, 0] + covariates[:, 0] - 1)))
    return dosage, covariates, (random.random(people) < chance).astype(float)


@pytest.mark.parametrize("firth", [False, True])
def test_logistic_fit_is_newtons(firth):
    dosage, covariates, y = case_control(9, 250, 70)
    null = NullModel(y, covariates)
    found = LogisticFit(null).fit(pack_dosages(dosage), 70, firth=firth)
    for row in range(70):
        called = dosage[:, row] >= 0
        code, beta, se = logistic_one(
            dosage[called, row], null.design[:, called], y[called], null.coefficients, firth=firth
        )
        assert (found.reason[row] == "") == (code == 0)
        assert np.allclose([found.beta[row], found.se[row]], [beta, se], rtol=1e-6, equal_nan=True)


def test_separation_is_named_and_firth_answers_it():
    dosage, covariates, y = case_control(10, 200, 64)
    dosage[:, 3] = (y == 1) & (np.arange(200) % 7 == 0)  # only cases carry it
    fit, planes = LogisticFit(NullModel(y, covariates)), pack_dosages(dosage)
    found = fit.fit(planes, 64)
    assert found.reason[3] == "separated"
    again = fit.fit(planes, 64, firth=True, chosen=found.reason == "separated")
    assert 1 < again.beta[3] < 6
    assert again.se[3] > 0.5


def test_score_test_is_the_score_statistic_of_the_null_model():
    dosage, covariates, y = case_control(11, 400, 90)
    null = NullModel(y, covariates)
    score = LogisticScore(null, 90)
    score.add(0, pack_dosages(dosage))
    found = score.result()
    w = null.mu * (1 - null.mu)
    for row in range(90):
        called = dosage[:, row] >= 0
        if len(set(dosage[called, row].tolist())) < 2:
            assert found.reason[row] == "monomorphic"
            continue
        g = np.where(called, dosage[:, row], dosage[called, row].mean())
        z = null.design
        info = np.block([[(g * w) @ g, (g * w) @ z.T], [((g * w) @ z.T)[:, None], (z * w) @ z.T]])
        u = g @ (y - null.mu)
        v = 1 / np.linalg.inv(info)[0, 0]
        assert np.allclose([found.beta[row], found.se[row]], [u / v, v**-0.5], rtol=1e-7)


def test_score_test_and_wald_test_agree_where_nothing_is_there():
    dosage, covariates, y = case_control(12, 2000, 64, missing=0)
    null = NullModel(y, covariates)
    score = LogisticScore(null, 64)
    score.add(0, pack_dosages(dosage))
    wald = LogisticFit(null).fit(pack_dosages(dosage), 64)
    kept = (wald.reason == "") & (np.arange(64) > 0)
    assert np.abs(score.result().stat[kept] - wald.stat[kept]).max() < 0.1


def test_a_trait_without_cases_is_refused():
    with pytest.raises(TraitError):
        NullModel(np.zeros(10), np.zeros((10, 0)))
    with pytest.raises(TraitError):
        NullModel(np.r_[np.zeros(5), np.ones(5)], np.r_[np.zeros(5), np.ones(5)][:, None])


@given(CALLED, st.integers(1, 20), st.integers(1, 2500), st.sampled_from([0.0, 0.002, 0.05, 0.6]))
@settings(deadline=None, max_examples=15)
def test_scores_are_weighted_sums(seed, people, rows, missing):
    random, dosage = cohort(seed, people, rows, missing)
    weights = random.normal(size=(2, rows))
    absent = random.uniform(0, 2, rows)
    planes = pack_dosages(dosage)
    imputed = np.where(dosage < 0, absent, dosage)
    chosen = random.random(rows) < 0.5
    found, absent_calls = PolygenicScores(weights, absent, chosen).scores(planes)
    assert np.allclose(found, imputed @ weights.T)
    assert np.array_equal(absent_calls, (dosage[:, chosen] < 0).sum(axis=1))
    found, absent_calls = PolygenicScores(weights).scores(planes)
    assert np.allclose(found, dosage.clip(0) @ weights.T)
    assert np.array_equal(absent_calls, (dosage < 0).sum(axis=1))


def test_numpy_is_asked_for_by_name(kernels):
    assert os.environ["OMIC_KERNELS"] == kernels


def test_without_numba_numpy_does_the_work(monkeypatch):
    monkeypatch.delenv("OMIC_KERNELS")
    for fault in (ImportError, RuntimeError):  # not installed; nowhere to keep machine code
        loaded = {"compute.kernels.compiled": None} if fault is ImportError else {}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in loaded.items():
                patch.setitem(sys.modules, name, value)
            if fault is RuntimeError:
                patch.delitem(sys.modules, "compute.kernels.compiled", raising=False)
                patch.setitem(sys.modules, "compute.kernels.compiled_fit", Unlocated())
            patch.delattr("compute.kernels.compiled", raising=False)
            engine.cache_clear()
            assert engine().__name__.endswith("plain")
    engine.cache_clear()


class Unlocated(types.ModuleType):
    """A module whose functions cannot be cached, as numba says it."""

    def __init__(self):
        super().__init__("compute.kernels.compiled_fit")

    def __getattr__(self, name):
        raise RuntimeError("cannot cache function: no locator available")


def test_little_work_does_not_wait_for_the_compiler():
    code = (
        "import sys, numpy as np\n"
        "from compute.kernels import CodeCounter, hwe_exact, pack_dosages, words_of\n"
        "counter = CodeCounter(100)\n"
        "counter.add(np.ones((20, 2, words_of(100)), np.uint64))\n"
        "counter.counts()\n"
        "assert 'numba' not in sys.modules\n"
        "big = CodeCounter(65_536)\n"
        "big.add(np.zeros((16, 2, words_of(65_536)), np.uint64))\n"
        "assert 'numba' in sys.modules\n"
    )
    env = {name: value for name, value in os.environ.items() if name != "OMIC_KERNELS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
