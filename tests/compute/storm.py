"""Opt-outs that arrive at every stage of runs, and a count of whose keys were turned when.

Measured at the key-encryption key, below everything that decides: an opening is *wrong* when the
worker had followed the log past that person's opt-out. One it could not know of yet is counted
too; its partial sum is thrown away with the whole attempt.
"""

import random
from contextlib import ExitStack, contextmanager
from unittest import mock

from compute import vault, worker_opening, worker_publish, worker_query
from compute.worker_outcomes import Code
from tests.compute.stored_world import GROUPS

QUEUED, OPENING, REVIEW = "queued", "opening", "awaiting_review"
# Each order: its population (None for everybody), and the stages at which people opt out of it.
ORDERS = (
    (0, (QUEUED, "query_started", "query_judged", "query_reserved", "query_access_appended",
         "query_half_summed")),
    (1, ("query_access_included", "query_answer_kept")),
    (2, ("query_before_open", REVIEW)),
    (0, ("release_result_signed",)),
    (None, (OPENING, "release_half_delivered")),
)  # fmt: skip
CHANGED = ("withheld", Code.COHORT_CHANGED.value)
ENDS = (CHANGED, CHANGED, CHANGED, ("withheld", Code.MEMBER_STOPPED.value), ("released", None))
STAGES = sorted({stage for _, stages in ORDERS for stage in stages})


class Storm:
    """Runs ORDERS on a `StoredWorld`; `each` people opt out at each stage."""

    def __init__(self, world, each, seed=1):
        self.world, self.each = world, each
        self.left = list(world.stored)
        random.Random(seed).shuffle(self.left)
        self.out = {}  # person -> the leaf of the opt-out
        self.opened = self.wrong = self.unseen = 0
        self.fired, self.ends = [], []
        self._armed, self._group, self._openings = [], None, 0
        world.kms.turned = self._turned

    def _turned(self, number):
        self.opened += 1
        self._openings += 1
        at = self.out.get(number)
        if at is not None:
            followed = at < self.world.shop.follower.checkpoint.size
            self.wrong += followed
            self.unseen += not followed
        if self._openings == self.world.count // 10:
            self._at(OPENING)

    def _at(self, stage):
        if stage not in self._armed:
            return
        self._armed.remove(stage)
        self.fired.append(stage)
        ours = [n for n in self.left if self._group is None or n % GROUPS == self._group]
        for number in ours[: self.each]:
            self.left.remove(number)
            self.out[number] = self.world.opt_out(number)

    @contextmanager
    def _watched(self):
        with ExitStack() as patched:
            for module in (worker_query, worker_publish):
                patched.enter_context(mock.patch.object(module, "checkpoint_step", self._at))
            yield

    def run(self):
        """Run every order to its end; return how each ended."""
        with self._watched():
            for group, stages in ORDERS:
                self._armed, self._group, self._openings = list(stages), group, 0
                self.ends.append(self._one(group))
        return self.ends

    def _one(self, group):
        facets = {} if group is None else {"population": [f"P{group}"]}
        price = 10 * self.world.count
        self.order = self.world.order(paid=price, price=price, facets=facets)
        self._at(QUEUED)
        outcome = self.world.run("query", self.order)
        if outcome.state == "awaiting_review":
            self.world.approve(self.order)
            self._at(REVIEW)
            outcome = self.world.run("release", self.order)
        return outcome.state, outcome.code

    def members(self):
        """Return who must be in the last answer: all who had not opted out before its access."""
        index = self.world.access_of(self.order).index
        gone = {number for number, at in self.out.items() if at < index}
        return [number for number in range(self.world.count) if number not in gone]


@contextmanager
def unguarded():
    """Positive control: take out every check of a stop that stands between an opt-out and a key."""

    def any_grant(grant_id, access):
        return access.log.state.grants[grant_id]

    with ExitStack() as patched:
        patched.enter_context(mock.patch.object(vault, "_grant_in_force", any_grant))
        for module in (worker_query, worker_opening):
            patched.enter_context(mock.patch.object(module, "require_live", lambda run: None))
            patched.enter_context(
                mock.patch.object(module, "members_of", lambda run, order: _as_recorded(run))
            )
        patched.enter_context(mock.patch("compute.worker_stops.destroy_stopped", lambda shop: 0))
        yield


def _as_recorded(run):
    from compute.selection import Member

    state = run.shop.follower.state
    grants = [state.grants[name] for name in run.held.members]
    return tuple(
        Member(one.owner, state.datasets[one.dataset].participant, {"genotypes": one}, 0)
        for one in grants
    )
