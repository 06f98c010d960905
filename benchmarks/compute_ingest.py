"""Files coming in, beside bcftools and plink2 in the same run.

One whole-exome-size single-sample VCF: read, check, encode, encrypt. One study of 2,000 people:
split into one encrypted object a participant.

    python -m benchmarks.compute_ingest [--json FILE] [--quick] [--data FOLDER]
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pysam

from benchmarks.compute_cohort import empty, interleaved, sealed
from benchmarks.compute_data import Cohort, cohort
from benchmarks.harness import Figure, machine, report, say
from compute.builds import LENGTHS
from compute.copies import encode_genotypes
from compute.crypt import decrypt_file, generate_keypair
from compute.ingest import ParserHost, parse_genotypes
from compute.ingest.study_stream import pieces_of, text_of
from marketplace.client.custodian import split

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


_SPLIT = (
    "import sys; from pathlib import Path; from marketplace.client.custodian import split\n"
    "for _ in split(Path(sys.argv[1]), Path(sys.argv[2]), bytes.fromhex(sys.argv[3]),\n"
    "               callability='all-sites', build=None): pass"
)


def study_vcf(made: Cohort) -> Path:
    """Return the cohort as plink2 exports it (bgzip), its header stating GRCh38's lengths."""
    path, bare = made.prefix.with_suffix(".study.vcf.gz"), made.prefix.with_suffix(".vcf.gz")
    if path.exists():
        return path
    subprocess.run(["plink2", "--pfile", str(made.prefix), "--export", "vcf", "bgz", "--out",
                    str(made.prefix)], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
    head = subprocess.run(["bcftools", "view", "-h", str(bare)], check=True, capture_output=True,
                          text=True).stdout  # fmt: skip
    for number, size in enumerate(LENGTHS["GRCh38"][:22], 1):
        stated = f"##contig=<ID={number},length={size}>"
        head = head.replace(f"##contig=<ID={number}>", stated)
    named = made.prefix.with_suffix(".head")
    named.write_text(head)
    subprocess.run(
        ["bcftools", "reheader", "-h", str(named), "-o", str(path), str(bare)], check=True
    )
    bare.unlink()
    return path


def study(made: Cohort, place: Path, quick: bool) -> list[Figure]:
    """Split one study into an encrypted object a participant: read, split, encrypt, write."""
    people, variants = (200, 20_000) if quick else (2_000, 200_000)
    made = cohort(made.prefix.parent, people, variants, 10)
    path = study_vcf(made)
    secret, public = generate_keypair()

    def mine(out: Path) -> None:
        for _ in split(path, out, public, callability="all-sites", build=None):
            pass

    def fresh(out: Path) -> None:
        command = [sys.executable, "-c", _SPLIT, str(path), str(out), public.hex()]
        subprocess.run(command, check=True)

    def theirs(out: Path) -> None:
        out.mkdir()
        subprocess.run(["plink2", "--vcf", str(path), "--make-pgen", "--threads", "2", "--out",
                        str(out / "x")], check=True, stdout=subprocess.DEVNULL)  # fmt: skip

    def inflated(_: Path) -> None:
        with ThreadPoolExecutor(2) as pool:
            for _size in pool.map(lambda piece: text_of(piece)[1], pieces_of(path)):
                pass

    mine(place / "first")  # compiles, and is looked at
    _same(made, place / "first", secret)
    size = sum(file.stat().st_size for file in (place / "first").glob("*/*"))
    shutil.rmtree(place / "first")
    turns = 2 if quick else 3
    taken = [_turn(place, (mine, fresh, theirs, inflated)) for _ in range(turns)]
    wall, cpu = np.median(np.array(taken), axis=0).T.tolist()
    note = f"{people} people x {variants} variants, {path.stat().st_size / 1e6:.0f} MB compressed; "
    note += f"{people} Crypt4GH objects of {size / people / 1e3:.0f} kB written"
    return [
        Figure("split of one study: ours / plink2 --make-pgen", wall[0] / wall[2], "", 1.0, False,
               note=note),
        Figure("the same: ours", wall[0], "s", None, False, wall[2],
               "plink2 --make-pgen, 2 threads"),
        Figure("the same: CPU of ours / plink2", cpu[0] / cpu[2], "",
               note=f"{cpu[0]:.2f} s beside {cpu[2]:.2f} s"),
        Figure("the same: inflating alone, 2 threads", wall[3], "s"),
        Figure("the same: a fresh process of ours / plink2", wall[1] / wall[2], "",
               note=f"{wall[1]:.2f} s, imports and compiled code loaded"),
    ]  # fmt: skip


def _turn(place: Path, works: Sequence[Callable[[Path], None]]) -> list[tuple[float, float]]:
    """Return (wall, CPU) seconds of each piece of work; what it wrote goes, untimed."""
    found = []
    for work in works:
        out = place / "turn"
        start, used = time.perf_counter(), _cpu()
        work(out)
        found.append((time.perf_counter() - start, _cpu() - used))
        shutil.rmtree(out, ignore_errors=True)
    return found


def _cpu() -> float:
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = [resource.getrusage(who) for who in whose]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _same(made: Cohort, out: Path, secret: bytes) -> None:
    """End the run where an object does not hold what was made."""
    dosages = made.dosages(0, made.variants)
    for person in (0, made.people // 2, made.people - 1):
        file = next(out.glob(f"*p{person}/*"))
        found = parse_genotypes(decrypt_file(file.read_bytes(), secret), "x")
        if not np.array_equal(found.dosage, dosages[:, person]):
            raise SystemExit(f"person {person}'s object differs from the study")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.compute_ingest")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    default = Path(tempfile.gettempdir()) / "omic-compute-data"
    parser.add_argument("--data", type=Path, default=default)
    options = parser.parse_args(argv)
    started = machine()
    options.data.mkdir(parents=True, exist_ok=True)
    made = Cohort(options.data / "none", 0, 0, 0)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="omic-bench-") as place:
        for part in (study, ingest):
            say(f"compute: {part.__name__} ...")
            figures += part(made, Path(place), options.quick)
    report(figures, options.json, started)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
