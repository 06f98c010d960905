"""Orders that wait for this owner's yes, and the owner's rules that answer without asking again.

Everything is read from the ledger this client verified itself: who asks, what they signed, what
is attested of them. Yes is a consent for that one order, sealed here like any other; a rule can
say no more than its terms say, and acts only when this program runs, because only here are keys.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compute import (
    Claims,
    Match,
    Terms,
    TermsError,
    Verdict,
    claims_of,
    describe,
    judge_order,
    parse_terms,
    rule_allows,
)
from ledger import OrderState, State
from marketplace.client.errors import ClientError
from marketplace.client.owner import Owner
from marketplace.client.session import Session
from marketplace.client.statements import new_id, now_ms

OPEN = ("placed", "approved")
SHOWN_CLAIMS = ("organisation", "sector", "non_profit", "country", "ethics_approval",
                "accredited_researcher")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Waiting:
    """One order that asks about one dataset of ours: who, for what, since when, and why it asks.

    attested: what somebody we trust says of the buyer; declared: what only the buyer says.
    """

    order: str
    dataset: str
    grant: str
    researcher: str
    age_ms: int
    paid: bool
    attested: dict[str, Any]
    declared: dict[str, Any]
    query: str
    reasons: tuple[str, ...]
    answer: str | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def waiting(session: Session, now: int | None = None) -> list[Waiting]:
    """Return the open orders that this owner's standing consents leave to the owner, oldest first.

    An order forbidden by the terms is not among them, nor one the owner already answered.
    """
    state = session.view.sync()
    at = now_ms() if now is None else now
    found = [
        one
        for order in state.orders.values()
        if order.status in OPEN
        for one in _asked(session, state, order, at)
    ]
    return sorted(found, key=lambda one: -one.age_ms)


def _asked(session: Session, state: State, order: OrderState, at: int) -> Iterator[Waiting]:
    claims = claims_of(state, session.home.trust.pins, str(order.payload["researcher"]), at)
    for document in session.home.documents("grants"):
        if document["state"] != "live" or document.get("order") is not None:
            continue
        if _answered(session, order.id, document["dataset"]):
            continue
        match = _match(document, order, claims, at)
        if match is not None and match.verdict is Verdict.NEEDS_OWNER:
            yield _waiting(order, document, claims, match, at)


def _answered(session: Session, order: str, dataset: str) -> bool:
    return session.home.read(f"answers/{order}.{dataset}.json") is not None


def _match(document: Mapping[str, Any], order: OrderState, claims: Claims, at: int) -> Match | None:
    try:
        return judge_order(parse_terms(document["terms"]), order.payload, claims, at)
    except TermsError:
        return None  # an order we cannot read permits nothing


def _waiting(
    order: OrderState, document: Mapping[str, Any], claims: Claims, match: Match, at: int
) -> Waiting:
    payload = order.payload
    attested = {name: claims.value(name, at) for name in SHOWN_CLAIMS}
    return Waiting(
        order=order.id,
        dataset=str(document["dataset"]),
        grant=str(document["grant"]),
        researcher=str(payload["researcher"]),
        age_ms=max(0, at - int(payload["time"])),
        paid=order.paid() > 0,
        attested={name: value for name, value in attested.items() if value is not None},
        declared=dict(payload["purpose"]),
        query=str(payload["query"]["family"]),
        reasons=tuple(r.text for r in match.reasons if r.verdict is Verdict.NEEDS_OWNER),
        answer=None,
    )


def allow(session: Session, order: str) -> list[str]:
    """Say yes to one order: a consent for it alone, for each dataset it asks about.

    Returns the new grants. Raises ClientError when the order does not wait for this owner.
    """
    asked = [one for one in waiting(session) if one.order == order]
    if not asked:
        raise ClientError(f"order {order} does not wait for you; see `omic approvals list`")
    home, owner = session.home, Owner(session)
    scope = session.view.state.orders[order].payload["scope"]
    submissions = []
    for one in asked:
        standing = home.read(f"grants/{one.grant}.json") or {}
        record = home.read(f"datasets/{one.dataset}.json")
        if record is None:
            raise ClientError(f"dataset {one.dataset} is not in {home.path}")
        terms, facets = parse_terms(standing["terms"]), standing.get("facets", {})
        submissions.append(
            owner.grant(record, standing["offer"], terms, facets, order=order,
                        region=str(scope["region"]))
        )  # fmt: skip
    owner.send([], after=submissions)
    for one in asked:
        _note(session, one, "yes")
    return [str(submission.entry.payload["grant"]) for submission in submissions]


def refuse(session: Session, order: str) -> int:
    """Say no to one order; nothing is given and it is not shown again. Returns for how many."""
    asked = [one for one in waiting(session) if one.order == order]
    if not asked:
        raise ClientError(f"order {order} does not wait for you; see `omic approvals list`")
    for one in asked:
        _note(session, one, "no")
    return len(asked)


def _note(session: Session, one: Waiting, answer: str) -> None:
    document = {**one.to_json(), "answer": answer, "at": now_ms()}
    session.home.write(f"answers/{one.order}.{one.dataset}.json", document)


# -- rules


def add_rule(session: Session, name: str, terms: Terms) -> str:
    """Keep a rule: orders its terms permit are said yes to. Returns its id."""
    rule = new_id()
    document = {"rule": rule, "name": name, "terms": terms.to_dict(), "made_at": now_ms()}
    session.home.write(f"rules/{rule}.json", {**document, "says": describe(terms)})
    return rule


def drop_rule(session: Session, rule: str) -> None:
    """Drop a rule; what it allowed before stays allowed until withdrawn. Raises ClientError."""
    path = session.home.path / "rules" / f"{rule}.json"
    if len(rule) != 32 or not path.exists():
        raise ClientError(f"there is no rule {rule}; see `omic rules list`")
    path.unlink()


def apply_rules(session: Session) -> dict[str, list[str]]:
    """Say yes to every waiting order that some rule permits; return the new grants by order."""
    rules = [parse_terms(one["terms"]) for one in session.home.documents("rules")]
    found: dict[str, list[str]] = {}
    for one in waiting(session):
        if one.order in found:
            continue
        order = session.view.state.orders[one.order]
        claims = claims_of(session.view.state, session.home.trust.pins, one.researcher, now_ms())
        if any(rule_allows(rule, order.payload, claims, now_ms()) for rule in rules):
            found[one.order] = allow(session, one.order)
    return found
