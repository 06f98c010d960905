"""What a buyer types for a place, resolved before anything is paid: rs-ids and genes to variants.

    ##build=GRCh37
    name<TAB>kind<TAB>chrom<TAB>start<TAB>end<TAB>ref<TAB>alt

kind is "gene" (ref and alt "."; name a symbol or an Ensembl id) or "rsid" (one line an ALT). The
operator loads the table; a name of two places resolves to none, since guessing would sell an
answer to another question. A variant written chrom-pos-ref-alt stands for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, get_args

from compute.builds import CONTIG_CODE, Build, canonical_contig
from compute.errors import QueryError

COLUMNS: Final = ["name", "kind", "chrom", "start", "end", "ref", "alt"]
MAX_NAMES: Final = 1_000
MAX_NAME: Final = 2_100
_VARIANT: Final = re.compile(
    r"(?:chr)?([0-9]{1,2}|X|Y|M|MT)[-:]([1-9][0-9]{0,8})[-:]([ACGTN]+)[-:]([ACGTN]+)\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Loci:
    """One build's names. genes: regions CHROM:START-END; rsids: variants; both by lower case."""

    build: Build
    genes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rsids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resolved:
    """One name as asked, what it is, and what it stands for; problem says why it has nothing."""

    asked: str
    kind: str
    variants: tuple[str, ...] = ()
    region: str | None = None
    problem: str = ""


def parse_loci(data: bytes) -> Loci:
    """Parse a table. Raises QueryError ``bad_reference`` naming the line."""
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError:
        raise _bad(1, "it is not UTF-8 text") from None
    stated = lines[0].removeprefix("##build=") if lines else ""
    builds: dict[str, Build] = {name: name for name in get_args(Build)}
    if stated not in builds or len(lines) < 2 or lines[1].split("\t") != COLUMNS:
        raise _bad(1, "expected ##build=GRCh37 or GRCh38, then the seven column names")
    found: dict[str, dict[str, list[str]]] = {"gene": {}, "rsid": {}}
    for number, line in enumerate(lines[2:], 3):
        if line:
            kind, name, place = _line(number, line)
            found[kind].setdefault(name, []).append(place)
    genes, rsids = ({name: tuple(dict.fromkeys(places)) for name, places in found[kind].items()}
                    for kind in ("gene", "rsid"))  # fmt: skip
    return Loci(builds[stated], genes, rsids)


def _line(number: int, line: str) -> tuple[str, str, str]:
    cells = line.split("\t")
    if len(cells) != len(COLUMNS) or cells[1] not in ("gene", "rsid"):
        raise _bad(number, "a line has seven columns, the second gene or rsid")
    name, kind, chrom, start, end, ref, alt = cells
    contig = canonical_contig(chrom)
    whole = start.isdigit() and end.isdigit() and 1 <= int(start) <= int(end)
    if contig not in CONTIG_CODE or not whole or not name:
        raise _bad(number, "the place is not chromosome, start, end")
    if kind == "gene":
        return kind, name.lower(), f"{contig}:{int(start)}-{int(end)}"
    variant = f"{contig}-{int(start)}-{ref.upper()}-{alt.upper()}"
    if not _VARIANT.match(variant):
        raise _bad(number, "ref and alt are not made of A, C, G, T, N")
    return kind, name.lower(), variant


def resolve_names(names: Iterable[str], build: Build, tables: Iterable[Loci]) -> list[Resolved]:
    """Resolve each name on a build, in order. Raises QueryError for too many or too long ones."""
    asked = [name.strip() for name in names]
    if len(asked) > MAX_NAMES or any(len(name) > MAX_NAME for name in asked):
        raise QueryError(f"at most {MAX_NAMES} names at once, each a line's length", code="params")
    fitting = [table for table in tables if table.build == build]
    return [_one(name, fitting) for name in asked]


def pairs_by_place(build: Build, tables: Iterable[Loci]) -> dict[str, set[str]]:
    """Return chrom-pos -> REF-ALT pairs of every rs-id a build's tables list."""
    found: dict[str, set[str]] = {}
    variants = (v for table in tables if table.build == build for v in table.rsids.values())
    for variant in chain.from_iterable(variants):
        contig, pos, pair = variant.split("-", 2)
        found.setdefault(f"{contig}-{pos}", set()).add(pair)
    return found


def _one(name: str, tables: list[Loci]) -> Resolved:
    written = _VARIANT.match(name)
    if written is not None:
        contig = canonical_contig(written[1].upper())
        if contig is None:
            return Resolved(name, "variant", problem="no such chromosome")
        pos, ref, alt = int(written[2]), written[3].upper(), written[4].upper()
        return Resolved(name, "variant", (f"{contig}-{pos}-{ref}-{alt}",))
    key = name.lower()
    if re.fullmatch(r"rs[0-9]{1,12}", key):
        found = tuple(dict.fromkeys(v for table in tables for v in table.rsids.get(key, ())))
        places = {variant.rsplit("-", 2)[0] for variant in found}
        if len(places) > 1:
            return Resolved(name, "rsid", problem="it stands at several places of this build")
        return Resolved(name, "rsid", found, problem="" if found else "no loaded table has it")
    regions = tuple(dict.fromkeys(r for table in tables for r in table.genes.get(key, ())))
    if len(regions) != 1:
        several = f"it names several places: {', '.join(regions)}"
        return Resolved(name, "gene", problem=several if regions else "no loaded table has it")
    return Resolved(name, "gene", region=regions[0])


def _bad(line: int, what: str) -> QueryError:
    return QueryError(f"loci table line {line}: {what}", code="bad_reference")
