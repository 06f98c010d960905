"""Write small VCF files for tests."""

from __future__ import annotations

import gzip
import io

import pysam

CONTIGS = {"1": 249250621, "2": 243199373, "X": 155270560, "MT": 16569}
COLUMNS = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT"]


def vcf(*records, samples=("s1",), contigs=CONTIGS, meta=("##omic_callability=all-sites",)):
    """Records are tuples (chrom, pos, ref, alt, gt…) with an optional dict of columns last."""
    lines = [
        "##fileformat=VCFv4.2",
        '##FILTER=<ID=q10,Description="low">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        '##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">',
        *meta,
        *(f"##contig=<ID={name},length={length}>" for name, length in contigs.items()),
        "\t".join(COLUMNS + list(samples)),
    ]
    for record in records:
        extra = record[-1] if isinstance(record[-1], dict) else {}
        chrom, pos, ref, alt, *gts = record[: len(record) - bool(extra)]
        fixed = [chrom, str(pos), ".", ref, alt, ".", extra.get("filter", "PASS"), "."]
        lines.append("\t".join([*fixed, extra.get("format", "GT"), *gts]))
    return ("\n".join(lines) + "\n").encode()


def bgzf(data, tmp_path):
    path = tmp_path / "x.vcf.gz"
    with pysam.BGZFile(str(path), "w") as out:
        out.write(data)
    return path.read_bytes()


def bcf(data, tmp_path):
    source, target = tmp_path / "in.vcf", tmp_path / "out.bcf"
    source.write_bytes(data)
    with (
        pysam.VariantFile(str(source)) as variants,
        pysam.VariantFile(str(target), "wb", header=variants.header) as out,
    ):
        for record in variants:
            out.write(record)
    return target.read_bytes()


def gz(data):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed:
        packed.write(data)
    return out.getvalue()
