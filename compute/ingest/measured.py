"""One person's measurements from whichever file a laboratory gave: the door to every reader.

The format is told by its content. Namespace, unit and assay are the file's own, else recognised,
else stated beside it (Hints); a missing one is asked for and a contradiction refused, because two
people's values are only comparable in one unit of one namespace.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from compute.errors import IngestError
from compute.ingest.biom import is_hdf5, parse_biom_hdf5, parse_biom_json
from compute.ingest.features import is_feature_text, parse_feature_text
from compute.ingest.matrix import Column, parse_gct, parse_matrix
from compute.ingest.namespaces import TEXT, check_range, namespace_of
from compute.ingest.proteome import (
    is_maxquant,
    is_mztab,
    is_olink,
    parse_maxquant,
    parse_mztab,
    parse_olink,
)
from compute.ingest.source import decode
from compute.parsed import Features, Hints, Limits, Modality

_ASSAYS: Final[dict[Modality, str]] = {
    "expression": "expression matrix",
    "methylation": "methylation array",
    "proteomics": "protein matrix",
    "metabolomics": "metabolite matrix",
    "microbiome": "abundance table",
}


def parse_measured(
    plain: bytes, modality: Modality, sample: str | None, hints: Hints, limits: Limits
) -> Features:
    """Return one person's Features from inflated bytes of any format understood.

    Raises IngestError: not_features, several_samples, unknown_sample, bad_header, bad_value,
    duplicate_feature, no_abundance, not_biom, truncated and the like.
    """
    if is_hdf5(plain):
        return _settle(parse_biom_hdf5(plain, sample, limits), modality, hints)
    text = decode(plain)
    if is_feature_text(text):
        found = parse_feature_text(text, limits, modality)
        column = Column(
            list(found.ids), found.values.tolist(), found.namespace, found.unit, found.assay
        )
        return _settle(column, modality, hints, ours=True)
    return _settle(_read(text, modality, sample, hints, limits), modality, hints)


def _read(
    text: str, modality: Modality, sample: str | None, hints: Hints, limits: Limits
) -> Column:
    start = text.lstrip("\ufeff \t\r\n")
    header = text.removeprefix("\ufeff").partition("\n")[0]
    if start.startswith("{"):
        return parse_biom_json(text, sample, limits)
    if header.strip() in {"#1.2", "#1.3"}:
        return parse_gct(text, sample, limits)
    if is_mztab(text):
        return parse_mztab(text, sample, limits)
    if is_olink(header):
        return parse_olink(text, sample, limits)
    if is_maxquant(header):
        return parse_maxquant(text, sample, hints.unit, limits)
    column = parse_matrix(text, sample, limits, wide=modality == "proteomics")
    if not column.ids:
        raise IngestError(
            "not a table of measurements: expected feature_id<TAB>value, or a matrix of features "
            "and samples with a row of column names",
            code="not_features",
            where="line 1",
        )
    return column


def _settle(column: Column, modality: Modality, hints: Hints, *, ours: bool = False) -> Features:
    """Make Features of a column. ours: our own format, whose units are as its writer meant them."""
    if not column.ids:
        raise IngestError("the file lists no feature", code="no_features")
    _refuse_duplicates(column.ids)
    namespace = _said(column.namespace, hints.namespace, "namespace") or namespace_of(column.ids)
    unit = _said(column.unit, hints.unit, "unit") or ("beta" if modality == "methylation" else "")
    assay = _said(column.assay, hints.assay, "assay") or _ASSAYS[modality]
    if not unit and modality == "microbiome" and all(v == int(v) for v in column.values):
        unit = "count"
    for key, value in (("namespace", namespace), ("unit", unit)):
        if not value or not TEXT.match(value):
            raise IngestError(
                f"the file does not state its {key}: say it beside the file, or write a line "
                f"##{key}=… before the columns",
                code="bad_header",
                where="header",
            )
    if not ours or unit == "beta":
        check_range(column.values, unit, "values of the sample")
    values = np.array(column.values, np.float64)
    if np.isnan(values).all() and not ours:
        raise IngestError("every value of this sample is missing", code="no_features")
    skipped = dict(column.skipped + Counter())
    return Features(str(namespace), unit, assay, tuple(column.ids), values, modality, skipped)


def _said(own: str, hint: str | None, key: str) -> str:
    if own and hint and own != hint:
        raise IngestError(
            f"the file says its {key} is another than the one stated beside it",
            code="hint_conflict",
            where="header",
        )
    return own or hint or ""


def _refuse_duplicates(ids: list[str]) -> None:
    if len(set(ids)) < len(ids):
        again = sum(count > 1 for count in Counter(ids).values())
        raise IngestError(
            f"{again} feature names stand more than once; keep one row of each",
            code="duplicate_feature",
        )
