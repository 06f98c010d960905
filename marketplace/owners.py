"""Who is paid for an order: its scope's grants, noted when the worker's outcome comes.

Noted then, because a fold made later no longer knows an erased grant, and an owner who erased
since is still paid for what was used. Checked against the signed access entry, by name and count.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import null, update
from sqlmodel import Session, col, select

from ledger import Pins, State
from marketplace.donors import donated
from marketplace.errors import MarketError, UnavailableError
from marketplace.services import Services
from marketplace.tables import Job, Order

LOG = logging.getLogger(__name__)
PAYING = ("released", "awaiting_review")


class UnsettledError(MarketError):
    """An outcome does not fit the ledger: nothing is paid until somebody has looked."""


@dataclass(frozen=True, slots=True)
class Used:
    """One grant as the fold showed it: whose it is, and what it was good for.

    index, stopped_at: ledger indexes; order: the one order it is for, or None for all.
    custodian_party, percent: who gets what part of it, as the ledger said when consent was given.
    given: its terms ask nothing for the order's purpose, so it has no share.
    """

    owner: str
    participant: str
    modality: str
    order: str | None
    index: int
    stopped_at: int | None
    custodian_party: str | None = None
    percent: int = 0
    given: bool = False


class Scope:
    """What the fold shows of the grants of one order; what takes a pass over it is read once."""

    def __init__(self, state: State, pins: Pins, order_id: str) -> None:
        self.state, self._gives = state, donated(state, pins, order_id)

    def used(self, grant_id: str) -> Used | None:
        """Return what the fold shows of a grant, or None for an unknown or erased one."""
        grant = self.state.grants.get(grant_id)
        dataset = self.state.datasets.get(grant.dataset) if grant else None
        if grant is None or dataset is None:
            return None
        party, percent = self._custodian(dataset.custodian, grant_id, grant.index)
        return Used(
            grant.owner, dataset.participant, dataset.modality, grant.order, grant.index,
            grant.stopped_at, party, percent, self._gives(grant),
        )  # fmt: skip

    def _custodian(self, code: str | None, grant_id: str, index: int) -> tuple[str | None, int]:
        """Return the custodian's party and percent in force when the consent was first given."""
        splits = self.state.custodian_splits.get(code or "", ())
        given = self.first_given(grant_id, index) if splits else index
        known = [split for split in splits if split.index < given]
        return (known[-1].party, known[-1].percent) if known else (None, 0)

    def first_given(self, grant_id: str, index: int) -> int:
        """Return the leaf a grant was first given at, before any rekeying; index: where it is."""
        return min(index, self._first.get(grant_id, index))

    @cached_property
    def _first(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for at, one in list(self.state.grant_at.items()):
            found[one.id] = min(at, found.get(one.id, at))
        return found


def note(services: Services, job_id: str, outcome: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what to keep about an outcome's scope: grant id -> Used, as far as it is known now.

    Called before the transaction that stores the outcome, since it may follow the ledger.
    """
    scope, order = outcome.get("scope", ()), _order_of(services, job_id)
    if outcome.get("state") not in PAYING or not scope or order is None:
        return None
    try:
        state = services.view.snapshot().state
        if order not in state.orders or any(grant not in state.grants for grant in scope):
            state = services.view.refresh().state
    except UnavailableError:
        LOG.warning("an outcome's scope is looked up later: the ledger does not answer")
        known = services.view.known()
        if known is None:
            return None
        state = known.state
    if order not in state.orders:
        return None
    known_now = Scope(state, services.trust.pins, order)
    found = {grant: known_now.used(grant) for grant in scope}
    return {grant: asdict(used) for grant, used in found.items() if used is not None}


def _order_of(services: Services, job_id: str) -> str | None:
    with services.db.read() as session:
        job = session.get(Job, job_id)
        return None if job is None else job.order_id


def keep(job: Job, noted: Mapping[str, Any] | None) -> None:
    """Keep what `note` found with the job, until the order is over."""
    job.paid = None if noted is None else dict(noted)


def forget(session: Session, order_id: str) -> None:
    """Drop what was noted about an order's people: it is settled, or nobody will be paid."""
    gone = update(Job).where(col(Job.order_id) == order_id).values(paid=null())
    session.execute(gone.execution_options(synchronize_session=False))


@dataclass(frozen=True, slots=True)
class Paid:
    """Who is paid for an order: how many people took part, and each payee's whole-number weight.

    asked: modalities for which somebody asks a price; givers: owners who ask nothing, weight 0.
    """

    people: int
    weights: Mapping[str, int]
    asked: frozenset[str]
    givers: frozenset[str] = frozenset()


def paid_for(
    session: Session, state: State, pins: Pins, order: Order, outcome: Mapping[str, Any],
    modality_weights: Mapping[str, int],
) -> Paid:  # fmt: skip
    """Return who is paid for an order's scope, checked against the ledger.

    A person is one participant of one owner, however many of its datasets are used.
    Raises UnsettledError.
    """
    scope = Scope(state, pins, order.id)
    used = _used(_noted(session, order.id), scope, outcome.get("scope", ()))
    people = people_in(used.values())
    access = state.accesses.get(str(outcome["access"]))
    if access is None or access.payload["order"] != order.id:
        raise UnsettledError("the outcome's access entry is not on the ledger, or another order's")
    _check_grants(scope, order, access.payload, used)
    _check_counts(access.payload, people.total(), len(used))
    asking = [one for one in used.values() if not one.given]
    return Paid(
        people.total(), weights_in(used.values(), modality_weights),
        asked=frozenset(one.modality for one in asking),
        givers=frozenset(people) - {one.owner for one in asking},
    )  # fmt: skip


def weights_in(used: Iterable[Used], modality_weights: Mapping[str, int]) -> Counter[str]:
    """Return each payee's weight: a modality of a person counts its published weight, once.

    In hundredths, so that a custodian's percent of it is whole. The split is the same for every
    person of a modality who asks a price, whatever the data says; who asks nothing weighs 0.
    """
    asking_last = sorted(used, key=lambda one: not one.given)
    units = {(one.owner, one.participant, one.modality): one for one in asking_last}
    weights: Counter[str] = Counter()
    for (owner, _participant, modality), one in units.items():
        weight = 0 if one.given else modality_weights.get(modality, 1)
        weights[owner] += weight * (100 - one.percent)
        if one.custodian_party is not None and not one.given:
            weights[one.custodian_party] += weight * one.percent
    return weights


def people_in(used: Iterable[Used]) -> Counter[str]:
    """Return how many people each owner has among grants: one participant is one person."""
    return Counter(owner for owner, _participant in {(one.owner, one.participant) for one in used})


def _noted(session: Session, order_id: str) -> dict[str, Used]:
    """Return what was noted for an order, the first note of a grant counting."""
    query = select(Job.paid).where(col(Job.order_id) == order_id).order_by(col(Job.created_at))
    noted: dict[str, Used] = {}
    for paid in session.exec(query).all():
        for grant, value in (paid or {}).items():
            noted.setdefault(grant, Used(**value))
    return noted


def _used(noted: Mapping[str, Used], scope: Scope, grants: Iterable[str]) -> dict[str, Used]:
    used: dict[str, Used] = {}
    for grant in grants:
        then, now = noted.get(grant), scope.used(grant)
        one = then or now
        if one is None:
            raise UnsettledError("the outcome names a grant the ledger does not hold")
        if now is not None and (now.owner, now.participant) != (one.owner, one.participant):
            raise UnsettledError("a grant is another person's now than when the outcome came")
        used[grant] = one
    return used


def _check_grants(
    scope: Scope, order: Order, access: Mapping[str, Any], used: Mapping[str, Used]
) -> None:
    """Refuse whoever the access cannot have judged permitted. Raises UnsettledError."""
    size, modalities = access["judged_size"], order.payload["scope"]["modalities"]
    for grant, one in used.items():
        # Under the key it was moved from it may have stood before.
        late = one.index >= size and scope.first_given(grant, one.index) >= size
        ended = one.stopped_at is not None and one.stopped_at < size
        if late or ended or one.modality not in modalities or one.order not in (None, order.id):
            raise UnsettledError(
                "the outcome pays a grant that was not in force for this order when it was judged"
            )


def _check_counts(access: Mapping[str, Any], people: int, grants: int) -> None:
    said = (access["cohort_size"], access["opened"])
    if not people or said != (people, grants):
        raise UnsettledError(
            f"the outcome pays {people} people ({grants} grants), access.recorded says "
            f"{said[0]} ({said[1]} grants)"
        )
