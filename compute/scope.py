"""Who is in an order: people whose signed terms and published facets allow it.

Folds the live grants of a ledger state into people. It never looks at data, so the answer is the
same in a quote, at the run and at an auditor's; money, budget and access entries follow it.
Spec: DESIGN section 4.1 (scope and match).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictStr

from compute.errors import TermsError
from compute.match import match_terms, parse_release, price_of
from compute.ontology import TEST_SUBSET, Ontology
from compute.terms import Claims, Purpose, parse_terms, terms_sha256
from compute.values import Names, Region, Value, parse_value, unique
from compute.verdict import GROUPS, Release, Verdict

if TYPE_CHECKING:
    from ledger import Dataset, Grant, State

Modality = Literal[
    "genotypes", "expression", "participant",
    "methylation", "proteomics", "metabolomics", "microbiome", "clinical",
]  # fmt: skip


class Scope(Value):
    """What an order selects by: modalities (every one needed), build, published facets, region."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1), AfterValidator(unique)]
    build: StrictStr | None = None
    facets: dict[StrictStr, Annotated[Names, Field(min_length=1)]] = Field(default_factory=dict)
    region: Region


@dataclass(frozen=True, slots=True)
class Member:
    """One person in scope: a matching grant for each modality, and the price of one use.

    price is in minor units of the currency asked for, summed over the grants.
    """

    owner: str
    participant: str
    grants: Mapping[str, Grant]
    price: int


@dataclass(frozen=True, slots=True)
class ScopeResult:
    """Members sorted by participant, and how many people were left out for each group of reason.

    left_out counts people, by a name of `compute.verdict.GROUPS`; publish it in buckets.
    """

    people: tuple[Member, ...]
    left_out: Counter[str]

    @property
    def price(self) -> int:
        """Return what all members together ask for one use, in minor units."""
        return sum(member.price for member in self.people)


@dataclass(frozen=True, slots=True)
class _Judged:
    """The answer for one text of terms: left out as `group` unless it is empty."""

    terms: Mapping[str, Any]
    group: str
    price: int


_Judge = Callable[[Mapping[str, Any]], _Judged]
_Held = dict[str, tuple["Grant", int] | str]


def resolve_scope(
    state: State,
    scope: Scope,
    purpose: Purpose,
    claims: Claims,
    *,
    family: str,
    release: Release | Mapping[str, Any],
    now_ms: int,
    order: str | None = None,
    currency: str = "gbp",
    ontology: Ontology = TEST_SUBSET,
) -> ScopeResult:
    """Return the people an order may use at now_ms (Unix milliseconds).

    A consent given for one order counts for that order alone, and there it also answers what the
    matcher would ask the owner. Two live grants of one person and modality: the newest matching.
    Raises TermsError when release is malformed.
    """
    asked = release if isinstance(release, Release) else parse_release(release)

    def judge(raw: Mapping[str, Any]) -> _Judged:
        terms = parse_terms(raw)
        match = match_terms(
            terms,
            purpose,
            claims,
            family=family,
            release=asked,
            region=scope.region,
            now_ms=now_ms,
            modalities=scope.modalities,
            ontology=ontology,
        )
        price = price_of(terms, purpose, claims, now_ms)
        if match.verdict is not Verdict.FORBIDDEN and (price is None or terms.currency != currency):
            return _Judged(raw, "price", 0)
        group = "" if match.verdict is Verdict.PERMITTED else match.decisive.group
        return _Judged(raw, group, price or 0)

    return _fold(_hold(state, scope, order, judge), scope)


def _hold(
    state: State, scope: Scope, order: str | None, judge: _Judge
) -> dict[tuple[str, str], _Held]:
    """Return for each person the newest matching grant, or the reason, of each modality asked."""
    people: dict[tuple[str, str], _Held] = {}
    judged: dict[str, _Judged] = {}
    datasets, wanted = state.datasets, frozenset(scope.modalities)
    for grant in state.live_grants():
        dataset = datasets.get(grant.dataset)
        if dataset is None or dataset.owner != grant.owner:
            continue
        held = people.setdefault((grant.owner, dataset.participant), {})
        if (modality := dataset.modality) not in wanted:
            continue
        answer = _of_terms(grant, judged, judge)
        group = _left_out(grant, dataset, scope, order, answer.group)
        before = held.get(modality)
        if group:
            if before is None or (isinstance(before, str) and _rank(group) < _rank(before)):
                held[modality] = group
        elif before is None or isinstance(before, str) or grant.index > before[0].index:
            held[modality] = (grant, answer.price)
    return people


def _of_terms(grant: Grant, judged: dict[str, _Judged], judge: _Judge) -> _Judged:
    """Judge each distinct text of terms once.

    The text is compared as well as its hash: nobody's terms may be judged by another's, whatever
    hash their consent claims.
    """
    known = judged.get(grant.terms_sha256)
    if known is not None:
        same = known.terms is grant.terms or known.terms == grant.terms
        return known if same else _Judged(grant.terms, "invalid", 0)
    try:
        if terms_sha256(grant.terms) != grant.terms_sha256:
            return _Judged(grant.terms, "invalid", 0)
        answer = judge(grant.terms)
    except TermsError:
        answer = _Judged(grant.terms, "invalid", 0)
    judged[grant.terms_sha256] = answer
    return answer


def _left_out(grant: Grant, dataset: Dataset, scope: Scope, order: str | None, group: str) -> str:
    """Return the group of the reason a grant does not count, or an empty text."""
    if grant.order is not None and grant.order != order:
        return "needs_owner"
    if grant.recipient.get("region") != scope.region:
        return "place"
    genotypes = dataset.modality == "genotypes"
    if genotypes and scope.build is not None and dataset.format.get("build") != scope.build:
        return "build"
    if group == "needs_owner" and grant.order is not None:
        return ""
    return group


def _fold(people: dict[tuple[str, str], _Held], scope: Scope) -> ScopeResult:
    members: list[Member] = []
    left_out: Counter[str] = Counter()
    for (owner, participant), held in people.items():
        grants: dict[str, Grant] = {}
        price, reason = 0, ""
        for modality in scope.modalities:
            found = held.get(modality, "modality")
            if isinstance(found, str):
                reason = found
                break
            grants[modality] = found[0]
            price += found[1]
        if not reason and not _facets_fit(grants, scope):
            reason = "facets"
        if reason:
            left_out[reason] += 1
        else:
            members.append(Member(owner, participant, grants, price))
    members.sort(key=lambda member: (member.participant, member.owner))
    return ScopeResult(tuple(members), left_out)


def _facets_fit(grants: Mapping[str, Grant], scope: Scope) -> bool:
    """Tell whether some grant publishes each facet asked for and none contradicts it."""
    for name, allowed in scope.facets.items():
        published = [grant.facets[name] for grant in grants.values() if name in grant.facets]
        if not published or any(value not in allowed for value in published):
            return False
    return True


def _rank(group: str) -> int:
    return GROUPS.index(group)


def parse_scope(value: object) -> Scope:
    """Parse an order's scope. Raises TermsError."""
    return parse_value(Scope, value)


def bucket(n: int) -> str:
    """Return the public bucket of a count of people: 0, <20, 20-49, 50-99, 100-199, 200-499, ...

    Raises TermsError for a negative count.
    """
    if n < 0:
        raise TermsError("a count of people is not negative")
    if n < 20:
        return "<20" if n else "0"
    low, step = 20, 0
    while n >= (high := low * 5 // 2 if step % 3 == 0 else low * 2):
        low, step = high, step + 1
    return f"{low}-{high - 1}"
