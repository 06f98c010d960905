"""Linear fits of every variant from its sums, as numba compiles them."""

import math

import numpy as np

from compute.kernels.compiled_jit import Float64, Int64, jit

# Codes are indexes into compute.kernels.linear.REASONS.
MONOMORPHIC, TOO_FEW, CONSTANT, COLLINEAR, NOBODY, SEPARATED, UNSETTLED = 1, 2, 3, 4, 5, 6, 7
MAX_VIF = 50.0
SINGULAR = 1e-9


@jit
def invert(a: Float64, size: int) -> bool:
    """Invert a symmetric positive definite matrix in place by Cholesky; False where it is not."""
    for i in range(size):
        for j in range(i + 1):
            s = a[i, j]
            for k in range(j):
                s -= a[i, k] * a[j, k]
            if i == j:
                if not s > SINGULAR:
                    return False
                a[i, i] = math.sqrt(s)
            else:
                a[i, j] = s / a[j, j]
    for i in range(size):  # the inverse of the lower triangle
        a[i, i] = 1.0 / a[i, i]
        for j in range(i):
            s = 0.0
            for k in range(j, i):
                s -= a[i, k] * a[k, j]
            a[i, j] = s * a[i, i]
    for i in range(size):
        for j in range(i + 1):
            s = 0.0
            for k in range(i, size):
                s += a[k, i] * a[k, j]
            a[j, i] = s
    for i in range(size):
        for j in range(i):
            a[i, j] = a[j, i]
    return True


@jit
def fit_linear(
    one: Int64, two: Int64, products: Float64, gx: Float64, beta: Float64, se: Float64,
    code: np.ndarray,
) -> None:  # fmt: skip
    """As `plain.fit_linear`."""
    p = gx.shape[0]
    a, b, scale = np.empty((p, p)), np.empty(p), np.empty(p)
    for v in range(len(one)):
        beta[v], se[v] = np.nan, np.nan
        code[v] = _fit_linear_one(one[v], two[v], products[v], gx[:, v], a, b, scale)
        if code[v] == 0:
            df = round(products[v, 0]) - p - 1
            slope, left = 0.0, 1.0
            for k in range(p):
                row = 0.0
                for m in range(p):
                    row += a[k, m] * b[m]
                if k == 0:
                    slope = row
                left -= row * b[k]
            spread = scale[p - 1]
            beta[v] = slope * spread / math.sqrt(_gg(one[v], two[v], products[v, 0]))
            se[v] = (
                math.sqrt(max(left, 0.0) / df * a[0, 0])
                * spread
                / math.sqrt(_gg(one[v], two[v], products[v, 0]))
            )


@jit
def _gg(one: int, two: int, n: float) -> float:
    g = one + 2.0 * two
    return one + 4.0 * two - g * g / n


@jit
def _fit_linear_one(
    one: int, two: int, products: Float64, gx: Float64, a: Float64, b: Float64, scale: Float64
) -> int:
    """Leave the inverse correlation of the predictors in `a`, theirs with y in `b`.

    scale[p - 1] becomes the root of y's sum of squares; returns a reason's code.
    """
    p = gx.shape[0]
    n, g, gg = round(products[0]), one + 2 * two, one + 4 * two
    if n == 0:
        return NOBODY
    if n * gg == g * g:
        return MONOMORPHIC
    if n <= p + 1:
        return TOO_FEW
    sums, pairs = products[1 : 1 + p], products[1 + p :]
    yy = pairs[0] - sums[0] * sums[0] / n
    if not yy > 1e-12 * n:
        return CONSTANT
    a[0, 0] = gg - g * g / n
    b[0] = gx[0] - g * sums[0] / n
    at = p  # pairs run along the upper triangle: (0, 0) … (0, p - 1), (1, 1) …
    for k in range(1, p):
        a[0, k] = a[k, 0] = gx[k] - g * sums[k] / n
        b[k] = pairs[k] - sums[0] * sums[k] / n
        for m in range(k, p):
            a[k, m] = a[m, k] = pairs[at] - sums[k] * sums[m] / n
            at += 1
    for k in range(p):
        if not a[k, k] > 1e-12 * n:
            return COLLINEAR
        scale[k] = math.sqrt(a[k, k])
    for k in range(p):
        b[k] /= scale[k] * math.sqrt(yy)
        for m in range(p):
            a[k, m] /= scale[k] * scale[m]
    if not invert(a, p):
        return COLLINEAR
    for k in range(p):
        if a[k, k] > MAX_VIF:
            return COLLINEAR
    scale[p - 1] = math.sqrt(yy)
    return 0
