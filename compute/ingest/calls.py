"""From one VCF/BCF record to split, checked calls; shared by the text and the BCF reader.

Spec: VCF 4.4 sections 1.6.1 (fixed fields), 1.6.2 (GT). What is skipped or turned into a no
call is counted by reason, never dropped in silence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from compute.builds import CONTIG_CODE, CONTIGS, LENGTHS, Build, canonical_contig
from compute.errors import IngestError
from compute.ingest.intervals import MIN_DP, MIN_GQ, IntervalBuilder
from compute.parsed import NO_CALL, Callability, Genotypes, Int8, Int32, Limits

Call: TypeAlias = tuple[int, ...] | str  # allele indexes, or why there is no call
# contig code, pos, ref, alt, number of its line or record, dosage, ploidy
Row: TypeAlias = tuple[int, int, str, str, int, int, int]
Alleles: TypeAlias = tuple[int, tuple[tuple[int, str], ...], int]  # n ALT, kept, symbolic

_MAX_GT: Final = 200
_BASES: Final = re.compile(r"[ACGTN]+\Z")
_GVCF: Final = frozenset({"<NON_REF>", "<*>"})  # stands for "any other allele": not an allele


def parse_gt(field: str) -> Call:
    """Return a GT's allele indexes, or the reason it is no call ("missing", "half_call", …).

    Phase is not kept. Raises IngestError ``bad_genotype`` for anything that is not a GT.
    """
    if len(field) > _MAX_GT:
        raise IngestError(f"the GT is longer than {_MAX_GT} characters", code="bad_genotype")
    parts = field.replace("|", "/").removeprefix("/").split("/")
    if all(part == "." for part in parts):
        return "missing"
    if any(part == "." for part in parts):
        return "half_call"
    if not all(part.isascii() and part.isdigit() and len(part) <= 4 for part in parts):
        raise IngestError("the GT field is not a genotype", code="bad_genotype")
    return checked_ploidy(tuple(int(part) for part in parts))


def checked_ploidy(alleles: tuple[int, ...]) -> Call:
    """Return the call, or "ploidy" for more than two alleles, which no query understands."""
    return alleles if len(alleles) <= 2 else "ploidy"


def is_block(alt: str, info: str) -> bool:
    """Tell whether a record is a reference block of a gVCF (VCF 4.4 section 5.5)."""
    return alt in _GVCF or (alt == "." and "END=" in info)


def block_quality(gq: int | None, depth: int | None) -> str | None:
    """Return why a reference block does not cover, or None where it does."""
    if gq is None and depth is None:
        return "block_without_quality"
    weak = gq < MIN_GQ if gq is not None else (depth or 0) < MIN_DP
    return "block_low_quality" if weak else None


class Collector:
    """Gathers calls of one sample record by record, then freezes them into Genotypes."""

    def __init__(self, build: Build, limits: Limits, unit: str) -> None:
        self._unit = unit  # what `number` counts: "line" or "record"
        self._limits = limits
        self._build = build
        self._lengths = LENGTHS[build]
        self._rows: list[Row] = []
        self._codes: dict[str, int] = {}
        self._alleles: dict[tuple[str, str], Alleles] = {}
        self.number = 0  # line or record being read; the reader sets it
        self.records = 0
        self.skipped: Counter[str] = Counter()
        self.no_calls: Counter[str] = Counter()
        self.gvcf = False
        self._covered = IntervalBuilder(limits)

    def add_block(self, contig: str, pos: int, end: int, ref: str, call: Call, doubt: str | None
                  ) -> None:  # fmt: skip
        """Add a reference block, both ends included; ``doubt``: why it covers nothing."""
        code = self._count(contig)
        self.gvcf = True
        if code < 0:
            return
        if not 1 <= pos <= end <= self._lengths[code]:
            self._refuse_position(code)
        if not _BASES.match(ref.upper()):
            raise IngestError("REF is not made of A, C, G, T, N", code="bad_allele")
        reason = call if isinstance(call, str) else "block_not_hom_ref" if any(call) else doubt
        if reason is not None:
            self.no_calls[reason] += 1
        else:
            self._covered.add(code, pos, end, len(call))

    def add(self, contig: str, pos: int, ref: str, alt: str, call: Call) -> None:
        """Add the record at ``number``; ``alt`` as in VCF (comma-joined, "." for none)."""
        site = self.site(contig, pos, ref, alt)
        if site is not None:
            self._keep(site[0], pos, ref.upper(), site[1], call)

    def site(self, contig: str, pos: int, ref: str, alt: str) -> tuple[int, Alleles] | None:
        """Count and check a site; return its contig code and alleles, None on another contig."""
        code = self._count(contig)
        if code < 0:
            return None
        if not 1 <= pos <= self._lengths[code]:
            self._refuse_position(code)
        known = self._alleles.get((ref, alt))
        if known is None:
            known = self._alleles[ref, alt] = self._check_alleles(ref, alt)
        if known[2]:
            self.skipped["symbolic_allele"] += known[2]
        return code, known

    def _count(self, contig: str) -> int:
        """Count a record; return its contig's code, -1 (and counted) for another contig."""
        self.records += 1
        if self.records > self._limits.max_records:
            raise IngestError(
                f"more than {self._limits.max_records} records", code="too_many_records"
            )
        code = self._codes.get(contig)
        if code is None:
            code = self._codes[contig] = CONTIG_CODE.get(canonical_contig(contig) or "", -1)
        if code < 0:
            self.skipped["other_contig"] += 1
        return code

    def _keep(self, code: int, pos: int, ref: str, known: Alleles, call: Call) -> None:
        count, kept, _ = known
        if isinstance(call, str):
            if kept:
                self.no_calls[call] += 1
            called: tuple[int, ...] = ()
        else:
            called = call
            if max(called) > count:
                raise IngestError("GT names an allele ALT does not list", code="bad_genotype")
        ploidy, number, rows = len(called), self.number, self._rows
        for index, base in kept:
            dosage = called.count(index) if ploidy else NO_CALL
            rows.append((code, pos, ref, base, number, dosage, ploidy))

    def _check_alleles(self, ref: str, alt: str) -> Alleles:
        if not _BASES.match(ref.upper()):
            raise IngestError("REF is not made of A, C, G, T, N", code="bad_allele")
        if alt in {".", ""}:
            return 0, ((-1, "."),), 0  # no index: dosage 0 whatever is called
        if alt.count(",") >= self._limits.max_alts:
            raise IngestError(
                f"more than {self._limits.max_alts} ALT alleles", code="too_many_alleles"
            )
        alts = alt.split(",")
        self.gvcf = self.gvcf or not _GVCF.isdisjoint(alts)
        plain = [(i, a.upper()) for i, a in enumerate(alts, 1) if not _is_symbolic(a)]
        if len({base for _, base in plain}) < len(plain) or any(b == ref.upper() for _, b in plain):
            raise IngestError("an ALT allele is written twice or equals REF", code="bad_allele")
        if not all(_BASES.match(base) for _, base in plain):
            raise IngestError("ALT is not made of A, C, G, T, N", code="bad_allele")
        return len(alts), tuple(plain), len([a for a in alts if _is_symbolic(a)]) - _gvcf(alts)

    def _refuse_position(self, code: int) -> None:
        raise IngestError(
            f"POS lies outside chromosome {CONTIGS[code]} of {self._build}; the header may belong "
            "to another build than the records",
            code="bad_position",
        )

    @property
    def rows(self) -> list[Row]:
        """Return the rows kept so far, in the order they came."""
        return self._rows

    def finish(self, sample: str, callability: Callability) -> Genotypes:
        """Sort, refuse duplicate sites, and return the sample's Genotypes."""
        rows = sorted(self._rows)
        _refuse_duplicates(rows, self._unit)
        contig, pos, ref, alt, _, dosage, ploidy = zip(*rows, strict=True) if rows else ((),) * 7
        columns = (np.array(contig, np.int8), np.array(pos, np.int32))
        calls = (np.array(dosage, np.int8), np.array(ploidy, np.int8))
        return self.genotypes(sample, callability, columns, (ref, alt), calls)

    def genotypes(
        self,
        sample: str,
        callability: Callability,
        columns: tuple[Int8, Int32],
        alleles: tuple[tuple[str, ...], tuple[str, ...]],
        calls: tuple[Int8, Int8],
    ) -> Genotypes:
        """Return Genotypes of sorted columns (contig, pos), (ref, alt), (dosage, ploidy)."""
        return Genotypes(
            sample=sample,
            build=self._build,
            callability=callability,
            contig=columns[0],
            pos=columns[1],
            ref=alleles[0],
            alt=alleles[1],
            dosage=calls[0],
            ploidy=calls[1],
            records=self.records,
            skipped=dict(self.skipped),
            no_calls=dict(self.no_calls),
            covered=self._covered.finish() if self.gvcf else None,
        )


def _gvcf(alts: list[str]) -> int:
    return len([allele for allele in alts if allele in _GVCF])


def _refuse_duplicates(rows: list[Row], unit: str) -> None:
    for first, second in pairwise(rows):
        if first[1] == second[1] and first[:4] == second[:4]:
            refuse_duplicate(unit, first[4], second[4])


def refuse_duplicate(unit: str, first: int, second: int) -> None:
    """Refuse a variant written at two lines or records. Raises IngestError."""
    raise IngestError(
        f"the variant of {unit} {first} is written again; remove one (bcftools norm -d exact)",
        code="duplicate_site",
        where=f"{unit} {second}",
    )


def _is_symbolic(allele: str) -> bool:
    # "*" is an overlapping deletion: an allele called here and described by another record.
    return allele == "*" or allele[:1] == "<" or "[" in allele or "]" in allele or allele == "."


def no_call_by_filter(filters: Sequence[str]) -> bool:
    """Tell whether FILTER makes the record no call: anything but PASS and "."."""
    return any(name not in {"PASS", "."} for name in filters)
