"""What may be searched: counts of people by published facets and modality, in buckets only.

Built from live consents of the ledger snapshot; it opens no data, and never counts exactly in
public. The one place that says who may be in an order is `compute.resolve_scope`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, get_args

from compute import (
    Claims,
    ComputeError,
    Purpose,
    Release,
    Scope,
    ScopeResult,
    bucket,
    index_of,
    parse_purpose,
    parse_release,
    parse_scope,
    resolve_scope,
    sd_problem,
    tell_people,
)
from compute.queries import Build, Query, parse_query, query_value
from compute.queries import catalogue as query_families
from ledger import RULES, State, canonical
from marketplace.errors import InputError, UnavailableError
from marketplace.view import Snapshot

WRITTEN = RULES["order.placed", 1].fields["purpose"]  # the ledger's own bounds
_NUMBER = re.compile(r"[0-9]{1,12}(?:/[1-9][0-9]{0,8}|\.[0-9]{1,9})?", re.ASCII)
MAX_QUERY_BYTES = 36_000  # with purpose and scope, what a public entry holds in base64


@dataclass(frozen=True, slots=True)
class Request:
    """What a researcher asks: purpose, query, scope and release, all parsed; and in what money.

    assumed_maf, assumed_sd: of a dry run alone, the frequency its buyer expects, and the standard
    deviation of the value measured, in its own unit.
    """

    purpose: Purpose
    query: Query
    scope: Scope
    release: Release
    currency: str = "gbp"
    assumed_maf: Fraction | None = None
    assumed_sd: Fraction | None = None

    @property
    def family(self) -> str:
        """Return which query family is asked about."""
        return self.query.family


def parse_request(body: Mapping[str, Any]) -> Request:
    """Parse {purpose, query, scope, release}. Raises InputError naming what is wrong."""
    try:
        request = Request(
            parse_purpose(body["purpose"]),
            parse_query(body["query"]),
            parse_scope(body["scope"]),
            parse_release(body["release"]),
            str(body.get("currency") or (body.get("price") or {}).get("currency") or "gbp"),
            _number(body.get("assumed_maf"), "the frequency you expect must be a fraction: 1/100"),
            _number(body.get("assumed_sd"), "the spread you expect must be a number: 2.5"),
        )
    except KeyError as error:
        raise InputError(f"the request lacks the field {error}") from None
    except ComputeError as error:
        raise InputError(str(error)) from None
    _check_sizes(request)
    _check_fit(request)
    _check_assumed(request)
    return request


def _number(text: object, otherwise: str) -> Fraction | None:
    """Return a decimal or a fraction as it is written, None for nothing. Raises InputError."""
    if not text:
        return None
    if not _NUMBER.fullmatch(str(text)):
        raise InputError(otherwise)
    return Fraction(str(text))


def _check_sizes(request: Request) -> None:
    """Refuse what would be too long to stand in a public log for ever. Raises InputError."""
    for name, value in (
        ("purpose", request.purpose.to_dict()),
        ("scope", request.scope.to_dict()),
    ):
        if not WRITTEN.test(value):
            raise InputError(f"the {name} must be {WRITTEN.says}")
    if len(canonical(query_value(request.query))) > MAX_QUERY_BYTES:
        raise InputError(f"the query has more than {MAX_QUERY_BYTES} bytes; ask in several orders")


def _check_fit(request: Request) -> None:
    """Refuse before anybody pays what the worker would have to refuse. Raises InputError."""
    query, scope = request.query, request.scope
    missing = sorted(query.modalities - set(scope.modalities))
    if missing:
        raise InputError(f"the query needs {', '.join(missing)} among the scope's modalities")
    if scope.build not in (None, query.build):
        raise InputError(f"the scope names {scope.build}, the query {query.build}; name one build")
    if request.release.mode not in query_families()[query.family].modes:
        raise InputError(f"{query.family} is not offered in {request.release.mode} mode")


def _check_assumed(request: Request) -> None:
    """Refuse a spread the query's value cannot have, or has not. Raises InputError."""
    if request.assumed_sd is None:
        return
    if (problem := sd_problem(request.query, request.assumed_sd)) is not None:
        raise InputError(problem)


def people_for(
    snapshot: Snapshot,
    request: Request,
    claims: Claims,
    *,
    now: int,
    order: str | None = None,
    asking: bool = False,
) -> ScopeResult:
    """Return the people who may be in an order now, and the groups of reasons for the others.

    asking: count those whose owner would be asked as if they had said yes; for a price only.
    Raises UnavailableError while no consent may be decided on this state of the ledger.
    """
    if (reason := snapshot.state.consent_blocked()) is not None:
        raise UnavailableError(f"no consent can be decided on the ledger now: {reason}")
    return _resolved(
        snapshot, request, claims, request.query.build, now_ms=now, order=order, asking=asking
    )


def _resolved(
    snapshot: Snapshot, request: Request, claims: Claims, build: str | None, **more: Any
) -> ScopeResult:
    """Return who is in the scope on one build, as the worker resolves it."""
    return resolve_scope(
        snapshot.state, request.scope.model_copy(update={"build": build}), request.purpose, claims,
        family=request.family, release=request.release, currency=request.currency, **more,
    )  # fmt: skip


def other_builds(
    snapshot: Snapshot, request: Request, claims: Claims, found: ScopeResult, now: int
) -> dict[str, str]:
    """Return, in buckets by build, who would be in scope but holds genotypes on another build only.

    Told from the builds their entries register, never from data. found: who is in on the query's.
    """
    own = request.query.build
    if own is None or "genotypes" not in request.scope.modalities:
        return {}
    told = {}
    for build in sorted(set(get_args(Build)) - {own}):
        there = _resolved(snapshot, request, claims, build, now_ms=now)
        if count := there.count_without(found):
            told[build] = bucket(count)
    return told


def left_out_buckets(result: ScopeResult) -> dict[str, str]:
    """Return how many people each group of reasons leaves out, in buckets."""
    return {group: bucket(n) for group, n in sorted(result.left_out.items()) if n}


def canonical_query_value(query: Query) -> dict[str, Any]:
    """Return the query as it goes into order.placed, defaults written out."""
    return query_value(query)


USUAL = {"genotypes": "genotype_counts", "clinical": "clinical_counts"}


def usual_family(modality: str) -> str:
    """Return the kind of question asked first of a kind of data."""
    return USUAL.get(modality, "feature_summary")


def usable(
    snapshot: Snapshot,
    purpose: Purpose,
    modality: str,
    claims: Claims,
    facets: Mapping[str, str],
    *,
    region: str,
    now: int,
) -> dict[str, Any]:
    """Return bucketed counts of people whose terms allow a purpose: in all and by published facet.

    Of those who publish `facets` and hold data of this modality; for its usual question in exact
    mode, asked by somebody with these claims. It tells what a dry run of each would. Raises
    UnavailableError, InputError.
    """
    if (reason := snapshot.state.consent_blocked()) is not None:
        raise UnavailableError(f"no consent can be decided on the ledger now: {reason}")
    try:
        scope = parse_scope({"modalities": [modality], "region": region})
    except ComputeError as error:
        raise InputError(str(error)) from None
    found = resolve_scope(
        snapshot.state, scope, purpose, claims, family=usual_family(modality),
        release=Release(mode="trusted"), now_ms=now,
    )  # fmt: skip
    told = tell_people(index_of(snapshot.state), facets, found.persons)
    return {"people": bucket(told.people), "facets": _bucketed(told.facets)}


def _bucketed(facets: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, str]]:
    return {
        name: {value: bucket(n) for value, n in sorted(counts.items())}
        for name, counts in sorted(facets.items())
    }


def overview(state: State, facets: Mapping[str, str]) -> dict[str, Any]:
    """Return bucketed counts of people with live consents: all, by modality, by published facet.

    facets: only people who publish these values. Unpublished attributes cannot be counted.
    """
    told = tell_people(index_of(state), facets)
    return {
        "people": bucket(told.people),
        "modalities": {name: bucket(n) for name, n in sorted(told.modalities.items())},
        "facets": _bucketed(told.facets),
    }
