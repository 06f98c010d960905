"""Consent at the run, at size: each of 200 left out in turn, and the SystmOne case with 150,000.

Worker, vault, store, order book and accountant are the real ones; the ledger is the tests'
simulator with the real admission rules. The 150,000 are put straight into fold and store, each
under a data key of their own, with a payload of a dozen variants.
"""

import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter

from benchmarks.harness import Figure, percentile

EACH = 40  # people who opt out at each stage


def each_left_out(count: int) -> list[Figure]:
    """Withdraw each person between approval and run; count what was opened instead."""
    from tests.compute.openings import leave_each_out
    from tests.compute.worker_world import World

    with tempfile.TemporaryDirectory() as folder:
        world, start = World(Path(folder), people=count), perf_counter()
        exact = sum(
            missing == {gone} and opened == count - 1
            for gone, missing, opened in leave_each_out(world)
        )
        seconds = perf_counter() - start
        world.shop.store.close()
    note = f"{count} orders, one withdrawal before each run; every key turned was counted"
    return [
        Figure("runs in which exactly the one who withdrew is missing", exact, "runs", count,
               limit=count, limit_name="orders", note=note),
        Figure("those orders", seconds, "s", at_least=False),
    ]  # fmt: skip


def opt_outs(count: int) -> list[Figure]:
    """Let people opt out at every stage of five orders; count keys turned after it."""
    from tests.compute.stored_world import StoredWorld
    from tests.compute.storm import ENDS, ORDERS, STAGES, Storm
    from tests.compute.worker_world import answered_counts

    with tempfile.TemporaryDirectory() as folder:
        leavers = 4 * EACH * len(STAGES)  # each population must have enough of them
        start = perf_counter()
        world = StoredWorld(Path(folder), count, min(count, leavers))
        made = perf_counter() - start
        storm, start = Storm(world, min(EACH, count // 100)), perf_counter()
        ends = storm.run()
        seconds = perf_counter() - start
        if ends != list(ENDS) or sorted(storm.fired) != STAGES:
            raise RuntimeError(f"the orders ended as {ends} after {storm.fired}")
        members = storm.members()
        counts = answered_counts(world.result(storm.order))
        off = sum(counts.get(pos) != truth for pos, truth in world.expected(members).items())
        world.shop.store.close()
    ended = ", ".join(f"{n} {end}" for end, n in Counter(end for end, _ in ends).items())
    note = (
        f"{count:,} people, {len(storm.out):,} opted out at {len(STAGES)} stages of {len(ORDERS)} "
        f"orders ({ended}); {storm.opened:,} data keys turned"
    )
    return [
        Figure("opted-out records decrypted", storm.wrong, "records", 0, at_least=False, note=note),
        Figure("of them, with the checks taken out (control)", _unguarded(), "records", 1,
               note="3,000 people; must not be 0"),
        Figure("opened before the worker could know of the opt-out, thrown away", storm.unseen,
               "records", at_least=False, note="their leaf came after the last checkpoint fetched"),
        Figure("variants of the last answer not equal to who remained", off, "variants", 0,
               at_least=False, note=f"{len(members):,} people in it"),
        Figure("those orders", seconds, "s", 300.0, at_least=False,
               note=f"after {made:.0f} s of putting people there"),
    ]  # fmt: skip


def _unguarded() -> int:
    from tests.compute.stored_world import StoredWorld
    from tests.compute.storm import Storm, unguarded

    with tempfile.TemporaryDirectory() as folder, unguarded():
        world = StoredWorld(Path(folder), 3_000, 1_500)
        storm = Storm(world, each=20)
        storm.run()
        world.shop.store.close()
    return int(storm.wrong)


def withdrawals(count: int) -> list[Figure]:
    """Time from an owner's signature until what a worker sees of the log refuses the grant.

    A real log, three witnesses and two followers over HTTP; every job looks before it opens. It
    counts signing and sending too, so it is more than the time since the entry is on the log.
    """
    from ledger import Follower
    from marketplace.client.owner import Owner
    from tests.ledger.ledger_world import World
    from tests.marketplace.client.test_account import consented, enrolled, publish

    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "world")
        world.start_witnesses()
        world.log = world.start()
        world.serve(world.log)
        try:
            world.wait_healthy()
            publish(world, "epoch-1", 0)
            ann = enrolled(world, Path(folder) / "ann")
            client = world.client(world.tokens.envelopes)
            worker = Follower(client, world.trust, personal=True)
            for number in range(count):
                site = ("1", 800_000 + number, "A", "G", "0/1")
                grant = consented(ann, sites=[site])
                worker.sync()
                if not worker.state.grant_in_force(grant):
                    raise RuntimeError("the consent was not in force before")
                start = perf_counter()
                Owner(ann).withdraw(grant)
                while worker.state.grant_in_force(grant):
                    worker.sync()
                seconds.append(perf_counter() - start)
        finally:
            world.close()
    note = f"{count} withdrawals on a real log with three witnesses; the slowest"
    return [
        Figure("a withdrawal from its signing until no job may open", max(seconds), "s", 1.0,
               at_least=False, note=note),
        Figure("the same, 95th percentile", percentile(seconds, 0.95), "s", at_least=False),
    ]  # fmt: skip
