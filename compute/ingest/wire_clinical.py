"""Clinical records on the wire: columns of terms and of measurements, checked on arrival."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import numpy as np

from compute.ingest.codes import age_of, is_curie, year_of
from compute.ingest.wire_check import require, whole
from compute.parsed import Clinical, Demographics, Measurement, Sex, Term

_SOURCES: Final = frozenset({"phenopacket", "fhir", "openehr"})
_NO_TIME: Final = np.iinfo(np.int64).min

Frame = tuple[dict[str, Any], Mapping[str, np.ndarray], Mapping[str, tuple[str, ...]]]


def encode(record: Clinical) -> Frame:
    """Return (meta, arrays, texts) of a record."""
    d, numbers = record.demographics, record.measurements
    meta: dict[str, Any] = {
        "kind": "clinical",
        "source": record.source,
        "sex": d.sex,
        "birth_year": d.birth_year,
        "region": d.region,
        "last_seen": d.last_seen,
        "skipped": dict(record.skipped),
        "mended": dict(record.mended),
    }
    times = [_NO_TIME if m.time_ms is None else m.time_ms for m in numbers]
    arrays: dict[str, np.ndarray] = {
        "excluded": np.array([term.excluded for term in record.terms], np.int8),
        "value": np.array([m.value for m in numbers], np.float64),
        "time": np.array(times, np.int64),
    }
    texts = {
        "term": tuple(term.curie for term in record.terms),
        "label": tuple(term.label for term in record.terms),
        "onset": tuple(term.onset or "" for term in record.terms),
        "code": tuple(m.curie for m in numbers),
        "unit": tuple(m.unit for m in numbers),
    }
    return meta, arrays, texts


def decode(meta: dict[str, Any], parts: dict[str, Any]) -> Clinical:
    """Rebuild a record; every code, time and number is checked. Raises ParserDiedError."""
    require(meta["source"] in _SOURCES)
    mended = meta.get("mended", {})  # not in copies made before it was kept
    return Clinical(
        meta["source"], _terms(parts), _measurements(parts), _demographics(meta),
        _counts(meta["skipped"]), _counts(mended),
    )  # fmt: skip


def _counts(found: Any) -> dict[str, int]:
    require(isinstance(found, dict) and all(whole(count) for count in found.values()))
    return dict(found)


def _demographics(meta: dict[str, Any]) -> Demographics:
    year, region = meta["birth_year"], meta["region"]
    seen = meta.get("last_seen")  # not in copies made before it was kept
    require(meta["sex"] in get_args(Sex))
    require(year is None or (whole(year) and 1850 <= year <= 2200))
    require(region is None or (isinstance(region, str) and region.isalpha() and len(region) <= 3))
    require(seen is None or (isinstance(seen, str) and bool(age_of(seen) or year_of(seen))))
    return Demographics(meta["sex"], year, region, seen)


def _terms(parts: dict[str, Any]) -> tuple[Term, ...]:
    codes, labels, onsets = parts["term"], parts["label"], parts["onset"]
    excluded = parts["excluded"]
    require(excluded.dtype == np.int8 and bool(np.isin(excluded, (0, 1)).all()))
    require(len(codes) == len(labels) == len(onsets) == len(excluded))
    require(all(map(is_curie, codes)) and all(map(_onset, onsets)))
    require(all(len(label) <= 200 and label.isprintable() for label in labels))
    rows = zip(codes, labels, excluded.tolist(), onsets, strict=True)
    return tuple(Term(code, label, bool(no), onset or None) for code, label, no, onset in rows)


def _onset(text: str) -> bool:
    return not text or bool(age_of(text)) or bool(year_of(text)) or is_curie(text)


def _measurements(parts: dict[str, Any]) -> tuple[Measurement, ...]:
    codes, units, values, times = (parts[name] for name in ("code", "unit", "value", "time"))
    require(values.dtype == np.float64 and bool(np.isfinite(values).all()))
    require(times.dtype == np.int64)
    require(len(codes) == len(units) == len(values) == len(times))
    require(all(map(is_curie, set(codes))))
    require(all(len(unit) <= 40 and unit.isprintable() for unit in set(units)))
    rows = zip(codes, values.tolist(), units, times.tolist(), strict=True)
    return tuple(
        Measurement(code, value, unit, None if time == _NO_TIME else time)
        for code, value, unit, time in rows
    )
