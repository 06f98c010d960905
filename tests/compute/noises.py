"""Noise with a seed, for tests that must not fail by chance; injected at the gate's port.

The same distribution as OpenDP's sampler, which tests/compute/test_noise.py checks by itself. Lives
in the tests, so that no seed can be reached from the product.
"""

import math

import numpy as np

from compute.noise import Noised, noise_sd


def discrete_gaussian(rng, sd, size):
    """Draw integers with probability proportional to exp(-k^2 / (2 sd^2)), by inversion."""
    reach = math.ceil(12 * sd) + 1
    k = np.arange(-reach, reach + 1)
    weight = np.exp(-(k**2) / (2 * sd**2))
    edges = np.cumsum(weight) / weight.sum()
    return k[np.searchsorted(edges, rng.random(size), side="right").clip(0, len(k) - 1)]


def silent(values, sensitivity_squared, rho):
    """The gate's sampler without its noise, to compare what a worker summed."""
    return Noised(np.asarray(values, np.int64), noise_sd(sensitivity_squared, rho))


def silent_picker(scores, shape, rho):
    """The gate's picker without its noise: the largest, of equal ones the first."""
    return Noised(np.argsort(-scores, kind="stable")[: shape.picks], shape.sd(rho))


SILENT = {"sampler": silent, "picker": silent_picker}


def seeded(seed):
    """Return a sampler for the gate's port, in step with its seed."""
    rng = np.random.default_rng(seed)

    def sample(values, sensitivity_squared, rho):
        sd = noise_sd(sensitivity_squared, rho)
        values = np.asarray(values, np.int64)
        return Noised(values + discrete_gaussian(rng, sd, len(values)), sd)

    return sample
