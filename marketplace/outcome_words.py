"""Why an order has no answer, in words: what happened, and what the buyer can do. Pure.

The codes are compute's closed list and the marketplace's own; a test holds the list complete.
"""

from marketplace.texts import mark, say

_WHY = {
    "unknown_order": mark("compute does not find the order on the ledger"),
    "order_not_open": mark("the order was over before compute could begin"),
    "not_paid": mark("no payment for it came in time"),
    "below_asked_price": mark("it paid less than the owners ask; ask for a new price"),
    "bad_order": mark("compute cannot read what was signed; ask for a new price and order again"),
    "query_digest_differs": mark("what was signed is not the question that was sent; order again"),
    "code_digest_differs": mark("compute runs a newer version of this question; order again"),
    "wrong_region": mark("no compute of that region may open this data"),
    "attestation_missing": mark("nobody trusted states that you are accredited; ask for it first"),
    "variants_picked": mark(
        "exact numbers of variants picked one by one could tell of a person; ask for a region, "
        "or for a private answer"
    ),
    "not_private": mark("this question cannot be answered privately in that form"),
    "noise_too_large": mark("the noise that protects people would drown the answer"),
    "near_cohort": mark(
        "an exact answer over nearly the same people was given before, and the difference would "
        "tell of those few; ask for a private answer, or over other people"
    ),
    "below_floor": mark("too few people take part for an answer that tells of none of them"),
    "budget_exhausted": mark("too many owners' privacy budgets are used up for this answer"),
    "member_stopped": mark("somebody withdrew while it ran, and nothing of it was kept"),
    "cohort_changed_twice": mark("people withdrew twice while it ran; order again in a while"),
    "nothing_releasable": mark("nothing of the answer may leave: every number tells of too few"),
    "review_rejected": mark("the reviewers did not let the draft leave"),
    "no_reviewer": mark("no reviewer is there to look at the draft"),
    "ledger_undecidable": mark("the ledger holds something compute cannot judge yet"),
    "cancelled": mark("it was cancelled"),
    "by_researcher": mark("you cancelled it"),
    "ledger_unavailable": mark("the ledger did not answer; order again"),
    "internal": mark("something broke at compute; order again"),
    "nobody_permits": mark("nobody's terms permit this purpose any more"),
    "no_consent": mark("too few owners said yes in time"),
}


def why(code: str | None) -> str | None:
    """Return what a reason's code means, in the language spoken; None without words for it."""
    return say(_WHY[code]) if code in _WHY else None
