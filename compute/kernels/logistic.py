"""Case/control association: the score test from one pass of sums, and the full fit.

`LogisticScore` asks whether adding a variant to the null model (covariates alone, fitted once)
would help; people without a call get the mean dosage of the others. It is not Wald's test of a
full fit, which `LogisticFit` makes (plink2's ``--glm no-firth``), over people with a call.
"""

import itertools
from concurrent.futures import Executor
from typing import Final

import numpy as np

from compute.errors import ComputeError
from compute.kernels.engine import engine
from compute.kernels.linear import REASONS, Association, standardised
from compute.kernels.planes import Bool, Words
from compute.kernels.reference import null_model
from compute.kernels.sums import CountedSums, GenotypeSums
from compute.stats import Float64

_COLLINEAR: Final = 4


class TraitError(ComputeError):
    """A case/control trait and its covariates admit no null model."""

    default_code = "trait"


class NullModel:
    """A case/control trait without any variant: design (1 + q, people), coefficients, chances.

    y: float64 (people,), 1 case and 0 control; covariates: (people, q), without an intercept;
    people in the order they will be added. Raises TraitError.
    """

    def __init__(self, y: Float64, covariates: Float64) -> None:
        if not np.isin(y, (0.0, 1.0)).all() or len(set(y.tolist())) != 2:
            raise TraitError("a case/control trait has cases (1) and controls (0), both")
        self.y = np.ascontiguousarray(y, np.float64)
        standard, _ = standardised(covariates)
        self.design = np.vstack([np.ones(len(y)), standard.T])
        try:
            self.coefficients, self.mu = null_model(self.design, self.y)
        except ValueError as error:
            raise TraitError(str(error)) from None


class LogisticScore(CountedSums):
    """Adds people block by block; `result` tests every variant (beta = U / V, se = 1 / sqrt V)."""

    def __init__(self, null: NullModel, rows: int) -> None:
        r, w = null.y - null.mu, null.mu * (1.0 - null.mu)
        wz = (null.design * w).T
        self._inverse = np.linalg.inv((null.design * w) @ null.design.T)
        one = np.column_stack([r, wz, w])
        two = np.column_stack([2.0 * r, 2.0 * wz, 4.0 * w])
        super().__init__(GenotypeSums(rows, one, two, np.column_stack([r, wz])))

    def result(self) -> Association:
        """Test every variant."""
        one, two, absent_people = self._counter.counts()
        n = self._counter.people - absent_people
        ac = one + 2 * two
        mean = ac / np.maximum(n, 1)
        called, absent = self._sums.called(), self._sums.absent().T
        u = called[0] + mean * absent[0]
        b = called[1:-1] + mean * absent[1:]
        v = called[-1] + mean * mean * absent[1] - np.einsum("kv,km,mv->v", b, self._inverse, b)
        code = np.zeros(len(n), np.int8)
        code[v <= 1e-9 * np.maximum(called[-1], 1e-300)] = _COLLINEAR
        code[n * (one + 4 * two) == ac * ac] = 1
        code[n == 0] = 5
        v = np.where(code == 0, v, np.nan)
        z = u / np.sqrt(v)
        from scipy.special import ndtr

        return Association(
            n, ac, u / v, 1.0 / np.sqrt(v), z, 2.0 * ndtr(-np.abs(z)), np.array(REASONS)[code]
        )


class LogisticFit:
    """Fits variants one by one, everybody's genotypes at hand."""

    def __init__(self, null: NullModel) -> None:
        self._null = null

    def fit(
        self,
        planes: Words,
        rows: int,
        *,
        firth: bool = False,
        chosen: Bool | None = None,
        pool: Executor | None = None,
        parts: int = 1,
    ) -> Association:
        """Fit each of `rows` variants: planes uint64 (all people, 2, words).

        A variant whose likelihood has no maximum is "separated": fit those again with Firth's
        penalty (firth=True, chosen: which rows). With a pool the rows are shared out in `parts`.
        """
        null = self._null
        wanted = np.ones(rows, np.bool_) if chosen is None else chosen
        ints = np.zeros((rows, 2), np.int64)
        beta, se = np.full(rows, np.nan), np.full(rows, np.nan)
        code = np.full(rows, 5, np.int8)

        def run(span: tuple[int, int]) -> None:
            engine().fit_logistic(
                planes, *span, null.design, null.y, null.coefficients, firth, wanted, ints, beta,
                se, code,
            )  # fmt: skip

        edges = [min(rows, -(-rows * i // parts // 64) * 64) for i in range(parts)] + [rows]
        spans = list(itertools.pairwise(edges))
        list(pool.map(run, spans) if pool is not None else map(run, spans))
        z = beta / se
        from scipy.special import ndtr

        p = 2.0 * ndtr(-np.abs(z))
        return Association(ints[:, 0], ints[:, 1], beta, se, z, p, np.array(REASONS)[code])
