"""Breach scope: whose data could a key open, and what happened to one dataset or in one time.

Answered from the fold alone, so it holds when every other record is lost, and takes one pass. It
names pseudonyms: only the controller knows people. Says what a key *could* open; what was opened
stands in the access entries, which each owner's client reads for itself.
Spec: GDPR articles 33 and 34 (72 hours from becoming aware).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledger import Grant, State

NOTICE_MS = 72 * 3600_000


@dataclass(frozen=True, slots=True)
class Breach:
    """People (owners) with their datasets and grants, accesses recorded in the time, shares.

    notify_by: Unix ms, 72 hours after the breach was noticed. ended: of the grants, how many were
    stopped before: a copy somebody kept of those still opens with the lost key.
    """

    people: tuple[str, ...]
    datasets: tuple[str, ...]
    grants: tuple[str, ...]
    ended: int
    accesses: tuple[str, ...]
    shares: tuple[str, ...]
    controllers: tuple[str, ...]
    notify_by: int

    def to_json(self) -> dict[str, Any]:
        """Return the answer as a JSON document."""
        lists = ("people", "datasets", "grants", "accesses", "shares", "controllers")
        return {name: list(getattr(self, name)) for name in lists} | {
            "counts": {name: len(getattr(self, name)) for name in lists},
            "ended": self.ended,
            "notify_by": self.notify_by,
        }


def breach_scope(
    state: State,
    *,
    noticed_at: int,
    key_id: str | None = None,
    dataset: str | None = None,
    since: int = 0,
    until: int | None = None,
) -> Breach:
    """Return what a lost compute key (key_id), or one dataset, or both, concerns.

    since, until: Unix ms, of the accesses to list; until exclusive. Times: noticed_at in Unix ms.
    """
    grants = [
        grant
        for grant in state.grants.values()
        if (key_id is None or grant.recipient.get("key_id") == key_id)
        and (dataset is None or grant.dataset == dataset)
    ]
    datasets = sorted({grant.dataset for grant in grants} | ({dataset} if dataset else set()))
    known = [state.datasets[name] for name in datasets if name in state.datasets]
    return Breach(
        people=tuple(sorted({one.owner for one in known} | {grant.owner for grant in grants})),
        datasets=tuple(datasets),
        grants=tuple(grant.id for grant in grants),
        ended=sum(1 for grant in grants if grant.stopped_at is not None),
        accesses=_accesses(state, _regions(state, grants, key_id), since, until),
        shares=tuple(s.id for s in state.shares.values() if s.dataset in set(datasets)),
        controllers=tuple(sorted({one.controller for one in known if one.controller})),
        notify_by=noticed_at + NOTICE_MS,
    )


def _regions(state: State, grants: list[Grant], key_id: str | None) -> set[str]:
    key = state.compute_keys.get(key_id or "")
    return {key.region} if key else {str(grant.recipient.get("region")) for grant in grants}


def _accesses(state: State, regions: set[str], since: int, until: int | None) -> tuple[str, ...]:
    return tuple(
        access.id
        for access in state.accesses.values()
        if access.payload["region"] in regions
        and since <= access.payload["time"]
        and (until is None or access.payload["time"] < until)
    )
