"""An owner's privacy budget as a picture, from the folded ledger and the owner's shares. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from compute import ComputeError, parse_terms, risk_picture, risk_words
from ledger import State
from marketplace.tables import Share
from marketplace.texts import say
from marketplace.web.text import drawn


@dataclass(frozen=True, slots=True)
class Budget:
    """An owner's lifetime privacy budget, what the paid uses took of it, and the risk it bounds."""

    lifetime: Fraction
    spent: Fraction

    @property
    def left(self) -> Fraction:
        """Return what is left; it is never refilled."""
        return max(Fraction(0), self.lifetime - self.spent)

    @property
    def percent_left(self) -> int:
        """Return what is left as whole percent, rounded down: never more than there is."""
        return int(100 * self.left / self.lifetime) if self.lifetime else 0

    @property
    def words(self) -> str:
        """Say the risk in a sentence."""
        return risk_words(self.lifetime, say)

    @property
    def picture(self) -> str:
        """Return the risk as SVG."""
        return drawn(risk_picture(self.lifetime, self.spent, say))


def budget_of(state: State, owner: str, shares: Iterable[Share]) -> Budget | None:
    """Return an owner's budget as the public ledger shows it, None without a consent in force.

    Counts every access of the orders that paid this owner: at most what compute charged.
    """
    party = state.parties.get(owner)
    held = [state.datasets[name] for name in (party.datasets if party else ())]
    live = [grant for dataset in held for grant in dataset.live() if state.in_force(grant)]
    try:
        limits = [Fraction(parse_terms(grant.terms).release.lifetime_rho) for grant in live]
    except ComputeError:
        return None
    if not limits:
        return None
    orders = [state.orders[name] for name in {s.order_id for s in shares} if name in state.orders]
    releases = [state.accesses[a].payload["release"] for o in orders for a in o.accesses]
    spent = sum((Fraction((release or {}).get("rho") or 0) for release in releases), Fraction(0))
    return Budget(min(limits), spent)
