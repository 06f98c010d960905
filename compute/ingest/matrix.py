"""Matrices of features and samples, of which one person's column is taken: TSV, CSV, GCT 1.2/1.3.

    ##namespace=…, ##unit=…, ##assay=…      (optional lines before the columns)
    gene_id<TAB>sample1<TAB>sample2 …

Olink exports are read both ways they come: long (one row a sample and assay, with NPX) and wide
(one row a sample). One column is read, every row's width is checked. Never averages two columns
or two rows of one name.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from compute.errors import IngestError
from compute.ingest.namespaces import NAME, TEXT, number
from compute.parsed import Limits

META = ("namespace", "unit", "assay")
_ROWS_ARE_SAMPLES = frozenset({"sample", "sampleid", "sample_id", "sample id"})
_CELL = 1 << 20  # MaxQuant lists evidence ids in one cell


@dataclass(slots=True)
class Column:
    """One person's features as a reader found them; "" where the file does not say."""

    ids: list[str]
    values: list[float]
    namespace: str = ""
    unit: str = ""
    assay: str = ""
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Table:
    """A delimited text: its ## lines, its header, and its rows with their line numbers."""

    meta: dict[str, str]
    header: list[str]
    rows: Iterator[tuple[int, list[str]]]


def read_table(text: str, limits: Limits) -> Table:
    """Split a delimited text: tab, or comma or semicolon where the header has no tab.

    Raises IngestError ``truncated``, ``not_features``, ``bad_record``.
    """
    text = text.removeprefix("\ufeff")
    if not text.endswith("\n") and text.count("\n") > 0:
        text = _ended(text)
    meta, at, line = _meta(text)
    separator = "\t" if "\t" in text[at : text.find("\n", at)] else ","
    if separator == "," and "," not in text[at : text.find("\n", at)]:
        separator = ";"
    reader = csv.reader(
        io.StringIO(text[at:]), delimiter=separator, strict=True,
        quoting=csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL,
    )  # fmt: skip
    csv.field_size_limit(_CELL)
    rows = _rows(reader, line)
    header = [cell.strip() for cell in next(rows, (0, []))[1]]
    if len(header) < 2:
        raise IngestError(
            "expected columns separated by tab, comma or semicolon", code="not_features",
            where=f"line {line + 1}",
        )  # fmt: skip
    if len(header) > limits.max_columns:
        raise IngestError(f"more than {limits.max_columns} columns", code="too_many_records")
    return Table(meta, header, rows)


def _ended(text: str) -> str:
    """Return a text whose last line does not end, where that line is as wide as the header.

    Spreadsheets leave the last newline out; a line cut within its last number looks the same,
    so only a text whose last cell is quoted or missing is let through.
    """
    last = text[text.rfind("\n") + 1 :]
    cell = last.replace("\t", ",").rsplit(",", 1)[-1].strip()
    if last.endswith('"') or cell in {"NA", "NaN"}:
        return text + "\n"
    raise IngestError(
        "the last line does not end: the file is cut short (or add a newline at its end)",
        code="truncated",
        where=f"line {text.count(chr(10)) + 1}",
    )


def _meta(text: str) -> tuple[dict[str, str], int, int]:
    found: dict[str, str] = {}
    at = line = 0
    while text.startswith("##", at):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        key, _, value = text[at + 2 : end].strip().partition("=")
        if key in META:
            if not TEXT.match(value):
                raise IngestError(
                    f"{key} is empty, too long or not plain text", code="bad_header",
                    where=f"line {line + 1}",
                )  # fmt: skip
            found[key] = value
        at, line = end + 1, line + 1
    return found, at, line


def _rows(reader: Iterable[list[str]], before: int) -> Iterator[tuple[int, list[str]]]:
    number_of_line = before
    try:
        for number_of_line, cells in enumerate(reader, before + 1):
            if any(cell.strip() for cell in cells):
                yield number_of_line, cells
    except csv.Error as error:
        raise IngestError(
            "a cell is too long or its quotes do not close", code="bad_record",
            where=f"line {number_of_line + 1}",
        ) from error  # fmt: skip


def pick(names: list[str], wanted: str | None) -> int:
    """Return the index of the wanted sample among names.

    Raises IngestError ``no_sample``, ``several_samples``, ``unknown_sample``,
    ``duplicate_sample``.
    """
    if not names:
        raise IngestError("the file holds no sample", code="no_sample")
    if wanted is None and len(names) > 1:
        raise IngestError(
            f"the file holds {len(names)} samples; say which one is meant (sample=NAME)",
            code="several_samples",
        )
    found = [at for at, name in enumerate(names) if wanted in {None, name}]
    if not found:
        raise IngestError("no sample of that name is in the file", code="unknown_sample")
    if len(found) > 1:
        raise IngestError("two samples have that name", code="duplicate_sample")
    return found[0]


def parse_matrix(text: str, sample: str | None, limits: Limits, *, wide: bool = False) -> Column:
    """Read one sample of a feature x sample matrix; ``wide``: rows may be samples ("ID")."""
    table = read_table(text, limits)
    first = table.header[0].lower()
    if first in _ROWS_ARE_SAMPLES or (wide and first == "id"):
        column = _from_row(table, sample, limits)
    else:
        at = pick(table.header[1:], sample) + 1
        column = collect(table.rows, len(table.header), 0, at, limits)
    for key, value in table.meta.items():
        setattr(column, key, value)
    return column


def collect(
    rows: Iterator[tuple[int, list[str]]], width: int, name_at: int, at: int, limits: Limits
) -> Column:
    """Read the name and value columns of rows that are ``width`` cells wide."""
    column = Column([], [])
    for line, cells in rows:
        if len(cells) != width:
            raise IngestError(
                f"{len(cells)} columns where the header has {width}", code="bad_record",
                where=f"line {line}",
            )  # fmt: skip
        keep(column, cells[name_at].strip(), cells[at].strip(), f"line {line}", limits)
    return column


def keep(column: Column, name: str, cell: str, where: str, limits: Limits) -> None:
    """Add one feature; a written NaN is missing and counted. Raises IngestError."""
    if not NAME.match(name):
        raise IngestError(
            "a feature name is empty, too long, or holds a blank", code="bad_record", where=where
        )
    if len(column.ids) >= limits.max_features:
        raise IngestError(f"more than {limits.max_features} features", code="too_many_records")
    value = number(cell, where)
    if value is None:
        column.skipped["written_nan"] += 1
    column.ids.append(name)
    column.values.append(float("nan") if value is None else value)


def _from_row(table: Table, sample: str | None, limits: Limits) -> Column:
    names: list[str] = []
    rows: list[tuple[int, list[str]]] = []
    for line, cells in table.rows:
        if len(cells) != len(table.header):
            raise IngestError(
                f"{len(cells)} columns where the header has {len(table.header)}",
                code="bad_record",
                where=f"line {line}",
            )
        names.append(cells[0].strip())
        if sample in {None, names[-1]} and len(rows) < 2:
            rows.append((line, cells))
    pick(names, sample)
    column = Column([], [])
    line, cells = rows[0]
    for name, cell in zip(table.header[1:], cells[1:], strict=True):
        keep(column, name, cell.strip(), f"line {line}", limits)
    return column


def parse_gct(text: str, sample: str | None, limits: Limits) -> Column:
    """Read one sample of a GCT 1.2 or 1.3 matrix (row and column metadata are left out)."""
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1]:
        raise IngestError("the last line does not end: the file is cut short", code="truncated")
    version, sizes = lines[0].strip(), _sizes(lines)
    if len(sizes) != {"#1.2": 2, "#1.3": 4}.get(version):
        raise IngestError("not GCT 1.2 or 1.3", code="bad_header", where="line 2")
    rows, columns, before, above = (*sizes, 1, 0)[:4]
    header = [cell.strip() for cell in lines[2].rstrip("\r").split("\t")]
    body = [line for line in lines[3:-1] if line.strip()]
    if len(header) != 1 + before + columns or len(body) != above + rows:
        raise IngestError(
            "the matrix has another size than its second line states: cut short or edited",
            code="truncated",
        )
    at = 1 + before + pick(header[1 + before :], sample)
    numbered = [(n, line.rstrip("\r").split("\t")) for n, line in enumerate(body, 4)]
    column = collect(iter(numbered[above:]), len(header), 0, at, limits)
    column.skipped.update({"row_metadata_column": before} if before else {})
    column.skipped.update({"column_metadata_row": above} if above else {})
    return column


def _sizes(lines: list[str]) -> list[int]:
    cells = [cell.strip() for cell in lines[1].split("\t")] if len(lines) > 2 else []
    present = [cell for cell in cells if cell]
    fits = all(cell.isascii() and cell.isdigit() and len(cell) < 9 for cell in present)
    return [int(cell) for cell in present] if fits else []
