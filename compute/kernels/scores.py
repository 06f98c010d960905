"""Polygenic scores: one number a person and score, from weights on the shared rows."""

import numpy as np

from compute.kernels.engine import engine_for
from compute.kernels.planes import Bool, Int64, Words, pack_bits, words_of
from compute.stats import Float64


class PolygenicScores:
    """Scores people block by block.

    weights: float64 (scores, rows), the effect of one copy of ALT, 0 where a score has none.
    absent: float64 (rows,), the dosage a person without a call is given (2 AF as plink2's
    mean imputation), or None for no contribution. of: bool (rows,), the rows whose missing calls
    are counted, None for every row.
    """

    def __init__(
        self, weights: Float64, absent: Float64 | None = None, of: Bool | None = None
    ) -> None:
        scores, rows = weights.shape
        self.rows = rows
        self._weights = np.zeros((scores, words_of(rows) * 64))
        self._weights[:, :rows] = weights
        # Without a call both bits are set, which has counted three copies.
        self._absent = -3.0 * self._weights
        if absent is not None:
            self._absent[:, :rows] += weights * absent
        self._of = pack_bits(np.ones(rows, np.bool_) if of is None else of, words_of(rows))

    def scores(self, planes: Words) -> tuple[Float64, Int64]:
        """Return float64 (people, scores), int64 (people,): at how many rows there is no call.

        planes: uint64 (people, 2, words).
        """
        out = np.zeros((len(planes), len(self._weights)))
        missing = np.zeros(len(planes), np.int64)
        kernels = engine_for(32 * planes.size * len(self._weights))
        kernels.score(planes, self._weights, self._absent, self._of, out, missing)
        return out, missing
