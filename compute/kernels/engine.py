"""Which implementation runs: numba's where it can be imported and pays, else numpy's."""

import os
import sys
from functools import cache
from types import ModuleType
from typing import Final

LITTLE: Final = 500_000
MOST_THREADS: Final = 8


def cores() -> int:
    """Return how many threads are worth starting here."""
    return max(1, min(MOST_THREADS, len(os.sched_getaffinity(0))))


def engine_for(work: int) -> ModuleType:
    """Return the module of kernels for one call. work: about how many values it touches.

    Loading numba and its machine code takes seconds, compiling more: little work is done by numpy
    before that is over, unless something large has loaded it already.
    """
    from compute.kernels import plain

    if work < LITTLE and "compute.kernels.compiled" not in sys.modules:
        return plain
    return engine()


@cache
def engine() -> ModuleType:
    """Return the module of kernels. OMIC_KERNELS=plain asks for numpy's.

    numba keeps machine code beside the package, in the user's cache, or in NUMBA_CACHE_DIR.
    """
    from compute.kernels import plain

    if os.environ.get("OMIC_KERNELS") == "plain":
        return plain
    try:
        from compute.kernels import compiled
    except (ImportError, RuntimeError):  # not installed; nowhere to keep compiled code
        return plain
    return compiled


def name() -> str:
    """Return "compiled" or "plain"."""
    return engine().__name__.rpartition(".")[2]
