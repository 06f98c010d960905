"""Private form of clinical_counts: people, and people with each listed term, noised as one vector.

One person adds 1 to the people and at most 1 to each term: 1 + terms in squared L2. Prevalence, its
error and its interval are post-processing. Strata are not offered (which there are depends on
data); how many state a term's absence is left out, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from compute.queries.family import Answer
from compute.queries.frequencies import score_interval
from compute.queries.private import ROUND_TO, Int64, Shape, Told, rounded

LEAST_SD = 5  # a prevalence is told where the noised people are this many sd


class Prevalence:
    """The form (see the module)."""

    row: ClassVar[str] = "terms"

    def problem(self, params: Any) -> str | None:
        """Return why not, or None."""
        return "private mode does not split by strata" if params.by is not None else None

    def shape(self, params: Any) -> Shape:
        """Return the people and each term's people."""
        return Shape(1 + len(params.terms), 1 + len(params.terms))

    def vector(self, params: Any, answer: Answer) -> Int64:
        """Return the people, then each term's in the parameters' order."""
        counts = np.zeros(len(params.terms), np.int64)
        place = {term: at for at, term in enumerate(params.terms)}
        rows = zip(answer.columns["term"].tolist(), answer.columns["with_term"], strict=True)
        for term, count in rows:
            counts[place[term]] += count
        return np.concatenate([np.array([sum(answer.people.values())], np.int64), counts])

    def told(self, params: Any, noised: Int64, sd: float) -> Told:
        """Return one row a term."""
        people = int(noised[0])
        rows = [
            {"term": term, **_row(int(count), people, sd)}
            for term, count in zip(params.terms, noised[1:].tolist(), strict=True)
        ]
        return Told(
            columns={name: [row[name] for row in rows] for name in rows[0]},
            facts={"n": rounded(people), "n_sd": sd},
            suppressed=({"path": "columns/stated_absent", "code": "not_noised"},),
            released="people, and people with each term, noised as one vector",
            privacy={"counts_rounded_to": ROUND_TO},
        )

    def rows(self, params: Any) -> int:
        """Return the number of terms."""
        return len(params.terms)

    def square_ratio(self, params: Any, maf: Fraction) -> Fraction:
        """Return a bound of it for a prevalence of maf: 1 + terms is at most twice the terms."""
        return (1 + maf**2) / (maf * (1 - maf))

    def errors(self, params: Any, people: int, sd: float, maf: Fraction) -> Mapping[str, Any]:
        """Return the error of each prevalence, the frequency the buyer assumes being its own."""
        return {
            "statistic": "prevalence",
            "noise_sd": sd * math.sqrt(1 + maf**2) / people,
            "sampling_sd": math.sqrt(maf * (1 - maf) / people),
        }


def _row(count: int, people: int, sd: float) -> dict[str, Any]:
    told: dict[str, Any] = {
        "with_term": rounded(count),
        "count_sd": sd,
        **dict.fromkeys(("prevalence", "se", "noise_sd", "low", "high")),
        "na": "",
    }
    if people < max(ROUND_TO, LEAST_SD * sd):
        return {**told, "na": "too_few_people_for_the_noise"}
    raw = count / people
    share = min(1.0, max(0.0, raw))
    noise = sd * math.sqrt(1 + share**2) / people
    low, high = score_interval(raw, people, noise)
    return {
        **told,
        "prevalence": share,
        "se": math.sqrt(share * (1 - share) / people + noise**2),
        "noise_sd": noise,
        "low": low,
        "high": high,
    }
