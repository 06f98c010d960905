"""Packed genotypes as a VCF anybody's programs open. Spec: VCF 4.4.

What ingest does not keep (QUAL, INFO, phase, the alleles of skipped records) is not made up.
"""

from __future__ import annotations

from collections.abc import Iterator

from compute.builds import CONTIGS, contig_lengths
from compute.parsed import Genotypes, Intervals

_DIPLOID = ("./.", "0/0", "0/1", "1/1")
_HAPLOID = (".", "0", "1")


def write_vcf(g: Genotypes, sample: str = "SAMPLE") -> bytes:
    """Return a VCF of one sample, a line a row: of two ALT at a site each has its own line.

    Covered stretches are not in it: `write_bed` gives those.
    """
    lines = [
        "##fileformat=VCFv4.4",
        f"##omic_callability={g.callability}",
        *(f"##contig=<ID={name},length={length},assembly={g.build}>"
          for name, length in contig_lengths(g.build).items()),
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{sample}",
        *_rows(g),
    ]  # fmt: skip
    return ("\n".join(lines) + "\n").encode()


def _rows(g: Genotypes) -> Iterator[str]:
    columns = (g.contig.tolist(), g.pos.tolist(), g.ref, g.alt, g.dosage.tolist(),
               g.ploidy.tolist())  # fmt: skip
    for contig, pos, ref, alt, dosage, ploidy in zip(*columns, strict=True):
        gt = _HAPLOID[dosage + 1] if ploidy == 1 else _DIPLOID[dosage + 1]
        yield f"{CONTIGS[contig]}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t{gt}"


def write_bed(covered: Intervals) -> bytes:
    """Return covered stretches as BED (0-based, half-open)."""
    columns = (covered.contig.tolist(), (covered.start - 1).tolist(), covered.end.tolist())
    rows = [f"{CONTIGS[c]}\t{start}\t{end}\n" for c, start, end in zip(*columns, strict=True)]
    return "".join(rows).encode()
