"""What is attested of a party, read from the ledger: the newest statement of each claim counts.

A statement counts when its attester's key is pinned for that very claim and it has not expired;
a newer statement replaces an older one even where it has itself expired.
Spec: DESIGN section 3.1 (attested claims).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from compute.terms import Claims, claims_from_attestations

if TYPE_CHECKING:
    from ledger import Pins, State

Statement = tuple[Mapping[str, Any], int, str]
"""(claims, expires_at in ms, the attester's key fingerprint)."""


def claims_of(state: State, pins: Pins, party: str, now_ms: int) -> Claims:
    """Return what is attested of a party at now_ms (Unix ms); nothing for an unknown party."""
    found = state.parties.get(party)
    held = found.attestations if found is not None else ()
    statements = ((one.claims, one.expires_at, one.attester) for one in held)
    return fold_claims(party, statements, pins, now_ms)


def fold_claims(party: str, statements: Iterable[Statement], pins: Pins, now_ms: int) -> Claims:
    """Fold statements, oldest first, into Claims; a value that is no text or truth is skipped."""
    attested: dict[str, Any] = {}
    for claims, expires_at, attester in statements:
        for claim, value in claims.items():
            if not pins.may_attest(claim, attester):
                continue
            attested.pop(claim, None)
            if now_ms < expires_at and isinstance(value, bool | str):
                attested[claim] = {"value": value, "attester": attester, "expires_at": expires_at}
    return claims_from_attestations(party, attested)
