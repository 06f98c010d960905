"""Which implementation runs: numba's where it can be imported, else numpy's. Chosen once."""

import os
from functools import cache
from types import ModuleType


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
