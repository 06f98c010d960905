"""A VCF in plain ASCII: usual lines by columns, the others by the strict reader, then one order.

Gives what `compute.ingest.vcf.parse_vcf` gives on the same text, and every refusal is worded
there. Where the file is not regular enough it says so (None), and the strict reader reads it all.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np

from compute.builds import CONTIG_CODE, LENGTHS, Build, canonical_contig, detect_build
from compute.errors import IngestError
from compute.ingest.calls import Call, Collector, refuse_duplicate
from compute.ingest.vcf import (
    Header,
    pick_sample,
    read_record,
    settle_callability,
    split_header,
)
from compute.ingest.vcf_columns import Bytes, Int64, Lines, is_plain, read_lines
from compute.parsed import Callability, Genotypes, Int8, Limits

_LETTERS: Final = np.array([chr(n) for n in range(256)], object)


def parse_vcf_bytes(
    plain: bytes, *, sample: str | None, callability: Callability | None, limits: Limits
) -> Genotypes | None:
    """Parse one sample, or return None where `parse_vcf` must do it. Raises IngestError."""
    mark = plain.find(b"\n#CHROM")
    end = plain.find(b"\n", mark + 1)
    data = np.frombuffer(plain, np.uint8)
    if mark < 0 or end < 0 or not plain.endswith(b"\n") or not is_plain(data):
        return None
    header, offset = split_header(plain[: end + 1].decode("ascii"), limits)
    index = pick_sample(header.samples, sample)
    build = detect_build(header.contigs)
    pieces = read_lines(data, offset, 9 + len(header.samples), index + 9)
    if pieces is None or sum(len(piece.start) for piece in pieces) > limits.max_records:
        return None
    collector = Collector(build, limits, "line")
    parts, first = [], header.lines + 1
    for piece in pieces:
        code = _codes(piece)
        inside = _inside(piece, code, build)
        _strict(plain, piece, inside, first, header, index, collector)
        parts.append(_kept(data, piece, code, inside, first, collector))
        first += len(piece.start)
    settled = settle_callability(header.callability, callability, gvcf=collector.gvcf)
    return _finish(parts, collector, header.samples[index], settled)


def _codes(piece: Lines) -> Int64:
    """Return the contig code of each line, -1 for another contig."""
    first = [line for line, _ in piece.names] + [len(piece.start)]
    codes = [CONTIG_CODE.get(canonical_contig(name) or "", -1) for _, name in piece.names]
    return np.repeat(np.array(codes, np.int64), np.diff(first))


def _inside(piece: Lines, code: Int64, build: Build) -> np.ndarray:
    """Tell which usual lines have a position on their contig, or another contig."""
    lengths = np.array([*LENGTHS[build], np.iinfo(np.int64).max])
    of_line = code[piece.usual]
    found: np.ndarray = (of_line < 0) | ((piece.pos >= 1) & (piece.pos <= lengths[of_line]))
    return found


def _strict(
    plain: bytes, piece: Lines, inside: np.ndarray, first: int, header: Header, index: int,
    collector: Collector,
) -> None:  # fmt: skip
    """Have the strict reader read every line that is not usual."""
    usual = piece.usual.copy()
    usual[np.flatnonzero(piece.usual)[~inside]] = False
    calls: dict[str, Call] = {}
    width = 9 + len(header.samples)
    for at in np.flatnonzero(~usual).tolist():
        start = int(piece.start[at])
        line = plain[start : plain.index(b"\n", start)].decode("ascii")
        collector.number = first + at
        try:
            read_record(line, index + 9, width, calls, collector)
        except IngestError as error:
            where = f"line {first + at}"
            raise IngestError(error.reason, code=error.code, where=where) from None


class Columns:
    """Rows in columns, in the order of the file: contig, pos, line, dosage, ploidy, ref, alt."""

    def __init__(
        self, numbers: tuple[Int64, Int64, Int64], calls: tuple[Int8, Int8], texts: np.ndarray
    ) -> None:
        self.contig, self.pos, self.line = numbers
        self.dosage, self.ploidy = calls
        self.texts = texts  # (2, rows) of str

    def taken(self, order: Int64) -> Columns:
        """Return rows in another order."""
        numbers = (self.contig[order], self.pos[order], self.line[order])
        return Columns(numbers, (self.dosage[order], self.ploidy[order]), self.texts[:, order])

    @staticmethod
    def joined(parts: list[Columns]) -> Columns:
        """Return the rows of all parts."""

        def each(name: str) -> np.ndarray:
            return np.concatenate([getattr(part, name) for part in parts])

        texts = np.concatenate([part.texts for part in parts], axis=1)
        return Columns((each("contig"), each("pos"), each("line")),
                       (each("dosage"), each("ploidy")), texts)  # fmt: skip


def _kept(
    data: Bytes, piece: Lines, code: Int64, inside: np.ndarray, first: int, collector: Collector
) -> Columns:
    of_line = code[piece.usual]
    collector.records += int(inside.sum())
    elsewhere = int((inside & (of_line < 0)).sum())
    if elsewhere:
        collector.skipped["other_contig"] += elsewhere
    keep = inside & (of_line >= 0)
    for reason, which in (("filtered", piece.filtered), ("missing", piece.missing)):
        count = int((which & keep).sum())
        if count:
            collector.no_calls[reason] += count
    lines = np.flatnonzero(piece.usual)[keep] + first
    texts = np.empty((2, int(keep.sum())), object)
    ref, size = piece.ref_at[keep], piece.ref_size[keep]
    texts[0] = _texts(data, ref, size)
    texts[1] = _texts(data, ref + size + 1, piece.alt_size[keep])
    calls = (piece.dosage[keep], piece.ploidy[keep])
    return Columns((of_line[keep], piece.pos[keep], lines), calls, texts)


def _texts(data: Bytes, at: Int64, size: Int64) -> np.ndarray:
    found: np.ndarray = _LETTERS[data[at]]
    for n in np.flatnonzero(size > 1).tolist():
        found[n] = data[at[n] : at[n] + size[n]].tobytes().decode("ascii")
    return found


def _of_rows(collector: Collector) -> Columns:
    rows = collector.rows
    texts = np.empty((2, len(rows)), object)
    texts[0] = [row[2] for row in rows]
    texts[1] = [row[3] for row in rows]
    numbers = [np.array([row[n] for row in rows], np.int64) for n in (0, 1, 4)]
    calls = [np.array([row[n] for row in rows], np.int8) for n in (5, 6)]
    return Columns((numbers[0], numbers[1], numbers[2]), (calls[0], calls[1]), texts)


def _finish(
    parts: list[Columns], collector: Collector, sample: str, callability: Callability
) -> Genotypes:
    """Sort by contig, position, ref, alt and refuse a variant written twice."""
    rows = Columns.joined([*parts, _of_rows(collector)])
    place = (rows.contig << 32) | rows.pos
    order = np.argsort(place, kind="stable")
    _settle_ties(rows, place[order], order)
    rows = rows.taken(order)
    columns = (rows.contig.astype(np.int8), rows.pos.astype(np.int32))
    texts = (tuple(rows.texts[0].tolist()), tuple(rows.texts[1].tolist()))
    return collector.genotypes(sample, callability, columns, texts, (rows.dosage, rows.ploidy))


def _settle_ties(rows: Columns, place: Int64, order: Int64) -> None:
    """Put rows of one position in the order of ref, alt and line; refuse two of one variant.

    place: rising, of the rows in `order`, which is changed.
    """
    tied = np.flatnonzero(np.diff(place) == 0)
    apart = np.diff(tied, prepend=-2, append=len(place)) > 1
    heads, tails = tied[apart[:-1]].tolist(), (tied[apart[1:]] + 2).tolist()
    for head, tail in zip(heads, tails, strict=True):
        group = sorted(
            (rows.texts[0, n], rows.texts[1, n], int(rows.line[n]), n)
            for n in order[head:tail].tolist()
        )
        for one, other in pairwise(group):
            if one[:2] == other[:2]:
                refuse_duplicate("line", one[2], other[2])
        order[head:tail] = [n for *_, n in group]
