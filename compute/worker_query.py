"""One order from its lease to its answer, one durable step at a time.

Each step takes the order from one phase of the order book to the next, so a worker killed
anywhere resumes where it was: signed entries are kept before they are sent and repeated byte for
byte (the log answers with their first place), charges are idempotent by access id, and files are
encrypted once. Nothing is decrypted before its access entry is under a witnessed checkpoint.
Partial sums belong to one cohort: when a member stops, all of them are thrown away and the order
runs once more with the smaller cohort under a new access entry. Spec: DESIGN 3.1.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

from compute.accountant import BudgetExceededError
from compute.cohort import Cohort, Matched
from compute.errors import ComputeError
from compute.exact import exact_statistics
from compute.genomes import genomes_of
from compute.messages import JobMessage
from compute.orderbook import TERMINAL, OrderInHand, Phase
from compute.planner import select
from compute.private import FormNoise
from compute.progress import Progress
from compute.queries import Answer, QueryError
from compute.release import CohortFacts, Released, WithheldError, check_floors, release_gate
from compute.repeat import charged_release, charged_rho, repeated
from compute.vault import VaultRefusedError, recorded_access
from compute.worker_bundle import openings
from compute.worker_engine import answer_query
from compute.worker_entries import Use, access_entry, from_text, to_text, tree_of
from compute.worker_ingest import ingest, pending
from compute.worker_judge import (
    charges_of,
    check_beside,
    check_useful,
    matched_facts,
    plan_now,
    plan_or_repeat,
    require_first,
)
from compute.worker_lead import crew_of
from compute.worker_opening import summed, verified
from compute.worker_order import VerifiedOrder, read_order, require_price
from compute.worker_outcomes import Code, JobRefusedError, MemberStoppedError
from compute.worker_ports import Workshop
from compute.worker_publish import (
    close,
    close_with,
    deliver,
    publish,
    review_or_wait,
    sign_result,
)
from compute.worker_result import keep_result, kept_file
from compute.worker_state import Run, members_of, require_live
from compute.worker_steps import checkpoint_step
from compute.worker_stops import Heart, Watch, follow
from ledger import RefusedError

MAX_ATTEMPTS = 2
ON_A_TICK = frozenset({Phase.PUBLISHING, Phase.CLOSING})  # seen outside, whatever the mode


def take_in_hand(shop: Workshop, job: JobMessage, heart: Heart) -> Run:
    """Return the run of an order, at the step where it was left."""
    run = Run(shop, job, heart, shop.book.begin(str(job.order)))
    if run.held.phase is Phase.STARTED:
        checkpoint_step("query_started")
    return run


def advance(run: Run) -> bool:
    """Take an order as far as it goes; False when its next step must fall on a clock tick.

    True when it is closed, or waits for somebody. Raises TryAgainError or LedgerError when nothing
    could be decided: the job is run again.
    """
    waiting = False
    while run.held.phase not in TERMINAL and not waiting:
        if _is_seen(run):
            return False
        waiting = _step(run)
    return True


def leave(run: Run) -> None:
    """Take the one step that is seen outside; call on a clock tick. Raises as `advance`."""
    if _is_seen(run):
        _step(run)


def _is_seen(run: Run) -> bool:
    """Tell whether the next step is seen outside; a draft is, by its reviewers and the buyer."""
    if run.held.phase is not Phase.COMPUTED:
        return run.held.phase in ON_A_TICK
    order = run.shop.follower.state.orders.get(run.held.order)
    # Not folded yet, after a restart: as if there were a draft.
    return order is None or str(order.payload["release"]["mode"]) == "trusted"


def _step(run: Run) -> bool:
    try:
        return _STEPS[run.held.phase](run)
    except MemberStoppedError:
        _start_over(run)
    except JobRefusedError as error:
        close_with(run, error.outcome)
    except (BudgetExceededError, WithheldError, QueryError) as error:
        close_with(run, _closing_code(error))
    except RefusedError:
        # The log will not take our entry: the order was closed or changed under our hands.
        close_with(run, Code.NOT_OPEN)
    return False


def _closing_code(error: ComputeError) -> Code:
    if isinstance(error, BudgetExceededError):
        return Code.BUDGET
    known = {code.value for code in Code}
    return Code(error.code) if error.code in known else Code.NOT_RELEASABLE


# -- the steps: each returns True when the order must wait for somebody ---------------------------


def _judge(run: Run) -> bool:
    """STARTED: verify the order, resolve and ingest its scope, hold the floors, sign the access."""
    shop = run.shop
    follow(shop)
    run.heart.check()
    order = read_order(shop, run.held.order, run.now())
    _ingest_scope(run, order)
    follow(shop)
    order = read_order(shop, run.held.order, run.now())
    plan, free = plan_or_repeat(run, order)
    check_floors(plan.facts, run.floors, order.mode, order.query.least_people)
    require_price(order, plan.members)
    check_useful(order, plan)
    beside = _free if free else partial(check_beside, run, order, plan)
    opened = shop.book.opened(but=order.id)
    beside(opened)
    access = shop.new_id()
    grants = shop.follower.state.grants
    tags = shop.vault.tags([grants[grant] for grant in plan.grant_ids], access)
    use = Use(
        purpose=order.asked.purpose.primary,
        people=len(plan.members),
        order=order.id,
        query_digest=order.query_digest,
        code_digest=order.code_digest,
        release=charged_release(order.release, free=free),
        attempt=run.held.attempt,
    )
    submission = access_entry(shop, access, use, tags, plan.excluded)
    # Once more, one judge at a time, beside whom others judged meanwhile.
    run.judge(
        [str(other.access) for other in opened],
        beside,
        access=access,
        members=plan.grant_ids,
        access_submission=to_text(submission),
        access_index=None,
    )
    checkpoint_step("query_judged")
    return False


def _free(_opened: Sequence[OrderInHand]) -> None:
    """An answer given before stands beside anything."""


def _ingest_scope(run: Run, order: VerifiedOrder) -> None:
    """Ingest whoever is in scope, facets relaxed, and not ingested yet."""
    found = select(run.shop.follower.state, order.asked, run.now(), relaxed=True)
    grants = [grant for member in found.people for grant in member.grants.values()]
    fresh = pending(run.shop, grants)
    if fresh:
        ingest(run.shop, run.heart, fresh)


def _reserve(run: Run) -> bool:
    """JUDGED: charge everyone's budget at once, before anything is recorded or opened."""
    shop = run.shop
    follow(shop)
    run.heart.check(run.held.members)
    require_live(run)
    order = read_order(shop, run.held.order, run.now())
    members = members_of(run, order)
    require_price(order, members)
    genomes = genomes_of(shop.store, members)
    charges = charges_of(shop, members, None, genomes)
    rho = charged_rho(from_text(run.held.access_submission))
    exact = exact_statistics(order.query, order.mode, shop.variants)
    try:
        shop.accountant.reserve(order.id, str(run.held.access), charges, rho, exact)
    except BudgetExceededError:
        if not shop.accountant.exhausted(charges, rho, exact):
            raise
        # Somebody's budget went to another order since: judge again, without them.
        run.move(Phase.STARTED, access=None, members=())
        return False
    run.move(Phase.RESERVED)
    checkpoint_step("query_reserved")
    return False


def _record(run: Run) -> bool:
    """RESERVED: append the access entry, durable, and wait for a witnessed checkpoint over it."""
    shop, access = run.shop, str(run.held.access)
    follow(shop)
    if access not in shop.follower.state.accesses:
        run.heart.check(run.held.members)
        require_live(run)
        read_order(shop, run.held.order, run.now())
    submission = from_text(run.held.access_submission)
    index = shop.ledger.append([submission], wait=True)[0].index
    checkpoint_step("query_access_appended")
    shop.follower.wait_for(index, shop.clock() + shop.inclusion_wait_ms)
    recorded_access(shop.follower, access, tree_of(submission))
    shop.accountant.commit(access)
    run.move(Phase.RECORDED, access_index=index)
    checkpoint_step("query_access_included")
    return False


def _compute(run: Run) -> bool:
    """RECORDED: follow again, open data keys, sum person by person, pass the gate, keep files."""
    shop = run.shop
    follow(shop)
    run.heart.check(run.held.members)
    order, members, token = verified(run)
    require_first(run, order, members)
    checkpoint_step("query_before_open")
    if order.mode == "private" and not charged_rho(from_text(run.held.access_submission)):
        released = repeated(shop, run.held, len(members))
        if released is None:
            raise MemberStoppedError("the answer given before is gone, and nobody was charged")
    else:
        cohort = Cohort(
            shop.vault,
            shop.variants,
            summed(run, members),
            token,
            shop.references,
            in_scope=len(members),
        )
        released = _released(run, order, cohort, len(members))
    keys = shop.vault.activity_openings(run.held.members, token)
    commitment = keep_result(shop, order, run.held, released, openings(keys))
    checkpoint_step("query_answer_kept")
    run.move(Phase.COMPUTED, commitment=commitment)
    return False


def _released(run: Run, order: VerifiedOrder, cohort: Cohort, in_scope: int) -> Released:
    """Sum person by person and pass the gate.

    Copies of one genome are one person to the floors of exact answers, and so are those a match
    keeps. Under noise the floors look at the public size: a copy noticed there would tell its
    maker whom the cohort holds, and a match how many it keeps.
    """
    trusted = order.mode == "trusted"
    people = len(cohort.members) if trusted else in_scope
    kept: list[Matched] = []

    def facts() -> CohortFacts:
        # The complement and the owners as they stand now; the cohort is the one recorded.
        found = replace(plan_now(run, order, rho=Fraction(0)).facts, people=people)
        return matched_facts(run, found, cohort.members, kept[0]) if kept else found

    def judged(matched: Matched) -> None:
        if trusted:
            kept.append(matched)
            check_floors(facts(), run.floors, least=order.query.least_people)

    exact = _summed_up(run, order, cohort, _ticker(run, people // 2), judged)
    return release_gate(
        exact,
        facts(),
        mode=order.mode,
        rho=order.asked.rho,
        floors=run.floors,
        noise=FormNoise(order.query),
    )


def _summed_up(
    run: Run,
    order: VerifiedOrder,
    cohort: Cohort,
    tick: Callable[[], None],
    judged: Callable[[Matched], None],
) -> Answer:
    """Return the exact answer. Raises MemberStoppedError where one may not be opened any more."""
    told, crew, genotypes = _teller(run), crew_of(run), run.shop.helpers.genotypes
    try:
        return answer_query(cohort, order.query, tick, told, judged, crew, genotypes)
    except VaultRefusedError:
        raise MemberStoppedError("a member of the cohort can no longer be opened") from None


def _ticker(run: Run, half: int) -> Callable[[], None]:
    """Return what is called between people: beats, and stops the job when a member has stopped.

    A checkpoint that has grown old is followed by a new one before anybody else is opened.
    """
    passed, watch, members = 0, Watch(run.shop), frozenset(run.held.members)

    def tick() -> None:
        nonlocal passed
        passed += 1
        run.heart.check(members)
        if watch.refresh():
            require_live(run)
        if passed == half:
            checkpoint_step("query_half_summed")

    return tick


def _teller(run: Run) -> Callable[[int, int], None]:
    """Return what is told how many planned partitions are summed."""
    return lambda done, total: run.heart.progress.note(Progress("summing", done, total))


def _hand_over(run: Run) -> bool:
    """COMPUTED: give the draft to the reviewers (trusted), or go on to publish."""
    shop = run.shop
    follow(shop)
    run.heart.check(run.held.members)
    require_live(run)
    order = read_order(shop, run.held.order, run.now())
    if order.mode != "trusted":
        sign_result(run)
        return False
    shop.market.put_object(run.job, "draft", kept_file(shop, run.held, "draft"))
    checkpoint_step("query_draft_uploaded")
    run.move(Phase.AWAITING_REVIEW)
    return True


def _review(run: Run) -> bool:
    """AWAITING_REVIEW: two reviewers approved these very bytes, or the order waits."""
    follow(run.shop)
    run.heart.check(run.held.members)
    require_live(run)
    order = read_order(run.shop, run.held.order, run.now())
    return review_or_wait(run, order)


_STEPS: dict[Phase, Callable[[Run], bool]] = {
    Phase.STARTED: _judge,
    Phase.JUDGED: _reserve,
    Phase.RESERVED: _record,
    Phase.RECORDED: _compute,
    Phase.COMPUTED: _hand_over,
    Phase.AWAITING_REVIEW: _review,
    Phase.PUBLISHING: publish,
    Phase.PUBLISHED: deliver,
    Phase.CLOSING: close,
}


def _start_over(run: Run) -> None:
    """Throw the attempt away whole: again with a smaller cohort, once; then the order is closed.

    What was recorded stays charged; a charge nobody recorded is given back.
    """
    shop, held = run.shop, run.held
    recorded = held.access is not None and held.access in shop.follower.state.accesses
    shop.store.forget(f"{held.order}/{held.attempt}/")
    if not recorded and held.phase is Phase.RESERVED:
        shop.accountant.release(str(held.access))
    attempt = held.attempt + (1 if recorded else 0)
    if attempt > MAX_ATTEMPTS:
        close_with(run, Code.COHORT_CHANGED)
    else:
        run.move(Phase.STARTED, attempt=attempt, access=None, members=(), commitment=None)
