"""Private form of the top-k families: which candidates are the k largest, and nothing of how large.

Every candidate has an integer score; the gate adds Gumbel noise to each and names the k largest, in
order (report noisy top-k, OpenDP's). What it costs grows with k and not with the candidates, so a
long list may be searched for a small part of what telling every number would cost. Two candidates
whose scores differ by d are told in the right order with chance 1 / (1 + exp(-d / scale)).

A family says how far one person moves a score at most and whether all scores move one way. Scores
are not released: ask for the numbers of what was found in an order of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from compute.queries.assumed import Assumed
from compute.queries.family import Answer
from compute.queries.private import GUMBEL_SD, Int64, Shape, Told

ORDER_KEPT = math.log(19)  # in scales: a difference told in the right order 19 times of 20
GUMBEL_SQUARED = Fraction(25_839, 10_000)  # pi^2 / 6 x pi / 2 (see Shape.scale), rounded up


@dataclass(frozen=True, slots=True)
class Scored:
    """What one score is. step: how much of the score is one of its integers' units.

    moves: the most one person moves it, in integers; variance: of a score by sampling, per person,
    given the parameters and what a buyer assumes.
    """

    statistic: str
    moves: int
    monotonic: bool
    variance: Callable[[Any, Assumed], Fraction]
    step: int = 1


class Ranking:
    """The form (see the module)."""

    row: ClassVar[str] = "places"

    def __init__(self, scored: Scored) -> None:
        self.scored = scored

    def problem(self, params: Any) -> str | None:
        """Return why not, or None: there must be more candidates than are told."""
        if params.k < len(params.candidates()):
            return None
        return "the k largest of a list need more than k candidates"

    def shape(self, params: Any) -> Shape:
        """Return a score a candidate, of which k are told."""
        one = self.scored
        return Shape(len(params.candidates()), one.moves**2, params.k, one.monotonic)

    def vector(self, params: Any, answer: Answer) -> Int64:
        """Return each candidate's score, in the parameters' order."""
        found: Int64 = answer.columns["score"].astype(np.int64)
        return found

    def told(self, params: Any, noised: Int64, sd: float) -> Told:
        """Return a row a place; noised: the candidates picked, best first."""
        candidates: Sequence[Mapping[str, Any]] = params.candidates()
        rows = [
            {"rank": rank, **candidates[at]} for rank, at in enumerate(noised.tolist(), start=1)
        ]
        unit = sd / self.scored.step
        gap = ORDER_KEPT * unit / GUMBEL_SD
        return Told(
            columns={name: [row[name] for row in rows] for name in rows[0]},
            facts={
                "candidates": len(candidates),
                "k": params.k,
                "scored_by": self.scored.statistic,
                "score_noise_sd": unit,
                "gap_in_order_19_of_20": gap,
            },
            suppressed=({"path": "columns/score", "code": "not_noised"},),
            released="which candidates score highest, in order, by report noisy top-k",
            privacy={"count_sd": unit},
        )

    def rows(self, params: Any) -> int:
        """Return k: the noise's variance grows with it."""
        return int(params.k)

    def square_ratio(self, params: Any, assumed: Assumed) -> Fraction:
        """Return it for one score."""
        noise = GUMBEL_SQUARED * Fraction(self.scored.moves, self.scored.step) ** 2
        return noise / (8 if self.scored.monotonic else 2) / self.scored.variance(params, assumed)

    def errors(self, params: Any, people: int, sd: float, assumed: Assumed) -> Mapping[str, Any]:
        """Return the error of one score."""
        return {
            "statistic": self.scored.statistic,
            "noise_sd": sd / self.scored.step,
            "sampling_sd": math.sqrt(people * self.scored.variance(params, assumed)),
        }
