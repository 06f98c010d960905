"""Who asks nothing: a consent whose price for an order's purpose is 0 is a gift, not a debt.

Read from public facts alone: the consent's terms, the order's purpose, and what was attested of
its researcher when the order was placed. So it comes out the same whenever it is asked.
"""

from collections.abc import Callable

from compute import ComputeError, fold_claims, parse_purpose, parse_terms, price_of
from ledger import Grant, Pins, State


def donated(state: State, pins: Pins, order_id: str) -> Callable[[Grant], bool]:
    """Return what tells whether a consent asks nothing for an order; each terms are read once."""
    order = state.orders[order_id]
    purpose, at = parse_purpose(order.payload["purpose"]), int(order.payload["time"])
    researcher = str(order.payload["researcher"])
    said = [
        (one.claims, one.expires_at, one.attester)
        for one in state.parties[researcher].attestations
        if one.index < order.index
    ]
    claims = fold_claims(researcher, said, pins, at)
    known: dict[str, bool] = {}

    def gives(grant: Grant) -> bool:
        if grant.terms_sha256 not in known:
            asked = price_of(parse_terms(grant.terms), purpose, claims, at)
            known[grant.terms_sha256] = asked == 0
        return known[grant.terms_sha256]

    return gives


def only_gives(state: State, party: str) -> bool:
    """Tell whether every consent a party has in force asks nothing, for any use it allows."""
    found = state.parties.get(party)
    held = [state.datasets.get(one) for one in (found.datasets if found else ())]
    terms = [grant.terms for dataset in held if dataset for grant in dataset.live()]
    try:
        return bool(terms) and not any(map(_asks, terms))
    except ComputeError:
        return False


def _asks(terms: object) -> bool:
    prices = parse_terms(terms).prices.values()
    return any(isinstance(price, int) and price > 0 for price in prices)
