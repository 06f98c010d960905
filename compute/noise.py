"""The only source of noise, OpenDP's: a discrete Gaussian over integers, and report noisy top-k.

Integers in, integers out: no float ever carries noise, so no low bits of one can betray it
(Mironov 2012; Jin 2022). OpenDP draws from the operating system's generator; there is no seed to
set, here or anywhere. Budget is zCDP's rho: sd = L2 sensitivity / sqrt(2 rho) (Bun and Steinke
2016; Canonne, Kamath and Steinke 2020); of top-k see `Shape.scale`. OpenDP's own privacy map is
asked, in exact arithmetic, that no more is spent. Never sees who is in a cohort, never charges
anybody.
"""

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.errors import ComputeError
from compute.queries import Shape

Int64: TypeAlias = npt.NDArray[np.int64]
BATCH = 25_000  # values one call draws: enough to hide what a call costs, few enough to split
THREADS = len(os.sched_getaffinity(0))  # OpenDP's library releases the interpreter lock
WIDEN = 1 + 2.0**-40
BITS = 31  # of a standard deviation: OpenDP's exact rationals are a tenth faster with few


class NoiseError(ComputeError):
    """The noise asked for cannot be drawn."""

    default_code = "noise"


@dataclass(frozen=True, slots=True)
class Noised:
    """Integers with noise, and the noise's standard deviation."""

    values: Int64
    sd: float


def noise_sd(sensitivity_squared: int, rho: Fraction) -> float:
    """Return the standard deviation that rho buys for an L2 sensitivity given as its square.

    Raises NoiseError unless both are positive.
    """
    if rho <= 0 or sensitivity_squared <= 0:
        raise NoiseError("noise needs a positive rho and a positive sensitivity")
    return math.sqrt(Fraction(sensitivity_squared) / (2 * rho))


def add_noise(values: Int64, sensitivity_squared: int, rho: Fraction) -> Noised:
    """Add discrete Gaussian noise to integers whose joint L2 sensitivity squared is given.

    One release: the whole vector costs rho. Long vectors are drawn in pieces on every core. A draw
    costs OpenDP 10 to 16 us, in whatever batches and of whatever sd above 2: Canonne, Kamath and
    Steinke's algorithm asks for random bytes 14.6 times, and each is a call of OpenSSL's generator
    (half of the time) and a step of exact rationals. Arrays go in and come out at 0.02 us a value.
    Raises NoiseError.
    """
    sd = _checked_sd(sensitivity_squared, rho)
    parts = list(_parts(np.asarray(values, np.int64)))
    if len(parts) <= 1:
        drawn = [_draw(part, sd) for part in parts]
    else:
        with ThreadPoolExecutor(THREADS) as pool:
            drawn = list(pool.map(lambda part: _draw(part, sd), parts))
    return Noised(np.concatenate([np.zeros(0, np.int64), *drawn]), sd)


@lru_cache(maxsize=1024)
def _checked_sd(sensitivity_squared: int, rho: Fraction) -> float:
    """Return the smallest sd, to a part in 2^30, that OpenDP says costs at most rho."""
    sd = _rounded_up(noise_sd(sensitivity_squared, rho))
    bound = math.nextafter(math.sqrt(sensitivity_squared), math.inf)
    for _ in range(1000):
        if Fraction(_gaussian(1, sd).map(bound)) <= rho:
            return sd
        sd *= WIDEN
    raise NoiseError("no standard deviation was found that costs at most rho")


def _rounded_up(sd: float) -> float:
    """Return the next number of BITS significant bits."""
    mantissa, exponent = math.frexp(sd)
    return math.ldexp(math.ceil(math.ldexp(mantissa, BITS)), exponent - BITS)


def pick_largest(scores: Int64, shape: Shape, rho: Fraction) -> Noised:
    """Return the places of the shape's `picks` largest scores, noisily, best first.

    OpenDP's report noisy top-k with Gumbel noise: what it costs does not grow with how many scores
    there are. The sd is of the noise in a score. Raises NoiseError.
    """
    bound = math.isqrt(shape.sensitivity_squared)
    if rho <= 0 or bound <= 0 or bound**2 != shape.sensitivity_squared:
        raise NoiseError("picking needs a positive rho and a whole, positive sensitivity")
    if not 0 < shape.picks <= len(scores):
        raise NoiseError("more are to be picked than there are")
    scale = shape.scale(rho)
    for _ in range(1000):
        top = _top(shape.picks, scale, monotonic=shape.monotonic)
        if Fraction(top.map(bound)) <= rho:
            places = np.array(top(np.asarray(scores, np.int64)), np.int64)
            return Noised(places, shape.sd(rho))
        scale *= WIDEN
    raise NoiseError("no scale was found that costs at most rho")


def _top(picks: int, scale: float, *, monotonic: bool) -> Any:
    """Return OpenDP's measurement: the largest of a vector of integers, L infinity, zCDP."""
    dp = _opendp()
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    metric = dp.linf_distance(T="i64", monotonic=monotonic)
    return dp.m.make_noisy_top_k(domain, metric, dp.zero_concentrated_divergence(), picks, scale)


def _draw(values: Int64, sd: float) -> Int64:
    return np.array(_gaussian(len(values), sd)(values), np.int64)


def _parts(values: Int64) -> Iterator[Int64]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]


@lru_cache(maxsize=256)
def _gaussian(size: int, sd: float) -> Any:
    """Return OpenDP's measurement: a vector of `size` integers, L2 distance, zCDP."""
    dp = _opendp()
    domain = dp.vector_domain(dp.atom_domain(T="i64"), size=size)
    return dp.m.make_gaussian(domain, dp.l2_distance(T="f64"), sd)


@cache
def _opendp() -> Any:
    """Import OpenDP once; "contrib" is where it keeps every measurement not proved on paper."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    return dp
