"""Publish, then deliver: the ledger's order decides whether an answer leaves.

`result.published` (a commitment) is appended first; the log is followed to that index and folded
again; only when no member's stop lies before it are the files handed over, else the result is
withheld and its answer deleted. Every closing leaves a signed entry with a fixed code.
"""

import hashlib
from contextlib import suppress

from compute.claims import claims_of
from compute.orderbook import Phase
from compute.repeat import remember
from compute.worker_bundle import bundle_files
from compute.worker_entries import (
    from_text,
    published_entry,
    refused_entry,
    to_text,
    withheld_entry,
)
from compute.worker_order import VerifiedOrder
from compute.worker_outcomes import Code, JobRefusedError
from compute.worker_result import kept_file
from compute.worker_state import Run
from compute.worker_steps import checkpoint_step
from compute.worker_stops import follow
from ledger import RefusedError

REVIEWERS_NEEDED = 2


def review_or_wait(run: Run, order: VerifiedOrder) -> bool:
    """Sign the result when two distinct attested reviewers approved this draft; else wait.

    Raises JobRefusedError when an attested reviewer rejected it.
    """
    state, now = run.shop.follower.state, run.now()
    approved: set[str] = set()
    for review in state.orders[order.id].reviews:
        if review.draft_commitment != run.held.commitment or review.reviewer == order.researcher:
            continue
        claims = claims_of(state, run.shop.trust.pins, review.reviewer, now)
        if claims.value("output_reviewer", now) is not True:
            continue
        if review.decision == "reject":
            raise JobRefusedError(Code.REVIEW_REJECTED, "a reviewer rejected the draft")
        approved.add(review.reviewer)
    if len(approved) < REVIEWERS_NEEDED:
        return True
    sign_result(run)
    return False


def sign_result(run: Run) -> None:
    """Sign result.published over the kept file, and keep the entry before it is sent."""
    file = kept_file(run.shop, run.held, "file")
    entry = published_entry(
        run.shop,
        run.held.order,
        str(run.held.access),
        str(run.held.commitment),
        (hashlib.sha256(file).hexdigest(), len(file)),
    )
    run.move(Phase.PUBLISHING, submission=to_text(entry))
    checkpoint_step("release_result_signed")


def publish(run: Run) -> bool:
    """PUBLISHING, on a tick: append result.published, unless a member stopped.

    Once the result is in the log the order of the log decides, at delivery.
    """
    shop = run.shop
    follow(shop)
    run.heart.check()
    state, members = shop.follower.state, run.held.members
    live = all(map(state.grant_in_force, members)) and run.heart.stopped.isdisjoint(members)
    if state.orders[run.held.order].result is None and not live:
        close_with(run, Code.MEMBER_STOPPED)
        return False
    index = shop.ledger.append([from_text(run.held.submission)], wait=True)[0].index
    checkpoint_step("release_result_appended")
    run.move(Phase.PUBLISHED, result_index=index)
    return False


def deliver(run: Run) -> bool:
    """PUBLISHED: follow the log past the result and fold; deliver when no member stopped before
    it, else withhold.
    """
    shop = run.shop
    shop.follower.wait_for(int(run.held.result_index or 0), shop.clock() + shop.inclusion_wait_ms)
    follow(shop)
    run.heart.check()
    checkpoint_step("release_before_delivery")
    if stopped_before(run, int(run.held.result_index or 0)) or stopped_outside(run):
        close_with(run, Code.MEMBER_STOPPED)
        return False
    remember(shop, run.held, kept_file(shop, run.held, "result"))
    shop.market.put_object(run.job, "result", kept_file(shop, run.held, "file"))
    checkpoint_step("release_half_delivered")
    for name, data in bundle_files(run).items():
        shop.market.put_object(run.job, name, data)
    checkpoint_step("release_delivered")
    run.move(Phase.DELIVERED)
    # Delivered, nothing reads these again; a private answer stays under its question alone.
    shop.store.forget(f"{run.held.order}/")
    return False


def stopped_before(run: Run, index: int) -> list[str]:
    """Return the members whose stop or pause lies before a leaf, or that have no live grant now
    without the log saying since when (an objection, an erased dataset): fail closed.
    """
    state = run.shop.follower.state
    found = []
    for grant_id in run.held.members:
        grant = state.grants.get(grant_id)
        if grant is None:
            found.append(grant_id)
            continue
        ends = [end for end in (grant.stopped_at, grant.paused_at) if end is not None]
        silent = not ends and not state.grant_in_force(grant_id)
        if silent or any(end < index for end in ends):
            found.append(grant_id)
    return found


def stopped_outside(run: Run) -> list[str]:
    """Return the members a heartbeat's stop ended and the log, as far as it was read, did not."""
    state = run.shop.follower.state
    early = run.heart.stopped.intersection(run.held.members)
    return [grant for grant in sorted(early) if state.grant_in_force(grant)]


def close_with(run: Run, code: Code) -> None:
    """Sign the closing entry: refused when nothing was recorded, else withheld; keep it first."""
    shop, held = run.shop, run.held
    order = shop.follower.state.orders.get(held.order)
    if order is not None and order.accesses:
        entry = withheld_entry(shop, held.order, order.accesses[-1], code)
        final = Phase.WITHHELD
    else:
        entry = refused_entry(shop, held.order, code, {})
        final = Phase.REFUSED
    if held.phase is Phase.RESERVED and held.access not in shop.follower.state.accesses:
        shop.accountant.release(str(held.access))
    if code is Code.INTERNAL:
        final = Phase.FAILED
    text = to_text(entry) if order is not None else None
    # No commitment left means that no answer was ever on its way: `close` may give rho back.
    sent = held.phase in (Phase.PUBLISHING, Phase.PUBLISHED)
    commitment = held.commitment if sent else None
    run.move(
        Phase.CLOSING, submission=text, final=final.value, code=code.value, commitment=commitment
    )


def close(run: Run) -> bool:
    """CLOSING, on a tick: append the closing entry, give an unused charge back, forget every file.

    A charge is given back only when the log took result.withheld for an access whose result was
    never on its way to the log, and whose end tells nothing by itself.
    """
    said = False
    if run.held.submission is not None:
        # Refused: the marketplace closed the order first, and there is nothing left to say.
        with suppress(RefusedError):
            run.shop.ledger.append([from_text(run.held.submission)])
            said = True
    checkpoint_step("close_appended")
    access = _withheld_access(run)
    unused = run.held.commitment is None and not _end_tells(run)
    if said and access is not None and unused:
        run.shop.accountant.refund(access)
    run.shop.store.forget(f"{run.held.order}/")
    run.move(run.held.final or Phase.FAILED)
    return False


def _end_tells(run: Run) -> bool:
    """Tell whether the end alone says something of data: an exact match was held to its floors."""
    order = run.shop.follower.state.orders.get(run.held.order)
    if order is None or order.payload["release"]["mode"] != "trusted":
        return False
    return bool(order.payload["query"].get("params", {}).get("match"))


def _withheld_access(run: Run) -> str | None:
    """Return the access a closing entry of type result.withheld names, or None."""
    if run.held.submission is None:
        return None
    entry = from_text(run.held.submission).entry
    return str(entry.payload["access"]) if entry.type == "result.withheld" else None
