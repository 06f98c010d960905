"""Who an order would use now, and whether its question may be answered for them at all.

Decides from the fold, published facets, budgets and earlier orders, never from data; opens and
records nothing. (`matched_facts` is for the run: whom a match kept is known only then.)
Spec: DESIGN sections 3.1 and 4.1.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from compute.accountant import Charge
from compute.cohort import Matched
from compute.elsewhere import came_between, used_elsewhere
from compute.exact import exact_statistics, stated_exact
from compute.expected import largest_sd
from compute.match import parse_release
from compute.orderbook import ANSWERED, OrderInHand
from compute.planner import NOBODY, Plan, plan_order
from compute.release import CohortFacts
from compute.repeat import (
    charged_rho,
    is_answered,
    is_too_near,
    is_under_way,
    matches_collide,
)
from compute.selection import Member
from compute.utility import UselessError, require_useful
from compute.worker_entries import from_text
from compute.worker_order import VerifiedOrder, is_independent
from compute.worker_outcomes import Code, JobRefusedError, MemberStoppedError, TryAgainError
from compute.worker_ports import Workshop
from compute.worker_state import Run

LEAST_NOISE_MAF = Fraction(1, 2)  # what drowns at 1/2 drowns at every frequency


def plan_or_repeat(run: Run, order: VerifiedOrder) -> tuple[Plan, bool]:
    """Return the plan, and whether its private question was answered before (then it is free).

    Free, it takes nobody's budget, so a spent one leaves nobody out.
    """
    if order.mode != "private":
        exact = exact_statistics(order.query, order.mode, run.shop.variants)
        return plan_now(run, order, rho=order.asked.rho, exact=exact), False
    everyone = plan_now(run, order, rho=Fraction(0))
    if is_answered(run.shop, order.id, everyone.grant_ids):
        return everyone, True
    plan = plan_now(run, order, rho=order.asked.rho)
    return plan, is_answered(run.shop, order.id, plan.grant_ids)


def check_useful(order: VerifiedOrder, plan: Plan) -> None:
    """Refuse noise that drowns any answer, whatever its buyer assumed. Raises JobRefusedError."""
    if order.mode != "private":
        return
    release = parse_release(order.asked.release)
    try:
        most = largest_sd(order.query)
        require_useful(order.query, release, len(plan.members), maf=LEAST_NOISE_MAF, sd=most)
    except UselessError:
        raise JobRefusedError(Code.NOISE, "noise would drown any answer") from None


def check_beside(run: Run, order: VerifiedOrder, plan: Plan, opened: Sequence[OrderInHand]) -> None:
    """Refuse an exact question too near another; let a private one wait for its own answer.

    A private question whose answer is on its way will then be the same bytes, and free. opened: as
    `OrderBook.opened`. Raises JobRefusedError, TryAgainError.
    """
    answered = [other for other in opened if other.phase in ANSWERED]
    state, grants = run.shop.follower.state, plan.grant_ids
    if order.mode == "private":
        if is_under_way(run.shop, order.id, grants, answered):
            raise TryAgainError("the same question is being answered: ask again when it has been")
    elif is_too_near(state, order.query, grants, answered, run.floors.people):
        raise JobRefusedError(Code.NEAR_COHORT, "the same question stands for nearly these people")
    elif matches_collide(state, order.query, grants, opened):
        raise JobRefusedError(Code.NEAR_COHORT, "another match stands among these people")


def matched_facts(
    run: Run, facts: CohortFacts, members: Sequence[Member], matched: Matched
) -> CohortFacts:
    """Return what the floors of an exact answer look at where a match kept some of the members."""
    shop, now = run.shop, run.now()
    kept = [one for one, own in zip(members, matched.kept.tolist(), strict=True) if own]
    owners = Counter(member.owner for member in kept)
    return replace(
        facts,
        people=len(kept),
        rest=len(members) - len(kept),
        owners=sum(is_independent(shop.follower.state, shop.trust, one, now) for one in owners),
        largest=max(owners.values(), default=0),
        unknown=matched.unknown,
    )


def charges_of(
    shop: Workshop,
    members: Sequence[Member],
    before: int | None,
    genomes: Mapping[str, str] = NOBODY,
) -> list[Charge]:
    """Return what each member is charged, and what other regions may have charged them.

    before: count other regions' accesses below this leaf index only.
    """

    def exact(order: Mapping[str, Any]) -> int:
        return stated_exact(order, shop.variants)

    plan = Plan(tuple(members), {}, CohortFacts(0, 0, 0))
    state = shop.follower.state
    elsewhere = used_elsewhere(state, shop.region, plan.people, exact, before)
    return plan.charges(genomes, elsewhere)


def require_first(run: Run, order: VerifiedOrder, members: Sequence[Member]) -> None:
    """Let the ledger's order decide between regions that charge one person at once.

    Each judged without the other's access; whose entry stands first keeps what it charged, and the
    other starts over without whom that left no budget. Raises MemberStoppedError.
    """
    shop, access = run.shop, run.shop.follower.state.accesses[str(run.held.access)]
    if not came_between(
        shop.follower.state, shop.region, int(access.payload["judged_size"]), access.index
    ):
        return
    charges = charges_of(shop, members, access.index)
    rho = charged_rho(from_text(run.held.access_submission))
    exact = exact_statistics(order.query, order.mode, shop.variants)
    if shop.accountant.is_overdrawn(charges, rho, exact):
        raise MemberStoppedError("another region's use came first and left somebody no budget")


def plan_now(run: Run, order: VerifiedOrder, *, rho: Fraction, exact: int = 0) -> Plan:
    """Plan with who can be used now; people whose budget is spent are left out as one reason."""
    shop = run.shop
    state, now = shop.follower.state, run.now()
    stored = shop.store.grants()
    out = {grant.id: "not_ingested" for grant in state.live_grants() if grant.id not in stored}
    out |= dict.fromkeys(run.heart.stopped, "stopped")

    def independent(owner: str) -> bool:
        return is_independent(state, shop.trust, owner, now)

    first = plan_order(state, order.asked, now, out=out, attested=independent)
    charges = charges_of(shop, first.members, before=None) if rho or exact else []
    spent = shop.accountant.exhausted(charges, rho, exact)
    if not spent:
        return first
    return plan_order(state, order.asked, now, out=out, attested=independent, exhausted=spent)
