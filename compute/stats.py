"""Exact and closed-form statistics over counts and sums. Pure: arrays in, arrays out.

Hardy-Weinberg: exact test of Wigginton, Cutler and Abecasis (2005), on X that of Graffelman and
Weir (2016), without mid-p, as plink2's ``--hardy``. Regression: ordinary least squares from centred
cross-products, as plink2's ``--glm``. Never sees a person.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]
Bool: TypeAlias = npt.NDArray[np.bool_]

MAX_VIF: Final = 50.0  # plink2's default: above it, predictors cannot be told apart
_SINGULAR: Final = 1e-9
# Configurations equally likely on paper differ in the last bits once multiplied out.
_TIE: Final = 1.0 + 1e-10
_LOG_TIE: Final = 1e-9  # of logarithms of factorials, whose last bits are coarser


@lru_cache(maxsize=1 << 16)
def hwe_exact(hom_ref: int, het: int, hom_alt: int) -> float:
    """Return the exact Hardy-Weinberg p of three genotype counts (1.0 where nothing varies).

    Sums the probabilities, given the allele counts, of all configurations no likelier than the
    one observed. O(number of heterozygotes possible), from the mode outwards, so that no
    intermediate overflows.
    """
    rare = 2 * min(hom_ref, hom_alt) + het
    people = hom_ref + het + hom_alt
    hets = np.arange(rare % 2, rare + 1, 2, dtype=np.float64)
    rare_homs = (rare - hets) / 2
    common_homs = people - hets - rare_homs
    # P(h + 2) / P(h) = 4 * rare_homs * common_homs / ((h + 1)(h + 2))
    steps = 4 * rare_homs[:-1] * common_homs[:-1] / ((hets[:-1] + 2) * (hets[:-1] + 1))
    chances = _relative(steps)
    observed = chances[(het - rare % 2) // 2]
    return float(min(1.0, chances[chances <= observed * _TIE].sum() / chances.sum()))


def _relative(steps: Float64) -> Float64:
    """Turn ratios of neighbours into chances relative to the likeliest (1.0)."""
    mode = int((steps > 1).sum())  # ratios fall along the line
    up = np.cumprod(steps[mode:])
    down = np.cumprod(1.0 / steps[:mode][::-1])[::-1]
    return np.concatenate([down, [1.0], up])


def hwe_exact_many(hom_ref: Int64, het: Int64, hom_alt: Int64) -> Float64:
    """Return hwe_exact of each position; equal triples are computed once."""
    triples = np.stack([hom_ref, het, hom_alt])
    distinct, where = np.unique(triples, axis=1, return_inverse=True)
    values = [hwe_exact(*triple) for triple in distinct.T.tolist()]
    return np.array(values, np.float64)[where.reshape(-1)]


@lru_cache(maxsize=1 << 14)
def hwe_x_exact(hom_ref: int, het: int, hom_alt: int, hap_ref: int, hap_alt: int) -> float:
    """Return the exact p of an X variant: women's genotypes and men's alleles together.

    Tests Hardy-Weinberg proportions among women and one allele frequency in both sexes: sums the
    probabilities, given the counts of alleles, women and men, of all configurations (men with ALT,
    women heterozygous) no likelier than the one observed (Graffelman and Weir 2016, Heredity 116,
    558). Without men it is `hwe_exact`. O(men * women possible).
    """
    from scipy.special import gammaln

    women, men = hom_ref + het + hom_alt, hap_ref + hap_alt
    copies = 2 * hom_alt + het + hap_alt
    carrying = np.arange(max(0, copies - 2 * women), min(men, copies) + 1)[:, None]
    hets = np.arange(women + 1)[None, :]
    twice = copies - carrying - hets
    homs, rest = twice // 2, women - hets - twice // 2
    there = (twice >= 0) & (twice % 2 == 0) & (rest >= 0)
    parts = (carrying, men - carrying, hets, np.where(there, homs, 0), np.where(there, rest, 0))
    chance = hets * math.log(2) - sum(gammaln(part + 1.0) for part in parts)
    seen = chance[hap_alt - int(carrying[0, 0]), het]
    relative = np.exp(np.where(there, chance - chance[there].max(), -np.inf))
    tie = chance <= seen + _LOG_TIE
    return float(min(1.0, relative[tie].sum() / relative.sum()))


def hwe_x_exact_many(
    hom_ref: Int64, het: Int64, hom_alt: Int64, hap_ref: Int64, hap_alt: Int64
) -> Float64:
    """Return hwe_x_exact of each position; equal counts are computed once."""
    rows = np.stack([hom_ref, het, hom_alt, hap_ref, hap_alt])
    distinct, where = np.unique(rows, axis=1, return_inverse=True)
    values = [hwe_x_exact(*row) for row in distinct.T.tolist()]
    return np.array(values, np.float64)[where.reshape(-1)]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Effect of the first predictor of each regression; NaN where ``reason`` is not ""."""

    beta: Float64
    se: Float64
    t: Float64
    p: Float64
    reason: npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True, eq=False)
class Products:
    """Centred cross-products of V regressions with q predictors, the tested one first."""

    n: Int64  # (V,) people
    xx: Float64  # (V, q, q)
    xy: Float64  # (V, q)
    yy: Float64  # (V,)
    constant: Bool  # (V,) the tested predictor does not vary (decided exactly, by counts)


def least_squares(products: Products) -> Fit:
    """Fit y on an intercept and q predictors, V times; report the first predictor.

    Reasons for NA: no_people, monomorphic, too_few_people, constant_feature, collinear (a
    predictor's variance inflation is above 50, or two are the same).
    """
    q = products.xy.shape[1]
    reason = _reasons(products, q)
    scale = np.sqrt(np.einsum("vqq->vq", products.xx).clip(min=0))
    flat = (reason == "") & (scale <= 0).any(axis=1)
    reason[flat] = "collinear"
    usable = np.flatnonzero(reason == "")
    corr = products.xx[usable] / (scale[usable, :, None] * scale[usable, None, :])
    distinct = _distinct(corr)
    reason[usable[~distinct]] = "collinear"
    usable, corr = usable[distinct], corr[distinct]
    return _solve(products, usable, corr, scale, reason)


def _reasons(products: Products, q: int) -> npt.NDArray[np.str_]:
    reason = np.full(len(products.n), "", dtype="<U16")
    reason[products.yy <= 0] = "constant_feature"
    reason[products.n <= q + 1] = "too_few_people"
    reason[products.constant] = "monomorphic"
    reason[products.n == 0] = "no_people"
    return reason


def _distinct(corr: Float64) -> Bool:
    """Tell which correlation matrices are invertible with every variance inflation <= 50."""
    sound: Bool = np.linalg.eigvalsh(corr)[:, 0] > _SINGULAR
    inflation = np.zeros(corr.shape[:2])
    inflation[sound] = np.einsum("vqq->vq", np.linalg.inv(corr[sound]))
    return sound & (inflation <= MAX_VIF).all(axis=1)


def _solve(
    products: Products,
    usable: npt.NDArray[np.intp],
    corr: Float64,
    scale: Float64,
    reason: npt.NDArray[np.str_],
) -> Fit:
    count, q = len(products.n), products.xy.shape[1]
    beta, se, t, p = (np.full(count, np.nan) for _ in range(4))
    inverse = np.linalg.inv(corr)
    spread = np.sqrt(products.yy[usable])
    with_y = products.xy[usable] / (scale[usable] * spread[:, None])
    slopes = np.einsum("vqr,vr->vq", inverse, with_y)
    left = (1.0 - np.einsum("vq,vq->v", slopes, with_y)).clip(min=0)
    df = (products.n[usable] - q - 1).astype(np.float64)
    beta[usable] = slopes[:, 0] * spread / scale[usable, 0]
    se[usable] = np.sqrt(left / df * inverse[:, 0, 0]) * spread / scale[usable, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        t[usable] = beta[usable] / se[usable]
    # Loaded here: the marketplace reads the catalogue and never computes a statistic.
    from scipy.special import stdtr

    p[usable] = 2.0 * stdtr(df, -np.abs(t[usable]))
    return Fit(beta, se, t, p, reason)


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


def frequency(over: Int64, under: Int64) -> Float64:
    """Return over / under, NaN where under is 0."""
    found: Float64 = np.full(len(over), np.nan)
    np.divide(over, under, out=found, where=under > 0)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Welch:
    """Welch's test of each feature; NaN where ``reason`` is not ""."""

    t: Float64
    df: Float64
    p: Float64
    reason: npt.NDArray[np.str_]


def welch(mean: Float64, variance: Float64, n: Int64) -> Welch:
    """Test mean[0] - mean[1] of each feature (Welch 1947, Satterthwaite's df). All (2, F)."""
    # Loaded here: the marketplace reads the catalogue and never computes a statistic.
    from scipy.special import stdtr

    with np.errstate(divide="ignore", invalid="ignore"):
        share = variance / n
        t = (mean[0] - mean[1]) / np.sqrt(share.sum(axis=0))
        df = share.sum(axis=0) ** 2 / (share**2 / (n - 1)).sum(axis=0)
    reason = np.full(n.shape[1], "", dtype="<U16")
    reason[~(share.sum(axis=0) > 0)] = "constant"
    reason[(n < 2).any(axis=0)] = "too_few_people"
    usable = reason == ""
    t, df = np.where(usable, t, np.nan), np.where(usable, df, np.nan)
    return Welch(t, df, 2.0 * stdtr(df, -np.abs(t)), reason)


def benjamini_hochberg(p: Float64) -> Float64:
    """Return the q value of each p (Benjamini and Hochberg 1995); NaN stays NaN, untested."""
    found = np.full(len(p), np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested])[::-1]]
    ranks = np.arange(len(order), 0, -1)
    found[order] = np.minimum.accumulate(np.minimum(1.0, p[order] * len(order) / ranks))
    return found


def fisher_two_by_two(a: Int64, b: Int64, c: Int64, d: Int64) -> tuple[Float64, Float64]:
    """Return (sample odds ratio, two-sided Fisher exact p) of tables [[a, b], [c, d]].

    The odds ratio is infinite where only b * c is 0, NaN where both products are.
    """
    # Loaded here: the marketplace reads the catalogue and never computes a statistic.
    from scipy.stats import fisher_exact

    with np.errstate(divide="ignore", invalid="ignore"):
        odds = (a * d).astype(np.float64) / (b * c)
    tables = np.stack([a, b, c, d], axis=1).reshape(-1, 2, 2)
    return odds, np.array([fisher_exact(table)[1] for table in tables], np.float64)
