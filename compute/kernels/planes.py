"""Genotypes of a block of people as two bit planes, the form every kernel works on.

planes: uint64 (people, 2, words), little-endian; bit j of word w is row 64 w + j. [:, 0] is lo,
[:, 1] is hi: 00 no copy of ALT, 10 (lo alone) one, 01 (hi alone) two, 11 without a call (no call
and not covered alike). words is a multiple of 8; rows past the table's end are 00.
"""

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.uint64]
Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]
Bool: TypeAlias = npt.NDArray[np.bool_]

STEP: Final = 512  # rows: eight words, one vector


def words_of(rows: int) -> int:
    """Return how many words a plane of this many rows has."""
    return -(-rows // STEP) * 8


def pack_bits(bits: Bool, words: int) -> Words:
    """Pack (..., rows) truth values into (..., words)."""
    packed = np.packbits(bits, axis=-1, bitorder="little")
    out = np.zeros((*bits.shape[:-1], words), np.uint64)
    out.view(np.uint8)[..., : packed.shape[-1]] = packed
    return out


def unpack_bits(words: Words, rows: int) -> Bool:
    """Unpack (..., words) into (..., rows) truth values."""
    octets = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(octets, axis=-1, count=rows, bitorder="little").astype(np.bool_)


def pack_dosages(dosage: Int8) -> Words:
    """Pack int8 (people, rows), negative for no call, into planes. Dosages are 0, 1 or 2."""
    absent = dosage < 0
    words = words_of(dosage.shape[-1])
    low, high = pack_bits((dosage == 1) | absent, words), pack_bits((dosage == 2) | absent, words)
    return np.stack([low, high], axis=-2)


def unpack_dosages(planes: Words, rows: int) -> Int8:
    """Unpack planes into int8 (people, rows), -1 for no call."""
    low, high = unpack_bits(planes[..., 0, :], rows), unpack_bits(planes[..., 1, :], rows)
    code = low.astype(np.int8) + 2 * high.astype(np.int8)
    code[code == 3] = -1
    return code
