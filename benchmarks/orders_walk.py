"""The money machine's long walk: python -m benchmarks.orders_walk --seed N --steps N.

A walk is markets of STEPS_EACH random actions each, all from one seed: what is printed can be run
again. A broken promise is shrunk to fewer actions before it is shown, and ends the walk.
"""

import argparse
import json
import logging
import random
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.harness import say
from tests.marketplace.money_machine import ENDS, WEIGHTS, MoneyWorld

STEPS_EACH = 400
FOLDER = "/dev/shm" if Path("/dev/shm").is_dir() else None
BUSINESS = ("turn", "serve", "place", "checkout", "pay")  # never without these
TRIES = 60  # of shrinking

Action = tuple[str, int]


@dataclass(frozen=True)
class Walked:
    """What one walk did: steps held, the ends of its orders, how long it took."""

    steps: int
    seconds: float
    ends: dict[str, int] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.orders_walk", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1_000)
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    walked = walk(options.seed, options.steps)
    if walked is None:
        return 1
    print(json.dumps(asdict(walked)))
    return 0


def walk(seed: int, steps: int) -> Walked | None:
    """Walk so many steps from a seed; None when a promise was broken, which is shown."""
    start, done, number = time.perf_counter(), 0, 0
    while done < steps:
        actions = actions_of(f"{seed}/{number}", min(STEPS_EACH, steps - done))
        if (broken := trial(actions)) is not None:
            show(f"{seed}/{number}", shrink(actions), broken)
            return None
        done, number = done + len(actions), number + 1
        if number % 20 == 0:
            say(f"seed {seed}: {done:,} steps, {time.perf_counter() - start:.0f} s")
    return Walked(done, time.perf_counter() - start, dict(ENDS))


def actions_of(name: str, count: int) -> list[Action]:
    """Return the actions of one market; the name is `seed/number`.

    Each market has a temper of its own (swarm testing): some things happen there often or never.
    """
    chance = random.Random(name)
    temper = [
        weight * (1 if action in BUSINESS else chance.choice((0, 1, 1, 4)))
        for action, weight in WEIGHTS.items()
    ]
    chosen = chance.choices(list(WEIGHTS), temper, k=count)
    return [(action, chance.randrange(10_001)) for action in chosen]


def trial(actions: Sequence[Action]) -> str | None:
    """Do these actions in a fresh market; return what broke, or None."""
    market, done = MoneyWorld(FOLDER), 0
    try:
        for action, n in actions:
            market.act(action, n)
            market.the_book_balances()
            done += 1
        market.end()
    except Exception:
        market.close()
        return f"after {done} steps:\n{traceback.format_exc(limit=-3)}"
    return None


def shrink(actions: list[Action]) -> list[Action]:
    """Leave out what can be left out, halves first, so that it still breaks."""
    size, tries = max(1, len(actions) // 2), 0
    while size and tries < TRIES:
        start = 0
        while start < len(actions) and tries < TRIES:
            fewer, tries = actions[:start] + actions[start + size :], tries + 1
            if trial(fewer) is None:
                start += size
            else:
                actions = fewer
        size //= 2
    return actions


def show(name: str, actions: Sequence[Action], broken: str) -> None:
    say(f"market {name} broke {broken}\nit still breaks with: {list(actions)}")


def in_parallel(seed: int, steps: int, processes: int) -> Walked:
    """Walk in several processes, each with a seed of its own. Raises SystemExit on a break."""
    start = time.perf_counter()
    each = -(-steps // processes)
    command = [sys.executable, "-m", "benchmarks.orders_walk", "--steps", str(each), "--seed"]
    running = [
        subprocess.Popen([*command, str(seed + n)], stdout=subprocess.PIPE, text=True)
        for n in range(processes)
    ]
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit("a promise was broken; see above")
    walks = [Walked(**json.loads(text)) for text in said]
    ends: Counter[str] = Counter()
    for one in walks:
        ends.update(one.ends)
    return Walked(sum(one.steps for one in walks), time.perf_counter() - start, dict(ends))


if __name__ == "__main__":
    raise SystemExit(main())
