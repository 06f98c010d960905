"""The one matcher: may this purpose use data under these terms?

Used in search, offer, quote, approval and again at the run. Rules, each failing closed:
1. Some permission must permit the purpose; several permissions are a union.
2. Every modifier, flag and limit must then hold; only clinical care (CC) ever widens.
3. An attribute of the buyer counts only while attested. Unattested, a requirement asks the owner
   and a prohibition forbids.
4. An unknown disease, code, price class or region forbids.
5. Re-identification is always forbidden, whatever the terms say.
Pure: no clock (now_ms is an argument), no I/O, and it never sees data.
Spec: GA4GH DUO; DESIGN sections 3.1 (attested claims) and 4.1 (scope).
"""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from compute.duo import CC, DS, DUO_TERMS, GRU, HMB, NRES, POA
from compute.modifiers import check_modifier
from compute.ontology import Ontology, current_ontology
from compute.terms import NEVER, Claims, Purpose, Terms
from compute.values import SECTORS, PriceClass, parse_value
from compute.verdict import (
    SEVERITY,
    Match,
    Reason,
    Release,
    Request,
    Verdict,
    ask,
    forbidden,
    permitted,
)

# Purposes each permission opens by itself. DS opens by disease and CC by modifier, below.
_OPENS: dict[str, frozenset[str]] = {
    NRES: frozenset({"DS", "HMB", "POA", "MDS", "GRU", "CC"}),
    GRU: frozenset({"DS", "HMB", "POA", "MDS", "GRU"}),
    HMB: frozenset({"DS", "HMB", "MDS"}),
    DS: frozenset(),
    POA: frozenset({"POA"}),
}
# Purposes DS data is open to when every disease of the purpose lies under one the owner names.
_BY_DISEASE = frozenset({"DS", "MDS"})


def match_terms(
    terms: Terms,
    purpose: Purpose,
    claims: Claims,
    *,
    family: str,
    release: Release | Mapping[str, Any],
    region: str,
    now_ms: int,
    modalities: Iterable[str] = (),
    ontology: Ontology | None = None,
) -> Match:
    """Judge one use: permitted, needs_owner or forbidden, with a reason for each term.

    family: query family. region: where compute runs. now_ms: Unix milliseconds. ontology: of
    diseases; None for the one this program was started with.
    Raises TermsError when release is malformed.
    """
    request = Request(
        purpose,
        claims,
        family,
        frozenset(modalities),
        release if isinstance(release, Release) else parse_release(release),
        region,
        now_ms,
        current_ontology() if ontology is None else ontology,
    )
    reasons = tuple(_reasons(terms, request))
    return Match(max((r.verdict for r in reasons), key=SEVERITY.__getitem__), reasons)


def parse_release(value: Mapping[str, Any]) -> Release:
    """Parse an order's release {"mode", "rho"}. Raises TermsError."""
    return parse_value(Release, value)


def _reasons(terms: Terms, request: Request) -> Iterator[Reason]:
    yield from _unknown_diseases(request)
    yield from _permissions(terms, request)
    for modifier in terms.modifiers:
        yield check_modifier(modifier, terms, request)
    yield from _flags(terms, request)
    yield _price(terms, request.purpose, request.claims, request.now_ms)[1]
    yield _family(terms, request)
    yield _region(terms, request)
    yield _release(terms, request)
    yield _window(terms, request)


def _unknown_diseases(request: Request) -> Iterator[Reason]:
    for disease in request.purpose.diseases:
        if request.ontology.is_descendant(disease, disease) is None:
            yield forbidden("disease", f"{disease} is in no ontology we know: correct the purpose")


def _permissions(terms: Terms, request: Request) -> Iterator[Reason]:
    reasons = [_permission(code, terms, request) for code in terms.permissions]
    granting = [reason for reason in reasons if reason.verdict is Verdict.PERMITTED]
    yield from granting[:1] or reasons


def _permission(code: str, terms: Terms, request: Request) -> Reason:
    primary, plain = request.purpose.primary, DUO_TERMS[code].plain
    clinical = primary == "CC" and any(m.id == CC for m in terms.modifiers)
    if primary in _OPENS[code] or (clinical and code in (GRU, HMB)):
        return permitted(code, f"the owner allows {plain}")
    if code == DS and (primary in _BY_DISEASE or clinical):
        return _disease(terms, request)
    return forbidden(code, f"the owner allows {plain}, and this purpose is something else")


def _disease(terms: Terms, request: Request) -> Reason:
    """Judge DS: every disease of the purpose must lie under some disease of the owner."""
    if not request.purpose.diseases:
        return forbidden(
            DS, "the owner allows research on named conditions; this purpose names none"
        )
    for disease in request.purpose.diseases:
        answers = [request.ontology.is_descendant(disease, own) for own in terms.diseases]
        if True in answers:
            continue
        if None in answers:
            return forbidden(DS, f"{disease} or a condition the owner names is unknown to us")
        return forbidden(DS, f"{disease} is not one of the conditions the owner allows")
    return permitted(DS, "the condition studied is one the owner allows")


def _flags(terms: Terms, request: Request) -> Iterator[Reason]:
    purpose, flags = request.purpose, terms.flags
    if flags.no_insurers:
        yield _not_sector("no_insurers", "insurer", request)
    if flags.no_employers:
        yield _not_sector("no_employers", "employer", request)
    if flags.no_ai_training and purpose.ai_training:
        yield forbidden("no_ai_training", "training AI models is not allowed")
    if purpose.reidentification:
        yield forbidden("no_reidentification", "finding out who people are is never allowed")
    for flag in purpose.controls:
        yield ask(f"sensitive.{flag}", f"a sensitive kind of study ({flag.replace('_', ' ')})")


def _not_sector(code: str, sector: str, request: Request) -> Reason:
    value = request.claim("sector")
    if value is None:
        return forbidden(code, f"nobody we trust confirms the buyer is no {sector}", "buyer")
    if value == sector or value not in SECTORS:
        return forbidden(code, f"buyers that are or may be an {sector} are not allowed", "buyer")
    return permitted(code, f"the buyer is attested to be no {sector}", "buyer")


def price_class(purpose: Purpose) -> PriceClass:
    """Return which of an owner's prices the purpose, as declared, falls under."""
    if purpose.commercial:
        return "commercial_research"
    if purpose.primary == "CC":
        return "clinical_care"
    return "methods" if purpose.primary == "MDS" else "non_profit_research"


def price_of(terms: Terms, purpose: Purpose, claims: Claims, now_ms: int) -> int | None:
    """Return the owner's price of one use in minor units of terms.currency; None means never.

    A buyer not attested as not-for-profit pays the commercial price, where there is one. The
    price alone never permits: ask `match_terms`.
    """
    return _price(terms, purpose, claims, now_ms)[0]


def _price(
    terms: Terms, purpose: Purpose, claims: Claims, now_ms: int
) -> tuple[int | None, Reason]:
    kind = price_class(purpose)
    declared, commercial = _amount(terms, kind), _amount(terms, "commercial_research")
    non_profit = claims.value("non_profit", now_ms)
    plain = kind.replace("_", " ")
    if declared is None:
        return None, forbidden("price", f"the owner's price for {plain} is never", "price")
    if kind == "commercial_research" or non_profit is True:
        return declared, permitted("price", f"the owner has a price for {plain}", "price")
    if commercial is not None:
        text = "the buyer is not attested as not-for-profit and pays the commercial price"
        return max(declared, commercial), permitted("price", text, "price")
    if non_profit is None:
        return declared, ask("price", f"the price for {plain} is for attested non-profit buyers")
    return None, forbidden("price", "the owner's price for this buyer is never", "price")


def _amount(terms: Terms, kind: PriceClass) -> int | None:
    price = terms.prices.get(kind, NEVER)
    return price if isinstance(price, int) else None


def _family(terms: Terms, request: Request) -> Reason:
    if "*" in terms.query_families or request.family in terms.query_families:
        return permitted("query_family", "this kind of query is allowed", "query")
    return forbidden("query_family", "the owner does not allow this kind of query", "query")


def _region(terms: Terms, request: Request) -> Reason:
    if "*" in terms.regions or request.region in terms.regions:
        return permitted("region", "the computation runs where the owner allows", "place")
    return forbidden("region", "the computation would run where the owner does not allow", "place")


def _release(terms: Terms, request: Request) -> Reason:
    release = request.release
    if release.mode == "private":
        if Fraction(release.rho) <= terms.release.order_rho:
            return permitted("release", "noise is added to every answer", "release")
        return forbidden("release", "the order asks too much privacy budget", "release")
    if terms.release.mode != "trusted":
        return forbidden("release", "the owner allows only answers with added noise", "release")
    if request.claim("accredited_researcher") is not True:
        return forbidden("release", "only for accredited researchers", "release")
    return permitted("release", "an accredited researcher, and answers are reviewed", "release")


def _window(terms: Terms, request: Request) -> Reason:
    if request.now_ms < terms.valid_from:
        return forbidden("valid", "the consent has not begun", "time")
    if terms.valid_until is not None and request.now_ms >= terms.valid_until:
        return forbidden("valid", "the consent has ended", "time")
    return permitted("valid", "the consent is in its time", "time")
