import ast
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

import compute
from compute.noise import BATCH, NoiseError, add_noise, noise_sd, pick_largest
from compute.queries import Shape

# Answers pass through these on their way out; none may know another source of randomness.
RELEASE_PATH = ("noise", "private", "release", "suppress", "repeat", "utility", "expected", "intervals",
                "inbreeding", "accountant")  # fmt: skip


def test_the_scale_is_the_one_of_zcdp():
    assert noise_sd(4, Fraction(1, 10)) == pytest.approx(math.sqrt(4 / 0.2))
    assert noise_sd(400, Fraction(1, 10)) == pytest.approx(10 * noise_sd(4, Fraction(1, 10)))


@pytest.mark.parametrize("rho", [Fraction(1, 10), Fraction(1, 3), Fraction(1, 999), Fraction(2)])
@pytest.mark.parametrize("squared", [4, 12, 4000])
def test_the_map_never_says_more_than_rho(rho, squared):
    import opendp.prelude as dp

    dp.enable_features("contrib")
    sd = add_noise(np.zeros(1, np.int64), squared, rho).sd
    space = dp.vector_domain(dp.atom_domain(T="i64"), size=1), dp.l2_distance(T="f64")
    cost = dp.m.make_gaussian(*space, sd).map(math.sqrt(squared))
    assert Fraction(cost) <= rho
    assert sd == pytest.approx(noise_sd(squared, rho), rel=1e-9)


def test_noise_is_integer_centred_and_of_the_stated_sd():
    exact = np.arange(20_000) % 50
    done = add_noise(exact, 4, Fraction(1, 10))
    assert done.values.dtype == np.int64
    error = done.values - exact
    assert abs(error.mean()) < 5 * done.sd / math.sqrt(len(error))
    assert error.std() == pytest.approx(done.sd, rel=0.03)
    assert abs(np.corrcoef(error[:-1], error[1:])[0, 1]) < 0.04


def chance_of(drawn, sd):
    """Return the chi-squared test's p of integers drawn against the discrete Gaussian of an sd."""
    reach = math.ceil(4 * sd)
    places = np.arange(-50 * reach, 50 * reach + 1)
    mass = np.exp(-((places / sd) ** 2) / 2)
    within = np.abs(places) <= reach  # what lies further is one cell more
    expected = np.append(mass[within], mass[~within].sum()) / mass.sum() * len(drawn)
    found = np.bincount(np.clip(np.abs(drawn), 0, reach + 1) * np.sign(drawn) + reach + 1,
                        minlength=2 * reach + 3)  # fmt: skip
    observed = np.append(found[1:-1], found[0] + found[-1])
    return chisquare(observed, expected).pvalue


def test_a_long_vectors_noise_is_the_discrete_gaussian_in_every_piece_of_it():
    """Drawn on every core, in pieces; the controls are noise that is nearly right, and is found."""
    count, rng = 6 * BATCH, np.random.default_rng(27)
    done = add_noise(np.zeros(count, np.int64), 4, Fraction(1))  # sd: the root of 2
    assert chance_of(done.values, done.sd) > 1e-6
    first, last = done.values[:BATCH], done.values[-BATCH:]
    assert abs(np.corrcoef(first, last)[0, 1]) < 5 / math.sqrt(BATCH)
    assert chance_of(done.values, 1.02 * done.sd) < 1e-6
    floats = np.rint(rng.normal(0, done.sd, count)).astype(np.int64)
    assert chance_of(floats, done.sd) < 1e-6
    repeated = np.tile(first, 6)
    assert abs(np.corrcoef(repeated[:BATCH], repeated[-BATCH:])[0, 1]) > 5 / math.sqrt(BATCH)


def test_batches_keep_every_value_in_its_place():
    exact = np.arange(2 * BATCH + 7) * 10**6
    done = add_noise(exact, 4, Fraction(10))
    assert np.array_equal(np.round(done.values / 10**6), np.arange(len(exact)))


@pytest.mark.parametrize("monotonic", [True, False])
@pytest.mark.parametrize("rho", [Fraction(1, 10), Fraction(1, 3), Fraction(1, 999)])
def test_picking_costs_no_more_than_rho_by_opendps_own_map(rho, monotonic):
    import opendp.prelude as dp

    dp.enable_features("contrib")
    shape = Shape(9, 16, picks=3, monotonic=monotonic)
    space = (
        dp.vector_domain(dp.atom_domain(T="i64")),
        dp.linf_distance(T="i64", monotonic=monotonic),
        dp.zero_concentrated_divergence(),
    )
    cost = dp.m.make_noisy_top_k(*space, 3, shape.scale(rho)).map(4)
    assert cost == pytest.approx(float(rho) * 2 / math.pi, rel=1e-9)
    done = pick_largest(np.arange(9) * 10**6, shape, rho)
    assert done.values.tolist() == [8, 7, 6]
    assert done.sd == pytest.approx(math.pi / math.sqrt(6) * shape.scale(rho))


@pytest.mark.parametrize("rho", [Fraction(1, 100), Fraction(1, 10), Fraction(1, 2)])
@pytest.mark.parametrize("monotonic", [True, False])
def test_a_pick_tells_no_more_of_a_person_than_gaussian_noise_of_the_same_rho(rho, monotonic):
    """Whatever the odds before: the coin's odds move by exp(e), and mu stays below sqrt(2 rho)."""
    from scipy.special import expit, logit
    from scipy.stats import norm

    shape = Shape(2, 9, picks=1, monotonic=monotonic)
    moved = (3 if monotonic else 6) / shape.scale(rho)
    before = np.linspace(0.001, 0.999, 999)
    mu = norm.ppf(expit(logit(before) + moved)) - norm.ppf(before)
    assert 0.9 * math.sqrt(2 * rho) < mu.max() <= math.sqrt(2 * rho) * (1 + 1e-9)


def test_two_scores_change_places_as_often_as_their_distance_says():
    """A difference of d is told in order with chance 1 / (1 + exp(-d / scale)); 4,000 picks."""
    shape, rho = Shape(2, 1, picks=1, monotonic=True), Fraction(1, 32)
    picked = [pick_largest(np.array([3, 0]), shape, rho).values[0] for _ in range(4000)]
    chance = 1 / (1 + math.exp(-3 / shape.scale(rho)))
    assert np.mean(np.array(picked) == 0) == pytest.approx(chance, abs=5 * 0.5 / 4000**0.5)


@pytest.mark.parametrize(
    ("shape", "rho"),
    [
        (Shape(2, 1, picks=3), Fraction(1)),
        (Shape(2, 1), Fraction(1)),
        (Shape(2, 2, picks=1), Fraction(1)),
        (Shape(2, 1, picks=1), Fraction(0)),
    ],
)
def test_no_pick_without_a_budget_and_a_stated_sensitivity(shape, rho):
    with pytest.raises(NoiseError):
        pick_largest(np.zeros(2, np.int64), shape, rho)


def test_nothing_is_drawn_twice():
    first, second = (add_noise(np.zeros(200, np.int64), 40_000, Fraction(1)) for _ in range(2))
    assert not np.array_equal(first.values, second.values)


def test_an_empty_vector_is_empty():
    assert len(add_noise(np.zeros(0, np.int64), 4, Fraction(1)).values) == 0


@pytest.mark.parametrize(
    ("squared", "rho"), [(0, Fraction(1)), (4, Fraction(0)), (4, Fraction(-1))]
)
def test_no_noise_without_a_budget(squared, rho):
    with pytest.raises(NoiseError):
        add_noise(np.zeros(3, np.int64), squared, rho)


def test_no_other_generator_is_in_a_release_path():
    folder = Path(compute.__file__).parent
    for name in RELEASE_PATH:
        tree = ast.parse((folder / f"{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert "random" not in [alias.name for alias in node.names], name
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("random", "numpy.random"), name
            if isinstance(node, ast.Attribute):
                assert node.attr not in ("random", "default_rng", "seed"), name


def test_the_samplers_distribution_is_the_discrete_gaussian_the_seeded_tests_use():
    """Chi-square over the integers within 3 sd; a sound sampler fails once in ten million runs."""
    from scipy import stats

    from tests.compute.noises import discrete_gaussian

    done = add_noise(np.zeros(20_000, np.int64), 4, Fraction(1, 10))
    seeded = discrete_gaussian(np.random.default_rng(1), done.sd, 20_000)
    k = np.arange(-14, 15)
    weight = np.exp(-(np.arange(-80, 81) ** 2) / (2 * done.sd**2))
    chance = np.exp(-(k**2) / (2 * done.sd**2)) / weight.sum()
    for drawn in (done.values, seeded):
        seen = np.array([(drawn == value).sum() for value in k])
        rest, outside = len(drawn) - seen.sum(), 1 - chance.sum()
        found = [*seen, rest]
        expected = np.array([*chance, outside]) * len(drawn)
        assert stats.chisquare(found, expected).pvalue > 1e-7
