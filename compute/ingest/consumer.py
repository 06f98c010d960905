"""Raw data of 23andMe, AncestryDNA, FamilyTreeDNA and MyHeritage, as downloaded.

A small strict reader of our own. The kept-up library for these files, `snps` (2.12.1 of January
2026), was measured in its place and left: it takes a row cut within its position for one of another
place, keeps letters that are no bases, drops rows without a place uncounted, and inflates 200 MB of
rows out of a small gzip (936 MB resident, where a child may have 512 MiB); it brings pandas, 84 MB.
Here every row is kept, counted by reason, or the file is refused. The tests hold both to agree on
every row of each vendor's formats (tests/compute/ingest/test_ingest_consumer_peer.py).

A row gives letters on the forward strand of a build, not REF and ALT. What is kept: single-base
rows whose site the REF/ALT table (`alleles`) knows and whose letters are among its alleles.
Everything else is counted: ``no_reference_allele`` (site not in the table), ``alleles_differ``,
``indel_letters`` (I and D), ``unplaced``, ``other_contig``, ``duplicate_marker``. Without a table
no row can be resolved and the file is refused. The build is that of the file's own comment, of
well-known markers, or stated beside the file; they must agree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from compute.builds import CONTIG_CODE, LENGTHS, Build, canonical_contig
from compute.errors import IngestError
from compute.ingest.alleles import AlleleTable
from compute.ingest.arrayrows import ArrayRows
from compute.parsed import Callability, Genotypes, Limits

Letters: TypeAlias = str  # "AA", "AG", "A"; "" = no call; "ID" with insertion/deletion letters
_VENDORS: Final = (
    ("23andMe", re.compile(r"#.{0,80}23andMe", re.IGNORECASE)),
    ("AncestryDNA", re.compile(r"#\s?Ancestry", re.IGNORECASE)),
    ("MyHeritage", re.compile(r"#.{0,80}MyHeritage", re.IGNORECASE)),
    ("FTDNA", re.compile(r"#.{0,80}famfinder", re.IGNORECASE)),
)
_FTDNA: Final = "rsid,chromosome,position,result"
_PLACE: Final = ("chromosome", "position")
_HEADERS: Final = {  # of each vendor's formats; the second is of some exports
    "23andMe": (("rsid", *_PLACE, "genotype"), ("rsid", *_PLACE, "allele1", "allele2")),
    "AncestryDNA": (("rsid", *_PLACE, "allele1", "allele2"),),
    "MyHeritage": (("rsid", *_PLACE, "result"),),
    "FTDNA": (("rsid", *_PLACE, "result"), ("name", *_PLACE, "allele1", "allele2")),
}
_BUILD: Final = re.compile(r"\b(?:build|GRCh|hg)[ _]?(\d{2})(?!\d)", re.IGNORECASE)
_OF_NUMBER: Final[dict[str, Build]] = {
    "37": "GRCh37", "19": "GRCh37", "38": "GRCh38",
}  # fmt: skip
# Positions of markers nearly every array holds: (GRCh37, GRCh38); NCBI36 to refuse it by name.
_MARKERS: Final = {
    "rs3094315": (752566, 817186, 742429),
    "rs11928389": (50927009, 50889578, 50908372),
    "rs964481": (27656823, 27638706, 27566744),
    "rs2341354": (918573, 983193, 908436),
    "rs1329546": (135474420, 136392261, 135302086),
}
_CODES: Final = {"23": "X", "24": "Y", "25": "X", "26": "MT", "XY": "X"}  # 25, XY: PAR, on X
_NAME: Final = re.compile(r"[A-Za-z0-9_.:;,-]{1,80}\Z")
_LETTERS: Final = re.compile(r"[ACGTID]{1,2}\Z")
_NO_CALL: Final = frozenset({"--", "00", "-", "0", ""})
_HEAD: Final = 64 << 10


@dataclass(slots=True)
class _Reading:
    vendor: str
    header: tuple[str, ...] = ()
    rows: list[tuple[str, int, int, Letters]] = field(default_factory=list)
    builds: set[Build | str] = field(default_factory=set)
    skipped: Counter[str] = field(default_factory=Counter)
    records: int = 0


def vendor_of(plain: bytes) -> str | None:
    """Return whose raw data file bytes start as, or None."""
    head = plain[:_HEAD].removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    lines = head.split("\n")[:100]
    for vendor, pattern in _VENDORS:
        if any(pattern.match(line) for line in lines if line.startswith("#")):
            return vendor
    return "FTDNA" if lines[0].strip().replace('"', "").lower() == _FTDNA else None


def parse_consumer(
    text: str,
    vendor: str,
    *,
    build: Build | None,
    alleles: AlleleTable | None,
    callability: Callability | None,
    limits: Limits,
) -> Genotypes:
    """Parse a vendor's raw data into Genotypes of callability array-manifest.

    Raises IngestError: bad_record, bad_genotype, build_unclear, build_wrong, no_alleles,
    alleles_differ, callability_conflict.
    """
    if callability not in {None, "array-manifest"}:
        raise IngestError(
            f"an array file covers its own sites: it cannot be {callability}",
            code="callability_conflict",
        )
    reading = _read(text, vendor, limits)
    settled = _settle_build(reading.builds, build)
    if alleles is None:
        raise IngestError(
            f"the file gives letters at {len(reading.rows)} sites, and neither REF nor ALT: none "
            "can be kept without a REF/ALT table of the array's sites (alleles=)",
            code="no_alleles",
        )
    if alleles.build != settled:
        raise IngestError(
            f"the file is on {settled}, the REF/ALT table on {alleles.build}", code="build_wrong"
        )
    rows = ArrayRows(settled, alleles, reading.skipped)
    for name, code, pos, letters in reading.rows:
        if not 1 <= pos <= LENGTHS[settled][code]:
            raise IngestError(
                f"a position lies outside its chromosome of {settled}", code="bad_position",
                where=f"marker {name}",
            )  # fmt: skip
        rows.add((code, pos), letters)
    return rows.finish(vendor, reading.records)


def _read(text: str, vendor: str, limits: Limits) -> _Reading:
    text = text.removeprefix("\ufeff")
    reading = _Reading(vendor)
    # Some of AncestryDNA's downloads have several blanks between columns.
    separator = {"FTDNA": ",", "MyHeritage": ",", "AncestryDNA": None}.get(vendor, "\t")
    for number, line in _lines(text):
        if line.startswith("#"):
            reading.builds |= _stated(line)
        fields = [cell.strip() for cell in line.lstrip("# ").replace('"', "").split(separator)]
        named = tuple(cell.lower() for cell in fields)
        if named in _HEADERS[vendor] and reading.header in {(), named}:
            reading.skipped["repeated_header"] += bool(reading.header)
            reading.header = named
        elif not line.startswith("#"):
            if not reading.header:
                raise _bad(number, f"expected the column line of {vendor} before the first row")
            _row(fields, number, reading, limits)
    if not reading.records:
        raise IngestError(f"the {vendor} file lists no marker", code="no_records")
    reading.skipped += Counter()  # drops zero counts
    return reading


def _lines(text: str) -> Iterator[tuple[int, str]]:
    lines = text.split("\n")
    if lines[-1]:
        raise IngestError(
            "the last line does not end: the file is cut short", code="truncated",
            where=f"line {len(lines)}",
        )  # fmt: skip
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _row(fields: list[str], number: int, reading: _Reading, limits: Limits) -> None:
    reading.records += 1
    if reading.records > limits.max_features:
        raise _bad(number, f"more than {limits.max_features} markers")
    if len(fields) != len(reading.header) or not _NAME.match(fields[0]):
        raise _bad(number, "a row must hold " + ", ".join(reading.header))
    name, chromosome, position = fields[0], fields[1], fields[2]
    letters = _letters("".join(fields[3:]).upper(), number)
    if chromosome in {"", "0", "--"} or position in {"", "0", "--"}:
        reading.skipped["unplaced"] += 1
        return
    if not (position.isascii() and position.isdigit() and len(position) <= 10):
        raise _bad(number, "the position is not a whole number")
    pos = int(position)
    _see_marker(name, pos, reading)
    code = CONTIG_CODE.get(canonical_contig(_CODES.get(chromosome.upper(), chromosome)) or "", -1)
    if code < 0:
        reading.skipped["other_contig"] += 1
    else:
        reading.rows.append((name, code, pos, letters))


def _letters(text: str, number: int) -> Letters:
    if text in _NO_CALL:
        return ""
    if len(text) == 2 and ("-" in text or "0" in text):
        return ""  # one of two letters: half a call is none
    if not _LETTERS.match(text):
        raise IngestError(
            "the genotype is not made of A, C, G, T, I, D", code="bad_genotype",
            where=f"line {number}",
        )  # fmt: skip
    return text


def _see_marker(name: str, pos: int, reading: _Reading) -> None:
    known = _MARKERS.get(name)
    if known is not None and pos in known:
        reading.builds.add(("GRCh37", "GRCh38", "NCBI36")[known.index(pos)])


def _stated(line: str) -> set[Build | str]:
    return {_OF_NUMBER.get(number, f"build {number}") for number in _BUILD.findall(line)}


def _settle_build(found: set[Build | str], stated: Build | None) -> Build:
    agreed = found | ({stated} if stated else set())
    if not agreed:
        raise IngestError(
            "the genome build is unclear: no comment and no known marker tells it; say which "
            "build the download is on",
            code="build_unclear",
        )
    for build in _OF_NUMBER.values():
        if agreed == {build}:
            return build
    names = ", ".join(sorted(agreed))
    raise IngestError(
        f"the file speaks of {names}; one of GRCh37 and GRCh38 is accepted and never a mixture",
        code="build_wrong",
    )


def _bad(number: int, what: str) -> IngestError:
    return IngestError(what, code="bad_record", where=f"line {number}")
