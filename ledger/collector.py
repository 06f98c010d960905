"""Python's garbage collector, told what a process with a large state is like.

The state and the entries on their way hold no cycles: they are freed by counting references. To
look through millions of them again and again, as the collector does by default, costs a log more
than folding its entries. It stays on, for what libraries leave behind; only less often.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (50_000, 50, 100)  # by default (700, 10, 10)


def settle() -> None:
    """Set the present objects aside, and look through new ones less often. For whole processes."""
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


@contextmanager
def paused() -> Iterator[None]:
    """Collect nothing during a block that makes many lasting objects, and no cycles."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
