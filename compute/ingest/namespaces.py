"""Which identifiers a column of names is made of, and the numbers beside them.

A namespace is recognised only where nearly every name has its pattern; a gene symbol has none, so
it must be stated. Never changes a name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

from compute.errors import IngestError

_SHARE: Final = 0.9
_PATTERNS: Final = {
    "Ensembl": re.compile(r"ENS[A-Z]{0,6}[GTP]\d{11}(\.\d{1,3})?(_PAR_Y)?\Z"),
    "CpG": re.compile(r"(c[gh]\d{8}|ch\.\S+|rs\d+)(_[A-Z]{2}\d{2})?\Z"),
    "UniProt": re.compile(
        r"([OPQ]\d[A-Z0-9]{3}\d|[A-NR-Z]\d([A-Z][A-Z0-9]{2}\d){1,2})(-\d{1,3})?\Z"
    ),
    "HMDB": re.compile(r"HMDB\d{5,7}\Z"),
    "ChEBI": re.compile(r"CHEBI:\d+\Z"),
    "ASV": re.compile(r"[ACGT]{50,}\Z"),
    "IPI": re.compile(r"IPI\d{8}(\.\d+)?\Z"),
}
NAME: Final = re.compile(r"[^\s\x00-\x1f\x7f]{1,400}\Z")
TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}\Z")
# A plain decimal or scientific number; Python's float() also takes "1_000" and "nan".
NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?\Z", re.ASCII)
MISSING: Final = frozenset({"", "NA", "."})
# What numpy, pandas and R write for a missing cell: missing, and counted.
WRITTEN_NAN: Final = frozenset({"NaN", "nan", "NAN", "null", "N/A", "n/a"})
_COUNTS: Final = frozenset({"count", "counts"})
_NOT_NEGATIVE: Final = _COUNTS | {"tpm", "fpkm", "rpkm", "cpm", "intensity"}


def namespace_of(names: Iterable[str]) -> str | None:
    """Return the namespace at least nine tenths of the names belong to, or None."""
    listed = list(names)
    for namespace, pattern in _PATTERNS.items():
        fitting = sum(pattern.match(name) is not None for name in listed)
        if listed and fitting >= _SHARE * len(listed):
            return namespace
    return None


def number(text: str, where: str) -> float | None:
    """Return a cell's number, NaN for a missing cell, None for a written NaN.

    Raises IngestError ``bad_value``.
    """
    if text in MISSING:
        return math.nan
    if text in WRITTEN_NAN:
        return None
    if not NUMBER.match(text) or not math.isfinite(float(text)):
        raise IngestError("the value is not a finite number", code="bad_value", where=where)
    return float(text)


def check_range(values: Sequence[float], unit: str, where: str) -> None:
    """Refuse values a unit cannot have: beta outside 0-1, negative or broken counts.

    Raises IngestError ``bad_value``.
    """
    kind = unit.lower()
    present = [value for value in values if not math.isnan(value)]
    if kind == "beta" and any(not 0 <= value <= 1 for value in present):
        raise _out(where, "a methylation beta lies outside 0 to 1; are these M-values?")
    if kind in _NOT_NEGATIVE and any(value < 0 for value in present):
        raise _out(where, f"a value in {unit} is negative")
    if kind in _COUNTS and any(value != int(value) for value in present):
        raise _out(where, "a count is not a whole number; state the unit the values are in")


def _out(where: str, what: str) -> IngestError:
    return IngestError(what, code="bad_value", where=where)
