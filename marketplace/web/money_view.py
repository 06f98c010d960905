"""View-models of where buyers' money went, from public entries alone. Pure.

Amounts are those of `settlement.made`: an order's gross is the owners' part, the computing and the
platform's fee. What was refunded before an answer is in none of them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ledger import Done, OrderState

PARTS = ("gross", "owners_total", "compute_fee", "platform_fee")


@dataclass(frozen=True, slots=True)
class Split:
    """Where money went, in minor units of one currency; answers: how many it paid for."""

    currency: str
    gross: int
    owners: int
    compute: int
    platform: int
    answers: int = 1


def split_of(settlement: Done | None) -> Split | None:
    """Return where one order's money went; None before it is settled."""
    if settlement is None:
        return None
    payload = settlement.payload
    return Split(str(payload["currency"]), *(int(payload[name]) for name in PARTS))


def splits(orders: Iterable[OrderState]) -> tuple[Split, ...]:
    """Return where the money of all answers went, by currency."""
    sums: dict[str, Counter[str]] = {}
    for order in orders:
        if order.settlement is None:
            continue
        payload = order.settlement.payload
        found = sums.setdefault(str(payload["currency"]), Counter())
        found["answers"] += 1
        for name in PARTS:
            found[name] += int(payload[name])
    return tuple(
        Split(
            currency,
            found["gross"],
            found["owners_total"],
            found["compute_fee"],
            found["platform_fee"],
            found["answers"],
        )
        for currency, found in sorted(sums.items())
    )
