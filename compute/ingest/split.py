"""One multi-sample file to one VCF a participant, on the custodian's own machine.

Only what is about the person goes over: place, alleles, FILTER and GT. INFO is left out, since its
counts (AC, AN) speak of everybody, and so are header lines other than contigs, since they name
samples and paths. Nothing is dropped in silence: what is skipped is counted. Spec: VCF 4.4; PLINK 1
.bed (cog-genomics.org/plink/1.9/formats#bed).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from compute.builds import Build, canonical_contig, contig_lengths, detect_build
from compute.errors import IngestError
from compute.ingest.calls import is_block
from compute.ingest.sex import in_par
from compute.ingest.source import decode, inflate
from compute.ingest.vcf import split_header
from compute.parsed import DEFAULT_LIMITS, Callability, Limits, Sex

GROUP_CELLS: Final = 40_000_000  # genotypes held as text at once
_MAGIC: Final = b"\x6c\x1b\x01"
# Two bits a genotype, lowest first: first allele twice, missing, het, second allele twice.
_COPIES: Final = np.array([2, -1, 1, 0], np.int8)  # of ALT, the first allele
_DIPLOID: Final = ("./.", "0/0", "0/1", "1/1")
_HAPLOID: Final = (".", "0", ".", "1")  # a het call of one copy is no call
_CODES: Final = {"23": "X", "24": "Y", "25": "X", "26": "MT", "XY": "X"}
_BASES: Final = re.compile(r"[ACGTN]+\Z")
_SEX: Final[Mapping[str, Sex]] = {"1": "male", "2": "female"}


@dataclass(frozen=True, slots=True)
class Part:
    """One participant's file. skipped: records or calls, by reason, of the whole file."""

    sample: str
    vcf: bytes
    records: int
    skipped: Mapping[str, int] = field(default_factory=dict)


def split_vcf(
    data: bytes, callability: Callability | None = None, limits: Limits = DEFAULT_LIMITS
) -> Iterator[Part]:
    """Yield each sample of a VCF (plain, gzip, BGZF), in the file's order.

    Raises IngestError as the VCF reader, ``is_gvcf`` for reference blocks (they are one sample's
    own), ``no_sample``.
    """
    text = decode(inflate(data, limits)).removeprefix("\ufeff")
    header, offset = split_header(text, limits)
    if not header.samples:
        raise IngestError("the file has no sample column", code="no_sample")
    if not text.endswith("\n"):
        raise IngestError("the last line does not end: the file is cut short", code="truncated")
    build = detect_build(header.contigs)
    head = _head(build, header.callability or callability)
    lines = text[offset:].split("\n")[:-1]
    group = max(1, GROUP_CELLS // max(1, len(lines)))
    for first in range(0, len(header.samples), group):
        names = header.samples[first : first + group]
        rows = [_vcf_line(line, n, len(header.samples), first, len(names), header.lines)
                for n, line in enumerate(lines, 1)]  # fmt: skip
        for at, name in enumerate(names):
            body = "".join(f"{site}\t{calls[at]}\n" for site, calls in rows)
            yield Part(name, (head + body).encode(), len(rows))


def _vcf_line(
    line: str, number: int, samples: int, first: int, count: int, before: int
) -> tuple[str, list[str]]:
    fields = line.rstrip("\r").split("\t")
    where = f"line {before + number}"
    if len(fields) != 9 + samples:
        raise IngestError(
            f"{len(fields)} tab-separated columns where the header promises {9 + samples}",
            code="bad_record", where=where,
        )  # fmt: skip
    chrom, pos, _, ref, alt, _, flt, info, fmt = fields[:9]
    if is_block(alt, info):
        raise IngestError(
            "reference blocks of several samples cannot be split: give each person's own gVCF",
            code="is_gvcf", where=where,
        )  # fmt: skip
    called = fmt == "GT" or fmt.startswith("GT:")
    cells = fields[9 + first : 9 + first + count]
    calls = [cell.partition(":")[0] for cell in cells] if called else ["./."] * count
    return f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t{flt}\t.\tGT", calls


def split_plink(
    bed: bytes,
    bim: bytes,
    fam: bytes,
    build: Build,
    callability: Callability = "array-manifest",
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Part]:
    """Yield each person of a PLINK 1 file set, in the .fam's order. REF is the .bim's allele 2.

    X outside the pseudo-autosomal regions and MT are one copy where the .fam says male; Y is, and
    is no call for everybody else. Raises IngestError ``bad_plink`` naming the file and line.
    """
    people = [_fam_line(n, line) for n, line in _lines(fam, limits)]
    names = [name for name, _ in people]
    if len(set(names)) < len(names):
        raise IngestError("two people of the .fam have the same id", code="duplicate_sample")
    skipped: Counter[str] = Counter()
    sites = [_bim_line(n, line, build, skipped) for n, line in _lines(bim, limits)]
    copies = _bed(bed, len(sites), len(people))
    order = sorted((at for at, one in enumerate(sites) if one is not None),
                   key=lambda at: sites[at] or ("", 0))  # fmt: skip
    head = _head(build, callability)
    for person, (name, sex) in enumerate(people):
        lines = [_call(sites[at], int(copies[at, person]), sex, build) for at in order]
        yield Part(name, (head + "".join(lines)).encode(), len(order), dict(skipped))


def _call(site: tuple[str, int, str, str] | None, copies: int, sex: Sex, build: Build) -> str:
    contig, pos, ref, alt = site or ("", 0, "", "")
    single = contig == "MT" or (
        sex == "male" and (contig == "Y" or (contig == "X" and not in_par(build, pos)))
    )
    gt = (_HAPLOID if single else _DIPLOID)[copies + 1]
    if contig == "Y" and sex != "male":
        gt = "./."
    return f"{contig}\t{pos}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\t{gt}\n"


def _bed(data: bytes, sites: int, people: int) -> npt.NDArray[np.int8]:
    """Return copies of the first allele, (sites, people), -1 missing."""
    width = (people + 3) // 4
    if data[:3] != _MAGIC:
        raise _bad(".bed", 0, "it is no variant-major PLINK 1 .bed")
    if len(data) != 3 + sites * width:
        raise _bad(".bed", 0, f"its length fits no {sites} variants of {people} people")
    packed = np.frombuffer(data, np.uint8, offset=3).reshape(sites, width)
    pairs = (packed[:, :, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
    copies: npt.NDArray[np.int8] = _COPIES[pairs.reshape(sites, -1)[:, :people]]
    return copies


def _lines(data: bytes, limits: Limits) -> Iterator[tuple[int, str]]:
    text = decode(inflate(data, limits))
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _fam_line(number: int, line: str) -> tuple[str, Sex]:
    fields = line.split()
    if len(fields) != 6:
        raise _bad(".fam", number, "a line has six columns")
    return fields[1], _SEX.get(fields[4], "unknown")


def _bim_line(
    number: int, line: str, build: Build, skipped: Counter[str]
) -> tuple[str, int, str, str] | None:
    fields = line.split()
    if len(fields) != 6 or not fields[3].isdigit():
        raise _bad(".bim", number, "a line has six columns, the fourth a position")
    contig = canonical_contig(_CODES.get(fields[0], fields[0]))
    alt, ref = fields[4].upper(), fields[5].upper()
    if contig is None or not 1 <= int(fields[3]) <= contig_lengths(build)[contig]:
        skipped["no_place"] += 1
        return None
    if not _BASES.match(ref) or not _BASES.match(alt) or ref == alt:
        skipped["alleles_not_bases"] += 1
        return None
    return contig, int(fields[3]), ref, alt


def _head(build: Build, callability: Callability | None) -> str:
    contigs = [f"##contig=<ID={name},length={length},assembly={build}>"
               for name, length in contig_lengths(build).items()]  # fmt: skip
    stated = [f"##omic_callability={callability}"] if callability else []
    lines = ["##fileformat=VCFv4.2", *contigs, *stated,
             '##FILTER=<ID=PASS,Description="All filters passed">',
             '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
             "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tSAMPLE"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _bad(file: str, line: int, what: str) -> IngestError:
    where = f"{file} line {line}" if line else file
    return IngestError(f"the PLINK files cannot be read: {what}", code="bad_plink", where=where)
