"""Named arrays of plain numbers as bytes, and back: how sums made elsewhere travel.

A head of one JSON line names each array's type and shape; its numbers follow, little-endian, row by
row. Types are a closed list, none of which can hold an object; a reader says beforehand what it
takes, and anything else is refused whole.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.errors import ComputeError

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]
Shapes: TypeAlias = dict[str, tuple[str, tuple[int, ...]]]
"""Name -> (one of TYPES, shape)."""

TYPES: Final = ("<i8", "<f8", "|b1", "<U16")
MOST_BYTES: Final = 1 << 29  # of one bundle: what SQLite takes in one value, with room to spare
_MAGIC: Final = b"omic/arrays/v1\n"
_MOST_POINT: Final = 0x10FFFF


class ArraysError(ComputeError):
    """Bytes that are not the arrays asked for."""

    default_code = "arrays"


def size_of(shapes: Shapes) -> int:
    """Return how many bytes arrays of these shapes take, without their head."""
    return sum(_bytes_of(*one) for one in shapes.values())


def pack(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays as bytes. Raises ArraysError for a type that is not in TYPES."""
    shapes = {name: (one.dtype.str, one.shape) for name, one in arrays.items()}
    if not {dtype for dtype, _ in shapes.values()} <= set(TYPES):
        raise ArraysError("only arrays of plain numbers are packed")
    return b"".join([_head(shapes), *(np.ascontiguousarray(a).tobytes() for a in arrays.values())])


def unpack(data: bytes, shapes: Shapes) -> Arrays:
    """Return the arrays packed in `data`, which are exactly those of `shapes`. Raises ArraysError.

    They are read-only views of `data`.
    """
    head = _head(shapes)
    if not data.startswith(head) or len(data) != len(head) + size_of(shapes):
        raise ArraysError("these bytes are not the arrays asked for")
    found, start = {}, len(head)
    for name, (dtype, shape) in shapes.items():
        count = int(np.prod(shape, dtype=np.int64))
        found[name] = _checked(np.frombuffer(data, dtype, count, start).reshape(shape))
        start += _bytes_of(dtype, shape)
    return found


def _head(shapes: Shapes) -> bytes:
    return _MAGIC + json.dumps([[name, *one] for name, one in shapes.items()]).encode() + b"\n"


def _bytes_of(dtype: str, shape: tuple[int, ...]) -> int:
    return int(np.dtype(dtype).itemsize * np.prod(shape, dtype=np.int64))


def _checked(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Refuse what is not a value of the type: a yes-or-no of 2, text beyond Unicode."""
    raw = array.reshape(-1)
    if array.dtype.kind == "b":
        fits = not len(raw) or int(raw.view(np.uint8).max()) <= 1
    elif array.dtype.kind == "U":
        fits = not len(raw) or int(raw.view("<u4").max()) <= _MOST_POINT
    else:
        fits = True
    if not fits:
        raise ArraysError("an array holds what is not a value of its type")
    return array
