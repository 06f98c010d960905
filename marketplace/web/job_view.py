"""View-models of orders as the ledger shows them to everyone. Pure.

Numbers of people are public buckets here, whatever an exact entry on the ledger says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from compute import bucket
from ledger import Done, OrderState, State
from marketplace.texts import Texts, mark, say
from marketplace.web.money_view import Split, split_of
from marketplace.web.text import people
from marketplace.web.words import Word, family_words, job_state, purpose_words

CLOSED = ("refused", "cancelled", "expired", "failed")
NOT_ATTESTED = mark("Organisation not attested")


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
    """One thing that happened to an order: ledger index, and time in Unix ms if it is known.

    kind: where it stands on the way to an answer ("asked", "opened", "answered", "paid"), "" for a
    reviewer's word, which the graph leaves out. people: whose data was opened, in words.
    """

    title: str
    detail: str
    index: int
    time: int | None
    kind: str = ""
    people: str = ""


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
    split: Split | None


def job_row(state: State, order: OrderState, now: int) -> JobRow:
    """Return the line of an order."""
    payload = order.payload
    purpose = payload["purpose"]
    claims = state.claims(payload["researcher"], now)
    end = order.settlement or order.result
    return JobRow(
        order.id,
        str(purpose.get("project") or say("Untitled project")),
        purpose_words(purpose),
        str(purpose.get("sponsor") or ""),
        str(claims.get("organisation") or say(NOT_ATTESTED)),
        str(claims.get("sector") or ""),
        family_words(str(payload["query"].get("family"))),
        job_state(order.status),
        payload["time"],
        None if end is None else end.payload["time"],
    )


def organisation_of(state: State, researcher: str, now: int) -> str:
    """Return a researcher's organisation as attested, or words for none."""
    return str(state.claims(researcher, now).get("organisation") or say(NOT_ATTESTED))


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
        split_of(order.settlement),
    )


def _moments(state: State, order: OrderState) -> list[Moment]:
    signed = say("Signed by the researcher")
    found = [Moment(say("Placed"), signed, order.index, order.payload["time"], "asked")]
    found += [
        Moment(_paid(p.kind), _through(p.provider), p.index, None,
               "asked" if p.kind == "received" else "paid")
        for p in order.payments
    ]  # fmt: skip
    found += [_access(state, access) for access in order.accesses]
    found += [
        Moment(say("Reviewed"), say("a reviewer decided: %(1)s", r.decision), r.index, None)
        for r in order.reviews
    ]
    stops = (
        (say("Opening refused"), order.refusals, "opened"),
        (say("Answer held back"), order.withheld, "answered"),
    )
    found += [
        Moment(name, _why(done.payload), done.index, None, kind)
        for name, ends, kind in stops for done in ends
    ]  # fmt: skip
    if order.result is not None:
        index, at = order.result.index, order.result.payload["time"]
        found.append(
            Moment(
                say("Answer recorded"), say("encrypted to the researcher"), index, at, "answered"
            )
        )
    if order.settlement is not None:
        found.append(_settled(order.settlement))
    return found


def _paid(kind: str) -> str:
    names = Texts({"received": "Payment arrived", "refunded": "Payment went back"})
    return names.get(kind) or say("Payment disputed")


def _through(provider: str) -> str:
    test = provider.endswith("-test")
    name = {"stripe": "Stripe", "bank": say("a bank transfer")}.get(provider.removesuffix("-test"))
    return say("through %(1)s, test money" if test else "through %(1)s", name or provider)


def _access(state: State, access_id: str) -> Moment:
    access = state.accesses[access_id]
    size = people(bucket(access.payload["cohort_size"]))
    return Moment(
        say("Data opened"), say("of %(1)s people, after every consent was checked", size),
        access.index, access.payload["time"], "opened", say("%(1)s people", size),
    )  # fmt: skip


def _settled(done: Done) -> Moment:
    payload = done.payload
    detail = say("shared among %(1)s owners", people(bucket(payload["shares"])))
    return Moment(say("Owners paid"), detail, done.index, payload["time"], "paid")


def _why(payload: Mapping[str, Any]) -> str:
    return str(payload.get("reason", "")).replace("_", " ")
