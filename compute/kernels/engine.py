"""Which implementation runs: numba's where it can be imported, else numpy's. Chosen once."""

import os
from functools import cache
from types import ModuleType


@cache
def engine() -> ModuleType:
    """Return the module of kernels. OMIC_KERNELS=plain asks for numpy's."""
    from compute.kernels import plain

    if os.environ.get("OMIC_KERNELS") == "plain":
        return plain
    try:
        from compute.kernels import compiled
    except ImportError:
        return plain
    return compiled


def name() -> str:
    """Return "compiled" or "plain"."""
    return engine().__name__.rpartition(".")[2]
