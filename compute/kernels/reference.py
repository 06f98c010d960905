"""One variant at a time, the obvious way: Newton's method for logistic regression in numpy.

Sources: McCullagh and Nelder (1989), section 4.4; Firth (1993), Heinze and Schemper (2002).
"""

import numpy as np

from compute.kernels.planes import Int8
from compute.stats import Float64

STEPS = 25
FIRTH_STEPS = 200
SETTLED = 1e-8
FIRTH_SETTLED = 1e-10
LONGEST = 5.0  # a step of Firth's fit, as logistf's
HALVINGS = 20
FLAT = 1e-12


def logistic_one(
    dosage: Int8, design: Float64, y: Float64, start: Float64, *, firth: bool = False
) -> tuple[int, float, float]:
    """Return (code, beta, se) of the dosage; code indexes `compute.kernels.linear.REASONS`.

    dosage (people,) 0, 1, 2; design (k, people), its first row ones; y 0 or 1.
    """
    nothing = (np.nan, np.nan)
    people = len(dosage)
    if not people:
        return 5, *nothing
    if len(set(dosage.tolist())) == 1:
        return 1, *nothing
    if people <= len(design) + 1:
        return 2, *nothing
    x = np.vstack([dosage.astype(np.float64), design])
    return firth_one(x, y) if firth else _newton(x, y, start)


def _newton(x: Float64, y: Float64, start: Float64) -> tuple[int, float, float]:
    b = np.concatenate([[0.0], start])
    for _ in range(STEPS):
        mu = _chance(b @ x)
        info = (x * (mu * (1.0 - mu))) @ x.T
        if not _invertible(info):
            return (6 if np.abs(b).max() > 10 else 4), np.nan, np.nan
        inverse = np.linalg.inv(info)
        step = inverse @ (x @ (y - mu))
        b = b + step
        if np.abs(step).max() < SETTLED:
            return 0, float(b[0]), float(np.sqrt(inverse[0, 0]))
        if not np.abs(step).max() < 1e3:
            break
    return (6 if np.abs(b).max() > 10 else 7), np.nan, np.nan


def firth_one(x: Float64, y: Float64) -> tuple[int, float, float]:
    """Return (code, beta, se) of x[0] under Firth's penalty; x (k, people).

    Steps use the penalty's own curvature (without it a singleton's steps swing from side to side),
    are at most LONGEST, and are halved until the penalised likelihood does not fall.
    """
    b = np.zeros(len(x))
    reached = penalised_likelihood(x, y, b)
    for _ in range(FIRTH_STEPS):
        mu = _chance(b @ x)
        w = mu * (1.0 - mu)
        info = (x * w) @ x.T
        if not _invertible(info):
            return 4, np.nan, np.nan
        inverse = np.linalg.inv(info)
        hat = w * np.einsum("ki,km,mi->i", x, inverse, x)
        step = np.linalg.solve((x * (w * (1.0 + hat))) @ x.T, x @ (y - mu + hat * (0.5 - mu)))
        step *= min(1.0, LONGEST / max(float(np.abs(step).max()), LONGEST))
        if np.abs(step).max() < FIRTH_SETTLED * max(1.0, float(np.abs(b).max())):
            return 0, float(b[0]), float(np.sqrt(inverse[0, 0]))
        for _ in range(HALVINGS):
            grown = penalised_likelihood(x, y, b + step)
            if grown >= reached - FLAT * abs(reached):
                break
            step = step / 2
        b, reached = b + step, grown
    return 7, np.nan, np.nan


def penalised_likelihood(x: Float64, y: Float64, b: Float64) -> float:
    """Return log likelihood plus half the log determinant of the information at b."""
    eta = b @ x
    mu = _chance(eta)
    sign, size = np.linalg.slogdet((x * (mu * (1.0 - mu))) @ x.T)
    return float(y @ eta - np.logaddexp(0, eta).sum() + 0.5 * size) if sign > 0 else -np.inf


def _chance(eta: Float64) -> Float64:
    return 1.0 / (1.0 + np.exp(-np.clip(eta, -700, 700)))


def _invertible(info: Float64) -> bool:
    scale = np.sqrt(np.diag(info).clip(min=1e-300))
    return bool(np.linalg.eigvalsh(info / np.outer(scale, scale))[0] >= 1e-9)


def null_model(design: Float64, y: Float64) -> tuple[Float64, Float64]:
    """Fit y ~ design (k, people); return (coefficients (k,), mu (people,)).

    Raises ValueError where the covariates tell the two groups apart, or each other.
    """
    b = np.zeros(len(design))
    for _ in range(STEPS):
        mu = _chance(b @ design)
        info = (design * (mu * (1.0 - mu))) @ design.T
        if np.linalg.cond(info) > 1e12:
            break
        step = np.linalg.solve(info, design @ (y - mu))
        b = b + step
        if np.abs(step).max() < SETTLED:
            return b, 1.0 / (1.0 + np.exp(-(b @ design)))
    raise ValueError("the covariates alone separate cases from controls, or are collinear")
