"""View-models of orders as the ledger shows them to everyone. Pure.

Numbers of people are public buckets here, whatever an exact entry on the ledger says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from compute import bucket
from ledger import Done, OrderState, State
from marketplace.web.text import people
from marketplace.web.words import Word, family_words, job_state, purpose_words

CLOSED = ("refused", "cancelled", "expired", "failed")
NOT_ATTESTED = "Organisation not attested"


@dataclass(frozen=True, slots=True)
class JobRow:
    """One order in the public log; times in Unix ms, ended None while it is open."""

    order: str
    project: str
    purpose: str
    sponsor: str
    organisation: str
    sector: str
    family: str
    state: Word
    placed: int
    ended: int | None


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened to an order: ledger index, and time in Unix ms if it is known."""

    title: str
    detail: str
    index: int
    time: int | None


@dataclass(frozen=True, slots=True)
class JobView:
    """One order in full."""

    row: JobRow
    query: Mapping[str, Any]
    scope: Mapping[str, Any]
    release: Mapping[str, Any]
    price: int
    currency: str
    query_digest: str
    code_digest: str
    moments: tuple[Moment, ...]
    reason: str | None


def job_row(state: State, order: OrderState, now: int) -> JobRow:
    """Return the line of an order."""
    payload = order.payload
    purpose = payload["purpose"]
    claims = state.claims(payload["researcher"], now)
    end = order.settlement or order.result
    return JobRow(
        order.id,
        str(purpose.get("project") or "Untitled project"),
        purpose_words(purpose),
        str(purpose.get("sponsor") or ""),
        str(claims.get("organisation") or NOT_ATTESTED),
        str(claims.get("sector") or ""),
        family_words(str(payload["query"].get("family"))),
        job_state(order.status),
        payload["time"],
        None if end is None else end.payload["time"],
    )


def job_rows(state: State, now: int, start: int, count: int) -> list[JobRow]:
    """Return lines of orders, newest first, from place `start`."""
    newest = islice(reversed(state.orders.values()), start, start + count)
    return [job_row(state, order, now) for order in newest]


def job_view(state: State, order: OrderState, now: int) -> JobView:
    """Return everything public about an order."""
    payload = order.payload
    price = payload["price"]
    return JobView(
        job_row(state, order, now),
        payload["query"],
        payload["scope"],
        payload["release"],
        price["amount"],
        price["currency"],
        payload["query_digest"],
        payload["code_digest"],
        tuple(sorted(_moments(state, order), key=lambda moment: moment.index)),
        order.reason if order.status in CLOSED else None,
    )


def _moments(state: State, order: OrderState) -> list[Moment]:
    found = [Moment("Placed", "Signed by the researcher", order.index, order.payload["time"])]
    names = {"received": "Payment arrived", "refunded": "Payment went back"}
    found += [
        Moment(names.get(p.kind, "Payment disputed"), f"through {p.provider}", p.index, None)
        for p in order.payments
    ]
    found += [_access(state, access) for access in order.accesses]
    found += [
        Moment("Reviewed", f"a reviewer decided: {r.decision}", r.index, None)
        for r in order.reviews
    ]
    found += [
        Moment("Opening refused", _why(done.payload), done.index, None) for done in order.refusals
    ]
    found += [
        Moment("Answer held back", _why(done.payload), done.index, None) for done in order.withheld
    ]
    if order.result is not None:
        at = order.result.payload["time"]
        found.append(
            Moment("Answer committed to", "encrypted to the researcher", order.result.index, at)
        )
    if order.settlement is not None:
        found.append(_settled(order.settlement))
    return found


def _access(state: State, access_id: str) -> Moment:
    access = state.accesses[access_id]
    size = people(bucket(access.payload["cohort_size"]))
    return Moment(
        "Data opened", f"of {size} people, after every consent was checked", access.index,
        access.payload["time"],
    )  # fmt: skip


def _settled(done: Done) -> Moment:
    payload = done.payload
    detail = f"shared among {people(bucket(payload['shares']))} owners"
    return Moment("Owners paid", detail, done.index, payload["time"])


def _why(payload: Mapping[str, Any]) -> str:
    return str(payload.get("reason", "")).replace("_", " ")
