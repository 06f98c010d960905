"""Reading an order off the ledger: everything that must hold before anybody's consent is asked.

The marketplace's word for an order is not read at all. Checks, each with its own code: known and
open, researcher's unexpired attestations, payment, our region, our query and its code, release
mode. Whose data it may use is the planner's question. Spec: DESIGN 1 step 5 and 3.1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from compute.claims import claims_of
from compute.errors import ComputeError, QueryError
from compute.match import parse_release
from compute.planner import Asked
from compute.prices import due
from compute.private import private_problem
from compute.queries import Query, catalogue, code_digest, exact_problem, parse_query, query_digest
from compute.scope import parse_scope
from compute.selection import Member
from compute.terms import Claims, parse_purpose
from compute.worker_outcomes import Code, JobRefusedError
from compute.worker_ports import Workshop
from ledger import OrderState, State, TrustPolicy, unb64

OPEN = frozenset({"placed", "approved", "running", "withheld"})
UNDERTAKING = "no-reidentification/1"


@dataclass(frozen=True, slots=True)
class VerifiedOrder:
    """An order that may run, as its researcher signed it."""

    id: str
    asked: Asked
    query: Query
    query_digest: str
    code_digest: str
    mode: str
    release: Mapping[str, Any]
    price: int
    result_key: bytes
    researcher: str


def read_order(shop: Workshop, order: str, now_ms: int) -> VerifiedOrder:
    """Read and check an order at the follower's checkpoint. Raises JobRefusedError."""
    state = shop.follower.state
    entry = state.orders.get(order)
    if entry is None:
        raise JobRefusedError(Code.UNKNOWN_ORDER, "no order of this id is on the ledger")
    if entry.status not in OPEN or entry.result is not None:
        raise JobRefusedError(Code.NOT_OPEN, f"the order is {entry.status}")
    payload = entry.payload
    if payload["undertaking"] != UNDERTAKING:
        raise JobRefusedError(Code.BAD_ORDER, "the order lacks the undertaking")
    claims = claims_of(state, shop.trust.pins, str(payload["researcher"]), now_ms)
    _attested(state, payload, claims, now_ms)
    _paid(entry)
    query = _query(payload)
    _released(payload, query, claims, now_ms)
    return VerifiedOrder(
        id=order,
        asked=_asked(shop, order, payload, query, claims),
        query=query,
        query_digest=str(payload["query_digest"]),
        code_digest=str(payload["code_digest"]),
        mode=str(payload["release"]["mode"]),
        release=payload["release"],
        price=int(payload["price"]["amount"]),
        result_key=unb64(payload["result_key"]),
        researcher=str(payload["researcher"]),
    )


def require_price(order: VerifiedOrder, members: Iterable[Member]) -> None:
    """Refuse an order that pays less than these members' own terms ask. Raises JobRefusedError."""
    asked = due((member.price for member in members), parse_release(order.asked.release))
    if order.price < asked:
        raise JobRefusedError(Code.PRICE, "the order's price is below what its members ask")


def is_independent(state: State, trust: TrustPolicy, owner: str, now_ms: int) -> bool:
    """Tell whether an owner is attested as unaffiliated with buyers: floors count only these."""
    claims = claims_of(state, trust.pins, owner, now_ms)
    return claims.value("unaffiliated", now_ms) is True


def _attested(state: State, payload: Any, claims: Claims, now_ms: int) -> None:
    """Check that every attestation the order names is the researcher's own and unexpired."""
    party = state.parties.get(str(payload["researcher"]))
    held = {one.index: one for one in party.attestations} if party is not None else {}
    for index in payload["attestations"]:
        one = held.get(index)
        if one is None or now_ms >= one.expires_at:
            raise JobRefusedError(Code.ATTESTATION, "an attestation of the order has ended")
    if not claims.attested:
        raise JobRefusedError(Code.ATTESTATION, "nobody attests anything of the buyer")


def _paid(entry: OrderState) -> None:
    price = entry.payload["price"]
    if any(one.kind == "disputed" for one in entry.payments):
        raise JobRefusedError(Code.NOT_PAID, "the payment is disputed")
    if any(one.currency != price["currency"] for one in entry.payments):
        raise JobRefusedError(Code.NOT_PAID, "a payment is in another currency")
    if not entry.payments and price["amount"] > 0:
        raise JobRefusedError(Code.NOT_PAID, "the order is not paid")
    if entry.paid() < price["amount"]:
        raise JobRefusedError(Code.NOT_PAID, "less was paid than the order's price")


def _query(payload: Any) -> Query:
    try:
        query = parse_query(payload["query"])
        digest, code = query_digest(query), code_digest(query)
    except QueryError:
        raise JobRefusedError(Code.WRONG_QUERY, "the query is not in the catalogue") from None
    if digest != payload["query_digest"]:
        raise JobRefusedError(Code.WRONG_QUERY, "the query is not the one digested")
    if code != payload["code_digest"]:
        raise JobRefusedError(Code.WRONG_CODE, "the order names code this worker does not run")
    return query


def _released(payload: Any, query: Query, claims: Claims, now_ms: int) -> None:
    mode = payload["release"]["mode"]
    if mode not in catalogue()[query.family].modes:
        raise JobRefusedError(Code.BAD_ORDER, "the query is not offered in this release mode")
    if mode == "private":
        if private_problem(query) is not None:
            raise JobRefusedError(Code.NOT_PRIVATE, "private mode does not offer this query")
        return
    if claims.value("accredited_researcher", now_ms) is not True:
        raise JobRefusedError(Code.ATTESTATION, "trusted mode needs an accredited researcher")
    problem = exact_problem(query.params)
    if problem is not None:
        raise JobRefusedError(Code.BAD_ORDER, problem)
    if query.picks_variants:
        raise JobRefusedError(Code.PICKED, "trusted mode answers panels and regions only")


def _asked(shop: Workshop, order: str, payload: Any, query: Query, claims: Claims) -> Asked:
    try:
        scope = parse_scope(payload["scope"])
        purpose = parse_purpose(payload["purpose"])
        rho = Fraction(payload["release"]["rho"] or 0)
    except (ComputeError, ValueError, ZeroDivisionError):
        raise JobRefusedError(Code.BAD_ORDER, "purpose, scope or release is malformed") from None
    if rho <= 0 and payload["release"]["mode"] == "private":
        raise JobRefusedError(Code.BAD_ORDER, "a private order needs a rho above 0")
    if scope.region != shop.region:
        raise JobRefusedError(Code.WRONG_REGION, "the order is for another region")
    if not query.modalities <= set(scope.modalities):
        raise JobRefusedError(Code.BAD_ORDER, "the query needs a modality outside the scope")
    if scope.build not in (None, query.build):
        raise JobRefusedError(Code.BAD_ORDER, "scope and query name two genome builds")
    release = {"mode": payload["release"]["mode"], "rho": payload["release"]["rho"] or "0"}
    return Asked(
        order=order,
        purpose=purpose,
        claims=claims,
        scope=scope.model_copy(update={"build": query.build}),
        family=query.family,
        release=release,
        rho=rho,
        currency=str(payload["price"]["currency"]),
    )
