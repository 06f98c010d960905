"""Polygenic scores: one number a person and score, from weights on the shared rows."""

import itertools
from concurrent.futures import Executor

import numpy as np

from compute.kernels.engine import engine_for
from compute.kernels.planes import Words, words_of
from compute.stats import Float64


class PolygenicScores:
    """Scores people block by block.

    weights: float64 (scores, rows), the effect of one copy of ALT, 0 where a score has none.
    absent: float64 (rows,), the dosage a person without a call is given (2 AF as plink2's
    mean imputation), or None for no contribution.
    """

    def __init__(self, weights: Float64, absent: Float64 | None = None) -> None:
        scores, rows = weights.shape
        self.rows = rows
        self._weights = np.zeros((scores, words_of(rows) * 64))
        self._weights[:, :rows] = weights
        # Without a call both bits are set, which has counted three copies.
        self._absent = -3.0 * self._weights
        if absent is not None:
            self._absent[:, :rows] += weights * absent

    def add(self, planes: Words, out: Float64) -> None:
        """Add to out (people, scores) what these rows give: uint64 (people, 2, words)."""
        engine_for(32 * planes.size * len(self._weights)).score(
            planes, self._weights, self._absent, out
        )

    def scores(self, planes: Words, pool: Executor | None = None, parts: int = 1) -> Float64:
        """Return float64 (people, scores)."""
        out = np.zeros((len(planes), len(self._weights)))
        edges = np.linspace(0, len(planes), parts + 1).astype(int).tolist()
        spans = [slice(a, b) for a, b in itertools.pairwise(edges)]
        run = map if pool is None else pool.map
        list(run(lambda s: self.add(planes[s], out[s]), spans))
        return out
