"""A pass shared between the worker that leads an order and whoever helps it.

Partitions are offered in the compute store and told of on the broker; the lead takes one after
another itself, as helpers do, so that an order never hangs on others: what nobody took the lead
sums, and what a helper took and was not heard of for a while, too. Sums left are opened only where
they were sealed to this very offer and partition, and have exactly the shapes they must have;
anything else is summed here again. Whatever ends the pass, all that was left for it is deleted.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from compute.arrays import MOST_BYTES, Arrays, ArraysError, pack, size_of, unpack
from compute.kernels import engine
from compute.part_store import Offer, Standing
from compute.partitions import Alone, Crew, Given, Part, Plan, Sums
from compute.progress import Pace
from compute.sealing import StoreError
from compute.worker_opening import offer_name
from compute.worker_state import Run
from compute.worker_steps import checkpoint_step

POLL_S: Final = 0.1
logger = logging.getLogger("compute.worker")


def crew_of(run: Run) -> Crew:
    """Return who sums an order's passes: this worker and its helpers, where it has any."""
    return Lead(run) if run.shop.helpers.send is not None else Alone()


class Lead:
    """A crew of this worker and its helpers (`compute.partitions.Crew`), for one order's attempt.

    pause: waits so many seconds between two looks at helpers.
    """

    def __init__(self, run: Run, pause: Callable[[float], None] = time.sleep) -> None:
        self._run, self._pause = run, pause
        self._store, self._me = run.shop.store.parts, run.shop.new_id()

    def share(self, plan: Plan, sums: Sums, pace: Pace, given: Given | None = None) -> None:
        """Have every partition of a pass in `sums`; alone, where it is not worth sharing."""
        parts, known = plan.parts(), None
        worth = len(parts) > 1 and sums.plain and _largest(parts, sums) <= MOST_BYTES
        if worth and given is not None:
            known = pack(given())
            worth = len(known) <= MOST_BYTES
        if not worth:
            Alone().share(plan, sums, pace)
            return
        name = offer_name(self._run.held)
        offer = Offer(self._run.shop.new_id(), name, plan.to_text())
        try:
            self._offer(offer, len(parts), known)
            checkpoint_step("parts_offered")
            engine()  # helpers' kernels and ours are the same, so that the last bits are
            pass_ = _Pass(offer, parts, sums, pace)
            self._take_free(pass_)
            self._await_others(pass_)
            self._put_together(pass_)
        finally:
            self._store.withdraw(name)

    def _offer(self, offer: Offer, parts: int, known: bytes | None) -> None:
        """Offer partitions and tell of them; one nobody hears of is the lead's own."""
        held, send = self._run.held, self._run.shop.helpers.send
        self._store.offer(offer, held.members, parts, known)
        try:
            for number in range(parts):
                if send is not None:
                    send(held.order, held.attempt, number)
        except Exception as error:  # every transport raises errors of its own
            logger.warning("order %s: nobody was told (%s)", held.order, type(error).__name__)

    def _take_free(self, pass_: "_Pass") -> None:
        for number in range(len(pass_.parts)):
            if self._store.take(pass_.offer, number, self._me):
                pass_.sum_here(number)

    def _await_others(self, pass_: "_Pass") -> None:
        """Wait for what others took; sum what they were not heard of for too long."""
        heard: dict[int, tuple[int, int]] = {}
        waiting = [number for number in range(len(pass_.parts)) if number not in pass_.own]
        while waiting:
            standing = self._store.standing(pass_.offer)
            for number in list(waiting):
                at = standing.get(number)
                if at is not None and at.done:
                    pass_.pace.done()
                elif self._is_overdue(heard, number, at):
                    self._store.seize(pass_.offer, number, self._me)
                    pass_.sum_here(number)
                else:
                    continue
                waiting.remove(number)
            if waiting:
                pass_.pace()
                self._pause(POLL_S)

    def _is_overdue(
        self, heard: dict[int, tuple[int, int]], number: int, at: Standing | None
    ) -> bool:
        """Tell whether nobody was heard of at a partition for too long, by this worker's clock."""
        if at is None:  # its offer is gone: whatever took it away will stop this job, or not
            return True
        now = self._run.shop.clock()
        beat, since = heard.setdefault(number, (at.beat, now))
        if at.beat != beat:
            heard[number] = at.beat, now
            return False
        return now - since >= self._run.shop.helpers.wait_ms

    def _put_together(self, pass_: "_Pass") -> None:
        """Take all sums in the plan's order."""
        for number, part in enumerate(pass_.parts):
            own = pass_.own.pop(number, None)
            pass_.sums.take(part, self._left(pass_, number) if own is None else own)

    def _left(self, pass_: "_Pass", number: int) -> Arrays:
        """Return what a helper left; summed here where that is not what it must be."""
        part = pass_.parts[number]
        try:
            data = self._store.partial_sum(pass_.offer, number)
            return unpack(data, pass_.sums.shapes(part))
        except (StoreError, ArraysError) as error:
            name = self._run.held.order
            logger.warning("order %s: partition %d refused (%s)", name, number, error.code)
            return pass_.sums.summed(part)


class _Pass:
    """One pass on its way: what this worker summed of it so far."""

    def __init__(self, offer: Offer, parts: list[Part], sums: Sums, pace: Pace) -> None:
        self.offer, self.parts, self.sums, self.pace = offer, parts, sums, pace
        self.own: dict[int, Arrays] = {}

    def sum_here(self, number: int) -> None:
        """Sum a partition in this process."""
        self.own[number] = self.sums.summed(self.parts[number])
        self.pace.done()


def _largest(parts: list[Part], sums: Sums) -> int:
    return max(size_of(sums.shapes(part)) for part in parts)
