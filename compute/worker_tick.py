"""The clock tick: answers and refusals appear at fixed times, not when the work was done.

How long a sum, a draw of noise or a refusal takes could tell whose data was met (Jin et al. 2022
read discrete noise off its timing). Whatever leaves for the log or the buyer waits for the next
multiple of the tick, so that only the tick it falls in is seen. Lease and stops go on meanwhile.
"""

import time

DEFAULT_TICK_MS = 30_000


def ms_to_tick(now_ms: int, tick_ms: int) -> int:
    """Return how long it is from now to the next tick; 0 on a tick, and where there are none."""
    return -now_ms % tick_ms if tick_ms > 0 else 0


def sleep_to_tick(now_ms: int, tick_ms: int) -> None:
    """Sleep until the next tick (ms since the Unix epoch, ms)."""
    time.sleep(ms_to_tick(now_ms, tick_ms) / 1000)
