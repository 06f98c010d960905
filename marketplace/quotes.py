"""Prices: a dry run is free, a quote is itemised, signed for by its digest and valid for a while.

Priced on the public bucket of the scope (its upper end), never on an exact or a matched number,
so a price says nothing a bucket does not; a match is judged inside the order. Opens no data.
Published rule, minor units throughout:
data = for each modality: people of the bucket x the modality's weight x the highest price a
permitted owner asks for this purpose x rate; rate = 1 when trusted, else 2 x rho (so the
largest budget there may be, taken at once, costs what exact numbers do); platform = percent of
data, rounded up; compute = a flat fee. What is left after the fees is split by the same weights
among the scope's people who ask a price; who asks nothing gives. An order is priced in one
currency, among the owners whose terms ask in it. If people withdrew so that a smaller bucket took
part, the same rule prices that bucket, without what nobody left asks for, and the difference goes
back.
"""

import hashlib
import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from compute import (
    MIN_PEOPLE,
    Claims,
    ComputeError,
    Release,
    ScopeResult,
    bucket,
    claims_of,
    expected_error,
    parse_terms,
    price_of,
    rate_of,
    require_useful,
)
from compute.queries import code_digest, query_digest
from ledger import canonical
from marketplace import catalogue
from marketplace.catalogue import Request
from marketplace.config import Fees
from marketplace.entries import new_id
from marketplace.errors import ConflictError, InputError
from marketplace.services import Services
from marketplace.tables import Quote
from marketplace.view import Snapshot

MATCH_WORDS = (
    "How many of these people match is not known yet: it is judged on encrypted data, inside the "
    "order only. Price, access and budget are those of the whole scope, however many match; the "
    "expected error is that of everybody matching."
)
UNDERTAKING = "no-reidentification/1"


@dataclass(frozen=True, slots=True)
class Price:
    """An itemised price in minor units; total = owners_total + platform_fee + compute_fee."""

    items: tuple[Mapping[str, Any], ...]
    owners_total: int
    platform_fee: int
    compute_fee: int

    @property
    def total(self) -> int:
        """Return what the buyer pays, in minor units."""
        return self.owners_total + self.platform_fee + self.compute_fee


def bucket_top(people: int) -> int:
    """Return the upper end of the public bucket of a count: the number that is priced."""
    text = bucket(people)
    return int(text[1:]) - 1 if text.startswith("<") else int(text.rpartition("-")[2])


def price(
    units: Mapping[str, int], people: int, release: Release, fees: Fees, currency: str = "gbp"
) -> Price:
    """Price one order. units: highest asked price by modality; people: exact, bucketed here.

    Raises InputError for a currency without a published fee.
    """
    flat = fees.compute_fee(currency)
    if flat is None:
        offered = ", ".join(fees.currencies)
        raise InputError(f"orders are priced in {offered}, not in {currency[:8]!r}")
    priced, rate = bucket_top(people), rate_of(release)
    items: list[Mapping[str, Any]] = []
    data = 0
    for modality, unit in units.items():
        weight = fees.weights.get(modality, 1)
        amount = math.ceil(priced * weight * unit * rate)
        data += amount
        items.append(
            {
                "kind": "data",
                "modality": modality,
                "people": bucket(people),
                "people_priced": priced,
                "weight": weight,
                "unit": unit,
                "rate": str(rate),
                "amount": amount,
            }
        )
    platform = -(-data * fees.platform_percent // 100)
    items.append({"kind": "compute", "amount": flat})
    items.append({"kind": "platform", "percent": fees.platform_percent, "amount": platform})
    return Price(tuple(items), data, platform, flat)


def repriced(body: Mapping[str, Any], people: int, asked: Container[str]) -> Price:
    """Price a quote's body for the people who took part: never more than was quoted.

    asked: modalities for which one of them asks a price; the others are not charged.
    """
    items, data = [dict(item) for item in body["items"]], 0
    for item in items:
        if item["kind"] == "data":
            item["people_priced"] = min(bucket_top(people), item["people_priced"])
            each = item.get("weight", 1) * item["unit"] * Fraction(item["rate"])
            due = math.ceil(item["people_priced"] * each) if item["modality"] in asked else 0
            item["amount"] = min(item["amount"], due)
            data += item["amount"]
    platform = 0
    for item in items:
        if item["kind"] == "platform":
            platform = item["amount"] = -(-data * item["percent"] // 100)
    return Price(tuple(items), data, platform, body["compute_fee"])


def unit_prices(result: ScopeResult, request: Request, claims: Claims, now: int) -> dict[str, int]:
    """Return the highest price asked by modality among the people permitted."""
    units: dict[str, int] = dict.fromkeys(request.scope.modalities, 0)
    known: dict[str, int] = {}
    for member in result.people:
        for modality, grant in member.grants.items():
            if grant.terms_sha256 not in known:
                terms = parse_terms(grant.terms)
                asked = price_of(terms, request.purpose, claims, now)
                known[grant.terms_sha256] = asked or 0
            units[modality] = max(units[modality], known[grant.terms_sha256])
    return units


def dry_run(services: Services, party: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return bucketed people, reasons, price and expected error of an order. Raises InputError."""
    request = catalogue.parse_request(body)
    found, cost, elsewhere = _priced(services, party, request)
    return {
        "people": bucket(len(found.people)),
        "left_out": catalogue.left_out_buckets(found),
        "other_builds": elsewhere,
        "match": match_words(request),
        "price": None if cost is None else cost.total,
        "currency": request.currency,
        "items": [] if cost is None else list(cost.items),
        "expected_error": _expected(request, found),
    }


def match_words(request: Request) -> str | None:
    """Return what is known of a match before its order runs: nothing, said in words; else None."""
    return MATCH_WORDS if request.query.match else None


def _expected(request: Request, found: ScopeResult) -> dict[str, Any]:
    """Return the expected error of every number, from public quantities only."""
    query, release = request.query, request.release
    try:
        return expected_error(query, release, len(found.people), **_assumed(request))
    except ComputeError as error:
        return {"kind": "refused", "why": str(error)}


def _assumed(request: Request) -> dict[str, Any]:
    """Return what the buyer assumes of the answer, as `expected_error` takes it."""
    maf = {} if request.assumed_maf is None else {"maf": request.assumed_maf}
    return {**maf, "sd": request.assumed_sd}


def _priced(
    services: Services, party: str, request: Request
) -> tuple[ScopeResult, Price | None, dict[str, str]]:
    """Return who is in, the price (None: nobody), and buckets of people on other builds."""
    snapshot: Snapshot = services.view.fresh()
    now = services.clock()
    claims = claims_of(snapshot.state, services.trust.pins, party, now)
    _require_region(snapshot, request, now)
    found = catalogue.people_for(snapshot, request, claims, now=now)
    elsewhere = catalogue.other_builds(snapshot, request, claims, found, now)
    priced = found
    if len(found.people) < MIN_PEOPLE and found.left_out.get("needs_owner"):
        # Too few without asking: the price covers those who may say yes, and what they do not
        # cost goes back once it is known who took part.
        priced = catalogue.people_for(snapshot, request, claims, now=now, asking=True)
    if not priced.people:
        return found, None, elsewhere
    units = unit_prices(priced, request, claims, now)
    fees, currency = services.config.fees, request.currency
    cost = price(units, len(priced.people), request.release, fees, currency)
    return ScopeResult(priced.people, found.left_out), cost, elsewhere


def _require_region(snapshot: Snapshot, request: Request, now: int) -> None:
    """Refuse a region where nobody computes. Raises InputError naming those where somebody does."""
    if snapshot.state.compute_key_for(request.scope.region, now) is None:
        keys = snapshot.state.compute_keys.values()
        open_ = sorted({key.region for key in keys if key.not_before <= now < key.not_after})
        raise InputError(
            f"no compute service works in region {request.scope.region!r} now; "
            f"orders can be placed for {', '.join(open_) or 'no region yet'}"
        )


def offer(services: Services, party: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make a quote and keep it. Raises InputError; ConflictError when nobody permits the use.

    What the buyer assumes decides only whether the noise would drown the answer they expect: it is
    neither kept nor signed, and moves no price.
    """
    request = catalogue.parse_request(body)
    found, cost, elsewhere = _priced(services, party, request)
    if cost is None:
        reasons = ", ".join(f"{k} {v}" for k, v in catalogue.left_out_buckets(found).items())
        raise ConflictError(
            "nobody in this scope permits this use now, so there is nothing to price; "
            f"left out by: {reasons or 'no data of this kind'}"
        )
    try:
        require_useful(request.query, request.release, len(found.people), **_assumed(request))
    except ComputeError as error:
        raise ConflictError(f"this order would be refused, so it is not sold: {error}") from None
    now = services.clock()
    kept = _body(request, cost, now + services.config.limits.quote_ms)
    digest = hashlib.sha256(canonical(kept)).hexdigest()
    quote = Quote(
        id=new_id(), party=party, body=kept, sha256=digest, created_at=now,
        valid_until=kept["valid_until"],
    )  # fmt: skip
    with services.db.write() as session:
        session.add(quote)
    return {
        **public(quote),
        "left_out": catalogue.left_out_buckets(found),
        "other_builds": elsewhere,
        "match": match_words(request),
    }


def _body(request: Request, cost: Price, valid_until: int) -> dict[str, Any]:
    return {
        "v": 1,
        "total": cost.total,
        "currency": request.currency,
        "items": [dict(item) for item in cost.items],
        "owners_total": cost.owners_total,
        "platform_fee": cost.platform_fee,
        "compute_fee": cost.compute_fee,
        "valid_until": valid_until,
        "order_fields": {
            "purpose": request.purpose.to_dict(),
            "query": catalogue.canonical_query_value(request.query),
            "query_digest": query_digest(request.query),
            "code_digest": code_digest(request.query),
            "scope": request.scope.to_dict(),
            "release": request.release.to_dict(),
            "price": {"amount": cost.total, "currency": request.currency},
            "undertaking": UNDERTAKING,
        },
    }


def public(quote: Quote) -> dict[str, Any]:
    """Return a quote as its researcher sees it; `body` is what sha256 covers (RFC 8785)."""
    body = quote.body
    fields = {**body["order_fields"], "quote": quote.id, "quote_sha256": quote.sha256}
    return {
        "quote": quote.id,
        "total": body["total"],
        "currency": body["currency"],
        "items": body["items"],
        "valid_until": quote.valid_until,
        "sha256": quote.sha256,
        "body": body,
        "order_fields": fields,
    }
