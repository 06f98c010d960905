"""Logistic regression over arrays: null model, score test, full fit, Firth's penalised fit. Pure.

Score test: Cochran-Armitage generalised to covariates, missing dosages replaced by the variant's
mean (as RAREMETALWORKER and SAIGE do). Full fit: maximum likelihood by Newton's method, people
without a call left out, Wald test (as plink2's --glm). Firth: Jeffreys-prior penalty (Firth 1993;
Heinze and Schemper 2002), for variants whose likelihood has no maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Float64: TypeAlias = npt.NDArray[np.float64]
Bool: TypeAlias = npt.NDArray[np.bool_]

STEPS: Final = 25
FIRTH_STEPS: Final = 200
LONGEST: Final = 5.0  # a step of Firth's fit, as logistf's
HALVINGS: Final = 20
TIGHT: Final = 1e-9
# A coefficient this large on dosages of 0 to 2 means that cases and controls separate.
SEPARATED: Final = 15.0
_FLAT: Final = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class NullFit:
    """A model without the variant. x: (n, k) with the intercept first; mu: fitted chances."""

    x: Float64
    y: Float64
    mu: Float64
    converged: bool

    @property
    def weight(self) -> Float64:
        """Return each person's variance mu (1 - mu)."""
        return self.mu * (1.0 - self.mu)


def fit_null(x: Float64, y: Float64) -> NullFit:
    """Fit y (0 or 1) on x by Newton's method."""
    beta = np.zeros(x.shape[1])
    mu = _chance(x @ beta)
    for _ in range(STEPS):
        w = mu * (1 - mu)
        hessian = x.T @ (x * w[:, None])
        if np.linalg.cond(hessian) > 1e12:
            return NullFit(x, y, mu, converged=False)
        step = np.linalg.solve(hessian, x.T @ (y - mu))
        beta = beta + step
        mu = _chance(x @ beta)
        if np.abs(step).max() < TIGHT:
            return NullFit(x, y, mu, converged=bool(np.abs(beta).max() < 1e6))
    return NullFit(x, y, mu, converged=False)


def independent(x: Float64) -> list[int]:
    """Return the columns of x that are not made of those before them (the first always is kept)."""
    kept: list[int] = []
    basis = np.zeros((len(x), 0))
    for at in range(x.shape[1]):
        column = x[:, at]
        rest = column - basis @ (basis.T @ column)
        rest = rest - basis @ (basis.T @ rest)
        size = float(np.linalg.norm(column))
        if size > 0 and np.linalg.norm(rest) > 1e-9 * size:
            kept.append(at)
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class WaldFit:
    """Effects of V variants; NaN where ``reason`` is not "". firth: penalised."""

    beta: Float64
    se: Float64
    firth: Bool
    reason: npt.NDArray[np.str_]


def fit_each(g: npt.NDArray[np.int8], x: Float64, y: Float64, *, firth: str) -> WaldFit:
    """Fit y on [x, dosage] for each variant. g: (n, V) dosages, negative missing.

    firth: "never", "fallback" (where the likelihood has no maximum) or "always".
    """
    count = g.shape[1]
    beta, se = np.full(count, np.nan), np.full(count, np.nan)
    used, reason = np.zeros(count, np.bool_), np.full(count, "", dtype="<U16")
    for at in range(count):
        called = g[:, at] >= 0
        reason[at] = _unfit(g[called, at], y[called], x.shape[1])
        if reason[at]:
            continue
        design = np.column_stack([x[called], g[called, at].astype(np.float64)])
        if len(independent(design)) < design.shape[1]:
            reason[at] = "collinear"
            continue
        found = None if firth == "always" else _maximum(design, y[called])
        if found is None and firth != "never":
            used[at] = True
            found = _penalised(design, y[called])
        if found is None:
            reason[at] = "no_maximum"
        else:
            beta[at], se[at] = found
    return WaldFit(beta, se, used, reason)


def _unfit(g: npt.NDArray[np.int8], y: Float64, k: int) -> str:
    if not len(g):
        return "no_people"
    if len(g) <= k + 1:
        return "too_few_people"
    if g.min() == g.max():
        return "monomorphic"
    return "one_group_only" if y.min() == y.max() else ""


def _maximum(design: Float64, y: Float64) -> tuple[float, float] | None:
    """Return beta and SE of the last column, None where the likelihood has no maximum."""
    beta = np.zeros(design.shape[1])
    for _ in range(STEPS):
        mu = _chance(design @ beta)
        information = design.T @ (design * (mu * (1 - mu))[:, None])
        try:
            step = np.linalg.solve(information, design.T @ (y - mu))
        except np.linalg.LinAlgError:
            return None
        beta = beta + step
        if not np.isfinite(beta).all() or abs(beta[-1]) > SEPARATED:
            return None
        if np.abs(step).max() < TIGHT * max(1.0, float(np.abs(beta).max())):
            return _last(design, beta)
    return None


def _penalised(design: Float64, y: Float64) -> tuple[float, float] | None:
    """Return Firth's beta and SE of the last column; steps are halved until likelihood grows."""
    beta = np.zeros(design.shape[1])
    reached = _penalised_likelihood(design, y, beta)
    for _ in range(FIRTH_STEPS):
        mu = _chance(design @ beta)
        w = mu * (1 - mu)
        inverse = np.linalg.inv(design.T @ (design * w[:, None]))
        leverage = w * np.einsum("ij,jk,ik->i", design, inverse, design)
        # The penalty's own curvature: without it a singleton's steps swing from side to side.
        curved = design.T @ (design * (w * (1 + leverage))[:, None])
        step = np.linalg.solve(curved, design.T @ (y - mu + leverage * (0.5 - mu)))
        step *= min(1.0, LONGEST / max(float(np.abs(step).max()), LONGEST))
        for _ in range(HALVINGS):
            grown = _penalised_likelihood(design, y, beta + step)
            if grown >= reached - _FLAT * abs(reached):
                break
            step = step / 2
        beta, reached = beta + step, grown
        if np.abs(step).max() < TIGHT * max(1.0, float(np.abs(beta).max())):
            return _last(design, beta)
    return None


def _penalised_likelihood(design: Float64, y: Float64, beta: Float64) -> float:
    eta = design @ beta
    mu = _chance(eta)
    sign, size = np.linalg.slogdet(design.T @ (design * (mu * (1 - mu))[:, None]))
    if sign <= 0:
        return -np.inf
    return float(y @ eta - np.logaddexp(0, eta).sum() + 0.5 * size)


def _last(design: Float64, beta: Float64) -> tuple[float, float] | None:
    mu = _chance(design @ beta)
    information = design.T @ (design * (mu * (1 - mu))[:, None])
    if np.linalg.cond(information) > 1e14:
        return None
    return float(beta[-1]), float(np.sqrt(np.linalg.inv(information)[-1, -1]))


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSums:
    """Sums over people for V variants and a null model with k terms.

    r = y - mu, w = mu (1 - mu). ``called``: over people with a call; ``absent``: without one.
    """

    n: Float64  # (V,) people with a call
    g: Float64  # (V,) sum of dosage
    gr: Float64  # (V,) sum of dosage * r
    ggw: Float64  # (V,) sum of dosage^2 * w
    gxw: Float64  # (V, k) sum of dosage * w * x
    absent_r: Float64  # (V,)
    absent_w: Float64  # (V,)
    absent_xw: Float64  # (V, k)
    xxw: Float64  # (k, k) over everybody


@dataclass(frozen=True, slots=True, eq=False)
class ScoreTest:
    """U, its variance V under the null, the one-step effect U / V and its error."""

    u: Float64
    v: Float64
    beta: Float64
    se: Float64


def score_test(sums: ScoreSums) -> ScoreTest:
    """Return the score test of each variant; NaN where the variance is 0."""
    mean = np.divide(sums.g, sums.n, out=np.zeros(len(sums.n)), where=sums.n > 0)
    u = sums.gr + mean * sums.absent_r
    ggw = sums.ggw + mean**2 * sums.absent_w
    gxw = sums.gxw + mean[:, None] * sums.absent_xw
    explained = np.einsum("vk,kl,vl->v", gxw, np.linalg.inv(sums.xxw), gxw)
    v = ggw - explained
    usable = v > _FLAT * np.maximum(ggw, 1e-300)
    v = np.where(usable, v, np.nan)
    return ScoreTest(u, v, u / v, 1.0 / np.sqrt(v))


def normal_tail(z: Float64) -> Float64:
    """Return the two-sided p of a standard normal statistic."""
    # Loaded here: the marketplace reads the catalogue and never computes a statistic.
    from scipy.special import ndtr

    found: Float64 = 2.0 * ndtr(-np.abs(z))
    return found


def _chance(eta: Float64) -> Float64:
    return 1.0 / (1.0 + np.exp(-np.clip(eta, -700, 700)))
