"""Full logistic fits, plain and under Firth's penalty, as numba compiles them."""

import math

import numpy as np

from compute.kernels.compiled_fit import (
    COLLINEAR,
    MONOMORPHIC,
    NOBODY,
    SEPARATED,
    TOO_FEW,
    UNSETTLED,
    invert,
)
from compute.kernels.compiled_jit import Float64, Int64, Words, contract, fast, jit
from compute.kernels.simd import as_bits, as_double

MAX_STEPS = 25
FIRTH_STEPS = 200
LONGEST = 5.0
FIRTH_SETTLED = 1e-10
HALVINGS = 20
BLOCK = 512  # people whose columns stay in the first cache
SETTLED = 1e-7
LOG2E = 1.4426950408889634
LN2_HIGH = 6.93145751953125e-1
LN2_LOW = 1.42860682030941723212e-6
SHIFTER = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to a whole number in the low bits


@contract
def predict(eta: Float64, y: Float64, called: Float64, w: Float64, r: Float64) -> None:
    """From linear predictors: w = mu (1 - mu) and r = y - mu, both 0 where not called."""
    for i in range(len(eta)):
        x = -eta[i]
        x = 700.0 if x > 700.0 else x
        x = -700.0 if x < -700.0 else x
        shifted = x * LOG2E + SHIFTER
        k = shifted - SHIFTER
        f = (x - k * LN2_HIGH) - k * LN2_LOW
        s = 2.08767569878681e-09  # 1 / 12!
        s = s * f + 2.505210838544172e-08
        s = s * f + 2.755731922398589e-07
        s = s * f + 2.755731922398589e-06
        s = s * f + 2.48015873015873e-05
        s = s * f + 1.984126984126984e-04
        s = s * f + 1.388888888888889e-03
        s = s * f + 8.333333333333333e-03
        s = s * f + 4.1666666666666664e-02
        s = s * f + 0.16666666666666666
        s = s * f + 0.5
        s = s * f + 1.0
        s = s * f + 1.0
        power = as_double((as_bits(shifted) << 52) + (1023 << 52))
        mu = 1.0 / (1.0 + s * power)
        w[i] = mu * (1.0 - mu) * called[i]
        r[i] = (y[i] - mu) * called[i]


@fast
def dot(a: Float64, b: Float64) -> float:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@contract
def times(a: Float64, b: Float64, out: Float64) -> None:
    for i in range(len(a)):
        out[i] = a[i] * b[i]


@contract
def add_scaled(a: Float64, by: float, out: Float64) -> None:
    for i in range(len(a)):
        out[i] += by * a[i]


@jit
def spread_rows(planes: Words, word: int, codes: np.ndarray) -> None:
    """Codes (64, people) uint8 = the 64 rows of one word, 3 without a call."""
    people = planes.shape[0]
    for i in range(people):
        lo, hi = planes[i, 0, word], planes[i, 1, word]
        for bit in range(64):
            at = np.uint64(bit)
            codes[bit, i] = ((lo >> at) & np.uint64(1)) + np.uint64(2) * ((hi >> at) & np.uint64(1))


@jit
def _dosages(codes: np.ndarray, dosage: Float64, called: Float64) -> tuple[int, int, int]:
    """Fill in dosage and called (1 or 0); return n, AC and the sum of squared dosages."""
    one = two = absent = 0
    for i in range(len(codes)):
        one += int(codes[i] == 1)
        two += int(codes[i] == 2)
        absent += int(codes[i] == 3)
    for i in range(len(codes)):
        called[i] = np.float64(codes[i] != 3)
        dosage[i] = np.float64(codes[i]) * called[i]
    return len(codes) - absent, one + 2 * two, one + 4 * two


@jit
def fit_logistic(
    planes: Words, first: int, last: int, design: Float64, y: Float64, start: Float64, firth: bool,
    chosen: np.ndarray, ints: Int64, beta: Float64, se: Float64, code: np.ndarray,
) -> None:  # fmt: skip
    """As `plain.fit_logistic`."""
    people, k = len(y), design.shape[0]
    codes = np.empty((64, people), np.uint8)
    x = np.empty((k + 1, people))
    x[1:] = design
    called, work = np.empty(people), np.empty((5, people))
    for word in range(first // 64, (last + 63) // 64):
        low, high = max(first, word * 64), min(last, word * 64 + 64)
        if not chosen[low:high].any():
            continue
        spread_rows(planes, word, codes)
        for row in range(low, high):
            if not chosen[row]:
                continue
            n, ac, squares = _dosages(codes[row - word * 64], x[0], called)
            ints[row, 0], ints[row, 1] = n, ac
            beta[row], se[row] = np.nan, np.nan
            if n == 0:
                code[row] = NOBODY
            elif n * squares == ac * ac:
                code[row] = MONOMORPHIC
            elif n <= k + 1:
                code[row] = TOO_FEW
            elif firth:
                code[row], beta[row], se[row] = _firth(x, y, called, work)
            else:
                code[row], beta[row], se[row] = _newton(x, y, called, start, work)


@jit
def _normal(
    x: Float64, y: Float64, called: Float64, b: Float64, work: Float64, low: int, high: int,
    info: Float64, gradient: Float64,
) -> None:  # fmt: skip
    """Add people low … high - 1 to the information (lower triangle) and the gradient at b."""
    size = x.shape[0]
    eta, w = work[0, low:high], work[1, low:high]
    r, t = work[2, low:high], work[3, low:high]
    eta[:] = 0.0
    for k in range(size):
        if b[k] != 0.0:
            add_scaled(x[k, low:high], b[k], eta)
    predict(eta, y[low:high], called[low:high], w, r)
    for k in range(size):
        column = x[k, low:high]
        gradient[k] += dot(r, column)
        times(w, column, t)
        for m in range(k + 1):
            info[k, m] += dot(t, x[m, low:high])


@jit
def _newton(
    x: Float64, y: Float64, called: Float64, start: Float64, work: Float64
) -> tuple[int, float, float]:
    """Return (code, beta, se) of x[0] by Newton's method from the null model."""
    size = x.shape[0]
    b, gradient = np.zeros(size), np.empty(size)
    b[1:] = start
    info = np.empty((size, size))
    for _ in range(MAX_STEPS):
        _normals(x, y, called, b, work, info, gradient)
        if not _inverse(info, size):
            return (SEPARATED if np.abs(b).max() > 10.0 else COLLINEAR), np.nan, np.nan
        largest = 0.0
        for k in range(size):
            step = dot(info[k], gradient)
            b[k] += step
            largest = max(largest, abs(step))
        if largest < SETTLED:
            return 0, b[0], math.sqrt(info[0, 0])
        if not largest < 1e3:
            return SEPARATED, np.nan, np.nan
    return (SEPARATED if np.abs(b).max() > 10.0 else UNSETTLED), np.nan, np.nan


@jit
def _normals(
    x: Float64, y: Float64, called: Float64, b: Float64, work: Float64, info: Float64,
    gradient: Float64,
) -> None:  # fmt: skip
    """Fill in the information and the gradient at b; work[0:3]: predictor, weight, residual."""
    info[:] = 0.0
    gradient[:] = 0.0
    for at in range(0, len(y), BLOCK):
        _normal(x, y, called, b, work, at, min(at + BLOCK, len(y)), info, gradient)
    for k in range(x.shape[0]):
        for m in range(k):
            info[m, k] = info[k, m]


@jit
def _firth(x: Float64, y: Float64, called: Float64, work: Float64) -> tuple[int, float, float]:
    """Return (code, beta, se) of x[0] under Firth's penalty. As `reference.firth_one`."""
    size = x.shape[0]
    b, tried, step = np.zeros(size), np.empty(size), np.empty(size)
    gradient, info = np.empty(size), np.empty((size, size))
    curved = np.empty((size, size))
    reached = _penalised(x, y, called, b, work, info, gradient)
    for _ in range(FIRTH_STEPS):
        _normals(x, y, called, b, work, info, gradient)
        if not _inverse(info, size):
            return COLLINEAR, np.nan, np.nan
        _penalise(x, work, info, called, curved, gradient)
        if not _inverse(curved, size):
            return COLLINEAR, np.nan, np.nan
        largest = 0.0
        for k in range(size):
            step[k] = dot(curved[k], gradient)
            largest = max(largest, abs(step[k]))
        if largest < FIRTH_SETTLED * max(1.0, np.abs(b).max()):
            return 0, b[0], math.sqrt(info[0, 0])
        by, grown = min(1.0, LONGEST / largest), reached
        for _ in range(HALVINGS):
            for k in range(size):
                tried[k] = b[k] + by * step[k]
            grown = _penalised(x, y, called, tried, work, curved, gradient)
            if grown >= reached - 1e-12 * abs(reached):
                break
            by *= 0.5
        b[:] = tried
        reached = grown
    return UNSETTLED, np.nan, np.nan


@jit
def _penalised(
    x: Float64, y: Float64, called: Float64, b: Float64, work: Float64, info: Float64,
    gradient: Float64,
) -> float:  # fmt: skip
    """Return log likelihood plus half the log determinant of the information at b."""
    _normals(x, y, called, b, work, info, gradient)
    total = 0.0
    for i in range(len(y)):
        eta = work[0, i]
        total += (y[i] * eta - max(eta, 0.0) - math.log1p(math.exp(-abs(eta)))) * called[i]
    size = x.shape[0]
    for i in range(size):  # Cholesky in place
        for j in range(i + 1):
            s = info[i, j]
            for k in range(j):
                s -= info[i, k] * info[j, k]
            if i == j:
                if not s > 0.0:
                    return -np.inf
                info[i, i] = math.sqrt(s)
                total += math.log(info[i, i])
            else:
                info[i, j] = s / info[j, j]
    return total


@jit
def _inverse(info: Float64, size: int) -> bool:
    """Invert in units in which the diagonal is one."""
    scale = np.empty(size)
    for k in range(size):
        if not info[k, k] > 1e-10:
            return False
        scale[k] = 1.0 / math.sqrt(info[k, k])
    for k in range(size):
        for m in range(size):
            info[k, m] *= scale[k] * scale[m]
    if not invert(info, size):
        return False
    for k in range(size):
        for m in range(size):
            info[k, m] *= scale[k] * scale[m]
    return True


@jit
def _penalise(
    x: Float64, work: Float64, inverse: Float64, called: Float64, curved: Float64,
    gradient: Float64,
) -> None:  # fmt: skip
    """Fill in Firth's gradient and the information with the penalty's curvature, w (1 + h).

    h: the diagonal of the hat matrix; the residuals become y - mu + h (1/2 - mu).
    """
    size = x.shape[0]
    eta, w, r, t, h = work[0], work[1], work[2], work[3], work[4]
    h[:] = 0.0
    for k in range(size):
        for m in range(k + 1):
            times(x[k], x[m], t)
            add_scaled(t, inverse[k, m] * (1.0 if k == m else 2.0), h)
    for i in range(len(h)):
        mu = 1.0 / (1.0 + math.exp(-eta[i]))
        hat = h[i] * w[i]
        r[i] += hat * (0.5 - mu) * called[i]
        h[i] = w[i] * (1.0 + hat)
    for k in range(size):
        gradient[k] = dot(r, x[k])
        times(h, x[k], t)
        for m in range(k + 1):
            curved[k, m] = curved[m, k] = dot(t, x[m])
