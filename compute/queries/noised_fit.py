"""Regression from noised sums of products: beta, and a standard error that counts the noise.

Sums are of every product of two of (1, g, u, z1 ... zp), the upper triangle of their matrix by
rows: g the dosage about 1, u the value and z the covariates, each scaled to [-1, 1].

With M the sums over w = (1, z), a = M_ww^-1 M_wg and b = M_ww^-1 M_wu, the adjusted product is
C = gu - a.M_wu and V = gg - a.M_wg. Noise of sd s in each sum gives C, by the delta method, the
variance s^2 (1 + |a|^2 + |b|^2 + |a|^2 |b|^2 + (a.b)^2 - sum a_i^2 b_i^2), added to the sampling
variance of C; without covariates that is s^2 (1 + g'^2)(1 + u'^2) for means g', u'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

LEAST_SD: Final = 5  # a variance is divided by where it is this many of its own noise's sd

Floats: TypeAlias = npt.NDArray[np.float64]


def fitted(sums: Floats, sd: float, half: float) -> dict[str, Floats]:
    """Return n, beta, se, noise_sd, t and p from noised sums (variants x products); sd of each sum.

    NaN where the noise drowns n, a covariate's variance or that of the dosage.
    """
    m, n = _symmetric(sums), sums[:, 0]
    w = [0, *range(3, m.shape[1])]
    usable = np.linalg.eigvalsh(m[:, w][:, :, w])[:, 0] >= LEAST_SD * sd * math.sqrt(len(w))
    inner = np.where(usable[:, None, None], m[:, w][:, :, w], np.eye(len(w)))
    a, b = np.moveaxis(np.linalg.solve(inner, m[:, w][:, :, 1:3]), 2, 0)
    gv, uv, c = (
        m[:, one, other] - (left * m[:, w, other]).sum(axis=1)
        for one, other, left in ((1, 1, a), (2, 2, b), (1, 2, a))
    )
    aa, bb, ab = (a * a).sum(axis=1), (b * b).sum(axis=1), (a * b).sum(axis=1)
    c_sd = sd * np.sqrt(1 + aa + bb + aa * bb + ab**2 - (a * a * b * b).sum(axis=1))
    gv_sd = sd * np.sqrt(1 + 4 * aa + 2 * aa**2 - (a**4).sum(axis=1))
    usable &= (gv >= LEAST_SD * gv_sd) & (uv > 0)
    with np.errstate(all="ignore"):
        beta = c / gv
        residual = np.maximum(uv - beta * c, 0.05 * uv) / np.maximum(n - 1 - len(w), 1)
        noise = np.hypot(c_sd, beta * gv_sd) / gv
        se = np.sqrt(residual / gv + noise**2)
    found = {"beta": half * beta, "se": half * se, "noise_sd": half * noise}
    return _tested(n, {name: np.where(usable, values, np.nan) for name, values in found.items()})


def _symmetric(sums: Floats) -> Floats:
    """Return sums (variants x products) as matrices (variants x terms x terms)."""
    terms = (math.isqrt(8 * sums.shape[1] + 1) - 1) // 2
    first, second = np.triu_indices(terms)
    found = np.empty((len(sums), terms, terms))
    found[:, first, second] = found[:, second, first] = sums
    return found


def joined(fits: Sequence[Mapping[str, Floats]]) -> dict[str, Floats]:
    """Return the fits of strata as one, by inverse variance, without strata that have no fit."""
    beta, se, noise = (np.stack([fit[name] for fit in fits]) for name in ("beta", "se", "noise_sd"))
    n = np.stack([np.where(np.isnan(fit["beta"]), 0, fit["n"]) for fit in fits]).sum(axis=0)
    with np.errstate(all="ignore"):
        weight = np.nan_to_num(1 / se**2)
        whole = weight.sum(axis=0)
        found = {
            "beta": (weight * np.nan_to_num(beta)).sum(axis=0) / whole,
            "se": 1 / np.sqrt(whole),
            "noise_sd": np.sqrt((weight**2 * np.nan_to_num(noise) ** 2).sum(axis=0)) / whole,
        }
    return _tested(n, {name: np.where(whole > 0, one, np.nan) for name, one in found.items()})


def _tested(n: Floats, found: Mapping[str, Floats]) -> dict[str, Floats]:
    t = found["beta"] / found["se"]
    p = np.array([math.erfc(abs(one) / math.sqrt(2)) for one in t.tolist()])
    return {"n": n, **found, "t": t, "p": p}
