"""How a person's data become bytes of the cohort store, and back: bit planes over shared rows.

Pure: no keys, no I/O. A genotype dataset is three bit planes over the rows of the shared variant
table as it stood when the person was stored (two bits of state, one of coverage) and a short list
of what two bits cannot say (haploid and other ploidies). Rows added later are not covered for
that person. "No call", "homozygous reference" and "not covered" stay three different things.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.errors import ComputeError

Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]
Float64: TypeAlias = npt.NDArray[np.float64]

LAYOUT_VERSION = 1
CHUNK_ROWS = 65_536
NO_CALL = -1
NOT_COVERED = -2
_CODE_NO_CALL = 3


class LayoutError(ComputeError):
    """Stored bytes do not follow the layout they were written in."""

    default_code = "store_layout"


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """One person over the rows of the variant table.

    dosage: int8 copies of ALT, -1 no call, -2 not covered; ploidy: int8 alleles called (0 for
    no call and not covered). Both have one value a row.
    """

    dosage: Int8
    ploidy: Int8


def place(rows: Int64, dosage: Int8, ploidy: Int8, size: int) -> Calls:
    """Spread a file's rows over the table: row numbers, dosage (-1 no call), ploidy."""
    full = Calls(np.full(size, NOT_COVERED, np.int8), np.zeros(size, np.int8))
    full.dosage[rows] = dosage
    full.ploidy[rows] = ploidy
    return full


def chunks(size: int) -> Iterator[tuple[int, int, int]]:
    """Yield (chunk number, first row, end row) of a table of `size` rows."""
    for number, start in enumerate(range(0, size, CHUNK_ROWS)):
        yield number, start, min(start + CHUNK_ROWS, size)


def pack_calls(calls: Calls) -> bytes:
    """Pack one chunk: u32 rows, u32 exceptions, three bit planes, then the exceptions."""
    dosage, ploidy = calls.dosage, calls.ploidy
    covered = dosage != NOT_COVERED
    plain = covered & (ploidy == 2) & (dosage >= 0) & (dosage <= 2)
    code = np.where(plain, dosage, _CODE_NO_CALL).astype(np.uint8)
    odd = np.flatnonzero(covered & ~plain & ~((dosage == NO_CALL) & (ploidy == 0)))
    planes = [np.packbits(code & 1), np.packbits(code >> 1), np.packbits(covered)]
    extra = [odd.astype("<u4").tobytes(), dosage[odd].tobytes(), ploidy[odd].tobytes()]
    head = struct.pack("<II", len(dosage), len(odd))
    return head + b"".join(plane.tobytes() for plane in planes) + b"".join(extra)


def unpack_calls(data: bytes) -> Calls:
    """Unpack one chunk. Raises LayoutError."""
    rows, odd, width = _head(data)
    planes = [
        np.unpackbits(np.frombuffer(data, np.uint8, width, 8 + i * width), count=rows)
        for i in range(3)
    ]
    code = planes[0] + 2 * planes[1]
    covered = planes[2].astype(bool)
    dosage = np.where(code == _CODE_NO_CALL, NO_CALL, code).astype(np.int8)
    dosage[~covered] = NOT_COVERED
    ploidy = np.where(covered & (code != _CODE_NO_CALL), 2, 0).astype(np.int8)
    at = 8 + 3 * width
    where = np.frombuffer(data, "<u4", odd, at)
    dosage[where] = np.frombuffer(data, np.int8, odd, at + 4 * odd)
    ploidy[where] = np.frombuffer(data, np.int8, odd, at + 5 * odd)
    return Calls(dosage, ploidy)


def _head(data: bytes) -> tuple[int, int, int]:
    if len(data) < 8:
        raise LayoutError("a stored chunk is shorter than its head")
    rows, odd = struct.unpack_from("<II", data)
    width = (rows + 7) // 8
    if len(data) != 8 + 3 * width + 6 * odd:
        raise LayoutError("a stored chunk has another length than its head says")
    return rows, odd, width


def pack_features(ids: tuple[str, ...], values: Float64, head: Mapping[str, Any]) -> bytes:
    """Pack a feature vector: u32 length, JSON head with the ids, little-endian float64 values."""
    text = _json({**head, "ids": list(ids)})
    return struct.pack("<I", len(text)) + text + values.astype("<f8").tobytes()


def unpack_features(data: bytes) -> tuple[dict[str, Any], Float64]:
    """Unpack a feature vector to its head (with "ids") and values, NaN missing."""
    if len(data) < 4:
        raise LayoutError("a stored feature vector is shorter than its head")
    (length,) = struct.unpack_from("<I", data)
    head = parse_head(data[4 : 4 + length])
    if len(data) != 4 + length + 8 * len(head.get("ids", ())):
        raise LayoutError("a stored feature vector has another length than its head says")
    return head, np.frombuffer(data, "<f8", offset=4 + length).astype(np.float64)


def pack_record(record: Mapping[str, Any]) -> bytes:
    """Pack a participant record as small JSON."""
    return _json(record)


def parse_head(data: bytes) -> dict[str, Any]:
    """Parse stored JSON. Raises LayoutError."""
    try:
        value = json.loads(data)
    except ValueError:
        raise LayoutError("a stored head is not JSON") from None
    if not isinstance(value, dict):
        raise LayoutError("a stored head is not an object")
    return value


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(value), sort_keys=True, separators=(",", ":")).encode()
