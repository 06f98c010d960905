"""Genotypes against a reference sequence: REF must be what stands there, indels move left.

Left-aligned, parsimonious form: Tan, Abecasis, Kang 2015 (doi:10.1093/bioinformatics/btv112).
The FASTA is the owner's own file: it is read on the owner's machine and never sent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from compute.builds import CONTIG_CODE, CONTIGS, LENGTHS, Build, canonical_contig
from compute.errors import IngestError
from compute.parsed import NO_CALL, Genotypes

_WINDOW: Final = 1 << 20
_BASES: Final = frozenset("ACGT")


class Reference:
    """Sequences of one build's primary contigs, from a FASTA (plain, bgzip; .fai made beside)."""

    def __init__(self, path: Path, build: Build) -> None:
        import pysam

        try:
            self._file: Any = pysam.FastaFile(str(path))
        except (OSError, ValueError) as error:
            raise IngestError(
                "the reference FASTA cannot be read or indexed; give a plain or bgzip FASTA in a "
                "folder that may be written (samtools faidx)",
                code="bad_reference",
            ) from error
        self._names = _named(self._file, build)
        self._window = (-1, 0, "")  # contig, start, bases

    def __enter__(self) -> Reference:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def holds(self, contig: int) -> bool:
        """Tell whether a contig's sequence is in the file."""
        return contig in self._names

    def bases(self, contig: int, pos: int, count: int) -> str:
        """Return bases from a 1-based position, upper case."""
        start = pos - 1
        at, first, text = self._window
        if at != contig or not first <= start <= start + count <= first + len(text):
            first = max(0, start - 1000)
            end = max(start + count, first + _WINDOW)
            text = str(self._file.fetch(self._names[contig], first, end)).upper()
            self._window = (contig, first, text)
        return text[start - first : start - first + count]


def _named(file: Any, build: Build) -> dict[int, str]:
    found: dict[int, str] = {}
    for name, length in zip(file.references, file.lengths, strict=True):
        contig = canonical_contig(name)
        if contig is None:
            continue
        code = CONTIG_CODE[contig]
        if length != LENGTHS[build][code]:
            raise IngestError(
                f"the reference's chromosome {contig} has {length} bases, {build}'s has "
                f"{LENGTHS[build][code]}: the file is on {build}, give its own reference",
                code="build_wrong",
            )
        found[code] = str(name)
    if not found:
        raise IngestError("the reference FASTA names no human chromosome", code="bad_reference")
    return found


def left_align(g: Genotypes, path: Path) -> Genotypes:
    """Return the genotypes with REF checked and every indel left-aligned and trimmed.

    Skipped and counted: left_aligned (moved or trimmed), no_reference_sequence (contig not in the
    FASTA, left as it is), joined_by_alignment (a variant written in two ways, then no call unless
    both say the same). Raises IngestError ``ref_differs``, ``build_wrong``, ``bad_reference``.
    """
    counts: Counter[str] = Counter()
    with Reference(path, g.build) as reference:
        rows = [_row(g, at, reference, counts) for at in range(len(g))]
    kept = _joined(rows, counts)
    columns = list(zip(*kept, strict=True)) if kept else [()] * 6
    return replace(
        g,
        contig=np.array(columns[0], np.int8),
        pos=np.array(columns[1], np.int32),
        ref=tuple(columns[2]),
        alt=tuple(columns[3]),
        dosage=np.array(columns[4], np.int8),
        ploidy=np.array(columns[5], np.int8),
        skipped={**g.skipped, **counts},
    )


_Row = tuple[int, int, str, str, int, int]


def _row(g: Genotypes, at: int, reference: Reference, counts: Counter[str]) -> _Row:
    contig, pos, ref, alt = int(g.contig[at]), int(g.pos[at]), g.ref[at], g.alt[at]
    calls = (int(g.dosage[at]), int(g.ploidy[at]))
    if not reference.holds(contig):
        counts["no_reference_sequence"] += 1
        return (contig, pos, ref, alt, *calls)
    _check(reference.bases(contig, pos, len(ref)), ref, contig, pos)
    if len(ref) == 1 == len(alt):
        return (contig, pos, ref, alt, *calls)
    moved = aligned(pos, ref, alt, lambda before: reference.bases(contig, before, 1))
    counts["left_aligned"] += moved != (pos, ref, alt)
    return (contig, *moved, *calls)


def _check(stands: str, ref: str, contig: int, pos: int) -> None:
    if stands == ref:
        return
    # N and the other ambiguity codes say nothing against a base.
    pairs = zip(stands, ref, strict=False)
    if len(stands) != len(ref) or any(a != b and {a, b} <= _BASES for a, b in pairs):
        raise IngestError(
            "REF is not what stands in the reference: the file is of another reference, or its "
            "REF and ALT are swapped (bcftools norm -c x shows which)",
            code="ref_differs",
            where=f"{CONTIGS[contig]}:{pos}",
        )


def aligned(pos: int, ref: str, alt: str, base: Any) -> tuple[int, str, str]:
    """Return a variant's left-aligned, parsimonious form; base(pos) gives a reference base."""
    while ref[-1] == alt[-1] and (len(ref) > 1 or len(alt) > 1):
        if len(ref) > 1 and len(alt) > 1:
            ref, alt = ref[:-1], alt[:-1]
        elif pos > 1:
            before = base(pos - 1)
            pos, ref, alt = pos - 1, before + ref[:-1], before + alt[:-1]
        else:
            break
    while len(ref) > 1 and len(alt) > 1 and ref[0] == alt[0]:
        pos, ref, alt = pos + 1, ref[1:], alt[1:]
    return pos, ref, alt


def _joined(rows: list[_Row], counts: Counter[str]) -> list[_Row]:
    found: dict[tuple[int, int, str, str], tuple[int, int]] = {}
    for contig, pos, ref, alt, *calls in rows:
        site, call = (contig, pos, ref, alt), (calls[0], calls[1])
        if site in found:
            counts["joined_by_alignment"] += 1
            call = call if found[site] == call else (NO_CALL, 0)
        found[site] = call
    counts += Counter()
    return [(*site, *calls) for site, calls in sorted(found.items())]
