"""How the compiled kernels are compiled: cached on disk, releasing the GIL, bounds not checked."""

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.uint64]
Float64: TypeAlias = npt.NDArray[np.float64]
Int32: TypeAlias = npt.NDArray[np.int32]
Int64: TypeAlias = npt.NDArray[np.int64]

# error_model: a division by zero is infinite, as in numpy; a check of each would forbid vectors.
_COMMON: dict[str, Any] = {
    "cache": True, "nogil": True, "boundscheck": False, "error_model": "numpy",
}  # fmt: skip
jit: Any = numba.njit(**_COMMON)
# May fuse a multiplication and an addition.
contract: Any = numba.njit(**_COMMON, fastmath={"contract"})
# May be reordered besides: sums whose order is no part of the answer.
fast: Any = numba.njit(**_COMMON, fastmath={"contract", "reassoc"})
