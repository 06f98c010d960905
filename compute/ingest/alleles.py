"""REF and ALT of array sites: the table an array file's letters are held against.

Either a VCF (its first five columns, build from ##contig lengths), or

    ##build=GRCh37
    1<TAB>752566<TAB>G<TAB>A

One REF a position; several ALT comma-joined or on several lines. Single bases only are used: an
array's I and D letters name no sequence. Never guesses a strand.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, get_args

from compute.builds import CONTIG_CODE, LENGTHS, Build, canonical_contig
from compute.errors import IngestError
from compute.ingest.source import decode, inflate
from compute.ingest.vcf import header_contigs, is_vcf
from compute.parsed import Limits

Site: TypeAlias = tuple[int, int]  # contig code, 1-based position
_BUILD: Final = re.compile(r"##?\s?build=(\S+)\s*\Z")
_ALTS: Final = re.compile(r"[ACGT](,[ACGT])*\Z")
_BASE: Final = re.compile(r"[ACGT]\Z")


@dataclass(frozen=True, slots=True)
class AlleleTable:
    """REF and ALTs by site, for one build; ``other``: lines not of single bases, counted."""

    build: Build
    sites: Mapping[Site, tuple[str, tuple[str, ...]]]
    other: int


def parse_alleles(data: bytes, limits: Limits) -> AlleleTable:
    """Parse an allele table (plain or gzip). Raises IngestError ``bad_alleles``."""
    plain = inflate(data, limits)
    text = decode(plain)
    vcf = is_vcf(plain)
    build = header_contigs(text, limits) if vcf else _stated_build(text)
    columns = (0, 1, 3, 4) if vcf else (0, 1, 2, 3)
    found: dict[Site, tuple[str, list[str]]] = {}
    counts: Counter[str] = Counter()
    for number, line in enumerate(text.split("\n"), 1):
        if line and not line.startswith("#"):
            _line(line.rstrip("\r").split("\t"), columns, build, number, found, counts)
    if len(found) > limits.max_features:
        raise _bad(f"it lists more than {limits.max_features} sites", 0)
    sites = {site: (ref, tuple(dict.fromkeys(alts))) for site, (ref, alts) in found.items()}
    return AlleleTable(build, sites, counts["other"])


def _stated_build(text: str) -> Build:
    match = _BUILD.match(text.partition("\n")[0].rstrip("\r"))
    for known in get_args(Build):
        if match and match[1] == known:
            return known  # type: ignore[no-any-return]
    raise _bad("its first line must be ##build=GRCh37 or ##build=GRCh38", 1)


def _line(
    fields: list[str],
    columns: tuple[int, int, int, int],
    build: Build,
    number: int,
    found: dict[Site, tuple[str, list[str]]],
    counts: Counter[str],
) -> None:
    if len(fields) <= columns[3]:
        raise _bad("a line lacks chromosome, position, REF or ALT", number)
    contig, pos, ref, alt = (fields[at] for at in columns)
    code = CONTIG_CODE.get(canonical_contig(contig) or "", -1)
    if code < 0 or not _BASE.match(ref) or not _ALTS.match(alt):
        counts["other"] += 1
        return
    if not (pos.isascii() and pos.isdigit() and len(pos) <= 10) or not (
        1 <= int(pos) <= LENGTHS[build][code]
    ):
        raise _bad("a position lies outside its chromosome", number)
    known = found.setdefault((code, int(pos)), (ref, []))
    if known[0] != ref or ref in alt.split(","):
        raise _bad("a position has two REF, or an ALT equals REF", number)
    known[1].extend(alt.split(","))


def _bad(what: str, line: int) -> IngestError:
    where = f"allele table line {line}" if line else "allele table"
    return IngestError(f"the REF/ALT table cannot be used: {what}", code="bad_alleles", where=where)
