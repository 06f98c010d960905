"""A VCF or BCF of several samples to one packed file each, in passes over its text.

Usual lines are read by the compiled scanner over two threads, every other by the strict rules of
`compute.ingest.vcf`; both together give what reading one sample at a time gives (tests hold them
to it). Reference blocks are one sample's own: such a file is read person by person.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import detect_build
from compute.errors import IngestError
from compute.ingest.calls import Call, Collector, is_block, parse_gt
from compute.ingest.packed import OTHER, assemble, pair_code, write_packed
from compute.ingest.source import decode
from compute.ingest.study_lines import Scanned, Scanner
from compute.ingest.study_stream import MAX_LINE, Piece, in_order, lines_of, pieces_of, text_of
from compute.ingest.study_table import HAPLOID, Table
from compute.ingest.vcf import (
    Header,
    check_position,
    read_fields,
    settle_callability,
    split_header,
)
from compute.ingest.vcf_columns import Int64
from compute.parsed import DEFAULT_LIMITS, Callability, Limits

THREADS: Final = min(4, os.cpu_count() or 1)
STRICT_CALLS: Final = 3_000_000  # genotypes held as values at once, read person by person
Octets: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Part:
    """One participant's file. skipped: records or alleles, by reason, of the whole file."""

    sample: str
    data: bytes
    records: int
    skipped: dict[str, int] = field(default_factory=dict)


class _BlocksError(Exception):
    """The file has reference blocks."""


def split_vcf(
    source: Path | bytes, callability: Callability | None = None, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Part]:
    """Yield each sample of a VCF or gVCF (plain, gzip, BGZF) or a BCF, in the file's order.

    Raises IngestError as the VCF reader, and ``no_sample``.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        first = 0
        while True:
            study = _Study(source, callability, limits, pool)
            try:
                table = study.read(first)
            except _BlocksError:
                yield from _person_by_person(source, callability, limits)
                return
            yield from study.parts(table)
            first += table.people
            if first >= len(study.header.samples):
                return


class _Study:
    """One pass over the file."""

    def __init__(
        self, source: Path | bytes, callability: Callability | None, limits: Limits, pool: Executor
    ) -> None:
        self._limits, self._pool = limits, pool
        self.header, self.pieces = opened_text(source, limits)
        self.build = detect_build(self.header.contigs)
        self.callability = settle_callability(self.header.callability, callability, gvcf=False)
        self._collector = Collector(self.build, limits, "line")
        self._memo: dict[str, int] = {}
        self._calls: list[Call] = []

    def read(self, first: int) -> Table:
        """Read the whole file, keeping the people from `first` on that fit."""
        table = Table(first, len(self.header.samples) - first)
        scanner = Scanner(len(self.header.samples), self.build)
        number, carried = self.header.lines, b""
        for scanned in in_order(self._pool, scanner.scan, self.pieces):
            carried += scanned.head
            if len(carried) > MAX_LINE:
                raise IngestError(f"a line is longer than {MAX_LINE} bytes", code="line_too_long")
            if not carried.endswith(b"\n"):
                continue
            for line in carried.split(b"\n")[:-1]:
                number += 1
                self._strictly(table, line, number)
            self._take(table, scanned, number + 1)
            scanner.give_back(scanned)
            number, carried = number + scanned.lines, scanned.tail
        if carried:
            raise IngestError("the last line does not end: the file is cut short", code="truncated")
        return table

    def parts(self, table: Table) -> Iterator[Part]:
        """Yield a pass's parts."""
        collector, sites = self._collector, table.finish()
        skipped = dict(collector.skipped)
        names = self.header.samples[table.first : table.first + table.people]
        head: dict[str, Any] = {"build": self.build, "callability": self.callability,
                "records": collector.records, "skipped": skipped}  # fmt: skip
        for name, (calls, single, reasons) in zip(names, table.people_calls(), strict=True):
            data = assemble({**head, "no_calls": reasons}, sites, calls, single)
            yield Part(name, data, collector.records, skipped)

    def _take(self, table: Table, scanned: Scanned, number: int) -> None:
        """Add a piece's lines; number: that of its first."""
        collector = self._collector
        collector.records += len(scanned.pos) + scanned.elsewhere
        if scanned.elsewhere:
            collector.skipped["other_contig"] += scanned.elsewhere
        if scanned.filtered:
            table.fixed += scanned.filtered
            everybody = np.full(len(self.header.samples), scanned.filtered, np.int64)
            table.count("filtered", everybody)
        if len(scanned.pos):
            sites = (scanned.contig, scanned.pos, scanned.line + number, scanned.pairs)
            table.add(sites, scanned.others, scanned.codes)
        for line, text in scanned.odd.items():
            self._strictly(table, text, number + line)
        if collector.records > self._limits.max_records:
            raise IngestError(
                f"more than {self._limits.max_records} records", code="too_many_records"
            )

    def _strictly(self, table: Table, line: bytes, number: int) -> None:
        self._collector.number = number
        try:
            self._line(table, decode(line), number)
        except IngestError as error:
            where = f"line {number}"
            raise IngestError(error.reason, code=error.code, where=where) from None

    def _line(self, table: Table, line: str, number: int) -> None:
        """Read a line that is not usual, by the strict rules, into rows of the table."""
        fields = line.rstrip("\r").split("\t")
        samples = len(self.header.samples)
        if len(fields) != 9 + samples:
            raise IngestError(
                f"{len(fields)} tab-separated columns where the header promises {9 + samples}",
                code="bad_record",
            )
        chrom, pos, _, ref, alt, _, flt, info, fmt = fields[:9]
        check_position(pos)
        if is_block(alt, info):
            raise _BlocksError
        index = self._indexes(fields[9:], flt, fmt)
        site = self._collector.site(chrom, int(pos), ref, alt)
        if self._collector.gvcf:
            raise _BlocksError
        if site is None:
            return
        code, (count, kept, _) = site
        self._check(index, count)
        kept = tuple(sorted(kept, key=lambda one: one[1]))
        pairs = [(ref.upper(), base) for _, base in kept]
        codes = np.array([pair_code(*pair) for pair in pairs], np.uint8)
        others = {row: pair for row, pair in enumerate(pairs) if codes[row] == OTHER}
        n = len(kept)
        sites = (np.full(n, code), np.full(n, int(pos)), np.full(n, number), codes)
        table.add(sites, others, self._rows(table, index, kept))

    def _indexes(self, cells: list[str], flt: str, fmt: str) -> Int64:
        """Return, for each cell, its call's place in self._calls."""
        if flt not in {"PASS", "."}:
            return np.full(len(cells), self._index("filtered", "filtered"))
        if fmt != "GT" and not fmt.startswith("GT:"):
            return np.full(len(cells), self._index("no_genotype", "no_genotype"))
        return np.array([self._index(cell.partition(":")[0]) for cell in cells], np.int64)

    def _index(self, gt: str, call: Call | None = None) -> int:
        known = self._memo.get(gt)
        if known is None:
            self._calls.append(parse_gt(gt) if call is None else call)
            known = self._memo[gt] = len(self._calls) - 1
        return known

    def _check(self, index: Int64, count: int) -> None:
        for one in np.unique(index).tolist():
            call = self._calls[one]
            if not isinstance(call, str) and max(call) > count:
                raise IngestError("GT names an allele ALT does not list", code="bad_genotype")

    def _rows(self, table: Table, index: Int64, kept: tuple[tuple[int, str], ...]) -> Octets:
        """Return codes (kept alleles, people) of a line, and count its no calls."""
        codes = np.empty((len(kept), len(index)), np.uint8)
        for row, (allele, _) in enumerate(kept):
            codes[row] = np.array([_code(call, allele) for call in self._calls], np.uint8)[index]
        if not kept:
            return codes
        for one in np.unique(index).tolist():
            reason = self._calls[one]
            if isinstance(reason, str):
                people = (index == one).astype(np.int64)
                table.count(reason, people)
                table.count_apart(people * len(kept))
        return codes


def _code(call: Call, allele: int) -> int:
    if isinstance(call, str):
        return 3
    return call.count(allele) + (HAPLOID if len(call) == 1 else 0)


def opened_text(source: Path | bytes, limits: Limits) -> tuple[Header, Iterator[Piece]]:
    """Return a VCF's or BCF's header, and its records' text in pieces."""
    pieces = pieces_of(source)
    head = b""
    for piece in pieces:
        text, size = text_of(piece)
        head += text[:size]
        mark = head.find(b"\n#CHROM")
        if (mark >= 0 and head.find(b"\n", mark + 1) >= 0) or len(head) > limits.max_header:
            break
    end = head.find(b"\n", head.find(b"\n#CHROM") + 1) + 1
    header, _ = split_header(decode(head[:end]).removeprefix("\ufeff"), limits)
    if not header.samples:
        raise IngestError("the file has no sample column", code="no_sample")
    return header, chain([head[end:]] if head[end:] else [], pieces)


def _person_by_person(
    source: Path | bytes, callability: Callability | None, limits: Limits
) -> Iterator[Part]:
    """Read a file with reference blocks: a collector each, as many people at once as fit."""
    header, pieces = opened_text(source, limits)
    lines = sum(1 for _ in lines_of(pieces))
    build = detect_build(header.contigs)
    group = max(1, STRICT_CALLS // max(1, lines))
    for first in range(0, len(header.samples), group):
        names = header.samples[first : first + group]
        people = [Collector(build, limits, "line") for _ in names]
        _, pieces = opened_text(source, limits)
        _read_people(pieces, header, first, people)
        for name, collector in zip(names, people, strict=True):
            settled = settle_callability(header.callability, callability, gvcf=collector.gvcf)
            found = collector.finish("sample", settled)
            yield Part(name, write_packed(found), found.records, dict(found.skipped))


def _read_people(
    pieces: Iterator[Piece], header: Header, first: int, people: list[Collector]
) -> None:
    calls: dict[str, Call] = {}
    number, width = header.lines, 9 + len(header.samples)
    for line in lines_of(pieces):
        number += 1
        fields = decode(line).rstrip("\r").split("\t")
        for column, collector in enumerate(people, 9 + first):
            collector.number = number
            try:
                read_fields(fields, column, width, calls, collector)
            except IngestError as error:
                where = f"line {number}"
                raise IngestError(error.reason, code=error.code, where=where) from None
