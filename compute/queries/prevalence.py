"""Private form of clinical_counts: people, and people with each listed term, noised as one vector.

One person adds 1 to the people and at most 1 to each term, of one stratum: 1 + terms in squared L2.
Prevalence, its error and its interval are post-processing. How many state a term's absence is left
out, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from compute.queries.assumed import Assumed
from compute.queries.family import Answer
from compute.queries.frequencies import score_interval
from compute.queries.private import ROUND_TO, Int64, Shape, Told, rounded
from compute.queries.split import split_problem, stacked, strata_of

LEAST_SD = 5  # a prevalence is told where the noised people are this many sd


class Prevalence:
    """The form (see the module)."""

    row: ClassVar[str] = "terms"

    def problem(self, params: Any) -> str | None:
        """Return why not, or None."""
        return split_problem(params)

    def shape(self, params: Any) -> Shape:
        """Return the people and each term's people in each stratum; a person is in one."""
        count = 1 + len(params.terms)
        return Shape(len(params.strata) * count, count)

    def vector(self, params: Any, answer: Answer) -> Int64:
        """Return by stratum the people, then each term's in the parameters' order."""
        return stacked([_counts(params, one) for one in strata_of(params, answer)])

    def told(self, params: Any, noised: Int64, sd: float) -> Told:
        """Return one row a stratum and term."""
        strata = noised.reshape(len(params.strata), -1).tolist()
        rows = [
            {"stratum": level, "term": term, **_row(count, people, sd)}
            for level, (people, *counts) in zip(params.strata, strata, strict=True)
            for term, count in zip(params.terms, counts, strict=True)
        ]
        people = sum(counts[0] for counts in strata)
        return Told(
            columns={name: [row[name] for row in rows] for name in rows[0]},
            facts={"n": rounded(people), "n_sd": sd * math.sqrt(len(strata))},
            suppressed=({"path": "columns/stated_absent", "code": "not_noised"},),
            released="people, and people with each term"
            + (", by stratum" if params.by else "")
            + ", noised as one vector",
            privacy={"counts_rounded_to": ROUND_TO},
        )

    def rows(self, params: Any) -> int:
        """Return the number of terms."""
        return len(params.terms)

    def square_ratio(self, params: Any, assumed: Assumed) -> Fraction:
        """Return a bound of it for a prevalence of maf: 1 + terms is at most twice the terms."""
        maf = assumed.maf
        return len(params.strata) * (1 + maf**2) / (maf * (1 - maf))

    def errors(self, params: Any, people: int, sd: float, assumed: Assumed) -> Mapping[str, Any]:
        """Return the error of each prevalence, the frequency the buyer assumes being its own, in
        strata of one size.
        """
        maf, each = assumed.maf, people / len(params.strata)
        return {
            "statistic": "prevalence",
            "noise_sd": sd * math.sqrt(1 + maf**2) / each,
            "sampling_sd": math.sqrt(maf * (1 - maf) / each),
        }


def _counts(params: Any, answer: Answer) -> Int64:
    """Return one stratum's people, then those with each term, over whatever rows there are."""
    counts = np.zeros(1 + len(params.terms), np.int64)
    counts[0] = sum(answer.people.values())
    place = {term: at for at, term in enumerate(params.terms, start=1)}
    rows = zip(answer.columns["term"].tolist(), answer.columns["with_term"], strict=True)
    for term, count in rows:
        counts[place[term]] += count
    return counts


def _row(count: int, people: int, sd: float) -> dict[str, Any]:
    told: dict[str, Any] = {
        "n": rounded(people),
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
