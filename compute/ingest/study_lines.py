"""One piece of a study's text as columns: sites, everybody's codes, and the lines to read strictly.

Runs in several threads at once and keeps nothing of the text but the lines that are not usual.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIG_CODE, LENGTHS, Build, canonical_contig
from compute.ingest.packed import OTHER
from compute.ingest.study_stream import Piece, text_of
from compute.ingest.vcf_columns import Bool, Int64, SiteColumns, site_columns

Octets: TypeAlias = npt.NDArray[np.uint8]
LARGE: Final = 1 << 20  # bytes of text for which loading the compiler pays
NO_CALL: Final = 3
_BASE: Final = np.full(256, 4, np.uint8)
_BASE[np.frombuffer(b"ACGT", np.uint8)] = np.arange(4)
_ENDLESS: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """A piece. head: text up to its first newline; tail: after its last; lines: between them.

    Of usual lines on a known contig: contig, pos, line (0 the first between), pair codes, and the
    pairs of other alleles by row; codes (rows, people), those of filtered lines no call. filtered,
    elsewhere: how many usual lines are. odd: lines to be read strictly, by their number.
    """

    head: bytes
    tail: bytes
    lines: int
    contig: Int64
    pos: Int64
    line: Int64
    pairs: Octets
    others: dict[int, tuple[str, str]]
    codes: Octets
    filtered: int
    elsewhere: int
    odd: dict[int, bytes]
    room: Octets


class Scanner:
    """Scans pieces of one file: samples, and the build its positions must lie in."""

    def __init__(self, samples: int, build: Build) -> None:
        self._samples = samples
        self._lengths = np.array([*LENGTHS[build], _ENDLESS])
        self._rooms: SimpleQueue[Octets] = SimpleQueue()

    def scan(self, piece: Piece) -> Scanned:
        """Read a piece's whole lines, but the first (which may be the end of another's)."""
        text, size = text_of(piece)
        first, last = text.find(b"\n", 0, size), text.rfind(b"\n", 0, size)
        if first < 0:
            return self._nothing(bytes(text[:size]))
        data = np.frombuffer(text, np.uint8, size)
        head, tail = bytes(text[: first + 1]), bytes(text[last + 1 : size])
        if first == last:
            return self._nothing(head, tail)
        marks, usual, room = self._read(data, first + 1, last + 1)
        columns = site_columns(data, marks)
        return self._sorted_out(text, columns, usual & columns.usual, (head, tail), room)

    def give_back(self, scanned: Scanned) -> None:
        """Let the room of a piece's codes be used again."""
        self._rooms.put(scanned.room)

    def _nothing(self, head: bytes, tail: bytes = b"") -> Scanned:
        none, codes = np.empty(0, np.int64), np.empty((0, self._samples), np.uint8)
        return Scanned(head, tail, 0, none, none, none, codes[:, 0], {}, codes, 0, 0, {}, codes)

    def _read(self, data: Octets, start: int, end: int) -> tuple[Int64, Bool, Octets]:
        """Return (marks, usual, codes) of the lines; nothing is usual in little text."""
        lines = int(np.count_nonzero(data[start:end] == 10))
        marks = np.zeros((lines, 10), np.int64)
        usual = np.zeros(lines, np.bool_)
        if end - start < LARGE and "compute.ingest.study_scan" not in sys.modules:
            ends = np.flatnonzero(data[start:end] == 10) + start
            marks[:, 9] = np.concatenate([[start], ends[:-1] + 1])
            return marks, usual, np.empty((lines, self._samples), np.uint8)
        from compute.ingest.study_scan import scan

        even = self._samples + self._samples % 2
        codes = self._room(lines, even)
        pad = np.frombuffer(b"0/0\t" * even, np.uint8).copy()
        scan(data, start, end, self._samples, marks, usual, codes, pad)
        return marks, usual, codes

    def _room(self, lines: int, samples: int) -> Octets:
        try:
            room = self._rooms.get_nowait()
        except Empty:
            room = np.empty((0, samples), np.uint8)
        if room.shape[1] != samples or len(room) < lines:
            room = np.empty((lines + lines // 8 + 1, samples), np.uint8)
        return room

    def _sorted_out(
        self, text: bytes | bytearray, columns: SiteColumns, usual: Bool,
        edges: tuple[bytes, bytes], room: Octets,
    ) -> Scanned:  # fmt: skip
        lines = len(usual)
        if columns.names is None:
            usual, contig = np.zeros_like(usual), np.full(lines, -1, np.int64)
        else:
            contig = _codes(columns.names, lines)
            usual = usual & (columns.pos >= 1) & (columns.pos <= self._lengths[contig])
        keep = usual & (contig >= 0)
        filtered = keep & columns.filtered
        if filtered.any():
            room[:lines][filtered] = NO_CALL
        at = np.flatnonzero(keep)
        codes = room[:lines] if len(at) == lines else room[:lines][at]
        pairs, others = _pairs(text, columns, at)
        odd = {n: _line(text, int(columns.start[n])) for n in np.flatnonzero(~usual).tolist()}
        return Scanned(
            *edges, lines, contig[at], columns.pos[at], at, pairs, others,
            codes[:, : self._samples], int(filtered.sum()), int((usual & (contig < 0)).sum()),
            odd, room,
        )  # fmt: skip


def _codes(names: list[tuple[int, str]], lines: int) -> Int64:
    first = [line for line, _ in names] + [lines]
    codes = [CONTIG_CODE.get(canonical_contig(name) or "", -1) for _, name in names]
    return np.repeat(np.array(codes, np.int64), np.diff(first))


def _line(text: bytes | bytearray, start: int) -> bytes:
    return bytes(text[start : text.index(b"\n", start)])


def _pairs(
    text: bytes | bytearray, columns: SiteColumns, at: Int64
) -> tuple[Octets, dict[int, tuple[str, str]]]:
    """Return the pair codes of lines, and the pairs of those that are OTHER."""
    data = np.frombuffer(text, np.uint8)
    ref, size, alt_size = columns.ref_at[at], columns.ref_size[at], columns.alt_size[at]
    one, other = _BASE[data[ref]], _BASE[data[ref + size + 1]]
    short = (size == 1) & (alt_size == 1) & (one < 4) & (other < 4)
    codes = np.where(short, one * 4 + other, OTHER).astype(np.uint8)
    found = {}
    for row in np.flatnonzero(~short).tolist():
        start, middle = int(ref[row]), int(ref[row] + size[row])
        alleles = text[start : middle + 1 + int(alt_size[row])].decode("ascii").split("\t")
        found[row] = (alleles[0], alleles[1])
    return codes, found
