"""BIOM tables: JSON (format 1.0) and HDF5 (2.x); one sample's counts.

HDF5 is read by h5py from memory. Links out of the file, external and virtual storage are refused
before anything is followed, and no array is read before its stated size was held against the
limits. Metadata of rows and samples (taxonomy, body sites, free text) is left out and counted.
Spec: biom-format.org, versions 1.0, 2.0, 2.1.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np

from compute.errors import IngestError
from compute.ingest.jsontext import load, number_of, objects, text_of
from compute.ingest.matrix import Column, keep, pick
from compute.parsed import Limits

_HDF5: Final = b"\x89HDF\r\n\x1a\n"


def is_hdf5(plain: bytes) -> bool:
    """Tell whether bytes are HDF5."""
    return plain.startswith(_HDF5)


def parse_biom_json(text: str, sample: str | None, limits: Limits) -> Column:
    """Read one sample of a BIOM 1.0 JSON table. Raises IngestError ``not_biom``, ``bad_json``."""
    table = load(text, what="BIOM table", limit=limits.max_json)
    if "Biological Observation Matrix" not in text_of(table.get("format")):
        raise _not_biom("its format field does not say Biological Observation Matrix")
    rows = [text_of(row.get("id")) for row in objects(table.get("rows"), "rows")]
    columns = [text_of(col.get("id")) for col in objects(table.get("columns"), "columns")]
    if table.get("shape") != [len(rows), len(columns)]:
        raise _not_biom("its shape is not that of its rows and columns")
    at = pick(columns, sample)
    kind = "ASV" if "OTU" not in text_of(table.get("type")) else "OTU"
    counts = _dense(table, rows, columns, at) if table.get("matrix_type") == "dense" else (
        _sparse(table, rows, columns, at)
    )  # fmt: skip
    column = _column(rows, counts, limits)
    column.namespace = kind if kind == "OTU" else ""
    column.unit = "count" if text_of(table.get("matrix_element_type")) == "int" else ""
    described = sum(row.get("metadata") is not None for row in objects(table["rows"], "rows"))
    column.skipped.update({"row_metadata": described} if described else {})
    return column


def _dense(table: dict[str, Any], rows: list[str], columns: list[str], at: int) -> list[float]:
    data = table.get("data")
    if not isinstance(data, list) or len(data) != len(rows):
        raise _not_biom("its data have another number of rows")
    if not all(isinstance(row, list) and len(row) == len(columns) for row in data):
        raise _not_biom("a row of its data has another width")
    return [_number(row[at]) for row in data]


def _sparse(table: dict[str, Any], rows: list[str], columns: list[str], at: int) -> list[float]:
    if table.get("matrix_type") != "sparse" or not isinstance(table.get("data"), list):
        raise _not_biom("its matrix is neither sparse nor dense")
    counts = [0.0] * len(rows)
    seen: set[int] = set()
    for cell in table["data"]:
        row, col, value = cell if isinstance(cell, list) and len(cell) == 3 else (-1, -1, None)
        if not _index(row, len(rows)) or not _index(col, len(columns)):
            raise _not_biom("a cell lies outside the table")
        if col == at:
            row = int(row)
            if row in seen:
                raise _not_biom("a cell is written twice")
            seen.add(row)
            counts[row] = _number(value)
    return counts


def _index(value: Any, bound: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < bound


def _number(value: Any) -> float:
    found = number_of(value)
    if found is None:
        raise IngestError("a cell is not a finite number", code="bad_value", where="field data")
    return found


def parse_biom_hdf5(plain: bytes, sample: str | None, limits: Limits) -> Column:
    """Read one sample of a BIOM 2.x HDF5 table. Raises IngestError ``not_biom``, ``damaged``."""
    import h5py

    try:
        with h5py.File(io.BytesIO(plain), "r") as file:
            return _hdf5(h5py, file, sample, limits)
    except IngestError:
        raise
    # h5py reports a damaged file by whichever of these its C library's error stack suggests.
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise IngestError("the HDF5 file is damaged or cut short", code="damaged") from error


def _hdf5(h5py: Any, file: Any, sample: str | None, limits: Limits) -> Column:
    version = np.asarray(file.attrs.get("format-version", ())).tolist()
    if not version or version[0] != 2:
        raise _not_biom("no BIOM format version 2 is stated (another kind of HDF5?)")
    rows = _names(_dataset(h5py, file, "observation/ids", limits))
    columns = _names(_dataset(h5py, file, "sample/ids", limits))
    at = pick(columns, sample)
    indptr = _dataset(h5py, file, "sample/matrix/indptr", limits)
    if len(indptr) != len(columns) + 1:
        raise _not_biom("its index does not fit its samples")
    data = _dataset(h5py, file, "sample/matrix/data", limits)
    indices = _dataset(h5py, file, "sample/matrix/indices", limits)
    start, end = int(indptr[at]), int(indptr[at + 1])
    if not 0 <= start <= end <= min(len(data), len(indices)):
        raise _not_biom("its index does not fit its data")
    places, values = np.asarray(indices[start:end]), np.asarray(data[start:end], np.float64)
    fits = places.size == 0 or (places.min() >= 0 and places.max() < len(rows))
    if not fits or len(set(places.tolist())) < len(places):
        raise _not_biom("a cell lies outside the table, or is written twice")
    if not np.isfinite(values).all():
        raise IngestError("a cell is not a finite number", code="bad_value")
    dense = np.zeros(len(rows))
    dense[places.astype(np.int64)] = values
    column = _column(rows, dense.tolist(), limits)
    column.namespace = "OTU" if "OTU" in str(file.attrs.get("type", "")) else ""
    return column


def _dataset(h5py: Any, file: Any, path: str, limits: Limits) -> Any:
    """Return a dataset reached by hard links alone, within the limits."""
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        if type(file.get("/".join(parts[:depth]), getlink=True)) is not h5py.HardLink:
            raise _not_biom(f"{path} is missing, or a link to elsewhere")
    found = file[path]
    if not isinstance(found, h5py.Dataset) or len(found.shape) != 1:
        raise _not_biom(f"{path} is not a list")
    if found.external or found.is_virtual:
        raise _not_biom(f"{path} is stored outside the file")
    if found.shape[0] > 4 * limits.max_features or (found.chunks or (1,))[0] > limits.max_features:
        raise IngestError(f"{path} is larger than the limit", code="too_many_records")
    return found


def _names(found: Any) -> list[str]:
    return [n.decode("utf-8") if isinstance(n, bytes) else str(n) for n in found[:].tolist()]


def _column(rows: list[str], counts: list[float], limits: Limits) -> Column:
    column = Column([], [], "", "", "BIOM")
    for name, count in zip(rows, counts, strict=True):
        keep(column, name, repr(count), "field rows", limits)
    return column


def _not_biom(what: str) -> IngestError:
    return IngestError(f"not a BIOM table: {what}", code="not_biom")
