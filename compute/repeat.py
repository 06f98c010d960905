"""Same question, same answer; and questions too near one another to answer both.

A private answer that was delivered is kept (encrypted, until a member's grant ends) under its
question: query, code, release and the exact grants of its cohort. Asked again it is returned byte
for byte, by no new draw of noise, and charges nothing; the new order still has its own consent
check and access entry. In trusted mode, where answers are exact, one question over two cohorts
that differ by a few people would give those people away: it is refused. So is an exact question
whose match might differ by a few people from one asked before. Spec: DESIGN section 4.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from compute.orderbook import TERMINAL, OrderInHand
from compute.queries import Query, exclude_each_other, filter_needs, parse_query
from compute.queries.params import may_overlap, span_of
from compute.release import Released
from compute.result import answer_bytes
from compute.worker_ports import Workshop
from ledger import State, Submission, canonical

FREE = "0"
LIVE = frozenset({"placed", "approved", "running", "withheld", "published"})


def question_key(order: Mapping[str, Any], grants: Collection[str]) -> str:
    """Return the name (hex) of a question: an order's payload over the grants of a cohort."""
    names = ("query_digest", "code_digest", "release")
    asked = {name: order[name] for name in names}
    value = {"v": 1, **asked, "grants": sorted(grants)}
    return hashlib.sha256(b"omic/question/v1\n" + canonical(value)).hexdigest()


def is_answered(shop: Workshop, order: str, grants: Collection[str]) -> bool:
    """Tell whether this private question was answered before, over this very cohort."""
    payload = shop.follower.state.orders[order].payload
    if payload["release"]["mode"] != "private":
        return False
    return shop.store.answer(question_key(payload, grants)) is not None


def is_under_way(
    shop: Workshop, order: str, grants: Collection[str], others: Iterable[OrderInHand]
) -> bool:
    """Tell whether another order in hand will answer this private question for this cohort."""
    orders = shop.follower.state.orders
    key = question_key(orders[order].payload, grants)
    for other in others:
        found = orders.get(other.order)
        if found is None or found.status not in LIVE or other.phase in TERMINAL:
            continue
        if question_key(found.payload, other.members) == key:
            return True
    return False


def repeated(shop: Workshop, held: OrderInHand, people: int) -> Released | None:
    """Return the answer given before to an order's question, or None when it was destroyed."""
    payload = shop.follower.state.orders[held.order].payload
    data = shop.store.answer(question_key(payload, held.members))
    if data is None:
        return None
    answer = json.loads(data)
    return Released(answer, people, tuple(answer["suppressed"]))


def remember(shop: Workshop, held: OrderInHand, result: bytes) -> None:
    """Keep a private order's answer for whoever asks the same again; call once it is published.

    Never before: a charge may be given back until then, and an answer it paid for would be free.
    """
    payload = shop.follower.state.orders[held.order].payload
    if payload["release"]["mode"] == "private":
        answer = answer_bytes(json.loads(result)["answer"])
        shop.store.keep_answer(question_key(payload, held.members), held.members, answer)


def charged_release(release: Mapping[str, Any], *, free: bool) -> dict[str, Any]:
    """Return the release an access entry states: its rho is what everybody is charged."""
    return {**release, "rho": FREE} if free else dict(release)


def charged_rho(access: Submission) -> Fraction:
    """Return what an access entry charges every person in it."""
    release = access.entry.payload["release"] or {}
    return Fraction(release.get("rho") or 0)


def is_too_near(
    state: State,
    query: Query,
    grants: Iterable[str],
    others: Iterable[OrderInHand],
    least: int,
) -> bool:
    """Tell whether exact figures of the same variants stand for a cohort 1 to least-1 people away.

    Another way of asking, a wider region or another family with allele counts would give those few
    people away as surely as the same question, so variants that may overlap are enough. Pairs only:
    three cohorts that add up are a matter for the reviewers.
    """
    people, span = _people(state, grants), span_of(query.params)
    for other in others:
        order = state.orders.get(other.order)
        if order is None or order.payload["release"]["mode"] != "trusted":
            continue
        if not may_overlap(span, span_of(parse_query(order.payload["query"]).params)):
            continue
        if 0 < len(people ^ _people(state, other.members)) < least:
            return True
    return False


def matches_collide(
    state: State, query: Query, grants: Sequence[str], others: Iterable[OrderInHand]
) -> bool:
    """Tell whether a match could be differenced out of exact answers about some of these people.

    Whom a match keeps is data, so two matches may differ by one person and nobody may look whether
    they do. Decided from words and grants alone: with any person in common, another exact question
    may stand only if it has the very same match judged on the same data of the same people, or one
    by whose words nobody is in both, or no match and nothing to tell that this one tells. Then no
    two answers' difference is about fewer people than an answer is. others: as `OrderBook.opened`;
    a refusal by a floor has told something, too.
    """
    people = _people(state, grants)
    for other in others:
        order = state.orders.get(other.order)
        if order is None or order.payload["release"]["mode"] != "trusted":
            continue
        asked = parse_query(order.payload["query"])
        if not (query.match or asked.match) or not people & _people(state, other.members):
            continue
        if not (query.match and asked.match):
            if _tell_alike(query, asked):
                return True
        elif not _apart(query, asked) and not (
            query.match == asked.match
            and people == _people(state, other.members)
            and _judged_on(state, query, grants) == _judged_on(state, asked, other.members)
        ):
            return True
    return False


def _tell_alike(one: Query, other: Query) -> bool:
    """Tell whether two questions read one kind of data and may speak of the same variants."""
    if not one.needs.modalities & other.needs.modalities:
        return False
    return may_overlap(span_of(one.params), span_of(other.params))


def _apart(one: Query, other: Query) -> bool:
    """Tell whether nobody can be kept by both matches; a variant's name is of its build."""
    mine = [part for part in one.match if part.kind != "carrier" or one.build == other.build]
    return exclude_each_other(mine, other.match)


def _judged_on(state: State, query: Query, grants: Iterable[str]) -> set[str]:
    """Return the datasets among grants that a query's match is judged on."""
    modalities = frozenset[str]().union(*(filter_needs(one).modalities for one in query.match))
    found = {name: state.grants.get(name) for name in grants}
    datasets = {name: state.datasets.get(grant.dataset) for name, grant in found.items() if grant}
    return {one.id for one in datasets.values() if one is not None and one.modality in modalities}


def _people(state: State, grants: Iterable[str]) -> set[tuple[str, str]]:
    """Return the people behind grants; an erased grant stands for a person of its own."""
    found = set()
    for name in grants:
        grant = state.grants.get(name)
        dataset = None if grant is None else state.datasets.get(grant.dataset)
        found.add(("", name) if dataset is None else (dataset.owner, dataset.participant))
    return found
