"""Sets of rows within one chunk, as bytes: nothing, everything, a bit plane, or gaps between rows.

A set is u8 kind, u32 length (little-endian), then its payload. Gaps are LEB128 numbers (7 bits a
byte, low first): row minus the row before, so that a rare variant costs a carrier one byte. Pure.
"""

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from compute.errors import ComputeError
from compute.kernels.engine import engine_for
from compute.kernels.planes import Bool, Words, pack_bits

NONE, ALL, PLANE, GAPS = 0, 1, 2, 3
_HEAD: Final = struct.Struct("<BI")


class LayoutError(ComputeError):
    """Stored bytes do not follow the layout they were written in."""

    default_code = "store_layout"


def pack_set(members: Bool) -> bytes:
    """Pack truth values, one a row, in the shortest of the four ways."""
    count = int(members.sum())
    if count in (0, len(members)):
        return _HEAD.pack(ALL if count else NONE, 0)
    plane = np.packbits(members, bitorder="little").tobytes()
    if count < len(plane):
        gaps = _gaps(np.flatnonzero(members))
        if len(gaps) < len(plane):
            return _HEAD.pack(GAPS, len(gaps)) + gaps
    return _HEAD.pack(PLANE, len(plane)) + plane


def unpack_set(data: memoryview, rows: int, out: Words) -> memoryview:
    """Set in out (zeroed words) the bits of the set at the start of data; return what follows.

    Raises LayoutError.
    """
    if len(data) < _HEAD.size:
        raise LayoutError("a stored set of rows is shorter than its head")
    kind, length = _HEAD.unpack_from(data)
    payload, rest = data[_HEAD.size : _HEAD.size + length], data[_HEAD.size + length :]
    if len(payload) != length or kind > GAPS:
        raise LayoutError("a stored set of rows is cut short")
    if kind == ALL:
        out[:] = pack_bits(np.ones(rows, np.bool_), len(out))
    elif kind == PLANE:
        if length != (rows + 7) // 8:
            raise LayoutError("a stored plane has another length than its rows")
        out.view(np.uint8)[:length] = np.frombuffer(payload, np.uint8)
    elif kind == GAPS and not engine_for(rows).set_gaps(
        np.frombuffer(payload, np.uint8), rows, out
    ):
        raise LayoutError("a stored list of rows leaves its chunk")
    return rest


def _gaps(rows: npt.NDArray[np.intp]) -> bytes:
    """Return LEB128 of the first row and of each row's distance from the one before (minus one)."""
    gaps = np.diff(rows, prepend=-1) - 1
    size = 1 + (gaps >= 1 << 7) + (gaps >= 1 << 14) + (gaps >= 1 << 21)
    end = np.cumsum(size)
    out = np.zeros(int(end[-1]) if len(end) else 0, np.uint8)
    for byte in range(4):
        here = size > byte
        more = np.where(size[here] > byte + 1, 0x80, 0)
        out[end[here] - size[here] + byte] = ((gaps[here] >> (7 * byte)) & 0x7F) | more
    return out.tobytes()
