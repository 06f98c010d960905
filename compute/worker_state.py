"""One job on one order: its row, its heart, and what both say of the cohort in hand.

Shared by the steps that compute and those that publish; takes no step itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from compute.messages import JobMessage, Outcome
from compute.orderbook import Beside, OrderInHand, Phase
from compute.planner import select
from compute.progress import Progress, Step
from compute.release import Floors
from compute.selection import Member
from compute.worker_order import VerifiedOrder
from compute.worker_outcomes import Code, MemberStoppedError
from compute.worker_ports import Workshop
from compute.worker_stops import Heart

STEPS: Mapping[Phase, Step] = {
    Phase.STARTED: "planned",
    Phase.JUDGED: "opening",
    Phase.PUBLISHING: "waiting",
    Phase.CLOSING: "waiting",
}
"""What the buyer is told as a phase begins; while it sums, see `worker_query`."""


class InHand(Protocol):
    """An order in hand, at whoever works on it."""

    @property
    def shop(self) -> Workshop:
        """Return what the worker works with."""
        ...

    @property
    def held(self) -> OrderInHand:
        """Return the order as it stands in the worker's book."""
        ...

    def now(self) -> int:
        """Return the time consent and attestations are judged at: the checkpoint's own (ms)."""
        ...


@dataclass(slots=True)
class Run:
    """One job on one order."""

    shop: Workshop
    job: JobMessage
    heart: Heart
    held: OrderInHand
    floors: Floors = field(default_factory=Floors)

    def move(self, phase: Phase, **changes: object) -> None:
        """Move the order on, durably."""
        self._stand(self.shop.book.move(self.held, phase, **changes))

    def judge(self, seen: Collection[str], beside: Beside, **changes: object) -> None:
        """Move the order to JUDGED, durably, if it may stand beside the others (`OrderBook`)."""
        self._stand(self.shop.book.judge(self.held, seen, beside, **changes))

    def _stand(self, held: OrderInHand) -> None:
        self.held = held
        if held.phase in STEPS:
            self.heart.progress.note(Progress(STEPS[held.phase]))

    def now(self) -> int:
        """Return the time consent and attestations are judged at: the checkpoint's own (ms)."""
        return int(self.shop.follower.checkpoint.quorum_time)


def outcome_of(run: Run) -> Outcome:
    """Return the outcome of an order's phase: ids, digests and fixed codes only."""
    held = run.held
    if held.phase is Phase.DELIVERED:
        state = run.shop.follower.state.orders[held.order]
        digest = str(state.result.payload["ciphertext_sha256"]) if state.result else ""
        return Outcome(
            state="released", access=held.access, scope=held.members, result_sha256=digest
        )
    if held.phase is Phase.AWAITING_REVIEW:
        return Outcome(
            state="awaiting_review",
            access=held.access,
            scope=held.members,
            draft_commitment=held.commitment,
        )
    if held.phase is Phase.WITHHELD:
        accesses = run.shop.follower.state.orders[held.order].accesses
        return Outcome(state="withheld", code=held.code, access=accesses[-1])
    state_name = "refused" if held.phase is Phase.REFUSED else "failed"
    return Outcome.model_validate({"state": state_name, "code": held.code or Code.INTERNAL.value})


def members_of(run: InHand, order: VerifiedOrder) -> tuple[Member, ...]:
    """Return the members of the cohort in hand, exactly the people whose grants were recorded.

    Raises MemberStoppedError when the fold no longer selects one of them.
    """
    wanted = set(run.held.members)
    found = select(run.shop.follower.state, order.asked, run.now())
    members = tuple(
        member
        for member in found.people
        if {grant.id for grant in member.grants.values()} <= wanted
    )
    if {grant.id for member in members for grant in member.grants.values()} != wanted:
        raise MemberStoppedError("a member of the cohort is no longer in scope")
    return members


def require_live(run: InHand) -> None:
    """Check that every member's grant is in force in the fold. Raises MemberStoppedError."""
    state = run.shop.follower.state
    if not all(state.grant_in_force(grant) for grant in run.held.members):
        raise MemberStoppedError("a member of the cohort has stopped")
