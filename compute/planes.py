"""How a person's data become bytes of the cohort store, and back: bit planes over shared rows.

Pure: no keys, no I/O. A genotype dataset is cut into chunks of 261,632 rows of the shared variant
table as it stood when the person was stored. A chunk is two messages: the two bit planes of
`compute.kernels.planes` (dense: exactly the words a kernel reads; or sparse: two sets of rows,
where that is less than half), and the extras, empty for most people: the rows not covered, and
those called haploid. Rows added to the table later are not covered for that person. "No call",
"homozygous reference" and "not covered" stay three different things.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.kernels.planes import STEP, Words, pack_bits, pack_dosages, unpack_bits, words_of
from compute.rowsets import LayoutError, pack_set, unpack_set

__all__ = ["LayoutError"]

Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]
Float64: TypeAlias = npt.NDArray[np.float64]

LAYOUT_VERSION = 3
# An odd number of vectors: were it a power of two, everybody's planes would fall on the same few
# sets of the processor's cache, and counting would take twice as long.
CHUNK_ROWS = 511 * STEP
NO_CALL = -1
NOT_COVERED = -2


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


def rows_in(size: int, chunk: int) -> int:
    """Return how many rows of a chunk a table of `size` rows has."""
    return min(max(size - chunk * CHUNK_ROWS, 0), CHUNK_ROWS)


def pack_calls(calls: Calls) -> tuple[bytes, bytes]:
    """Pack one chunk into (planes, extras). Raises LayoutError for more than two alleles."""
    dosage, ploidy = calls.dosage, calls.ploidy
    if len(dosage) and (int(ploidy.max()) > 2 or int(dosage.max()) > 2):
        raise LayoutError("a call of more than two alleles has no place in the store")
    absent = dosage < 0
    low, high = (dosage == 1) | absent, (dosage == 2) | absent
    sparse = pack_set(low) + pack_set(high)
    dense = 2 * 8 * words_of(len(dosage))
    planes = sparse if len(sparse) * 2 < dense else pack_dosages(dosage).tobytes()
    uncovered, haploid = dosage == NOT_COVERED, (ploidy == 1) & ~absent
    extras = uncovered.any() or haploid.any()
    return planes, pack_set(uncovered) + pack_set(haploid) if extras else b""


def is_dense(size: int, rows: int) -> bool:
    """Tell from its length in bytes whether a planes message is dense."""
    return size == 2 * 8 * words_of(rows)


def read_planes(data: memoryview | bytes, rows: int, out: Words) -> None:
    """Read a planes message into out, (2, words) of zeros, of at least `rows` rows."""
    data, words = memoryview(data), words_of(rows)
    if is_dense(len(data), rows):
        out[:, :words] = np.frombuffer(data, np.uint64).reshape(2, words)
        return
    for plane in out:
        data = unpack_set(data, rows, plane[:words])
    if len(data):
        raise LayoutError("bytes follow the planes of a chunk")


def read_extras(data: memoryview | bytes, rows: int, words: int) -> Words:
    """Return (2, words): the rows not covered, and those called haploid."""
    out = np.zeros((2, words), np.uint64)
    view = memoryview(data)
    if view:
        for plane in out:
            view = unpack_set(view, rows, plane[: words_of(rows)])
        if len(view):
            raise LayoutError("bytes follow the extras of a chunk")
    return out


def unpack_calls(planes: bytes, extras: bytes, rows: int) -> Calls:
    """Unpack one chunk. Raises LayoutError."""
    words = words_of(rows)
    codes = np.zeros((2, words), np.uint64)
    read_planes(planes, rows, codes)
    return calls_of(codes, read_extras(extras, rows, words), rows)


def calls_of(planes: Words, extras: Words, rows: int) -> Calls:
    """Return one person's calls from (2, words) planes and extras."""
    low, high = unpack_bits(planes[0], rows), unpack_bits(planes[1], rows)
    uncovered, haploid = unpack_bits(extras[0], rows), unpack_bits(extras[1], rows)
    dosage = low.astype(np.int8) + 2 * high.astype(np.int8)
    called = dosage != 3
    dosage[~called] = NO_CALL
    dosage[uncovered] = NOT_COVERED
    ploidy = np.where(called, np.where(haploid, 1, 2), 0).astype(np.int8)
    return Calls(dosage, ploidy)


def absent_from(rows: int, words: int) -> Words:
    """Return (words,) with the bits from row `rows` to the end set."""
    return ~pack_bits(np.ones(rows, np.bool_), words)


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
