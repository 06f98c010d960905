"""View-model of a researcher's order: where it stands on its way, and its money. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketplace.orders import CANCELLABLE, OVER, OrderState
from marketplace.tables import Payment
from marketplace.texts import Texts, mark, say
from marketplace.web.words import (
    Word,
    family_words,
    order_state,
    progress_words,
    purpose_words,
)

WAY = (
    ("awaiting_payment", mark("Placed"), mark("Your signed order stands on the ledger")),
    ("funded", mark("Paid"), mark("The payment stands on the ledger")),
    ("approved", mark("Approved"), mark("Everybody in scope permits this use")),
    ("running", mark("Computing"), mark("Consents checked again, data opened in memory")),
    ("releasing", mark("Checked"), mark("The answer passes the release gate and reviewers")),
    ("settled", mark("Answered"), mark("Yours to open; the owners are paid")),
)
EVENTS: Mapping[str, str] = Texts(
    {
        "quote": "A price was offered",
        "place": "You placed the order",
        "pay": "The payment arrived",
        "need_owners": "Owners are being asked",
        "approve": "The order was approved",
        "start": "A worker took the job",
        "draft": "A draft waits for its reviewers",
        "release": "The answer was published",
        "settle": "The owners were paid",
        "refuse": "The order was refused",
        "cancel": "You cancelled the order",
        "expire": "The order expired",
        "fail": "The job failed",
        "refund": "The money went back",
    }
)
REFUNDS: Mapping[str, Word] = {
    "open": Word("Not paid yet", "wait"),
    "received": Word("Held for this order", "calm"),
    "surplus": Word("Going back to you", "wait"),
    "refunded": Word("Refunded", "good"),
    "closed": Word("Never paid", "calm"),
}


@dataclass(frozen=True, slots=True)
class WayStep:
    """One step of an order's way; place is "done", "now" or "next"."""

    title: str
    more: str
    place: str


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Everything on an order's page that needs thinking."""

    order: Mapping[str, Any]
    state: Word
    family: str
    purpose: str
    way: tuple[WayStep, ...]
    progress: str
    items: tuple[Mapping[str, Any], ...]
    money: Word | None
    payable: bool
    cancellable: bool
    over: bool
    events: Mapping[str, str]


def order_page(
    order: Mapping[str, Any], items: Sequence[Mapping[str, Any]], payments: Sequence[Payment]
) -> OrderPage:
    """Return the page of an order as `marketplace.reports` tells it."""
    state = OrderState(order["state"])
    return OrderPage(
        order,
        order_state(state),
        family_words(str(order["query"].get("family"))),
        purpose_words(order["purpose"]),
        way_of(order),
        progress_words(order["progress"]),
        tuple(items),
        money_word(state, payments),
        state is OrderState.AWAITING_PAYMENT,
        state in CANCELLABLE,
        state in OVER,
        EVENTS,
    )


def way_of(order: Mapping[str, Any]) -> tuple[WayStep, ...]:
    """Return the steps of the way, as far as the order came (also one that ended early)."""
    names = [name for name, _title, _more in WAY]
    been = [order["state"], *(step["to"] for step in order["history"])]
    reached = max((names.index(name) for name in been if name in names), default=0)
    running = order["state"] not in OVER
    places = ["done" if at < reached or not running else "now" for at in range(reached + 1)]
    places += ["next"] * (len(WAY) - len(places))
    return tuple(
        WayStep(say(title), say(more), place)
        for (_n, title, more), place in zip(WAY, places, strict=True)
    )


def money_word(state: OrderState, payments: Sequence[Payment]) -> Word | None:
    """Say where the researcher's money is; None before there is any."""
    if not payments:
        return None
    latest = payments[-1].state
    if latest == "received" and state is OrderState.SETTLED:
        return Word("Shared among the owners", "good")
    if latest == "received" and state in OVER:
        return Word("Going back to you", "wait")
    return REFUNDS.get(latest, Word(latest, "calm"))
