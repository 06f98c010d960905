"""Prices: a dry run is free, a quote is itemised, signed for by its digest and valid for a while.

Priced on the public bucket of the scope (its upper end), never on an exact or a matched number,
so a price says nothing a bucket does not. Opens no data. Published rule, minor units throughout:
data = for each modality: people of the bucket x the highest price a permitted owner asks x rate;
rate = 1 when trusted, else 10 x rho between 1/10 and 1; platform = percent of data, rounded up;
compute = a flat fee. What is left after the fees is split equally among the scope's people.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compute import (
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
from marketplace.errors import ConflictError
from marketplace.services import Services
from marketplace.tables import Quote
from marketplace.view import Snapshot

UNDERTAKING = "no-reidentification/1"
CURRENCY = "gbp"


@dataclass(frozen=True, slots=True)
class Price:
    """An itemised price in minor units; total = owners_total + platform_fee + compute_fee."""

    items: tuple[Mapping[str, Any], ...]
    owners_total: int
    platform_fee: int
    compute_fee: int

    @property
    def total(self) -> int:
        return self.owners_total + self.platform_fee + self.compute_fee


def bucket_top(people: int) -> int:
    """Return the upper end of the public bucket of a count: the number that is priced."""
    text = bucket(people)
    return int(text[1:]) - 1 if text.startswith("<") else int(text.rpartition("-")[2])


def price(units: Mapping[str, int], people: int, release: Release, fees: Fees) -> Price:
    """Price one order. units: highest asked price by modality; people: exact, bucketed here."""
    priced, rate = bucket_top(people), rate_of(release)
    items: list[Mapping[str, Any]] = []
    data = 0
    for modality, unit in units.items():
        amount = math.ceil(priced * unit * rate)
        data += amount
        items.append(
            {
                "kind": "data",
                "modality": modality,
                "people": bucket(people),
                "people_priced": priced,
                "unit": unit,
                "rate": str(rate),
                "amount": amount,
            }
        )
    platform = -(-data * fees.platform_percent // 100)
    items.append({"kind": "compute", "amount": fees.compute})
    items.append({"kind": "platform", "percent": fees.platform_percent, "amount": platform})
    return Price(tuple(items), data, platform, fees.compute)


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
    found, cost = _priced(services, party, request)
    return {
        "people": bucket(len(found.people)),
        "left_out": catalogue.left_out_buckets(found),
        "price": None if cost is None else cost.total,
        "currency": CURRENCY,
        "items": [] if cost is None else list(cost.items),
        "expected_error": _expected(request, found),
    }


def _expected(request: Request, found: ScopeResult) -> dict[str, Any]:
    """Return the expected error of every number, from public quantities only."""
    try:
        return expected_error(request.query, request.release, len(found.people))
    except ComputeError as error:
        return {"kind": "refused", "why": str(error)}


def _priced(services: Services, party: str, request: Request) -> tuple[ScopeResult, Price | None]:
    snapshot: Snapshot = services.view.fresh()
    now = services.clock()
    claims = claims_of(snapshot.state, services.trust.pins, party, now)
    found = catalogue.people_for(snapshot, request, claims, now=now)
    if not found.people:
        return found, None
    units = unit_prices(found, request, claims, now)
    return found, price(units, len(found.people), request.release, services.config.fees)


def offer(services: Services, party: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make a quote and keep it. Raises InputError; ConflictError when nobody permits the use."""
    request = catalogue.parse_request(body)
    found, cost = _priced(services, party, request)
    if cost is None:
        reasons = ", ".join(f"{k} {v}" for k, v in catalogue.left_out_buckets(found).items())
        raise ConflictError(
            "nobody in this scope permits this use now, so there is nothing to price; "
            f"left out by: {reasons or 'no data of this kind'}"
        )
    try:
        require_useful(request.query, request.release, len(found.people))
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
    return public(quote)


def _body(request: Request, cost: Price, valid_until: int) -> dict[str, Any]:
    return {
        "v": 1,
        "total": cost.total,
        "currency": CURRENCY,
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
            "price": {"amount": cost.total, "currency": CURRENCY},
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
