"""What sampling does to an answer's numbers, for a dry run: from public quantities, never data.

Private answers reckon with the same assumptions and add noise (`compute.utility`). What is likely
hidden in an exact answer is told of the rules of `compute.suppress`.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations, product
from typing import Any

from compute.queries import Assumed, Query, catalogue, private_form
from compute.suppress import SMALL

SD_UNIT = "standard deviations of the value"


def sd_problem(query: Query, sd: Fraction) -> str | None:
    """Return why no such standard deviation can be assumed of the value a query measures, or None.

    Told from the query alone. A value between bounds spreads by half their distance at most.
    """
    sampled = catalogue()[query.family].sampled
    if sampled is None:
        return f"{query.family} has no measured value to assume a standard deviation of"
    if getattr(query.params, "transform", "none") != "none":
        return "normal scores have a standard deviation of 1: none is to be assumed"
    if sd <= 0:
        return "an assumed standard deviation lies above 0"
    most = sampled.most_sd(query.params)
    if most is not None and sd > most:
        return f"between its bounds the value has a standard deviation of at most {decimal(most)}"
    return None


def largest_sd(query: Query) -> Fraction | None:
    """Return how far a query's value can spread at most; None where it has no value or no bounds.

    What noise drowns at this it drowns at every standard deviation.
    """
    sampled = catalogue()[query.family].sampled
    return None if sampled is None else sampled.most_sd(query.params)


def sd_assumed(query: Query, assumed: Assumed) -> dict[str, str]:
    """Return the sd reckoned with in private mode, where the family measures a value."""
    most = largest_sd(query)
    sd = assumed.sd or (most / 3 if most is not None else None)
    return {} if sd is None else {"sd_assumed": decimal(sd)}


def told(errors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the errors of one number as they are told: statistic, noise_sd, sampling_sd, se."""
    noise, sampling = float(errors["noise_sd"]), float(errors["sampling_sd"])
    return {
        "statistic": errors["statistic"],
        "noise_sd": short(noise),
        "sampling_sd": short(sampling),
        "se": short(math.hypot(noise, sampling)),
    }


def exact_expected(query: Query, people: int, assumed: Assumed) -> dict[str, Any]:
    """Return what is told of an exact answer: if it is sold, its sampling error, and what is likely
    hidden in it.
    """
    maf = assumed.maf
    found: dict[str, Any] = {"kind": "exact", "useful": people >= query.least_people}
    if not found["useful"]:
        found["needs"] = {"people": query.least_people}
    found |= _sampling(query, people, assumed)
    if "genotypes" in query.needs.modalities:
        found |= {"people_assumed": people, "maf_assumed": str(maf)}
        found["suppressed"] = (
            "of variants of this frequency about {} hide allele counts and "
            "effects, {} genotype counts".format(*map(_share, likely_hidden(people, float(maf))))
        )
    return found


def _sampling(query: Query, people: int, assumed: Assumed) -> dict[str, Any]:
    """Return the standard error of sampling people, where the family has a number of its own.

    Not stated, the sd is 1 and the error told in standard deviations of the value.
    """
    sampled, form = catalogue()[query.family].sampled, private_form(query)
    if sampled is not None:
        scale = sampled.per_sd(query.params, people, assumed.maf)
        own = told({"statistic": sampled.statistic, "noise_sd": 0,
                      "sampling_sd": scale * (assumed.sd or 1)})  # fmt: skip
        stated = {"sd_assumed": decimal(assumed.sd)} if assumed.sd else {"unit": SD_UNIT}
        return {"people_assumed": people, **own, **stated}
    if form is None:
        return {}
    own = told(form.errors(query.params, people, 0.0, assumed))
    return {"people_assumed": people, "maf_assumed": str(assumed.maf), **own}


def likely_hidden(people: int, maf: float) -> tuple[float, float]:
    """Return the chance that a variant's (allele counts, genotype counts) are hidden as small.

    In Hardy-Weinberg proportions, without strata, everybody called. A small allele count comes with
    a small genotype count.
    """
    shares = ((1 - maf) ** 2, 2 * maf * (1 - maf), maf**2)
    alleles = _small(2 * people, maf) + _small(2 * people, 1 - maf)
    one = sum(_small(people, share) for share in shares)
    two = sum(_small(people, *pair) for pair in combinations(shares, 2))
    return min(1.0, alleles), min(1.0, one - two)


def _small(count: int, *shares: float) -> float:
    """Return the chance that of `count` draws 1 to SMALL fall into each cell of these shares."""
    left = 1 - sum(shares)

    def chance(hits: tuple[int, ...]) -> float:
        rest = count - sum(hits)
        if rest < 0:
            return 0.0
        ways = math.lgamma(count + 1) - sum(math.lgamma(n + 1) for n in (*hits, rest))
        parts = zip((*hits, rest), (*shares, left), strict=True)
        return math.exp(ways + sum(n * math.log(share) for n, share in parts))

    return sum(map(chance, product(range(1, SMALL + 1), repeat=len(shares))))


def _share(value: float) -> str:
    percent = 100 * value
    return f"{percent:.0f} %" if percent >= 1 or percent < 1e-3 else "under 1 %"


def decimal(value: Fraction) -> str:
    """Return a number as decimal text of 6 significant digits."""
    return f"{float(value):.6g}"


def short(value: float) -> float:
    """Return a number to 4 significant digits."""
    return float(f"{value:.4g}")
