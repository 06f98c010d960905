"""The life of an order as one table: every pair of state and event is decided here.

Pure: no I/O, no clock, no database. The database applies `step` in the transaction that writes
the event down; an event that stands for a ledger entry is applied only once the log has given
that entry its index, so the database is never ahead of the ledger.

Money is held from `funded` on. `refused`, `cancelled`, `expired` and `failed` are where it waits
for its refund; `settled` and `refunded` are final, and so are the four for an order nobody paid.
"""

from collections.abc import Mapping
from enum import StrEnum

from marketplace.errors import IllegalTransitionError


class OrderState(StrEnum):
    """Where an order stands."""

    DRAFTED = "drafted"
    QUOTED = "quoted"
    AWAITING_PAYMENT = "awaiting_payment"
    FUNDED = "funded"
    NEEDS_OWNERS = "needs_owners"
    APPROVED = "approved"
    RUNNING = "running"
    RELEASING = "releasing"
    SETTLED = "settled"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    REFUNDED = "refunded"


class OrderEvent(StrEnum):
    """What can happen to an order."""

    QUOTE = "quote"  # a price was offered
    PLACE = "place"  # order.placed stands on the ledger and matches the quote
    PAY = "pay"  # payment.received stands on the ledger
    NEED_OWNERS = "need_owners"  # nobody in scope permits it yet
    APPROVE = "approve"  # order.approved stands on the ledger
    START = "start"  # a worker took the job (again, after a lost lease)
    DRAFT = "draft"  # the answer waits for its reviewers
    RELEASE = "release"  # the answer is published; money can be settled
    SETTLE = "settle"  # settlement.made stands on the ledger
    REFUSE = "refuse"  # order.refused stands on the ledger
    CANCEL = "cancel"  # order.cancelled stands on the ledger
    EXPIRE = "expire"  # order.expired stands on the ledger
    FAIL = "fail"  # order.failed stands on the ledger
    REFUND = "refund"  # payment.refunded stands on the ledger


_S, _E = OrderState, OrderEvent

TABLE: Mapping[tuple[OrderState, OrderEvent], OrderState] = {
    (_S.DRAFTED, _E.QUOTE): _S.QUOTED,
    (_S.QUOTED, _E.PLACE): _S.AWAITING_PAYMENT,
    (_S.QUOTED, _E.EXPIRE): _S.EXPIRED,
    (_S.AWAITING_PAYMENT, _E.PAY): _S.FUNDED,
    (_S.AWAITING_PAYMENT, _E.CANCEL): _S.CANCELLED,
    (_S.AWAITING_PAYMENT, _E.EXPIRE): _S.EXPIRED,
    (_S.FUNDED, _E.NEED_OWNERS): _S.NEEDS_OWNERS,
    (_S.FUNDED, _E.APPROVE): _S.APPROVED,
    (_S.FUNDED, _E.REFUSE): _S.REFUSED,
    (_S.FUNDED, _E.CANCEL): _S.CANCELLED,
    # The payment overtook an expiry that was already on its way to the ledger.
    (_S.FUNDED, _E.EXPIRE): _S.EXPIRED,
    (_S.NEEDS_OWNERS, _E.APPROVE): _S.APPROVED,
    (_S.NEEDS_OWNERS, _E.REFUSE): _S.REFUSED,
    (_S.NEEDS_OWNERS, _E.CANCEL): _S.CANCELLED,
    (_S.NEEDS_OWNERS, _E.EXPIRE): _S.EXPIRED,
    (_S.APPROVED, _E.START): _S.RUNNING,
    (_S.APPROVED, _E.REFUSE): _S.REFUSED,
    (_S.APPROVED, _E.FAIL): _S.FAILED,
    (_S.RUNNING, _E.START): _S.RUNNING,
    (_S.RUNNING, _E.DRAFT): _S.RELEASING,
    (_S.RUNNING, _E.RELEASE): _S.RELEASING,
    (_S.RUNNING, _E.REFUSE): _S.REFUSED,
    (_S.RUNNING, _E.FAIL): _S.FAILED,
    (_S.RELEASING, _E.START): _S.RELEASING,
    (_S.RELEASING, _E.DRAFT): _S.RELEASING,
    (_S.RELEASING, _E.RELEASE): _S.RELEASING,
    (_S.RELEASING, _E.REFUSE): _S.REFUSED,
    (_S.RELEASING, _E.FAIL): _S.FAILED,
    (_S.RELEASING, _E.SETTLE): _S.SETTLED,
    # A payment may land after the order ended unpaid: it is booked, and goes back.
    (_S.CANCELLED, _E.PAY): _S.CANCELLED,
    (_S.EXPIRED, _E.PAY): _S.EXPIRED,
    (_S.REFUSED, _E.REFUND): _S.REFUNDED,
    (_S.CANCELLED, _E.REFUND): _S.REFUNDED,
    (_S.EXPIRED, _E.REFUND): _S.REFUNDED,
    (_S.FAILED, _E.REFUND): _S.REFUNDED,
}

REFUNDABLE = frozenset({_S.REFUSED, _S.CANCELLED, _S.EXPIRED, _S.FAILED})
FINAL = frozenset({_S.SETTLED, _S.REFUNDED})
OVER = REFUNDABLE | FINAL
CANCELLABLE = frozenset(state for state, event in TABLE if event is _E.CANCEL)


def allowed(state: OrderState, event: OrderEvent) -> bool:
    """Tell whether the table lets this event happen in this state."""
    return (state, event) in TABLE


def step(state: OrderState, event: OrderEvent) -> OrderState:
    """Return the state an event leads to. Raises IllegalTransitionError naming both."""
    try:
        return TABLE[state, event]
    except KeyError:
        possible = ", ".join(sorted(e for s, e in TABLE if s == state)) or "nothing"
        raise IllegalTransitionError(
            f"an order that is {state} cannot take the event {event}; it can take: {possible}"
        ) from None


def diagram() -> str:
    """Return the table as a Mermaid state diagram (stateDiagram-v2), generated, never edited."""
    lines = ["stateDiagram-v2", f"    [*] --> {OrderState.DRAFTED}"]
    lines += [f"    {state} --> {target}: {event}" for (state, event), target in TABLE.items()]
    lines += [f"    {state} --> [*]" for state in OrderState if state in OVER]
    return "\n".join(lines) + "\n"
