"""Covered stretches: reference blocks of a gVCF, callable regions of a BED.

A block is covered where its call is hom-ref and its own quality supports it; a block of depth 0
is written 0/0 by callers as well and says nothing. Spec: VCF 4.4 section 5.5 (gVCF), BED v1
(0-based, half-open). The question "was this site looked at?" is `compute.coverage`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import replace
from typing import Final

import numpy as np

from compute.builds import CONTIG_CODE, LENGTHS, Build, canonical_contig
from compute.coverage import SHIFT, place
from compute.errors import IngestError
from compute.parsed import Genotypes, Int8, Int32, Intervals, Limits

# GATK's and DeepVariant's usual bound for a confident reference block; depth where GQ is absent.
MIN_GQ: Final = 20
MIN_DP: Final = 10
_AUTOSOMES: Final = 22


class IntervalBuilder:
    """Gathers stretches; neighbours of one ploidy are joined while they arrive."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._contig, self._ploidy = array("b"), array("b")
        self._start, self._end = array("i"), array("i")

    def add(self, contig: int, start: int, end: int, ploidy: int) -> None:
        """Add one stretch. Raises IngestError ``too_many_records``."""
        if self._joins(contig, start, ploidy):
            self._end[-1] = max(self._end[-1], end)
            return
        if len(self._start) >= self._limits.max_intervals:
            raise IngestError(
                f"more than {self._limits.max_intervals} covered stretches",
                code="too_many_records",
            )
        self._contig.append(contig)
        self._start.append(start)
        self._end.append(end)
        self._ploidy.append(ploidy)

    def _joins(self, contig: int, start: int, ploidy: int) -> bool:
        return (
            bool(self._start)
            and (self._contig[-1], self._ploidy[-1]) == (contig, ploidy)
            and self._start[-1] <= start <= self._end[-1] + 1
        )

    def finish(self) -> Intervals:
        """Return sorted, disjoint stretches.

        Raises IngestError ``bad_block`` where two overlap and differ in ploidy.
        """
        contig, ploidy = np.array(self._contig, np.int8), np.array(self._ploidy, np.int8)
        start, end = np.array(self._start, np.int32), np.array(self._end, np.int32)
        order = np.lexsort((end, start, contig))
        return _joined(contig[order], start[order], end[order], ploidy[order])


def _joined(contig: Int8, start: Int32, end: Int32, ploidy: Int8) -> Intervals:
    if not len(start):
        return Intervals(contig, start, end, ploidy)
    first, last = place(contig, start), np.maximum.accumulate(place(contig, end))
    apart = first[1:] > last[:-1] + 1
    changes = np.diff(ploidy) != 0
    if (changes & (first[1:] <= last[:-1])).any():
        raise IngestError("two reference blocks overlap with different ploidy", code="bad_block")
    heads = np.flatnonzero(np.concatenate(([True], apart | changes)))
    tails = np.concatenate((heads[1:], [len(start)])) - 1
    ends = (last[tails] & ((1 << SHIFT) - 1)).astype(np.int32)
    return Intervals(contig[heads], start[heads], ends, ploidy[heads])


def parse_bed(text: str, build: Build, limits: Limits) -> tuple[Intervals, Counter[str]]:
    """Parse callable regions; return them (ploidy 2) and what was skipped, by reason.

    Raises IngestError ``bad_regions`` naming the line.
    """
    builder, skipped = IntervalBuilder(limits), Counter[str]()
    if text and not text.endswith("\n"):
        raise IngestError("the regions end within a line: cut short", code="truncated")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith(("#", "track", "browser")):
            continue
        _bed_line(line.rstrip("\r").split("\t"), f"regions line {number}", build, builder, skipped)
    found = builder.finish()
    if not len(found):
        raise IngestError("the regions name no stretch of chromosomes 1-22, X, Y, MT",
                          code="bad_regions")  # fmt: skip
    return found, skipped


def _bed_line(
    fields: list[str], where: str, build: Build, builder: IntervalBuilder, skipped: Counter[str]
) -> None:
    plain = all(f.isascii() and f.isdigit() and len(f) <= 10 for f in fields[1:3])
    if len(fields) < 3 or not plain:
        raise IngestError(
            "a region must be chromosome<TAB>start<TAB>end", code="bad_regions", where=where
        )
    code = CONTIG_CODE.get(canonical_contig(fields[0]) or "", -1)
    if code < 0:
        skipped["other_contig_region"] += 1
        return
    start, end = int(fields[1]), int(fields[2])
    if not start < end <= LENGTHS[build][code]:
        raise IngestError(
            f"the region is empty or lies outside its chromosome of {build}",
            code="bad_regions",
            where=where,
        )
    builder.add(code, start + 1, end, 2)


def with_regions(person: Genotypes, bed: str, limits: Limits) -> Genotypes:
    """Add callable regions to a variant-only file.

    X, Y and MT regions take the ploidy all of the person's own calls there agree on; where there
    are none, or both, the regions are left out and counted.
    Raises IngestError ``callability_conflict`` for a file that already states its coverage.
    """
    if person.callability != "variant-only":
        raise IngestError(
            f"callable regions belong to a variant-only file; this one is {person.callability}",
            code="callability_conflict",
        )
    found, skipped = parse_bed(bed, person.build, limits)
    ploidy = found.ploidy.copy()
    for code in range(_AUTOSOMES, len(CONTIG_CODE)):
        ploidy[found.contig == code] = _own_ploidy(person, code)
    unknown = int((ploidy == 0).sum())
    if unknown:
        skipped["region_ploidy_unknown"] = unknown
    keep = ploidy > 0
    stretches = Intervals(found.contig[keep], found.start[keep], found.end[keep], ploidy[keep])
    return replace(person, covered=stretches, skipped={**person.skipped, **skipped})


def _own_ploidy(person: Genotypes, code: int) -> int:
    # A set, since np.unique imports a module, which a confined child cannot.
    stated = set(person.ploidy[(person.contig == code) & (person.ploidy > 0)].tolist())
    return int(stated.pop()) if len(stated) == 1 else 0
