"""What an answer will be worth, from public quantities only, before anybody pays.

People (a bucket's lower end), rho, the number of variants, and a frequency and a standard deviation
the buyer assumes: never data. In private mode an order whose noise would exceed twice the sampling
error is refused here, naming the rho, the people or the variants that would do. Spec: DESIGN
section 4 (release control).
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from compute.errors import ComputeError
from compute.expected import exact_expected, sd_assumed, sd_problem, short, told
from compute.private import form_of, private_problem
from compute.queries import Assumed, Query, exact_problem, parse_query
from compute.scope import bucket
from compute.verdict import Release

ASSUMED_MAF = Assumed().maf
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
    sd: Fraction | None = None,
) -> dict[str, Any]:
    """Return the error each released number will have, and whether it is worth paying for.

    people: the scope's size, of which only the public bucket's lower end is used. maf: the
    frequency the buyer assumes. sd: the standard deviation assumed of the value measured, in its
    own unit; not said, it is a third of half the range it is clamped to, and where nothing clamps
    it the error is told in standard deviations. Numbers are floats rounded to 4 digits; "ratio" is
    noise over sampling error; "needs" names what would make a useless order useful, one change at a
    time. Raises UselessError for a query that private mode does not offer, a maf outside (0, 1/2],
    or an sd that `sd_problem` refuses.
    """
    parsed = query if isinstance(query, Query) else parse_query(query)
    assumed = _assumed(parsed, maf, sd)
    if release.mode == "trusted":
        exact = exact_problem(parsed.params)
        if exact is not None:
            raise UselessError(exact, code="not_exact")
        return exact_expected(parsed, least_of_bucket(people), assumed)
    return _private_expected(parsed, Fraction(release.rho), least_of_bucket(people), assumed)


def _private_expected(query: Query, rho: Fraction, size: int, assumed: Assumed) -> dict[str, Any]:
    """Return what noise of a budget leaves of an answer over `size` people."""
    problem = private_problem(query)
    if problem is not None or rho <= 0:
        raise UselessError(problem or "private mode needs a rho above 0", code="not_private")
    form, params = form_of(query), query.params
    shape, rows = form.shape(params), form.rows(params)
    each = shape.sd(rho)
    errors = form.errors(params, size, each, assumed)
    first = told(errors)
    unit = form.square_ratio(params, assumed)
    useful = size >= PRIVATE_PEOPLE and rows * unit / (rho * size) <= WORST_RATIO**2
    return {
        "kind": "gaussian",
        "rho": str(rho),
        "row": form.row,
        "rows": rows,
        "statistics": shape.values,
        "people_assumed": size,
        "maf_assumed": str(assumed.maf),
        **sd_assumed(query, assumed),
        "count_sd": short(each),
        **first,
        "ratio": short(errors["noise_sd"] / errors["sampling_sd"]),
        **({"more": [told(one) for one in errors["more"]]} if "more" in errors else {}),
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
    sd: Fraction | None = None,
) -> dict[str, Any]:
    """Return `expected_error`, or raise UselessError naming the rho, people or variants needed."""
    found = expected_error(query, release, people, maf=maf, sd=sd)
    if not found["useful"]:
        raise UselessError(_message(found))
    return found


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


def _assumed(query: Query, maf: Fraction, sd: Fraction | None) -> Assumed:
    if not 0 < maf <= Fraction(1, 2):
        raise UselessError("an assumed minor allele frequency lies in (0, 1/2]", code="maf")
    if sd is not None and (problem := sd_problem(query, sd)) is not None:
        raise UselessError(problem, code="sd")
    return Assumed(maf, sd)


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
