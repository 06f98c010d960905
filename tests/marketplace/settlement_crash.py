"""Settle one order and die without warning at one moment.

python -m tests.marketplace.settlement_crash DIR ORDER MOMENT; MOMENT "never" lives on.
"""

import sys
from pathlib import Path

from marketplace import book_store, order_service, owners, refunds, settlement
from tests.marketplace.dying import arm
from tests.marketplace.market_world import World
from tests.marketplace.settled_world import GENOTYPES

PEOPLE = [f"{number:032x}" for number in range(30)]
PAID = owners.Paid(len(PEOPLE), dict.fromkeys(PEOPLE, 100), asked=GENOTYPES)
# Where it can die: (what is called, before or after it), in the order they come.
MOMENTS = {
    "split, nothing written": (settlement, "split_shares", "after"),
    "shares written": (book_store, "record", "before"),
    "booked": (book_store, "record", "after"),
    "signed": (order_service, "decide", "after"),
    "refund planned, not committed": (refunds, "plan", "after"),
    "committed": (settlement, "settle", "after"),
}


def main(directory, order, moment):
    world = World(Path(directory))
    if moment != "never":
        arm(*MOMENTS[moment])
    settlement.settle(world.services, order, PAID)


if __name__ == "__main__":
    main(*sys.argv[1:])
