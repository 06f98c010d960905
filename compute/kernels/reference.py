"""One variant at a time, the obvious way: Newton's method for logistic regression in numpy.

Sources: McCullagh and Nelder (1989), section 4.4; Firth (1993), Heinze and Schemper (2002).
"""

import numpy as np

from compute.kernels.planes import Int8
from compute.stats import Float64

STEPS = 25
SETTLED = 1e-8


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
    b = np.concatenate([[0.0], start])
    for _ in range(4 * STEPS if firth else STEPS):
        mu = 1.0 / (1.0 + np.exp(-np.clip(b @ x, -700, 700)))
        w = mu * (1.0 - mu)
        info = (x * w) @ x.T
        scale = np.sqrt(np.diag(info).clip(min=1e-300))
        if np.linalg.eigvalsh(info / np.outer(scale, scale))[0] < 1e-9:
            return (6 if np.abs(b).max() > 10 else 4), *nothing
        inverse = np.linalg.inv(info)
        residual = y - mu
        if firth:
            hat = w * np.einsum("ki,km,mi->i", x, inverse, x)
            residual = residual + hat * (0.5 - mu)
        step = inverse @ (x @ residual)
        if firth:
            step = step.clip(-2, 2)
        b = b + step
        if np.abs(step).max() < SETTLED:
            return 0, float(b[0]), float(np.sqrt(inverse[0, 0]))
        if not np.abs(step).max() < 1e3:
            break
    return (6 if np.abs(b).max() > 10 else 7), *nothing


def null_model(design: Float64, y: Float64) -> tuple[Float64, Float64]:
    """Fit y ~ design (k, people); return (coefficients (k,), mu (people,)).

    Raises ValueError where the covariates tell the two groups apart, or each other.
    """
    b = np.zeros(len(design))
    for _ in range(STEPS):
        mu = 1.0 / (1.0 + np.exp(-np.clip(b @ design, -700, 700)))
        info = (design * (mu * (1.0 - mu))) @ design.T
        if np.linalg.cond(info) > 1e12:
            break
        step = np.linalg.solve(info, design @ (y - mu))
        b = b + step
        if np.abs(step).max() < SETTLED:
            return b, 1.0 / (1.0 + np.exp(-(b @ design)))
    raise ValueError("the covariates alone separate cases from controls, or are collinear")
