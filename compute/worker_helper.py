"""Summing partitions of an order that another worker leads.

A message is nobody's word: it names an order, an attempt and a partition, and everything else is
looked up and verified as the lead does it: the order book, the ledger's fold, the recorded access
under a witnessed checkpoint, every member's grant, the plan. Members are opened through the vault,
by this worker's own token. What is summed goes sealed into the compute store, bound to offer and
partition, and is refused there once the offer was withdrawn or the partition taken by another.
"""

import logging
from dataclasses import dataclass
from typing import Final

from compute.arrays import pack, unpack
from compute.cohort import Cohort, matched_cohort
from compute.errors import ComputeError
from compute.messages import PartMessage
from compute.orderbook import OrderInHand, Phase
from compute.part_store import Offer
from compute.partitions import Plan, PlanError, Sums, chunks_of
from compute.progress import Pace
from compute.worker_engine import Asked, shapes_given, sums_of, table_rows
from compute.worker_opening import offer_name, summed, verified
from compute.worker_ports import Workshop
from compute.worker_state import require_live
from compute.worker_steps import checkpoint_step
from compute.worker_stops import Watch, follow
from ledger import LedgerError

LOOK_MS: Final = 1_000  # how often a helper says that it is still at it, and looks for stops
logger = logging.getLogger("compute.worker")


class GoneError(ComputeError):
    """The offer was withdrawn, or the partition is another's now."""

    default_code = "offer_gone"


@dataclass(slots=True)
class Helping:
    """One order, as a helper has it in hand; me: the name it takes partitions by."""

    shop: Workshop
    held: OrderInHand
    offer: Offer
    me: str
    number: int | None = None  # the partition being summed

    def now(self) -> int:
        """Return the time consent and attestations are judged at: the checkpoint's own (ms)."""
        return int(self.shop.follower.checkpoint.quorum_time)


def help_with(shop: Workshop, message: PartMessage) -> int:
    """Sum what is free of an order's pass, the partition named first; return how many were left.

    Whatever forbids it, or is not as it must be, leaves nothing: the lead sums what is missing.
    """
    helping = _offered(shop, message)
    if helping is None:
        return 0
    try:
        follow(shop)
        sums, plan = _prepared(helping)
        left = _sum_free(helping, sums, plan, message.number)
        logger.info("order %s: helped with %d partitions", message.order, left)
        return left
    except (ComputeError, LedgerError) as error:
        logger.warning("order %s: not helped with (%s)", message.order, type(error).__name__)
        return 0
    finally:
        if helping.number is not None:
            shop.store.parts.give_back(helping.offer, helping.number, helping.me)


def _offered(shop: Workshop, message: PartMessage) -> Helping | None:
    """Return the order, where its book says this attempt is being summed and something is free."""
    held = shop.book.find(message.order)
    if held is None or held.phase is not Phase.RECORDED or held.attempt != message.attempt:
        return None
    offer = shop.store.parts.find(offer_name(held))
    if offer is None or not shop.store.parts.free(offer):
        return None
    return Helping(shop, held, offer, shop.new_id())


def _prepared(helping: Helping) -> tuple[Sums, Plan]:
    """Verify the order, and make a pass's sums ready as its lead has them.

    Raises as `verified` and the engine; PlanError, ArraysError where the offer is not the order's.
    """
    shop, offer = helping.shop, helping.offer
    order, members, token = verified(helping)
    shop.variants.refresh()
    people, plan = summed(helping, members), Plan.of_text(offer.plan)
    rows = table_rows(shop.variants, order.query, plan.rows)
    public = (len(members), chunks_of(rows))
    if plan.rows > len(shop.variants) or public != (plan.people, plan.chunks):
        raise PlanError("this is no plan of this order")
    pace = Pace(0, _Tick(helping), lambda _done, _total: None)
    cohort = Cohort(
        shop.vault, shop.variants, people, token, shop.references, in_scope=len(members)
    )
    if order.query.match:
        cohort = matched_cohort(cohort, order.query, pace)
    asked = Asked(cohort, order.query, plan, rows, pace)
    given = shop.store.parts.given(offer)
    known = None if given is None else unpack(given, shapes_given(asked))
    return sums_of(asked, known), plan


def _sum_free(helping: Helping, sums: Sums, plan: Plan, first: int) -> int:
    """Sum one free partition after another until there is none; return how many were left."""
    store, offer, parts, left = helping.shop.store.parts, helping.offer, plan.parts(), 0
    while free := store.free(offer):
        number = first if first in free else free[0]
        if not store.take(offer, number, helping.me):
            continue
        helping.number = number
        checkpoint_step("part_taken")
        data = pack(sums.summed(parts[number]))
        left += store.leave(offer, number, helping.me, data)
        helping.number = None
    return left


class _Tick:
    """Called for each person: stops the work when the offer is gone, or a member has stopped."""

    def __init__(self, helping: Helping) -> None:
        self._helping = helping
        self._watch, self._looked = Watch(helping.shop), helping.shop.clock()

    def __call__(self) -> None:
        if self._watch.refresh():
            require_live(self._helping)
        now = self._helping.shop.clock()
        if now - self._looked >= LOOK_MS:
            self._looked = now
            self._still_ours()

    def _still_ours(self) -> None:
        store, offer, number = (
            self._helping.shop.store.parts,
            self._helping.offer,
            self._helping.number,
        )
        known = store.find(offer.name) == offer
        if not known or (number is not None and not store.beat(offer, number, self._helping.me)):
            raise GoneError("the lead does not wait for this partition any more")
