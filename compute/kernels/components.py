"""Principal components of people from their genotypes, by way of the relationship matrix.

z = (dosage - 2 p) / sqrt(2 p (1 - p)), 0 where there is no call (imputed at the mean), and
G = Z Z' / variants, as plink2's `--pca meanimpute` (Patterson, Price and Reich 2006; Yang et al.
2011). In double precision, a tile of variants at a time, so memory is the matrix and a tile.
Nothing here is approximate: randomised methods (plink2's `approx`) pay off where people outnumber
what a matrix of them can hold.
"""

from __future__ import annotations

import math
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.kernels.planes import Words, unpack_dosages

TILE: Final = 2048  # variants, a multiple of 64
TW_5_PERCENT: Final = 0.9793  # upper point of the Tracy-Widom law of order 1

Float64: TypeAlias = npt.NDArray[np.float64]


def standardised(planes: Words, af: Float64) -> Float64:
    """Return z (people, variants) of planes (people, 2, words), whose first rows they are."""
    calls = unpack_dosages(planes, len(af))
    z: Float64 = (calls - 2 * af) / np.sqrt(2 * af * (1 - af))
    z[calls < 0] = 0.0
    return z


def add_products(total: Float64, planes: Words, af: Float64) -> None:
    """Add Z Z' of some variants to total (people, people)."""
    for start in range(0, len(af), TILE):
        z = standardised(_words(planes, start), af[start : start + TILE])
        total += z @ z.T


def leading(matrix: Float64, count: int) -> tuple[Float64, Float64]:
    """Return the largest eigenvalues, falling, and their vectors (people, count) of length one.

    Overwrites the matrix.
    """
    from scipy.linalg import eigh

    size = len(matrix)
    values, vectors = eigh(
        matrix, overwrite_a=True, subset_by_index=(max(size - count, 0), size - 1)
    )
    return values[::-1].copy(), vectors[:, ::-1].copy()


def weights_of(planes: Words, af: Float64, vectors: Float64) -> Float64:
    """Return Z' u (variants, components) of vectors u (people, components)."""
    found = np.empty((len(af), vectors.shape[1]))
    for start in range(0, len(af), TILE):
        part = slice(start, start + TILE)
        found[part] = standardised(_words(planes, start), af[part]).T @ vectors
    return found


def tracy_widom(values: Float64, trace: float, squares: float, people: int) -> Float64:
    """Return the Tracy-Widom statistic of each of the largest eigenvalues, falling.

    trace, squares: sums of all eigenvalues and of their squares. The k-th is tested among those not
    above it, with the effective number of variants their spread shows, which LD makes smaller
    (Patterson, Price and Reich 2006, equations 5 to 10). NaN where fewer than two are left.
    """
    found = np.full(len(values), np.nan)
    for k, value in enumerate(values.tolist()):
        left = people - 1 - k
        spare = left * squares - trace**2
        if left < 2 or trace <= 0 or spare <= 0:
            break
        markers = (left + 2) * trace**2 / spare
        if markers <= 1:
            break
        one, other = math.sqrt(markers - 1), math.sqrt(left + 1)
        middle = (one + other) ** 2 / markers
        wide = (one + other) / markers * (1 / one + 1 / other) ** (1 / 3)
        found[k] = (left * value / trace - middle) / wide
        trace, squares = trace - value, squares - value**2
    return found


def _words(planes: Words, start: int) -> Words:
    return planes[..., start // 64 : (start + TILE) // 64]
