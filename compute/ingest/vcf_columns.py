"""The usual records of a VCF read column by column with numpy, many lines at a time.

A line is usual when it is one biallelic variant of upper-case bases, not a block, with a GT of
single digits; every other line is left to the reader of `compute.ingest.vcf`, which also words
every refusal. So the two together give what that reader gives alone (tests hold them to it).
Nothing is compiled or loaded at run time: it works inside the confined child.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
Int64: TypeAlias = npt.NDArray[np.int64]
Bool: TypeAlias = npt.NDArray[np.bool_]

PIECE: Final = 8 << 20  # bytes whose separators are held at once
MAX_NAME: Final = 32
MAX_RUNS: Final = 10_000
_TAB, _NEWLINE, _COLON, _DOT, _ZERO = 9, 10, 58, 46, 48
_BASE: Final = np.isin(np.arange(256), np.frombuffer(b"ACGTN", np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Lines of a VCF body. start: byte offset of each. usual: those the rest speaks of.

    names: (first line, contig) where the contig changes. Of usual lines (in order): pos; ref_at,
    ref_size, alt_size (ALT follows REF and a tab); filtered, missing; dosage (-1 none), ploidy.
    """

    start: Int64
    usual: Bool
    names: list[tuple[int, str]]
    pos: Int64
    ref_at: Int64
    ref_size: Int64
    alt_size: Int64
    filtered: Bool
    missing: Bool
    dosage: npt.NDArray[np.int8]
    ploidy: npt.NDArray[np.int8]


def is_plain(data: Bytes) -> bool:
    """Tell whether bytes are ASCII without NUL, which the column reader needs."""
    return not len(data) or (int(data.max()) < 128 and int(data.min()) > 0)


def read_lines(data: Bytes, offset: int, width: int, column: int) -> list[Lines] | None:
    """Read the body from `offset` (ends with a newline); None where it is not regular enough.

    width: columns of every line; column: the sample's. Irregular: a line of another width, or a
    contig name that is long or changes often.
    """
    found: list[Lines] = []
    runs = 0
    while offset < len(data):
        end = _line_end(data, offset + PIECE)
        piece = _read_piece(data, offset, end, width, column)
        if piece is None:
            return None
        runs += len(piece.names)
        if runs > MAX_RUNS + len(found):
            return None
        found.append(piece)
        offset = end
    return found


def _line_end(data: Bytes, at: int) -> int:
    """Return where the line that holds byte `at` ends (after its newline)."""
    while at < len(data):
        near = np.flatnonzero(data[at : at + 65_536] == _NEWLINE)
        if len(near):
            return at + int(near[0]) + 1
        at += 65_536
    return len(data)


def _read_piece(data: Bytes, offset: int, end: int, width: int, column: int) -> Lines | None:
    body = data[offset:end]
    separators = np.flatnonzero((body - np.uint8(_TAB)) < 2)  # a newline is the byte after a tab
    if len(separators) % width:
        return None
    marks = separators.reshape(-1, width)
    is_end = body[marks] == _NEWLINE
    if not is_end[:, -1].all() or is_end[:, :-1].any():
        return None
    start = np.concatenate([[0], marks[:-1, -1] + 1])
    names = _names(body, start, marks[:, 0])
    if names is None:
        return None
    return _columns(body, offset, start, marks, column, names)


def _names(body: Bytes, start: Int64, end: Int64) -> list[tuple[int, str]] | None:
    """Return (line, contig) of each line whose contig is not that of the line before."""
    size = end - start
    longest = int(size.max(initial=0))
    if longest > MAX_NAME:
        return None
    changed = np.ones(len(start), np.bool_)
    changed[1:] = size[1:] != size[:-1]
    for at in range(longest):
        byte = body[np.minimum(start + at, len(body) - 1)]
        changed[1:] |= (byte[1:] != byte[:-1]) & (size[1:] > at)
    lines = np.flatnonzero(changed).tolist()
    if len(lines) > MAX_RUNS:
        return None
    return [(n, body[start[n] : end[n]].tobytes().decode("ascii")) for n in lines]


@dataclass(frozen=True, slots=True, eq=False)
class SiteColumns:
    """The columns before the samples. start: byte offset of each line.

    usual: a whole POS and two different alleles of upper-case bases. names: as `Lines.names`, None
    where contigs are named too variously. filtered: FILTER is neither PASS nor a dot.
    """

    start: Int64
    usual: Bool
    names: list[tuple[int, str]] | None
    pos: Int64
    ref_at: Int64
    ref_size: Int64
    alt_size: Int64
    filtered: Bool


def site_columns(body: Bytes, marks: Int64) -> SiteColumns:
    """Read the columns before the samples. marks: (lines, 10), ends of the first nine and start."""
    start = marks[:, 9]
    named = marks[:, 0] > start  # a line without columns names nothing
    ref, alt = marks[:, 2] + 1, marks[:, 3] + 1
    ref_size, alt_size = marks[:, 3] - ref, marks[:, 4] - alt
    pos, usual = _number(body, marks[:, 0] + 1, marks[:, 1])
    whole = named & (marks[:, 8] > marks[:, 7])
    usual &= whole & (ref_size > 0) & (alt_size > 0)
    ref, alt = np.where(usual, ref, 0), np.where(usual, alt, 0)
    ref_size, alt_size = np.where(usual, ref_size, 1), np.where(usual, alt_size, 1)
    usual &= _bases(body, ref, ref_size) & _bases(body, alt, alt_size)
    usual &= ~_same(body, ref, alt, ref_size, alt_size)
    form = np.where(whole, marks[:, 7] + 1, 0)
    usual &= _has_gt(body, form)
    passed = _is_passed(body, marks[:, 5] + 1, np.where(whole, marks[:, 6], 0))
    names = _names(body, start, marks[:, 0]) if named.all() else None
    return SiteColumns(start, usual, names, pos, ref, ref_size, alt_size, ~passed)


def _has_gt(body: Bytes, form: Int64) -> Bool:
    after = body[np.minimum(form + 2, len(body) - 1)]
    found: Bool = (body[form] == 71) & (body[np.minimum(form + 1, len(body) - 1)] == 84)
    found &= (after == _COLON) | (after == _TAB)
    return found


def _columns(
    body: Bytes, offset: int, start: Int64, marks: Int64, column: int, names: list[tuple[int, str]]
) -> Lines:
    ref, alt = marks[:, 2] + 1, marks[:, 3] + 1
    ref_size, alt_size = marks[:, 3] - ref, marks[:, 4] - alt
    pos, whole = _number(body, marks[:, 0] + 1, marks[:, 1])
    usual = whole & _bases(body, ref, ref_size) & _bases(body, alt, alt_size)
    usual &= ~_same(body, ref, alt, ref_size, alt_size)
    usual &= body[marks[:, -1] - 1] != 13
    passed = _is_passed(body, marks[:, 5] + 1, marks[:, 6])
    has_gt = _has_gt(body, marks[:, 7] + 1)
    kind, dosage, ploidy = _calls(body, marks[:, column - 1] + 1)
    usual &= ~passed | (has_gt & (kind >= 0))
    missing = passed & (kind == 0)
    called = passed & ~missing
    return Lines(
        start=start + offset, usual=usual, names=names, pos=pos[usual], ref_at=ref[usual] + offset,
        ref_size=ref_size[usual], alt_size=alt_size[usual], filtered=~passed[usual],
        missing=missing[usual], dosage=np.where(called, dosage, -1)[usual].astype(np.int8),
        ploidy=np.where(called, ploidy, 0)[usual].astype(np.int8),
    )  # fmt: skip


def _number(body: Bytes, start: Int64, end: Int64) -> tuple[Int64, Bool]:
    """Return the numbers between offsets, and which are 1 to 9 digits."""
    size = end - start
    whole = (size >= 1) & (size <= 9)
    value = np.zeros(len(start), np.int64)
    for at in range(min(int(size.max(initial=0)), 9)):
        here = size > at
        digit = body[np.minimum(start + at, len(body) - 1)].astype(np.int64) - _ZERO
        whole &= ~here | ((digit >= 0) & (digit <= 9))
        value = np.where(here, value * 10 + digit, value)
    return value, whole


def _bases(body: Bytes, start: Int64, size: Int64) -> Bool:
    """Tell which alleles are one or more upper-case bases."""
    good: Bool = (size >= 1) & _BASE[body[start]]
    longer = np.flatnonzero(size > 1)
    if len(longer):
        first, sizes = start[longer], size[longer]
        edges = np.cumsum(sizes)
        at = np.arange(int(edges[-1])) + np.repeat(first - (edges - sizes), sizes)
        bad = np.add.reduceat((~_BASE[body[at]]).astype(np.int64), edges - sizes)
        good[longer[bad > 0]] = False
    return good


def _same(body: Bytes, ref: Int64, alt: Int64, ref_size: Int64, alt_size: Int64) -> Bool:
    """Tell which ALT equal their REF (left to the strict reader, which refuses them)."""
    equal: Bool = (ref_size == alt_size) & (body[ref] == body[alt])
    for at in np.flatnonzero(equal & (ref_size > 1)).tolist():
        one = body[ref[at] : ref[at] + ref_size[at]]
        equal[at] = np.array_equal(one, body[alt[at] : alt[at] + alt_size[at]])
    return equal


def _is_passed(body: Bytes, start: Int64, end: Int64) -> Bool:
    dot = (end - start == 1) & (body[start] == _DOT)
    four = np.flatnonzero(end - start == 4)
    word = body[start[four][:, None] + np.arange(4)]
    passed: Bool = dot
    passed[four] |= (word == np.frombuffer(b"PASS", np.uint8)).all(axis=1)
    return passed


def _calls(body: Bytes, at: Int64) -> tuple[Int64, Int64, Int64]:
    """Return (kind, dosage, ploidy) of GTs: kind 1 a call, 0 missing, -1 for the strict reader."""
    last = len(body) - 1
    first, mark = body[at], body[np.minimum(at + 1, last)]
    two = (mark == 47) | (mark == 124)  # / or |
    second = np.where(two, body[np.minimum(at + 2, last)], first)
    closing = np.where(two, body[np.minimum(at + 3, last)], mark)
    closed = (closing == _COLON) | (closing == _NEWLINE) | (closing == _TAB)
    one, other = first.astype(np.int64) - _ZERO, second.astype(np.int64) - _ZERO
    called = (one >= 0) & (one <= 1) & (other >= 0) & (other <= 1)
    missing = (first == _DOT) & (second == _DOT)
    kind = np.where(closed & called, 1, np.where(closed & missing, 0, -1))
    return kind, one + np.where(two, other, 0), np.where(two, 2, 1)
