"""Olink long exports, MaxQuant proteinGroups and mzTab (1.0 and 2.0-M): one sample of each.

Rows a field leaves out by convention (decoys, contaminants, a failed QC) are left out and counted.
A MaxQuant intensity of 0 means "not quantified" and is missing here. Contacts, file paths and
titles of an mzTab are not kept. Specs: mzTab 1.0.0, mzTab-M 2.0.0; MaxQuant's own tables.txt.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from compute.errors import IngestError
from compute.ingest.matrix import Column, Table, keep, pick, read_table
from compute.parsed import Limits

_QUANTITIES: Final = ("LFQ intensity", "iBAQ", "Intensity")  # best first
_FLAGS: Final = {
    "Reverse": "decoy",
    "Potential contaminant": "contaminant",
    "Only identified by site": "only_identified_by_site",
}
_ASSAY: Final = re.compile(r"assay\[(\d{1,5})\]\Z")
_ABUNDANCE: Final = re.compile(
    r"(?:abundance_|protein_abundance_|smallmolecule_abundance_)assay\[(\d{1,5})\]\Z"
)
_UNIT: Final = re.compile(r"(?:small_molecule|smallmolecule|protein)-quantification_unit\Z")


def is_olink(header: str) -> bool:
    """Tell whether a header line is of an Olink long export."""
    cells = set(header.replace('"', "").replace(";", ",").replace("\t", ",").strip().split(","))
    return {"SampleID", "OlinkID", "NPX"} <= cells


def parse_olink(text: str, sample: str | None, limits: Limits) -> Column:
    """Read one sample of an Olink long export: OlinkID -> NPX."""
    table = read_table(text, limits)
    who, what, npx = (table.header.index(name) for name in ("SampleID", "OlinkID", "NPX"))
    qc = table.header.index("QC_Warning") if "QC_Warning" in table.header else None
    names: dict[str, None] = {}
    column = Column([], [], "Olink", "NPX", "Olink")
    for line, cells in table.rows:
        _width(cells, table, line)
        names[cells[who].strip()] = None
        if sample not in {None, cells[who].strip()}:
            continue
        failed = qc is not None and cells[qc].strip().lower() not in {"pass", ""}
        column.skipped["qc_warning"] += failed
        cell = "NA" if failed else cells[npx].strip()
        keep(column, cells[what].strip(), cell, f"line {line}", limits)
    pick(list(names), sample)
    return column


def is_maxquant(header: str) -> bool:
    """Tell whether a header line is of a MaxQuant proteinGroups table."""
    return header.startswith("Protein IDs\tMajority protein IDs\t")


def parse_maxquant(text: str, sample: str | None, unit: str | None, limits: Limits) -> Column:
    """Read one sample's intensities of a proteinGroups.txt, named by the leading protein."""
    table = read_table(text, limits)
    quantity, at = _quantity(table.header, sample, unit)
    flags = {table.header.index(n): why for n, why in _FLAGS.items() if n in table.header}
    name_at = table.header.index("Majority protein IDs")
    column = Column([], [], "", quantity, "MaxQuant")
    for line, cells in table.rows:
        # Spreadsheets drop the empty cells at a row's end; every cell that is read is there.
        if not max(at, name_at, *flags, 0) < len(cells) <= len(table.header):
            _width(cells, table, line)
        why = next((why for n, why in flags.items() if cells[n] == "+"), None)
        if why is not None:
            column.skipped[why] += 1
            continue
        cell = cells[at].strip()
        name = _leading(cells[name_at])
        keep(column, name, "NA" if cell in {"0", "NaN"} else cell, f"line {line}", limits)
    return column


def _quantity(header: list[str], sample: str | None, unit: str | None) -> tuple[str, int]:
    for quantity in _QUANTITIES if unit is None else (unit,):
        places = [n for n, name in enumerate(header) if name.startswith(f"{quantity} ")]
        if places:
            names = [header[n].removeprefix(f"{quantity} ") for n in places]
            return quantity, places[pick(names, sample)]
    raise IngestError(
        f"the table has no column of {' or '.join(_QUANTITIES)} of a sample", code="no_abundance",
        where="line 1",
    )  # fmt: skip


def _leading(names: str) -> str:
    """Return the first accession of a group: "sp|P02768|ALBU_HUMAN;…" -> "P02768"."""
    first = names.split(";", 1)[0].strip()
    parts = first.split("|")
    return parts[1] if len(parts) == 3 and parts[0] in {"sp", "tr"} else first


def is_mztab(text: str) -> bool:
    """Tell whether a text is an mzTab."""
    return "MTD\tmzTab-version\t" in text[:65536]


@dataclass(slots=True)
class _MzTab:
    meta: dict[str, str] = field(default_factory=dict)
    assays: dict[str, str] = field(default_factory=dict)  # number -> name
    header: list[str] = field(default_factory=list)
    kind: str = ""
    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def parse_mztab(text: str, sample: str | None, limits: Limits) -> Column:
    """Read one assay's abundances of an mzTab: proteins (PRT) or small molecules (SML).

    Raises IngestError ``no_abundance`` for an identification-only file.
    """
    found = _sections(text, limits)
    numbers = [n for name in found.header if (n := _assay_of(name))]
    if not numbers:
        raise IngestError(
            "the mzTab reports identifications and no abundance of an assay", code="no_abundance"
        )
    labels = [found.assays.get(n, f"assay[{n}]") for n in numbers]
    wanted = numbers[pick(labels, sample)]
    at = next(n for n, name in enumerate(found.header) if _assay_of(name) == wanted)
    small = found.kind == "SML"
    names = ("database_identifier", "identifier") if small else ("accession",)
    name_at = next((found.header.index(n) for n in names if n in found.header), None)
    if name_at is None:
        raise IngestError("the table names no identifier column", code="bad_header")
    column = Column([], [], "", found.meta.get("unit", ""), "mzTab")
    _mztab_rows(found, name_at, at, column, limits)
    column.skipped.update(found.others)
    return column


def _sections(text: str, limits: Limits) -> _MzTab:
    if not text.endswith("\n"):
        raise IngestError("the last line does not end: the file is cut short", code="truncated")
    found = _MzTab()
    for line_number, line in enumerate(text.split("\n"), 1):
        cells = line.rstrip("\r\t ").split("\t")
        prefix = cells[0]
        if prefix == "MTD" and len(cells) > 2:
            _mtd(cells, found)
        elif prefix in {"PRH", "SMH"}:
            _head(cells, line_number, found)
        elif prefix in {"PRT", "SML"}:
            found.rows.append((line_number, cells))
        elif prefix not in {"", "MTD", "COM"}:
            found.others[f"section_{prefix}"[:20] if prefix.isalpha() else "other_line"] += 1
        if len(found.rows) > limits.max_features:
            raise IngestError("too many rows", code="too_many_records")
    return found


def _mtd(cells: list[str], found: _MzTab) -> None:
    if match := _ASSAY.match(cells[1]):
        found.assays[match[1]] = cells[2].strip()
    elif _UNIT.match(cells[1]):
        parts = cells[2].strip("[] ").split(",")
        found.meta["unit"] = parts[2].strip() if len(parts) > 2 else ""


def _head(cells: list[str], line: int, found: _MzTab) -> None:
    kind = {"PRH": "PRT", "SMH": "SML"}[cells[0]]
    if found.kind:
        raise IngestError(
            "the mzTab holds both proteins and small molecules: split it", code="several_tables",
            where=f"line {line}",
        )  # fmt: skip
    found.kind, found.header = kind, cells


def _assay_of(name: str) -> str | None:
    match = _ABUNDANCE.match(name)
    return match[1] if match else None


def _mztab_rows(found: _MzTab, name_at: int, at: int, column: Column, limits: Limits) -> None:
    seen: Counter[str] = Counter(cells[name_at] for _, cells in found.rows if len(cells) > name_at)
    for line, cells in found.rows:
        if cells[0] != found.kind or not max(name_at, at) < len(cells) <= len(found.header):
            raise IngestError(
                "a row does not fit its header", code="bad_record", where=f"line {line}"
            )
        name = cells[name_at].strip()
        if name in {"", "null"}:
            column.skipped["no_identifier"] += 1
        elif seen[cells[name_at]] > 1 or "|" in name:
            column.skipped["ambiguous_identifier"] += 1
        else:
            keep(column, name, cells[at].strip(), f"line {line}", limits)


def _width(cells: list[str], table: Table, line: int) -> None:
    if len(cells) != len(table.header):
        raise IngestError(
            f"{len(cells)} columns where the header has {len(table.header)}", code="bad_record",
            where=f"line {line}",
        )  # fmt: skip
