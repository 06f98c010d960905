"""The inbreeding coefficient F = 1 - observed / expected heterozygotes: what a HWE p value tests.

With p the frequency of an allele and q = 1 - p, genotypes have the shares q^2 + Fpq, 2pq (1 - F)
and p^2 + Fpq. F is 0 in Hardy-Weinberg proportions, 1 without heterozygotes, and -p/q, its least,
where the rarer homozygote (of p) is missing. It is the intraclass kappa of a person's two alleles,
hence the large-sample standard error of the estimate (Bloch and Kraemer 1989; Weir 1996, chapter 2)

    variance = (1 - F) / n ((1 - F)(1 - 2F) + F (2 - F) / (2pq))

and Donner and Eliasziw's interval (1992): the F whose expected genotypes, at the frequency seen,
fit those counted (chi-squared, one degree of freedom). At F = 0 that is Pearson's test of HWE, and
it holds near the ends of the range, where the standard error does not. Pure.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

HALVINGS: Final = 50

Floats: TypeAlias = npt.NDArray[np.float64]


def inbreeding(
    hom_ref: Floats, het: Floats, hom_alt: Floats, *, z: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return F, its standard error and the interval's ends for counts of genotypes (rows,).

    z: of the interval's level, 1.96 for 95 %. NaN where a count is NaN or only one allele is seen;
    no standard error where a genotype is missing, for there the formula's is far too small.
    """
    n = hom_ref + het + hom_alt
    with np.errstate(divide="ignore", invalid="ignore"):
        p = (2 * hom_alt + het) / (2 * n)
        pq = np.where((p > 0) & (p < 1), p * (1 - p), np.nan)
        f = 1 - het / (2 * n * pq)
        variance = (1 - f) / n * ((1 - f) * (1 - 2 * f) + f * (2 - f) / (2 * pq))
        inside = (hom_ref > 0) & (het > 0) & (hom_alt > 0)
        error = np.where(inside, np.sqrt(variance), np.nan)
        least = np.maximum(-p / (1 - p), -(1 - p) / p)
    low, high = (_end(f, end, n, p, z) for end in (least, np.ones(len(f))))
    return f, error, low, high


def _end(f: Floats, end: Floats, n: Floats, p: Floats, z: float) -> Floats:
    """Return the F between f and an end of the range that just fits; the end where all do."""
    fits, fails = f, end
    for _ in range(HALVINGS):
        middle = (fits + fails) / 2
        good = _chi_squared(f, middle, n, p) <= z * z
        fits, fails = np.where(good, middle, fits), np.where(good, fails, middle)
    return np.where(np.isnan(f), np.nan, fits)


def _chi_squared(f: Floats, asked: Floats, n: Floats, p: Floats) -> Floats:
    """Return how ill the genotypes counted, of coefficient f, fit those expected of another."""
    q = 1 - p
    apart = n * p * q * (f - asked)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = [n * (q * q + asked * p * q), n * (p * p + asked * p * q)]
        mixed = n * 2 * p * q * (1 - asked)
        found: Floats = (2 * apart) ** 2 / mixed + sum(apart**2 / one for one in expected)
    return found
