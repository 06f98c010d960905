"""Orders on the ledger as one owner's consent sees them: permitted, asking the owner, or refused.

The same matcher as at the run, over public entries: an owner's client and the marketplace come to
the same answer, and neither has to believe the other. A standing rule is terms like any others:
what it permits may be said yes to without asking again. Pure.
"""

from collections.abc import Mapping
from typing import Any

from compute.match import match_terms
from compute.ontology import Ontology
from compute.scope import parse_scope
from compute.terms import Claims, Terms, parse_purpose
from compute.verdict import Match, Verdict


def judge_order(
    terms: Terms,
    order: Mapping[str, Any],
    claims: Claims,
    now_ms: int,
    ontology: Ontology | None = None,
) -> Match:
    """Judge a signed order (the payload of order.placed) by one consent's terms.

    Raises TermsError when the order is not as the ledger would have it.
    """
    scope = parse_scope(order["scope"])
    return match_terms(
        terms,
        parse_purpose(order["purpose"]),
        claims,
        family=str(order["query"]["family"]),
        release=order["release"],
        region=scope.region,
        now_ms=now_ms,
        modalities=scope.modalities,
        ontology=ontology,
    )


def rule_allows(rule: Terms, order: Mapping[str, Any], claims: Claims, now_ms: int) -> bool:
    """Tell whether a rule says yes by itself: every one of its terms is met, none asks."""
    return judge_order(rule, order, claims, now_ms).verdict is Verdict.PERMITTED
