"""Attacks on the mechanism itself: does the noise give the privacy that is charged for it?

An audit of the real sampler, averaging of rewritten questions, and the level of the noisy test.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.attacks import Floats
from compute.noise import add_noise, pick_largest
from compute.private import Picker, Sampler
from compute.queries import Shape
from compute.queries.noised_fit import fitted
from compute.queries.private_association import SUMS
from compute.queries.product_sums import STEPS

AF = 0.3
Counts = npt.NDArray[np.int64]


def audit_bound(
    rho: Fraction,
    runs: int,
    *,
    shrink: float = 1.0,
    confidence: float = 0.95,
    sampler: Sampler = add_noise,
) -> float:
    """Return a lower bound on mu, the Gaussian privacy the mechanism really gives one person.

    One person holding two ALT copies is in or out of `runs` draws each. Clopper-Pearson over 40
    thresholds, Bonferroni-corrected. Honest noise stays below sqrt(2 rho). shrink: the share of
    the noise that is kept, for the positive control.
    """
    bought = _stretched(rho, shrink)
    inside = sampler(np.full(runs, 52), 4, bought).values
    outside = sampler(np.full(runs, 50), 4, bought).values
    return _bound(inside, outside, confidence)


def picking_bound(
    rho: Fraction,
    runs: int,
    *,
    shrink: float = 1.0,
    confidence: float = 0.95,
    picker: Picker = pick_largest,
) -> float:
    """Return the same bound of naming the largest of two counts, which one person makes unequal.

    The two are level without that person: near the point where a pick tells most.
    """
    shape, bought = Shape(2, 1, picks=1, monotonic=True), _stretched(rho, shrink)
    inside, outside = (
        np.array([1 - int(picker(np.array(scores), shape, bought).values[0]) for _ in range(runs)])
        for scores in ([51, 50], [50, 50])
    )
    return _bound(inside, outside, confidence)


def _stretched(rho: Fraction, shrink: float) -> Fraction:
    """Return the rho that noise kept to a share really costs."""
    return rho if shrink == 1 else rho / Fraction(shrink).limit_denominator(1000) ** 2


def _bound(inside: Counts, outside: Counts, confidence: float) -> float:
    """Return the best lower bound on mu over thresholds, Bonferroni-corrected."""
    runs = len(inside)
    thresholds = np.quantile(np.concatenate([inside, outside]), np.linspace(0.02, 0.98, 40))
    tail = (1 - confidence) / (2 * len(thresholds))
    best = 0.0
    for threshold in thresholds:
        low = _clopper(int((inside > threshold).sum()), runs, tail)[0]
        high = _clopper(int((outside > threshold).sum()), runs, tail)[1]
        if 0 < low < 1 and 0 < high < 1:
            best = max(best, float(stats.norm.ppf(low) - stats.norm.ppf(high)))
    return best


def _clopper(hits: int, runs: int, tail: float) -> tuple[float, float]:
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, runs - hits + 1))
    high = 1.0 if hits == runs else float(stats.beta.ppf(1 - tail, hits + 1, runs - hits))
    return low, high


def averaging(
    asked: int, rho: Fraction, allowed: int, sampler: Sampler = add_noise
) -> tuple[int, float]:
    """Return (answers got, error of their mean) of one count asked in so many ways.

    allowed: how many the accountant lets through.
    """
    got = min(asked, allowed)
    draws = sampler(np.full(got * 400, 1000), 4, rho).values.reshape(400, got)
    return got, float(np.sqrt(np.mean((draws.mean(axis=1) - 1000) ** 2)))


def association_null(
    people: int,
    variants: int,
    rho: Fraction,
    tests: int,
    seed: int = 4,
    sampler: Sampler = add_noise,
) -> float:
    """Return the type-I error at 0.05 of the noise-corrected allelic test, cases against controls.

    Both groups are halves of one cohort, so one person is in one group only: rho buys both.
    """
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.1, 0.5, tests)
    an = people  # copies in each half
    halves = [sampler(rng.binomial(an, p), 4 * variants, rho) for _ in range(2)]
    chi = allelic_chi([half.values for half in halves], an, halves[0].sd ** 2)
    return float((chi > stats.chi2.ppf(0.95, 1)).mean())


def feature_sums(rng: np.random.Generator, runs: int, people: int, effect: float) -> Floats:
    """Return the exact sums (runs x SUMS) of a family's regression over simulated people.

    effect: what a copy adds to the clamped feature, whose spread is a third of its half range.
    """
    sums = np.empty((runs, len(SUMS)))
    step = max(1, 2_000_000 // people)
    for at in range(0, runs, step):
        shape = (min(step, runs - at), people)
        g = rng.binomial(2, AF, shape).astype(np.float32) - 1
        u = rng.standard_normal(shape, dtype=np.float32) / 3 + effect * (g + 1 - 2 * AF)
        u = np.clip(u, -1, 1)
        parts = (np.ones_like(g), g, u, g * g, g * u, u * u)
        sums[at : at + shape[0]] = np.stack([part.sum(axis=1, dtype=float) for part in parts], 1)
    return sums


def regression_p(sums: Floats, rho: Fraction | None, sampler: Sampler = add_noise) -> Floats:
    """Return the family's own p values of sums, each released alone for rho; None: no noise."""
    if rho is None:
        return fitted(sums, 1e-9, 1.0)["p"]
    # Of equal sensitivity and equal rho, so that one call can draw for all of these releases.
    steps = np.rint(sums * STEPS).astype(np.int64)
    noised = sampler(steps.reshape(-1), len(SUMS) * STEPS**2, rho)
    return fitted(noised.values.reshape(sums.shape) / STEPS, noised.sd / STEPS, 1.0)["p"]


def regression_null(
    people: int, rho: Fraction, tests: int, seed: int = 14, sampler: Sampler = add_noise
) -> float:
    """Return the type-I error at 0.05 of the private regression's own test."""
    sums = feature_sums(np.random.default_rng(seed), tests, people, 0.0)
    return float((regression_p(sums, rho, sampler) < 0.05).mean())


def adjusted_null(people: int, rho: Fraction, tests: int, seed: int = 15) -> float:
    """Return the type-I error at 0.05 with two covariates, one of which moves both sides."""
    rng, found = np.random.default_rng(seed), []
    for at in range(0, tests, 1000):
        shape = (min(1000, tests - at), people)
        z, w = (np.clip(rng.normal(0.1, 0.4, shape), -1, 1) for _ in range(2))
        g = rng.binomial(2, AF + 0.1 * z) - 1.0
        u = np.clip(rng.normal(0, 0.3, shape) + 0.3 * z - 0.2 * w, -1, 1)
        terms = np.stack([np.ones(shape), g, u, z, w], axis=-1)
        whole = np.einsum("rpi,rpj->rij", terms, terms)
        found.append(whole[:, *np.triu_indices(terms.shape[-1])])
    steps = np.rint(np.concatenate(found) * STEPS).astype(np.int64)
    noised = add_noise(steps.reshape(-1), steps.shape[1] * STEPS**2, rho)
    fit = fitted(noised.values.reshape(steps.shape) / STEPS, noised.sd / STEPS, 1.0)
    return float((fit["p"] < 0.05).mean())


def named_rightly(people: int, candidates: int, k: int, rho: Fraction, runs: int) -> float:
    """Return the share of those named that are of the k most frequent, of shares drawn evenly.

    What picking costs does not depend on how many candidates there are.
    """
    rng, right = np.random.default_rng(16), []
    shape = Shape(candidates, 1, picks=k, monotonic=True)
    for _ in range(runs):
        counts = rng.binomial(people, rng.uniform(0.02, 0.5, candidates))
        named = pick_largest(counts, shape, rho).values
        right.append(np.mean(counts[named] >= np.sort(counts)[-k]))
    return float(np.mean(right))


def regression_power(people: int, explained: float, rho: Fraction | None, runs: int) -> float:
    """Return how often p < 1e-4 for a variant explaining that share of a clamped feature."""
    effect = (explained / (2 * AF * (1 - AF))) ** 0.5 / 3
    sums = feature_sums(np.random.default_rng(9), runs, people, effect)
    return float((regression_p(sums, rho) < 1e-4).mean())


def locus_power(people: int, variants: int, odds: float, rho: Fraction | None, runs: int) -> float:
    """Return how often p < 5e-8 in the allelic test of one locus, half the people cases.

    variants: how many share rho. Counts are drawn, noise is OpenDP's, its variance in the test.
    """
    rng = np.random.default_rng(10)
    cases = odds * AF / (1 - AF + odds * AF)
    halves = [rng.binomial(people, p, runs).astype(np.int64) for p in (cases, AF)]
    noise = 0.0
    if rho is not None:
        noised = [add_noise(half, 4 * variants, rho) for half in halves]
        halves, noise = [one.values for one in noised], noised[0].sd ** 2
    return float((allelic_chi(halves, people, noise) > stats.chi2.isf(5e-8, 1)).mean())


def allelic_chi(halves: list[npt.NDArray[np.int64]], an: int, noise: float) -> Floats:
    """Return chi squared of two groups' ALT copies, the noise's variance counted in."""
    first, second = (half / an for half in halves)
    pooled = np.clip((first + second) / 2, 0.01, 0.99)
    variance = 2 * pooled * (1 - pooled) / an + 2 * noise / an**2
    found: Floats = (first - second) ** 2 / variance
    return found
