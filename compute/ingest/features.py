"""Feature x value text: one person's measurements in one namespace.

    ##namespace=Ensembl
    ##unit=TPM
    ##assay=RNA-seq
    feature_id<TAB>value

Missing is an empty value, "NA" or "."; a written NaN or infinity is refused, since a program
that writes one did not mean "not measured". Never keeps two values of one feature. Every other
format of measurements ends here as well: `compute.ingest.measured` reads one person's part of it,
and `write_features` writes that as the file to encrypt.
"""

from __future__ import annotations

import math
import re
from typing import Final

import numpy as np

from compute.errors import IngestError
from compute.ingest.namespaces import NUMBER
from compute.parsed import Features, Limits, Modality

_MISSING: Final = frozenset({"", "NA", "."})
_META: Final = ("namespace", "unit", "assay")
_COLUMNS: Final = ["feature_id", "value"]
_TEXT: Final = re.compile(r"[^\x00-\x1f\x7f]{1,200}\Z")
_ID: Final = re.compile(r"[^\s\x00-\x1f\x7f]{1,400}\Z")


def is_feature_text(text: str) -> bool:
    """Tell whether a text's first line that is no ## line is feature_id<TAB>value."""
    at = 0
    while text.startswith("##", at):
        at = text.find("\n", at) + 1
        if at == 0:
            return False
    end = text.find("\n", at, at + 40)
    return text[at : end if end >= 0 else len(text)].rstrip("\r") == "\t".join(_COLUMNS)


def write_features(features: Features) -> bytes:
    """Return one person's measurements as a feature file, ready to be encrypted."""
    head = "".join(f"##{key}={getattr(features, key)}\n" for key in _META)
    pairs = zip(features.ids, features.values.tolist(), strict=True)
    rows = "".join(f"{name}\t{'NA' if math.isnan(v) else repr(v)}\n" for name, v in pairs)
    return f"{head}{_COLUMNS[0]}\t{_COLUMNS[1]}\n{rows}".encode()


def parse_feature_text(text: str, limits: Limits, modality: Modality = "expression") -> Features:
    """Parse a feature file. Raises IngestError naming the line."""
    lines = text.removeprefix("\ufeff").split("\n")
    meta, first = _meta(lines)
    if not lines[-1]:
        lines.pop()
    else:
        raise _at(len(lines), "truncated", "the last line does not end: the file is cut short")
    if len(lines) - first > limits.max_features:
        raise _at(first, "too_many_records", f"more than {limits.max_features} features")
    seen: dict[str, float] = {}
    for number, line in enumerate(lines[first:], first + 1):
        name, value = _row(line, number)
        if name in seen:
            raise _at(number, "duplicate_feature", "the feature is written a second time")
        seen[name] = value
    if not seen:
        raise _at(first, "no_features", "the file lists no feature")
    values = np.fromiter(seen.values(), np.float64, len(seen))
    return Features(
        meta["namespace"], meta["unit"], meta["assay"], tuple(seen), values, modality=modality
    )


def _meta(lines: list[str]) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    at = 0
    for at, line in enumerate(lines):
        if not line.startswith("##"):
            break
        key, _, value = line[2:].strip().partition("=")
        if key in _META:
            if not _TEXT.match(value):
                raise _at(at + 1, "bad_header", f"{key} is empty, too long or not plain text")
            found[key] = value
    if lines[at].rstrip("\r").split("\t") != _COLUMNS:
        raise _at(
            at + 1, "not_features", "expected the column line feature_id<TAB>value after ## lines"
        )
    missing = [key for key in _META if key not in found]
    if missing:
        raise _at(at + 1, "bad_header", f"add the line ##{missing[0]}=… before the columns")
    return found, at + 1


def _row(line: str, number: int) -> tuple[str, float]:
    name, tab, value = line.rstrip("\r").partition("\t")
    if not tab or "\t" in value or not _ID.match(name):
        raise _at(number, "bad_record", "a line must be feature_id<TAB>value")
    if value in _MISSING:
        return name, math.nan
    if not NUMBER.match(value) or not math.isfinite(float(value)):
        raise _at(
            number, "bad_value", "the value is not a finite number; write NA where it is missing"
        )
    return name, float(value)


def _at(line: int, code: str, message: str) -> IngestError:
    return IngestError(message, code=code, where=f"line {line}")
