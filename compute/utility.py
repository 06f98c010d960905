"""What an answer will be worth, from public quantities only, before anybody pays.

People (a bucket's lower end), rho, the number of variants and a frequency the buyer assumes: never
data. In private mode an order whose noise would exceed twice the sampling error is refused here,
naming the rho, the people or the variants that would do. Spec: DESIGN section 4 (release control).
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from hashlib import sha256
from itertools import islice
from typing import Any

import numpy as np

from compute.errors import ComputeError
from compute.private import form_of, private_problem
from compute.queries import Query, canonical_query, exact_problem, parse_query
from compute.scope import bucket
from compute.verdict import Release

ASSUMED_MAF = Fraction(1, 4)
WORST_RATIO = 2
PRIVATE_PEOPLE = 100


class UselessError(ComputeError):
    """The noise would drown the answer, or there are too few people for such a question; the
    message names what would do.
    """

    default_code = "noise_too_large"


def least_of_bucket(people: int) -> int:
    """Return the lower end of the public bucket of a count of people, at least 1."""
    text = bucket(people)
    return 1 if text.startswith("<") else max(1, int(text.partition("-")[0]))


def expected_error(
    query: Query | Mapping[str, Any],
    release: Release,
    people: int,
    *,
    maf: Fraction = ASSUMED_MAF,
) -> dict[str, Any]:
    """Return the error each released number will have, and whether it is worth paying for.

    people: the scope's size, of which only the public bucket's lower end is used. maf: the
    frequency the buyer assumes. Numbers are floats rounded to 4 digits; "ratio" is noise over
    sampling error; "needs" names what would make a useless order useful, one change at a time.
    Raises UselessError for a query that private mode does not offer, or a maf outside (0, 1/2].
    """
    parsed = query if isinstance(query, Query) else parse_query(query)
    if release.mode == "trusted":
        exact = exact_problem(parsed.params)
        if exact is not None:
            raise UselessError(exact, code="not_exact")
        return _exact(parsed.least_people, least_of_bucket(people))
    problem = private_problem(parsed)
    rho, size = Fraction(release.rho), least_of_bucket(people)
    if problem is not None or rho <= 0:
        raise UselessError(problem or "private mode needs a rho above 0", code="not_private")
    if not 0 < maf <= Fraction(1, 2):
        raise UselessError("an assumed minor allele frequency lies in (0, 1/2]", code="maf")
    form, params = form_of(parsed), parsed.params
    shape, rows = form.shape(params), form.rows(params)
    sd = shape.sd(rho)
    errors = form.errors(params, size, sd, maf)
    noise, sampling = float(errors["noise_sd"]), float(errors["sampling_sd"])
    unit = form.square_ratio(params, maf)
    useful = size >= PRIVATE_PEOPLE and rows * unit / (rho * size) <= WORST_RATIO**2
    return {
        "kind": "gaussian",
        "rho": str(rho),
        "row": form.row,
        "rows": rows,
        "statistics": shape.values,
        "statistic": errors["statistic"],
        "people_assumed": size,
        "maf_assumed": str(maf),
        "count_sd": _short(sd),
        "noise_sd": _short(noise),
        "sampling_sd": _short(sampling),
        "se": _short(math.hypot(noise, sampling)),
        "ratio": _short(noise / sampling),
        "suppressed": "0 of the rows, where calls are not mostly missing",
        "useful": useful,
        "needs": {} if useful else _needs(form.row, rows, unit, rho, size),
    }


def require_useful(
    query: Query | Mapping[str, Any],
    release: Release,
    people: int,
    *,
    maf: Fraction = ASSUMED_MAF,
) -> dict[str, Any]:
    """Return `expected_error`, or raise UselessError naming the rho, people or variants needed."""
    found = expected_error(query, release, people, maf=maf)
    if not found["useful"]:
        raise UselessError(_message(found))
    return found


def rehearsal_rows(query: Query | Mapping[str, Any], rows: int = 5) -> list[dict[str, Any]]:
    """Return made-up rows with the schema of a private answer, to rehearse on; drawn from no data.

    They follow from the query's digest alone, so they repeat and say nothing of anybody.
    """
    parsed = query if isinstance(query, Query) else parse_query(query)
    form = form_of(parsed)
    shape = form.shape(parsed.params)
    seed = canonical_query(parsed)
    made = [
        200 + int.from_bytes(sha256(b"%d " % at + seed).digest()[:2], "big") % 150
        for at in range(shape.values)
    ]
    picked = range(shape.picks) if shape.picks else made
    columns = form.told(parsed.params, np.array(picked, np.int64), 10.0).columns
    found = zip(*columns.values(), strict=True)
    return [
        {**dict(zip(columns, row, strict=True)), "made_up": True} for row in islice(found, rows)
    ]


def private_counts_request(
    variants: list[str],
    *,
    rho: str,
    build: str = "GRCh37",
    region: str = "local",
    facets: Mapping[str, list[str]] | None = None,
    purpose: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the body of POST /quotes (and /dry-run) that orders private allele frequencies.

    variants: "1-1000-A-G" names. rho: an exact fraction such as "1/20". Every owner's terms must
    have rho <= lifetime_rho * order_share; any release mode of theirs permits private answers.
    """
    return {
        "purpose": dict(purpose or {"primary": "HMB", "commercial": False}),
        "query": {
            "v": 1,
            "family": "genotype_counts",
            "build": build,
            "params": {"variants": sorted(variants)},
        },
        "scope": {
            "modalities": ["genotypes"],
            "build": build,
            "facets": {name: list(values) for name, values in (facets or {}).items()},
            "region": region,
        },
        "release": {"mode": "private", "rho": rho},
    }


def _needs(row: str, rows: int, unit: Fraction, rho: Fraction, people: int) -> dict[str, Any]:
    """Return the rho, people or rows that alone would do; a person floor holds always.

    (noise / sampling error)^2 is rows * unit / (rho * people), exactly.
    """
    limit = WORST_RATIO**2
    enough = max(PRIVATE_PEOPLE, math.ceil(rows * unit / (rho * limit)))
    if people < PRIVATE_PEOPLE:
        return {"people": enough}
    fewer = math.floor(rho * people * limit / unit)
    return {
        "rho": str(Fraction(math.ceil(1000 * rows * unit / (people * limit)), 1000)),
        "people": enough,
        **({row: fewer} if rows > 1 and fewer else {}),
    }


def _exact(least: int, people: int) -> dict[str, Any]:
    """Return what is told of an exact answer; least: the family's own floor of people."""
    if people >= least:
        return {"kind": "exact", "useful": True}
    return {"kind": "exact", "useful": False, "needs": {"people": least}}


def _message(found: Mapping[str, Any]) -> str:
    needs = found["needs"]
    if found["kind"] == "exact":
        return f"this question is answered for a scope of at least {needs['people']} people"
    if found["people_assumed"] < PRIVATE_PEOPLE:
        return (
            f"private answers need a scope of at least {PRIVATE_PEOPLE} people; "
            f"about {needs['people']} would do for this order"
        )
    row = str(found["row"])
    rows = f", or {needs[row]} {row}" if row in needs else ""
    return (
        f"the noise (sd {found['noise_sd']} in each {found['statistic']}) would be "
        f"{found['ratio']} times the sampling error ({found['sampling_sd']}) of "
        f"{found['people_assumed']} people; useful would be rho {needs['rho']}, "
        f"or {needs['people']} people{rows}"
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")
