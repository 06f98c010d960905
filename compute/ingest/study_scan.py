"""Lines of a multi-sample VCF as numba reads them: where columns end, and everybody's usual GT.

Loaded for large files only (see `compute.ingest.study_vcf`). Nothing here refuses: a line that is
not usual is marked and read by the strict reader. Bounds are checked by the code, not the compiler.
"""

from typing import Any, Final, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

Octets: TypeAlias = npt.NDArray[np.uint8]
Int64: TypeAlias = npt.NDArray[np.int64]
U64 = np.uint64
jit: Any = numba.njit(cache=True, nogil=True, boundscheck=False, error_model="numpy")

HAPLOID: Final = 4  # added to a code: called on one copy
# Two genotypes "0/0<TAB>0/0<TAB>" as one number; a word xor this is 0 where both are hom-ref.
_HOM_REF: Final = U64(0x09302F3009302F30)
_TABS: Final = U64(0xFF000000FF000000)
_MARKS: Final = U64(0x000000FF000000FF)
_ALLELES: Final = U64(0x00FF00FF00FF00FF)
_ONES: Final = U64(0x0001000100010001)
_LOW: Final = U64(0x0000000100000001)
_TWO_BITS: Final = U64(0x0000000300000003)
_OUT: Final = U64(0x0303)


@jit
def _pairs(words: npt.NDArray[np.uint64], codes: npt.NDArray[np.uint16]) -> bool:
    """Read two genotypes a word, "a/b<TAB>" each; tell whether all are of 0, 1 or ./. ."""
    bad = U64(0)
    for i in range(words.size):
        y = words[i] ^ _HOM_REF
        mark = (y >> U64(8)) & _MARKS  # 0 for /, 0x53 for |
        phased = mark & _LOW
        spread = phased | (phased << U64(1)) | (phased << U64(4)) | (phased << U64(6))
        bad |= (y & _TABS) | (mark ^ spread)
        allele = y & _ALLELES  # 0, 1, or 0x1e for a dot
        one = allele & _ONES
        dot = (allele >> U64(1)) & _ONES
        dots = (dot << U64(1)) | (dot << U64(2)) | (dot << U64(3)) | (dot << U64(4))
        bad |= (allele ^ one ^ dots) | (dot & one) | ((dot ^ (dot >> U64(16))) & _LOW)
        dot &= _LOW
        code = ((one + (one >> U64(16))) & _TWO_BITS) | dot | (dot << U64(1))
        codes[i] = np.uint16((code | (code >> U64(24))) & _OUT)
    return bad == U64(0)


@jit
def _each(text: Octets, at: int, end: int, samples: int, codes: Octets) -> int:
    """Read genotypes one by one; return the place after the newline, -1 where not usual."""
    for i in range(samples):
        if at + 1 >= end:
            return -1
        first, mark = text[at], text[at + 1]
        if mark in (47, 124):
            if at + 3 >= end:
                return -1
            other = text[at + 2]
            at += 3
            if first in (48, 49) and other in (48, 49):
                codes[i] = first - 48 + other - 48
            elif first == 46 and other == 46:
                codes[i] = 3
            else:
                return -1
        else:
            at += 1
            if first in (48, 49):
                codes[i] = HAPLOID + first - 48
            elif first == 46:
                codes[i] = 3
            else:
                return -1
        if text[at] == 58:
            while text[at] not in (9, 10):
                at += 1
        if text[at] != (10 if i == samples - 1 else 9):
            return -1
        at += 1
    return at


@jit
def _copy(source: Octets, target: Octets) -> None:
    for i in range(source.size):
        target[i] = source[i]


@jit
def scan(
    text: Octets, at: int, end: int, samples: int, marks: Int64, usual: npt.NDArray[np.bool_],
    codes: Octets, room: Octets,
) -> tuple[int, int]:  # fmt: skip
    """Read lines from `at` until `end` (after a newline) or until `marks` is full.

    marks: (lines, 10), where each of the first nine columns ends and where the line starts. codes:
    (lines, samples padded to even). room: 4 bytes a (padded) sample. Returns (lines, place after).
    """
    lines = 0
    while at < end and lines < len(marks):
        marks[lines, 9] = at
        column = 0
        while column < 9:
            while text[at] not in (9, 10):
                at += 1
            marks[lines, column] = at
            if text[at] == 10:
                break
            at += 1
            column += 1
        after = -1
        if column == 9:
            last = at + 4 * samples - 1
            fixed = marks[lines, 8] - marks[lines, 7] == 3 and last < end and text[last] == 10
            if fixed:
                _copy(text[at:last], room)
                room[4 * samples - 1] = 9
                if _pairs(room.view(np.uint64), codes[lines].view(np.uint16)):
                    after = last + 1
            if after < 0:
                after = _each(text, at, end, samples, codes[lines])
        usual[lines] = after >= 0
        if after < 0:
            while text[at] != 10:
                at += 1
            after = at + 1
        at = after
        lines += 1
    return lines, at
