"""The payment provider's events: kept by their id and answered at once, acted on in the background.

An event is only a reason to look: what it is about is fetched again, as it is now, and acted on
once, so copies, order and loss do not matter. Events about one thing share one fetch; many paid
checkouts are fetched as pages of charges, for the provider answers few single questions a second;
what was fetched is acted on in few transactions, in which the events are noted as done.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from marketplace import disputes, money, payees, payouts, refunds
from marketplace.errors import MarketError, PaymentRefusedError, PaymentUnavailableError
from marketplace.faults import described
from marketplace.payment_values import CheckoutState
from marketplace.payment_values import Payment as Charge
from marketplace.services import Services
from marketplace.tables import WebhookEvent

LOG = logging.getLogger(__name__)
NEW, DONE = "new", "done"
EVENTS = 300  # a round
AT_ONCE = 20  # things acted on in one transaction: short, for webhooks wait for it
TOGETHER = 10  # checkouts that are fetched as pages of charges rather than one by one
PAGE = 100
ASKERS = 4
CHECKOUT, IGNORED = "checkout.session.", ""
# What a transfer's or refund's making says we know from the answer to our own call.
FAMILIES = (
    CHECKOUT, "charge.dispute.", "refund.updated", "refund.failed", "transfer.updated",
    "transfer.reversed", "account.updated",
)  # fmt: skip

Act = Callable[[Session], None]

# Asked every round: built once.
_WAITING = (
    select(WebhookEvent)
    .where(col(WebhookEvent.state) == NEW)
    .order_by(col(WebhookEvent.received_at))
    .limit(EVENTS)
)


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that events are about: what kind, its id, the events, when they happened (s)."""

    family: str
    about: str
    events: tuple[WebhookEvent, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider says of a matter: a checkout as it is now, or what to do about another."""

    matter: Matter
    checkout: CheckoutState | None = None
    act: Act | None = None


def keep(services: Services, raw: bytes, signature: str) -> bool:
    """Keep a verified provider event; tell whether it was new. Raises WebhookRefusedError.

    The row is written before the answer, so nothing is lost, and a burst is never turned away.
    """
    event = services.payments.parse_webhook(raw, signature)
    row = {
        "id": event.id, "type": event.type, "object_id": event.object_id, "state": NEW,
        "happened_at": event.created, "received_at": services.clock(),
    }  # fmt: skip
    fresh = services.events.keep(services.db, row)
    if fresh:
        services.nudge.set()
    return fresh


def work(services: Services) -> int:
    """Act on events that wait, oldest first; return how many are done.

    After a crash they are still new. One that the provider cannot answer for now waits.
    """
    with services.db.read() as session:
        waiting = session.exec(_WAITING).all()
    if not waiting:
        return 0
    answers = _look_up(services, _matters(waiting))
    starts = range(0, len(answers), AT_ONCE)
    return sum(_act(services, answers[start : start + AT_ONCE]) for start in starts)


def _matters(waiting: Iterable[WebhookEvent]) -> list[Matter]:
    about: dict[tuple[str, str], list[WebhookEvent]] = {}
    for event in waiting:
        about.setdefault((_family(event.type), event.object_id), []).append(event)
    return [Matter(*what, tuple(events)) for what, events in about.items()]


def _family(kind: str) -> str:
    """Return what an event is about, of the kinds that matter here; "" for the others."""
    return next((name for name in FAMILIES if kind.startswith(name)), IGNORED)


# -- looking --------------------------------------------------------------------------------------


def _look_up(services: Services, matters: Sequence[Matter]) -> list[Answer]:
    """Ask the provider how each matter stands; leave out those it does not answer for now."""
    known = {answer.matter.about: answer for answer in _checkouts(services, matters)}
    rest = [one for one in matters if one.family != CHECKOUT or one.about not in known]
    if len(rest) < 2:
        asked = [_ask(services, one) for one in rest]
    else:
        with ThreadPoolExecutor(min(ASKERS, len(rest))) as pool:
            asked = list(pool.map(lambda one: _ask(services, one), rest))
    return [*known.values(), *(one for one in asked if one is not None)]


def _checkouts(services: Services, matters: Sequence[Matter]) -> list[Answer]:
    """Answer for checkouts already acted on, and for many paid ones by pages of charges."""
    mine = {one.about: one for one in matters if one.family == CHECKOUT}
    with services.db.read() as session:
        undone = set(money.open_checkouts(session, ids=list(mine)).values()) if mine else set()
    done = [Answer(one) for about, one in mine.items() if about not in undone]
    if len(undone) < TOGETHER or services.payments.adds_tax:
        return done
    times = [event.happened_at for about in undone for event in mine[about].events]
    try:
        charges = _charges(services, min(times), max(times), len(undone))
    except MarketError as error:
        LOG.warning("checkouts are looked up one by one: %s", error)
        return done
    return done + _paid(services, mine, charges)


def _charges(services: Services, first: int, last: int, wanted: int) -> list[Charge]:
    """Return charges of these seconds that no page had before: all that are wanted, and others."""
    seen, most = services.charges_seen, 4 * wanted + PAGE
    charges = services.payments.paid_between(first - 1, last, seen.youngest, most)
    if charges:
        seen.youngest = charges[0 if seen.youngest is None else -1].charge_id
    return charges


def _paid(
    services: Services, mine: Mapping[str, Matter], charges: Sequence[Charge]
) -> list[Answer]:
    """Answer for the checkouts that charges paid, also where the event is still on its way."""
    with services.db.read() as session:
        keys = [one.checkout for one in charges if one.checkout is not None]
        paid = money.open_checkouts(session, keys=keys)
    return [
        Answer(
            mine.get(paid[one.checkout]) or Matter(CHECKOUT, paid[one.checkout], ()),
            money.checkout_from(one, paid[one.checkout]),
        )
        for one in charges
        if one.checkout in paid
    ]


def _ask(services: Services, matter: Matter) -> Answer | None:
    try:
        return _asked(services, matter)
    except PaymentUnavailableError as error:
        LOG.warning("%s %s is looked up later: %s", matter.family, matter.about, error)
        return None
    except PaymentRefusedError as error:
        # The provider does not know it: there is nothing to act on, ever.
        LOG.error("%s %s: %s", matter.family, matter.about, error)  # noqa: TRY400
        return Answer(matter)


def _asked(services: Services, matter: Matter) -> Answer:
    fetch, family, about = services.payments, matter.family, matter.about
    if family == CHECKOUT:
        return Answer(matter, fetch.fetch_checkout(about))
    if family == "charge.dispute.":
        dispute = fetch.fetch_dispute(about)
        return Answer(matter, act=lambda session: disputes.apply(services, session, dispute))
    if family.startswith("refund."):
        refund = fetch.fetch_refund(about)
        return Answer(matter, act=lambda session: refunds.apply(services, session, refund))
    if family.startswith("transfer."):
        transfer = fetch.fetch_transfer(about)
        return Answer(matter, act=lambda session: payouts.apply(services, session, transfer))
    if family == "account.updated":
        account = fetch.fetch_account(about)
        return Answer(matter, act=lambda session: payees.apply(services, session, account))
    return Answer(matter)


# -- acting ---------------------------------------------------------------------------------------


def _act(services: Services, answers: Sequence[Answer]) -> int:
    """Act on answers in one transaction; where that fails, on each alone, so one holds none up."""
    try:
        with services.db.write() as session:
            return _acted(services, session, answers)
    except (MarketError, SQLAlchemyError) as error:
        if len(answers) > 1:
            return sum(_act(services, [one]) for one in answers)
        LOG.error("event about %s: %s", answers[0].matter.about, described(error))  # noqa: TRY400
        return 0


def _acted(services: Services, session: Session, answers: Sequence[Answer]) -> int:
    money.apply_checkouts(services, session, [one.checkout for one in answers if one.checkout])
    for one in answers:
        if one.act is not None:
            one.act(session)
    ids = [event.id for one in answers for event in one.matter.events]
    done = update(WebhookEvent).where(col(WebhookEvent.id).in_(ids)).values(state=DONE)
    session.execute(done)
    return len(ids)
