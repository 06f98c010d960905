"""Linear association of one trait with every variant, covariates and per-variant missingness.

Per variant, over people with a call: y ~ 1 + dosage + covariates by least squares (plink2's
``--glm``). Sums are about means and in units of standard deviations; nothing of a person is kept.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from compute.kernels.engine import engine_for
from compute.kernels.sums import CountedSums, GenotypeSums
from compute.stats import Float64, Int64

REASONS: Final = ("", "monomorphic", "too_few_people", "constant_trait", "collinear", "no_people",
                  "separated", "not_converged")  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """One row a variant. beta, se per copy of ALT; stat is t (linear) or z; NaN where reason."""

    n: Int64
    ac: Int64
    beta: Float64
    se: Float64
    stat: Float64
    p: Float64
    reason: npt.NDArray[np.str_]


class LinearAssociation(CountedSums):
    """Adds people block by block; `result` fits every variant.

    y: float64 (people,); covariates: float64 (people, q), without an intercept; people in the
    order they will be added; every value finite. rows: variants.
    """

    def __init__(self, y: Float64, covariates: Float64, rows: int) -> None:
        q = covariates.shape[1]
        x, self._spread = standardised(np.column_stack([y, covariates]))
        self.x = x
        self._pairs = np.triu_indices(q + 1)
        absent = np.column_stack([np.ones(len(x)), x, x[:, self._pairs[0]] * x[:, self._pairs[1]]])
        self._total = absent.sum(axis=0)
        super().__init__(GenotypeSums(rows, x, 2.0 * x, absent))

    def result(self) -> Association:
        """Fit every variant."""
        one, two, _ = self._counter.counts()
        products = np.ascontiguousarray(self._total - self._sums.absent())
        beta, se, code = np.empty(len(one)), np.empty(len(one)), np.empty(len(one), np.int8)
        gx = np.ascontiguousarray(self._sums.called())
        engine_for(100 * len(one)).fit_linear(one, two, products, gx, beta, se, code)
        n = np.rint(products[:, 0]).astype(np.int64)
        beta, se = beta * self._spread[0], se * self._spread[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            t = beta / se
        from scipy.special import stdtr

        p = 2.0 * stdtr((n - self.x.shape[1] - 1).astype(np.float64), -np.abs(t))
        return Association(n, one + 2 * two, beta, se, t, p, np.array(REASONS)[code])


def standardised(x: Float64) -> tuple[Float64, Float64]:
    """Return (people, columns) with mean 0 and variance 1, and the standard deviations.

    A column that varies in its last bits only does not vary: it becomes 0, in units of 1.
    """
    if not len(x):
        return x, np.ones(x.shape[1])
    spread = x.std(axis=0)
    flat = spread <= 1e-12 * np.abs(x).max(axis=0)
    spread = np.where(flat, 1.0, spread)
    found: Float64 = np.where(flat, 0.0, (x - x.mean(axis=0)) / spread)
    return found, spread
