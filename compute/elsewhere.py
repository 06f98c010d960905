"""What other regions' uses may have charged a person, read off the one ledger.

A region's accountant knows exactly whom its own accesses charged, by keys that only this region
holds. Of an access elsewhere the ledger says which order it served, what it charged each person,
and how long the log was when its cohort was judged; and of every person, which consents were sealed
to that region and in force then. Whoever may have been in is counted as having been, so a lifetime
budget holds over all regions: never too little, and too much only for people whom purpose, buyer,
facets or build kept out. What was erased since names nobody any more and counts for nobody.

Between two regions at once the ledger's order decides, see `worker_query`. Pure.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from compute.errors import TermsError
from compute.terms import parse_terms
from ledger import Access, Grant, State

Exact = Callable[[Mapping[str, Any]], int]
"""An order's payload -> how many exact statistics its answer gives."""


@dataclass(frozen=True, slots=True)
class Used:
    """What may have been charged: rho of zCDP, and exact statistics."""

    rho: Fraction = Fraction(0)
    exact: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """One access as it is judged whether a grant may have been in it."""

    access: Access
    order: Mapping[str, Any]

    @property
    def rho(self) -> Fraction:
        """Return what the access entry charges each person."""
        release = self.access.payload["release"] or {}
        return Fraction(release.get("rho") or 0)

    def may_hold(self, state: State, grant: Grant) -> bool:
        """Tell whether a grant may have been opened, by what no later entry can change."""
        judged = int(self.access.payload["judged_size"])
        dataset = state.datasets.get(grant.dataset)
        return (
            grant.recipient.get("region") == self.access.payload["region"]
            and grant.index < judged
            and (grant.stopped_at is None or grant.stopped_at >= judged)
            and grant.order in (None, self.access.payload["order"])
            and dataset is not None
            and dataset.modality in self.order["scope"]["modalities"]
            and self._allowed(grant.terms)
        )

    def _allowed(self, written: Mapping[str, Any]) -> bool:
        """Tell whether terms allow the query family and the release; unreadable ones may have."""
        try:
            terms = parse_terms(written)
        except TermsError:
            return True
        if not {"*", self.order["query"].get("family")} & set(terms.query_families):
            return False
        if self.order["release"]["mode"] == "trusted":
            return terms.release.mode == "trusted"
        return Fraction(self.order["release"]["rho"] or 0) <= terms.release.order_rho


def use_of(state: State, access: Access) -> Use:
    """Return an access of an order with what was ordered."""
    return Use(access, state.orders[str(access.payload["order"])].payload)


def used_elsewhere(
    state: State, region: str, people: Iterable[str], exact: Exact, before: int | None = None
) -> dict[str, Used]:
    """Return what other regions may have charged these people ("owner/participant").

    before: count accesses below this leaf index only. Who is not in the answer was not charged.
    """
    uses = list(_elsewhere(state, region, before))
    if not uses:
        return {}
    charged = [(use, Used(use.rho, exact(use.order))) for use in uses]
    found: dict[str, Used] = {}
    for person, grants in _sealed_elsewhere(state, region, frozenset(people)).items():
        held = [used for use, used in charged if any(use.may_hold(state, g) for g in grants)]
        if held:
            rho = sum((used.rho for used in held), Fraction(0))
            found[person] = Used(rho, sum(used.exact for used in held))
    return found


def came_between(state: State, region: str, start: int, end: int) -> bool:
    """Tell whether another region recorded a use at a leaf from `start` on, before `end`."""
    return any(use.access.index >= start for use in _elsewhere(state, region, end))


def _elsewhere(state: State, region: str, before: int | None) -> Iterator[Use]:
    for access in state.accesses.values():
        if access.payload["region"] == region or access.payload["order"] is None:
            continue  # ingest has no order and charges nobody
        if before is None or access.index < before:
            yield use_of(state, access)


def _sealed_elsewhere(state: State, region: str, people: frozenset[str]) -> dict[str, list[Grant]]:
    """Return these people's consents sealed to other regions, ended ones too."""
    found: dict[str, list[Grant]] = {}
    for grant in state.grant_at.values():
        if grant.recipient.get("region") == region:
            continue
        dataset = state.datasets.get(grant.dataset)
        person = "" if dataset is None else f"{dataset.owner}/{dataset.participant}"
        if person in people:
            found.setdefault(person, []).append(grant)
    return found
