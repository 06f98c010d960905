"""From an order and the fold to a plan: who is in, who pays which budget, whether floors hold.

Pure: looks at signed terms, published facets and attestations, never at data, so that the plan is
the same for a quote, a run and an auditor. Spec: DESIGN section 4.1.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from compute.accountant import Charge
from compute.elsewhere import Used
from compute.release import CohortFacts
from compute.scope import Scope
from compute.selection import Member, ScopeResult, resolve_scope
from compute.terms import Claims, Purpose, ReleaseTerms
from compute.values import parse_value
from ledger import State

NOBODY: Mapping[str, str] = MappingProxyType({})
NOWHERE: Mapping[str, Used] = MappingProxyType({})
NOTHING = Used()
Attested = Callable[[str], bool]
"""owner id -> an attester we pin says: a person, and unaffiliated with buyers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an order asks, as the planner needs it; rho is zCDP's, 0 in trusted mode."""

    order: str
    purpose: Purpose
    claims: Claims
    scope: Scope
    family: str
    release: Mapping[str, Any]
    rho: Fraction
    currency: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is in. members are sorted by participant; excluded counts people by reason code."""

    members: tuple[Member, ...]
    excluded: Mapping[str, int]
    facts: CohortFacts

    @property
    def grant_ids(self) -> tuple[str, ...]:
        """Return every grant to be opened, in member and modality order."""
        return tuple(
            member.grants[modality].id
            for member in self.members
            for modality in sorted(member.grants)
        )

    def charges(
        self, genomes: Mapping[str, str] = NOBODY, elsewhere: Mapping[str, Used] = NOWHERE
    ) -> list[Charge]:
        """Return each person's charge: the strictest budget of the grants used.

        genomes: "owner/participant" -> genome, of those whose genome is known; elsewhere: what
        other regions may have charged, of those whom they may have.
        """
        return [
            charge_of(member, genomes.get(name), elsewhere.get(name, NOTHING))
            for member, name in zip(self.members, self.people, strict=True)
        ]

    @property
    def people(self) -> list[str]:
        """Return each member as "owner/participant", in order."""
        return [_person(member) for member in self.members]


def charge_of(member: Member, genome: str | None = None, elsewhere: Used = NOTHING) -> Charge:
    """Return what limits one person's budget: the strictest of the terms of the grants used."""
    budgets = [_budget(**grant.terms["release"]) for grant in member.grants.values()]
    return Charge(
        person=_person(member),
        datasets=tuple(sorted(grant.dataset for grant in member.grants.values())),
        limit=min(limit for limit, _, _ in budgets),
        share=min(share for _, share, _ in budgets),
        genome=genome,
        exact=min(exact for _, _, exact in budgets),
        elsewhere=elsewhere.rho,
        exact_elsewhere=elsewhere.exact,
    )


@lru_cache(maxsize=1024, typed=True)
def _budget(**release: Any) -> tuple[Fraction, Fraction, int]:
    """Return (lifetime budget, part of it one order may take, cap on exact statistics).

    Few owners' differ.
    """
    terms = parse_value(ReleaseTerms, release)
    return Fraction(terms.lifetime_rho), Fraction(terms.order_share), terms.exact_statistics


def _person(member: Member) -> str:
    return f"{member.owner}/{member.participant}"


def select(state: State, asked: Asked, now_ms: int, *, relaxed: bool = False) -> ScopeResult:
    """Resolve the scope; relaxed leaves the facets out, as the complement floor needs it."""
    scope = asked.scope.model_copy(update={"facets": {}}) if relaxed else asked.scope
    return resolve_scope(
        state,
        scope,
        asked.purpose,
        asked.claims,
        family=asked.family,
        release=asked.release,
        now_ms=now_ms,
        order=asked.order,
        currency=asked.currency,
    )


def plan_order(
    state: State,
    asked: Asked,
    now_ms: int,
    *,
    out: Mapping[str, str],
    attested: Attested,
    exhausted: frozenset[str] = frozenset(),
) -> Plan:
    """Return the plan of an order. out: grant id -> reason code of grants that may not be used
    (not ingested, stopped early); exhausted: people whose budget is spent.
    """
    found = select(state, asked, now_ms)
    excluded: Counter[str] = Counter(found.left_out)
    members: list[Member] = []
    for member in found.people:
        reason = _reason_out(member, out, exhausted)
        if reason is None:
            members.append(member)
        else:
            excluded[reason] += 1
    everyone = len(members)
    if asked.scope.facets:
        everyone = _usable(select(state, asked, now_ms, relaxed=True), out, exhausted)
    owners = Counter(member.owner for member in members)
    facts = CohortFacts(
        people=len(members),
        complement=everyone - len(members),
        owners=sum(1 for owner in owners if attested(owner)),
        largest=max(owners.values(), default=0),
    )
    return Plan(tuple(members), dict(sorted(excluded.items())), facts)


def _usable(found: ScopeResult, out: Mapping[str, str], exhausted: frozenset[str]) -> int:
    if not out and not exhausted:
        return len(found.people)
    return sum(1 for member in found.people if _reason_out(member, out, exhausted) is None)


def _reason_out(member: Member, out: Mapping[str, str], exhausted: frozenset[str]) -> str | None:
    for modality in sorted(member.grants):
        reason = out.get(member.grants[modality].id)
        if reason is not None:
            return reason
    return "budget" if _person(member) in exhausted else None
