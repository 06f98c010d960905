"""Plan and send a period's payouts, and die without warning at one moment, as a power cut would.

python -m tests.marketplace.payout_crash DIR STRIPE_URL MOMENT COUNT; MOMENT "never" lives on.
"""

import sys
from dataclasses import replace
from pathlib import Path

from marketplace import payouts
from marketplace.payments import Payments
from tests.marketplace.devstripe_harness import KEY, SECRET
from tests.marketplace.dying import arm
from tests.marketplace.market_world import World
from tests.marketplace.stripe_world import BASE

# Where it can die: (what is called, before or after it).
MOMENTS = {
    "planned": (payouts, "plan_period", "after"),
    "transfer before": (Payments, "transfer", "before"),
    "transfer after": (Payments, "transfer", "after"),
    "booked, not committed": (payouts, "_sent", "after"),
    "committed": (payouts, "_send", "after"),
    "closed, not committed": (payouts, "_close", "after"),
}


def adapter(url):
    return Payments(
        KEY, base_url=url, webhook_secret=SECRET, success_url=BASE, cancel_url=BASE,
        network_retries=0,
    )  # fmt: skip


def main(directory, url, moment, count):
    payouts.AT_ONCE = 2  # several transactions in a small batch
    world = World(Path(directory))
    services = replace(world.services, payments=adapter(url))
    if moment != "never":
        arm(*MOMENTS[moment], int(count))
    for _ in range(3):
        payouts.run(services)


if __name__ == "__main__":
    main(*sys.argv[1:])
