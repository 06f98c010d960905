"""PLINK file sets to one packed file a person: .bed/.bim/.fam and .pgen/.pvar/.psam.

Neither states ploidy: X outside the pseudo-autosomal regions and MT are one copy where the sample
table says male (MT: everybody); Y is one copy of a male and no call of everybody else. Specs:
PLINK 1 .bed (cog-genomics.org/plink/1.9/formats#bed); PLINK 2 .pgen, read by its pgenlib.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import (
    CONTIG_CODE,
    Build,
    canonical_contig,
    contig_lengths,
    detect_build,
)
from compute.errors import IngestError
from compute.ingest.packed import OTHER, assemble, pair_code
from compute.ingest.sex import MT, PAR_X, X, Y
from compute.ingest.source import decode, inflate
from compute.ingest.study_table import HAPLOID, Table
from compute.ingest.study_vcf import Part
from compute.ingest.vcf import contigs_of
from compute.parsed import DEFAULT_LIMITS, Callability, Limits, Sex

Octets: TypeAlias = npt.NDArray[np.uint8]
Rows: TypeAlias = Callable[[int, int], Octets]  # (first, end) variant -> codes (rows, people)
_MAGIC: Final = b"\x6c\x1b\x01"
# Two bits a genotype, lowest first: first allele twice, missing, het, second allele twice.
_OF_BED: Final = np.array([2, 3, 1, 0], np.uint8)  # copies of ALT, the first allele
_CODES: Final = {"23": "X", "24": "Y", "25": "X", "26": "MT", "XY": "X", "PAR1": "X", "PAR2": "X"}
_BASES: Final = re.compile(r"[ACGTN]+\Z")
_SEX: Final[dict[str, Sex]] = {"1": "male", "2": "female", "M": "male", "F": "female"}
_STEP: Final = 4096  # variants read at once
_ZST: Final = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class _Site:
    contig: int
    pos: int
    ref: str
    alt: str
    variant: int  # its place in the file
    allele: int  # 1 the first ALT


@dataclass(frozen=True, slots=True)
class _Study:
    people: list[tuple[str, Sex]]
    sites: list[_Site]
    variants: int
    skipped: dict[str, int]
    filtered: frozenset[int]  # variants


def split_plink(
    bed: bytes,
    bim: bytes,
    fam: bytes,
    build: Build,
    callability: Callability = "array-manifest",
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Part]:
    """Yield each person of a PLINK 1 file set, in the .fam's order. REF is the .bim's allele 2.

    Raises IngestError ``bad_plink`` naming the file and line, ``duplicate_sample``.
    """
    people = _people([_fam_line(n, line) for n, line in _lines(fam, limits)])
    skipped: Counter[str] = Counter()
    lines = list(_lines(bim, limits))
    found = [_bim_line(number, line, at, build, skipped) for at, (number, line) in enumerate(lines)]
    sites = [one for one in found if one is not None]
    study = _Study(people, sites, len(lines), dict(skipped), frozenset())
    width = (len(people) + 3) // 4
    if bed[:3] != _MAGIC:
        raise _bad(".bed", 0, "it is no variant-major PLINK 1 .bed")
    if len(bed) != 3 + len(lines) * width:
        raise _bad(".bed", 0, f"its length fits no {len(lines)} variants of {len(people)} people")
    packed = np.frombuffer(bed, np.uint8, offset=3).reshape(len(lines), width)

    def codes(study_sites: list[_Site]) -> Octets:
        rows = packed[[site.variant for site in study_sites]]
        pairs = (rows[:, :, None] >> np.array([0, 2, 4, 6], np.uint8)) & 3
        found: Octets = _OF_BED[pairs.reshape(len(rows), -1)[:, : len(people)]]
        return found

    yield from _parts(study, codes, build, callability)


def split_pgen(
    pgen: Path,
    pvar: bytes,
    psam: bytes,
    build: Build | None = None,
    callability: Callability = "variant-only",
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[Part]:
    """Yield each person of a PLINK 2 file set, in the .psam's order. Hard calls; no dosages.

    build: where the .pvar has no ##contig lengths; a contradiction is refused. Raises IngestError
    ``bad_plink``, ``build_unclear``, ``build_wrong``, ``duplicate_sample``.
    """
    import pgenlib

    people = _people(_psam(psam, limits))
    study, offsets, stated = _pvar(pvar, people, build, limits)
    try:
        reader = pgenlib.PgenReader(
            str(pgen).encode(), raw_sample_ct=len(people), variant_ct=study.variants,
            allele_idx_offsets=offsets,
        )  # fmt: skip
    except (RuntimeError, OSError) as error:
        raise _bad(".pgen", 0, "it is damaged, or fits not its .pvar and .psam") from error

    def codes(study_sites: list[_Site]) -> Octets:
        out = np.empty((len(study_sites), len(people)), np.int8)
        for row, site in enumerate(study_sites):
            reader.read(site.variant, out[row], site.allele)
        return np.where(out < 0, 3, out).astype(np.uint8)

    try:
        # The last variant may have no place and never be asked for: a cut within it must be seen.
        reader.read(study.variants - 1, np.empty(len(people), np.int8), 1)
        yield from _parts(study, codes, stated, callability)
    except RuntimeError as error:
        raise _bad(".pgen", 0, "it is damaged or cut short") from error
    finally:
        reader.close()


def _parts(
    study: _Study, codes: Callable[[list[_Site]], Octets], build: Build, callability: Callability
) -> Iterator[Part]:
    sites = sorted(study.sites, key=lambda s: (s.contig, s.pos, s.ref, s.alt))
    names = [name for name, _ in study.people]
    male = np.array([sex == "male" for _, sex in study.people])
    first = 0
    while first < len(names):
        table = Table(first, len(names) - first)
        for at in range(0, len(sites), _STEP):
            some = sites[at : at + _STEP]
            rows = _ploidy(codes(some), some, male, build)
            off = [row for row, site in enumerate(some) if site.variant in study.filtered]
            if off:
                rows[off] = 3
            table.fixed += len(off)
            _add(table, some, rows)
        packed = table.finish()
        head: dict[str, Any] = {"build": build, "callability": callability,
                                "records": study.variants, "skipped": study.skipped}  # fmt: skip
        chosen = names[first : first + table.people]
        everybody = {"filtered": len(study.filtered)} if study.filtered else {}
        for name, (calls, single, reasons) in zip(chosen, table.people_calls(), strict=True):
            no_calls = {**reasons, **everybody}
            data = assemble({**head, "no_calls": no_calls}, packed, calls, single)
            yield Part(name, data, study.variants, study.skipped)
        first += table.people


def _add(table: Table, sites: list[_Site], rows: Octets) -> None:
    pairs = np.array([pair_code(site.ref, site.alt) for site in sites], np.uint8)
    others = {row: (sites[row].ref, sites[row].alt)
              for row in np.flatnonzero(pairs == OTHER).tolist()}  # fmt: skip
    numbers = np.array([(s.contig, s.pos, s.variant + 1) for s in sites], np.int64).T
    table.add((numbers[0], numbers[1], numbers[2], pairs), others, rows)


def _ploidy(rows: Octets, sites: list[_Site], male: npt.NDArray[np.bool_], build: Build) -> Octets:
    """Give rows of X, Y and MT one copy where there is one, no call where there is none."""
    everybody = np.ones_like(male)
    for row, site in enumerate(sites):
        if site.contig not in {X, Y, MT}:
            continue
        par = site.contig == X and any(low <= site.pos <= high for low, high in PAR_X[build])
        if par:
            continue
        one = everybody if site.contig == MT else male
        code = rows[row]
        single = np.select([code == 0, code == 2], [HAPLOID, HAPLOID + 1], 3)
        rows[row] = np.where(one, single, 3 if site.contig == Y else code)
    return rows


def _people(found: list[tuple[str, Sex]]) -> list[tuple[str, Sex]]:
    names = [name for name, _ in found]
    if len(set(names)) < len(names):
        raise IngestError("two people of the study have the same id", code="duplicate_sample")
    if not names:
        raise IngestError("the study lists nobody", code="no_sample")
    return found


def _lines(data: bytes, limits: Limits) -> Iterator[tuple[int, str]]:
    if data.startswith(_ZST):
        raise IngestError(
            "the file is compressed with zstd: unpack it first (zstd -d)", code="bad_plink"
        )
    text = decode(inflate(data, limits))
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _fam_line(number: int, line: str) -> tuple[str, Sex]:
    fields = line.split()
    if len(fields) != 6:
        raise _bad(".fam", number, "a line has six columns")
    return fields[1], _SEX.get(fields[4], "unknown")


def _psam(data: bytes, limits: Limits) -> list[tuple[str, Sex]]:
    """Read a .psam: a header line with #FID or #IID, or the six columns of a .fam."""
    columns: list[str] = []
    found: list[tuple[str, Sex]] = []
    for number, line in _lines(data, limits):
        fields = line.split()
        if line.startswith(("#FID", "#IID")):
            columns = [fields[0][1:], *fields[1:]]
        elif line.startswith("#"):
            continue
        elif not columns:
            found.append(_fam_line(number, line))
        elif len(fields) != len(columns):
            raise _bad(".psam", number, f"a line has {len(columns)} columns")
        else:
            row = dict(zip(columns, fields, strict=True))
            found.append((row["IID"], _SEX.get(row.get("SEX", ""), "unknown")))
    return found


def _bim_line(number: int, line: str, at: int, build: Build, skipped: Counter[str]) -> _Site | None:
    fields = line.split()
    if len(fields) != 6 or not fields[3].isdigit():
        raise _bad(".bim", number, "a line has six columns, the fourth a position")
    return _site(fields[0], fields[3], fields[5], fields[4], at, 1, build, skipped)


def _pvar(
    data: bytes, people: list[tuple[str, Sex]], build: Build | None, limits: Limits
) -> tuple[_Study, npt.NDArray[np.uintp], Build]:
    """Read a .pvar (or .bim): the study, where each variant's alleles begin, and the build."""
    meta: list[str] = []
    columns = ["CHROM", "ID", "CM", "POS", "ALT", "REF"]  # a .bim's
    rows: list[tuple[int, list[str]]] = []
    for number, line in _lines(data, limits):
        if line.startswith("##"):
            meta.append(line)
        elif line.startswith("#CHROM"):
            columns = line[1:].split("\t") if "\t" in line else line[1:].split()
        else:
            rows.append((number, line.split()))
    stated = _build_of(meta, build)
    skipped: Counter[str] = Counter()
    sites: list[_Site] = []
    counts, filtered = [0], set()
    for variant, (number, fields) in enumerate(rows):
        if len(fields) != len(columns):
            raise _bad(".pvar", number, f"a line has {len(columns)} columns")
        row = dict(zip(columns, fields, strict=True))
        if not row["POS"].isdigit():
            raise _bad(".pvar", number, "a position is no whole number")
        alts = row["ALT"].split(",")
        counts.append(1 + len(alts))
        if row.get("FILTER", ".") not in {"PASS", "."}:
            filtered.add(variant)
        for allele, alt in enumerate(alts, 1):
            site = _site(
                row["CHROM"], row["POS"], row["REF"], alt, variant, allele, stated, skipped
            )
            if site is not None:
                sites.append(site)
    offsets = np.cumsum(np.array(counts)).astype(np.uintp)
    study = _Study(people, sites, len(rows), dict(skipped), frozenset(filtered))
    return study, offsets, stated


def _build_of(meta: list[str], build: Build | None) -> Build:
    contigs = contigs_of(meta)
    if not contigs and build is None:
        raise IngestError(
            "the .pvar states no ##contig lengths: say the genome build (--build)",
            code="build_unclear",
        )
    found = detect_build(contigs) if contigs else build
    if build is not None and found != build:
        raise IngestError(f"the .pvar is on {found}, stated is {build}", code="build_wrong")
    return found or "GRCh38"


def _site(
    chrom: str, pos: str, ref: str, alt: str, variant: int, allele: int, build: Build,
    skipped: Counter[str],
) -> _Site | None:  # fmt: skip
    contig = canonical_contig(_CODES.get(chrom, chrom))
    ref, alt = ref.upper(), alt.upper()
    if contig is None or not 1 <= int(pos) <= contig_lengths(build)[contig]:
        skipped["no_place"] += 1
        return None
    if not _BASES.match(ref) or not _BASES.match(alt) or ref == alt:
        skipped["alleles_not_bases"] += 1
        return None
    return _Site(CONTIG_CODE[contig], int(pos), ref, alt, variant, allele)


def _bad(file: str, line: int, what: str) -> IngestError:
    where = f"{file} line {line}" if line else file
    return IngestError(f"the PLINK files cannot be read: {what}", code="bad_plink", where=where)
