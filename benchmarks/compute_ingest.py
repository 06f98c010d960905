"""One whole-exome-size single-sample VCF: read, check, encode, encrypt; beside bcftools."""

import subprocess
import time
from pathlib import Path

import numpy as np
import pysam

from benchmarks.compute_cohort import empty, interleaved, sealed
from benchmarks.compute_data import Cohort
from benchmarks.harness import Figure
from compute.builds import LENGTHS
from compute.copies import encode_genotypes
from compute.ingest import ParserHost, parse_genotypes

_INFO = "AC={0};AF=0.5;AN=2;BaseQRankSum=0.72;DP={1};ExcessHet=3.01;FS=0.0;MQ=60.0;QD=12.3"

_META = "".join(
    [
        "##omic_callability=all-sites\n",
        '##FILTER=<ID=LowQual,Description="low">\n',
        *(f'##INFO=<ID={name},Number=.,Type=Float,Description="x">\n'
          for name in ("AC", "AF", "AN", "BaseQRankSum", "DP", "ExcessHet", "FS", "MQ", "QD")),
        *(f'##FORMAT=<ID={name},Number=.,Type={kind},Description="x">\n' for name, kind in (
            ("GT", "String"), ("AD", "Integer"), ("DP", "Integer"), ("GQ", "Integer"),
            ("PL", "Integer"))),
    ]
)  # fmt: skip


def made_vcf(folder: Path, records: int) -> Path:
    """Write a GATK-like file of 22 chromosomes: mostly SNVs, some indels, a few ALTs of two."""
    path = folder / f"exome-{records}.vcf.gz"
    if path.exists():
        return path
    random = np.random.default_rng(11)
    each, bases = records // 22, "ACGT"
    with pysam.BGZFile(str(path) + ".part", "w") as out:
        lengths = enumerate(LENGTHS["GRCh38"][:22], 1)
        contigs = "".join(f"##contig=<ID=chr{n},length={size}>\n" for n, size in lengths)
        head = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\n"
        out.write(f"##fileformat=VCFv4.2\n{_META}{contigs}{head}".encode())
        for chrom in range(1, 23):
            positions = np.sort(random.choice(46_000_000, each, replace=False)) + 10_000
            lines = []
            for at, kind in zip(positions.tolist(), random.random(each).tolist(), strict=True):
                mixed = at * 2654435761 % 1_000_003
                r, depth = at % 4, 20 + mixed % 37
                ref, alt = bases[r], bases[(r + 1 + at // 4 % 3) % 4]
                alt = f"{ref}{alt}" if kind < 0.08 else alt
                gt = ("0/1", "1/1", "0/1", "./.")[at % 4 if kind > 0.01 else 3]
                if kind > 0.99:
                    alt, gt = f"{alt},{bases[(r + 2) % 4]}{ref}", "1/2"
                info = _INFO.format(gt.count("1"), depth)
                flt = "PASS" if kind > 0.02 else "LowQual"
                qual = f"{mixed % 2000}.{mixed % 89}"
                call = f"{gt}:{depth // 2},{depth // 2}:{depth}:{mixed % 100}"
                call += f":{mixed % 997},0,{mixed % 1009}"
                fixed = f"chr{chrom}\t{at}\t.\t{ref}\t{alt}\t{qual}\t{flt}\t{info}"
                lines.append(f"{fixed}\tGT:AD:DP:GQ:PL\t{call}\n")
            out.write("".join(lines).encode())
    Path(str(path) + ".part").rename(path)
    return path


def ingest(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Parse, encode and encrypt one file, in process and through the confined child."""
    records = 60_000 if quick else 600_000
    path = made_vcf(made.prefix.parent, records)
    data = path.read_bytes()
    store, variants, kms = empty(place, "ingest")

    def kept(parsed) -> None:
        version, messages = encode_genotypes(variants, parsed)
        store.put_all([sealed(kms, "d", version, messages)])

    def mine() -> None:
        kept(parse_genotypes(data, "x"))

    def theirs() -> None:
        subprocess.run(["bcftools", "view", "-Ob", "-o", str(place / "x.bcf"), str(path)],
                       check=True, capture_output=True)  # fmt: skip

    with ParserHost() as host:
        first = time.perf_counter()
        kept(host.parse(data, "genotypes", "x"))
        first = time.perf_counter() - first
        parse, ours, confined, peer = interleaved(
            5, lambda: parse_genotypes(data, "x"), mine,
            lambda: kept(host.parse(data, "genotypes", "x")), theirs,
        )  # fmt: skip
    rate = records / ours
    return [
        Figure("ingest of one exome-size VCF: ours / bcftools view -Ob", ours / peer, "", 0.35,
               False, note=f"{records} records, {len(data) / 1e6:.0f} MB compressed"),
        Figure("the same: ours", ours, "s", None, False, peer, "bcftools view -Ob"),
        Figure("the same: of it, parsing", parse, "s"),
        Figure("the same: records a second", rate, "1/s"),
        Figure("the same: through the confined child / bcftools", confined / peer, "",
               note=f"{confined:.2f} s; the first file, with a new table, {first:.2f} s"),
    ]  # fmt: skip
