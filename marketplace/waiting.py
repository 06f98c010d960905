"""What one owner should know: orders that wait for their yes, and notices about everything else.

Worked out from the ledger snapshot each time, nothing stored: the pages show the same as the
owner's own client, which asks the ledger itself. Saying yes needs keys, so it is done there.
"""

from collections.abc import Iterator
from typing import Any

from compute import (
    Claims,
    Terms,
    TermsError,
    Verdict,
    claims_of,
    judge_order,
    parse_terms,
    price_of,
)
from compute import parse_purpose as purpose_of
from ledger import RECOVERY_WAIT_MS, Grant, OrderState, State
from marketplace.services import Services
from marketplace.texts import mark, say

OPEN = ("placed", "approved")
CLAIMS = (
    "organisation", "sector", "non_profit", "country", "ethics_approval", "accredited_researcher",
)  # fmt: skip
SOON_MS = 14 * 24 * 3600_000

_ENDED = {
    "consent": mark("Your consent is over. Nothing is used after that unless you consent again."),
    "data": mark(
        "Your data is past its time. Nothing is used after that unless you consent again."
    ),
}
_ENDS = {
    "consent": mark("Your consent ends soon. Nothing is used after that unless you consent again."),
    "data": mark(
        "The time of your data ends soon. Nothing is used after that unless you consent again."
    ),
}


def approvals_of(services: Services, owner: str) -> list[dict[str, Any]]:
    """Return the open orders an owner's standing consents leave to the owner, oldest first.

    Each with its age, its price and a reason in plain words; claims as attested or declared.
    """
    state, now = services.view.snapshot().state, services.clock()
    grants = [(grant, terms) for grant in _standing(state, owner) if (terms := _read(grant))]
    found = []
    for order in state.orders.values() if grants else ():
        if order.status in OPEN:
            claims = claims_of(state, services.trust.pins, str(order.payload["researcher"]), now)
            found += [_view(state, order, grant, terms, claims, now) for grant, terms in grants]
    return sorted((one for one in found if one is not None), key=lambda one: -one["age_ms"])


def _read(grant: Grant) -> Terms | None:
    try:
        return parse_terms(grant.terms)
    except TermsError:
        return None


def _standing(state: State, owner: str) -> Iterator[Grant]:
    party = state.parties.get(owner)
    for name in party.datasets if party is not None else ():
        grant = state.datasets[name].standing
        if grant is not None and state.in_force(grant):
            yield grant


def _view(
    state: State, order: OrderState, grant: Grant, terms: Terms, claims: Claims, now: int
) -> dict[str, Any] | None:
    try:
        match = judge_order(terms, order.payload, claims, now)
        price = price_of(terms, purpose_of(order.payload["purpose"]), claims, now)
    except TermsError:
        return None
    dataset = state.datasets[grant.dataset]
    if match.verdict is not Verdict.NEEDS_OWNER or dataset.live_for(order.id) is not None:
        return None
    return {
        "order": order.id,
        "index": order.index,
        "dataset": grant.dataset,
        "grant": grant.id,
        "researcher": order.payload["researcher"],
        "attested": _attested(claims, now),
        "declared": order.payload["purpose"],
        "query": order.payload["query"]["family"],
        "since": order.payload["time"],
        "age_ms": max(0, now - int(order.payload["time"])),
        "paid": order.paid() > 0,
        "price": price,
        "currency": terms.currency,
        "reasons": [
            {"code": reason.code, "text": reason.text}
            for reason in match.reasons
            if reason.verdict is Verdict.NEEDS_OWNER
        ],
    }


def _attested(claims: Claims, now: int) -> dict[str, Any]:
    values = {name: claims.value(name, now) for name in CLAIMS}
    return {name: value for name, value in values.items() if value is not None}


def notices_of(services: Services, owner: str, after: int = 0) -> list[dict[str, Any]]:
    """Return what happened or is about to happen to an owner's consents, newest first.

    after: Unix ms; older notices are left out. An order that waits is a notice from its first day.
    """
    asked = [
        {
            "kind": "approval",
            "at": one["since"],
            "text": say(
                "A researcher asks for your yes: %(1)s",
                "; ".join(reason["text"] for reason in one["reasons"]),
            ),
            "about": one["order"],
        }
        for one in approvals_of(services, owner)
    ]  # fmt: skip
    found = [*asked, *happened_to(services, owner)]
    return sorted((n for n in found if n["at"] >= after), key=lambda n: -int(n["at"]))


def happened_to(services: Services, owner: str) -> list[dict[str, Any]]:
    """Return the same without what waits for a yes, newest first."""
    state, now = services.view.snapshot().state, services.clock()
    found = [*_endings(state, owner, now), *_stops(state, owner), *_recoveries(state, owner)]
    return sorted(found, key=lambda n: -int(n["at"]))


def _endings(state: State, owner: str, now: int) -> Iterator[dict[str, Any]]:
    for grant in _standing(state, owner):
        dataset, until = state.datasets[grant.dataset], grant.terms.get("valid_until")
        for kind, end in (("consent", until), ("data", dataset.retain_until)):
            if type(end) is int and end - now <= SOON_MS:
                text = say(_ENDED[kind] if end <= now else _ENDS[kind])
                yield {"kind": f"{kind}.ends", "at": end, "text": text, "about": grant.dataset}
        key = state.compute_keys.get(str(grant.recipient.get("key_id")))
        if key is not None and key.not_after - now <= SOON_MS:
            text = say("The key your consent is sealed to ends soon: connect once to renew it.")
            at = key.not_after - SOON_MS
            yield {"kind": "key.ends", "at": at, "text": text, "about": grant.dataset}


def _recoveries(state: State, owner: str) -> Iterator[dict[str, Any]]:
    """Yield each new key that is asked for an owner's account; about: its ledger index."""
    known = state.parties.get(owner)
    # Each stands there twice: by its own id, and by what its leaf says in the clear.
    asked = {one.id: one for one in state.recoveries.values() if one.party == owner}
    for one in asked.values():
        if one.cancelled is None and (known is None or one.key not in known.keys):
            at = one.effective_at - RECOVERY_WAIT_MS
            text = say(
                "Somebody asked for your account with your recovery key: after seven days a new "
                "key counts for you. If it was not you, cancel it."
            )
            yield {"kind": "recovery", "at": at, "text": text, "about": str(one.index)}


def _stops(state: State, owner: str) -> Iterator[dict[str, Any]]:
    for mandate in state.mandates.values():
        until = mandate.valid_until
        if mandate.owner != owner:
            continue
        if mandate.ended is not None:
            text = say(
                "Your %(1)s's mandate was ended, and with it what they consented to. "
                "Nothing is used for that any more unless you consent yourself.",
                mandate.kind,
            )
            at = mandate.ended_time
            yield {"kind": "mandate.ended", "at": at, "text": text, "about": mandate.id}
        elif until is not None and until - state.time <= SOON_MS:
            text = say(
                "Your %(1)s's mandate ends, and with it what they consented to.", mandate.kind
            )
            yield {"kind": "mandate.ends", "at": until, "text": text, "about": mandate.id}
