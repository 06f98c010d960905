"""What an answer will be worth, from public quantities only, before anybody pays.

People (a bucket's lower end), rho, the number of variants and a frequency the buyer assumes: never
data. In private mode an order whose noise would exceed twice the sampling error is refused here,
naming the rho, the people or the variants that would do. Spec: DESIGN section 4 (release control).
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from compute.errors import ComputeError
from compute.noise import noise_sd
from compute.private import asked_variants, private_problem, sensitivity_squared
from compute.queries import Query, canonical_query, parse_query
from compute.scope import bucket
from compute.verdict import Release

ASSUMED_MAF = Fraction(1, 4)
WORST_RATIO = 2
PRIVATE_PEOPLE = 100


class UselessError(ComputeError):
    """The noise would drown the answer; the message names what would do."""

    default_code = "noise_too_large"


def least_of_bucket(people: int) -> int:
    """Return the lower end of the public bucket of a count of people."""
    text = bucket(people)
    return 1 if text.startswith("<") else int(text.partition("-")[0])


def expected_error(
    query: Query | Mapping[str, Any],
    release: Release,
    people: int,
    *,
    maf: Fraction = ASSUMED_MAF,
) -> dict[str, Any]:
    """Return the error each allele frequency will have, and whether it is worth paying for.

    people: the scope's size, of which only the public bucket's lower end is used. maf: the
    frequency the buyer assumes. Numbers are floats rounded to 4 digits; "ratio" is noise over
    sampling error; "needs" names what would make a useless order useful, one change at a time.
    Raises UselessError for a query that private mode does not offer, or a maf outside (0, 1/2].
    """
    parsed = query if isinstance(query, Query) else parse_query(query)
    if release.mode == "trusted":
        return {"kind": "exact", "useful": True}
    problem = private_problem(parsed)
    rho, size = Fraction(release.rho), least_of_bucket(people)
    if problem is not None or rho <= 0:
        raise UselessError(problem or "private mode needs a rho above 0", code="not_private")
    if not 0 < maf <= Fraction(1, 2):
        raise UselessError("an assumed minor allele frequency lies in (0, 1/2]", code="maf")
    variants = len(asked_variants(parsed))
    sampling = _sampling(size, maf)
    noise = _noise(variants, rho, size, maf)
    useful = size >= PRIVATE_PEOPLE and _square_ratio(variants, rho, size, maf) <= WORST_RATIO**2
    return {
        "kind": "gaussian",
        "rho": str(rho),
        "variants": variants,
        "statistics": 2 * variants,
        "people_assumed": size,
        "maf_assumed": str(maf),
        "count_sd": _short(noise_sd(sensitivity_squared(variants), rho)),
        "af_noise_sd": _short(noise),
        "af_sampling_sd": _short(sampling),
        "af_se": _short(math.hypot(noise, sampling)),
        "ratio": _short(noise / sampling),
        "suppressed": "0 of the frequencies, where calls are not mostly missing",
        "useful": useful,
        "needs": {} if useful else _needs(variants, rho, size, maf),
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
    from hashlib import sha256

    from compute.private import frequency

    parsed = query if isinstance(query, Query) else parse_query(query)
    found = []
    for name in asked_variants(parsed)[:rows]:
        contig, pos, ref, alt = name.split("-")
        seed = sha256(canonical_query(parsed) + name.encode()).digest()
        copies = int.from_bytes(seed[:2], "big") % 150
        place = {"stratum": "all", "contig": contig, "pos": int(pos), "ref": ref, "alt": alt}
        found.append({**place, **frequency(copies, 400 - copies, 10.0), "made_up": True})
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


def _sampling(people: int, maf: Fraction) -> float:
    return math.sqrt(maf * (1 - maf) / (2 * people))


def _noise(variants: int, rho: Fraction, people: int, maf: Fraction) -> float:
    """Return the sd that noise alone gives a frequency: sd of a count, spread over AN copies."""
    spread = math.sqrt(maf**2 + (1 - maf) ** 2)
    return noise_sd(sensitivity_squared(variants), rho) * spread / (2 * people)


def _needs(variants: int, rho: Fraction, people: int, maf: Fraction) -> dict[str, Any]:
    """Return the rho, people or variants that alone would do; a person floor holds always."""
    unit = _square_ratio(1, Fraction(1), 1, maf)
    limit = WORST_RATIO**2
    enough = max(PRIVATE_PEOPLE, math.ceil(variants * unit / (rho * limit)))
    if people < PRIVATE_PEOPLE:
        return {"people": enough}
    return {
        "rho": str(Fraction(math.ceil(1000 * variants * unit / (people * limit)), 1000)),
        "people": enough,
        "variants": math.floor(rho * people * limit / unit),
    }


def _square_ratio(variants: int, rho: Fraction, people: int, maf: Fraction) -> Fraction:
    """Return (noise / sampling)^2, exactly: it grows with variants and falls with rho * people."""
    return variants * (maf**2 + (1 - maf) ** 2) / (maf * (1 - maf) * rho * people)


def _message(found: Mapping[str, Any]) -> str:
    needs = found["needs"]
    if found["people_assumed"] < PRIVATE_PEOPLE:
        return (
            f"private frequencies need a scope of at least {PRIVATE_PEOPLE} people; "
            f"about {needs['people']} would do for this order"
        )
    return (
        f"the noise (sd {found['af_noise_sd']} in each frequency) would be {found['ratio']} times "
        f"the sampling error ({found['af_sampling_sd']}) of {found['people_assumed']} people; "
        f"useful would be rho {needs['rho']}, or {needs['people']} people, "
        f"or {needs['variants']} variants"
    )


def _short(value: float) -> float:
    return float(f"{value:.4g}")
