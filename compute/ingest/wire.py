"""Bytes of an ingested file between the confined child and its parent. No pickle.

    "OMICWIR1" | u32 length of head | head (JSON) | buffers, each 8-byte aligned

The parent decodes what a possibly subverted child sent, so ``decode`` trusts nothing: lengths,
types, ranges and order are checked and every fault is ParserDiedError.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, Final, cast, get_args

import numpy as np

from compute.builds import CONTIGS, Build
from compute.errors import ComputeError, IngestError
from compute.ingest import wire_clinical
from compute.ingest.wire_check import faulty, require, whole
from compute.parsed import (
    CALLABILITIES,
    FEATURE_MODALITIES,
    Clinical,
    Features,
    Genotypes,
    Intervals,
    Parsed,
    Participant,
    Sex,
)

MAGIC: Final = b"OMICWIR1"
_MAX_HEAD: Final = 4 << 20
_STRETCH: Final = ("contig", "start", "end", "ploidy")
_TYPES: Final[Mapping[str, Any]] = {"i1": np.int8, "i4": np.int32, "i8": np.int64, "f8": np.float64}


def encode(parsed: Parsed) -> bytes:
    """Return the wire form of an ingested file."""
    if isinstance(parsed, Genotypes):
        meta = {
            "kind": "genotypes",
            "sample": parsed.sample,
            "build": parsed.build,
            "callability": parsed.callability,
            "records": parsed.records,
            "skipped": dict(parsed.skipped),
            "no_calls": dict(parsed.no_calls),
        }
        return _frame(
            meta,
            {"contig": parsed.contig, "pos": parsed.pos, "dosage": parsed.dosage,
             "ploidy": parsed.ploidy, **_stretches(parsed.covered)},
            {"ref": parsed.ref, "alt": parsed.alt},
        )  # fmt: skip
    if isinstance(parsed, Features):
        meta = {"kind": "features", "namespace": parsed.namespace, "unit": parsed.unit,
                "assay": parsed.assay, "modality": parsed.modality,
                "skipped": dict(parsed.skipped)}  # fmt: skip
        return _frame(meta, {"values": parsed.values}, {"ids": parsed.ids})
    if isinstance(parsed, Clinical):
        return _frame(*wire_clinical.encode(parsed))
    meta = {
        "kind": "participant",
        "participant": parsed.participant,
        "sex": parsed.sex,
        "population": parsed.population,
        "covariates": dict(parsed.covariates),
    }
    return _frame(meta, {}, {})


def _stretches(covered: Intervals | None) -> dict[str, np.ndarray]:
    if covered is None:
        return {}
    return {f"covered_{name}": getattr(covered, name) for name in _STRETCH}


def encode_error(error: IngestError) -> bytes:
    """Return the wire form of a refusal."""
    meta = {
        "kind": "error",
        "reason": error.reason,
        "code": error.code,
        "where": error.where,
        "name": error.name,
    }
    return _frame(meta, {}, {})


def _frame(
    meta: dict[str, Any], arrays: Mapping[str, np.ndarray], texts: Mapping[str, tuple[str, ...]]
) -> bytes:
    buffers: list[bytes] = []
    parts: list[list[Any]] = []
    for name, array in arrays.items():
        kind = f"{array.dtype.kind}{array.dtype.itemsize}"
        buffers.append(array.astype(f"<{kind}", copy=False).tobytes())
        parts.append([name, kind, len(array), len(buffers[-1])])
    for name, strings in texts.items():
        buffers.append("\n".join(strings).encode())
        parts.append([name, "text", len(strings), len(buffers[-1])])
    head = json.dumps({"meta": meta, "parts": parts}, separators=(",", ":")).encode()
    out = [MAGIC, struct.pack("<I", len(head)), head]
    for buffer in buffers:
        out.append(b"\0" * (-sum(map(len, out)) % 8))
        out.append(buffer)
    return b"".join(out)


def decode(data: bytes) -> Parsed:
    """Rebuild an ingested file from its wire form.

    Raises IngestError where the child refused the file, ParserDiedError for a faulty frame.
    """
    try:
        return _decode(data)
    except ComputeError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as e:
        raise faulty() from e


def _decode(data: bytes) -> Parsed:
    meta, parts = _unframe(data)
    kind = meta.pop("kind")
    if kind == "error":
        raise _refusal(meta)
    if kind == "genotypes":
        return _genotypes(meta, parts)
    if kind == "features":
        return _features(meta, parts)
    if kind == "clinical":
        return wire_clinical.decode(meta, parts)
    require(kind == "participant" and not parts)
    return _participant(meta)


def _unframe(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    require(data[:8] == MAGIC and len(data) >= 12)
    (size,) = struct.unpack_from("<I", data, 8)
    require(size <= _MAX_HEAD and 12 + size <= len(data))
    head = json.loads(data[12 : 12 + size])
    at = 12 + size
    parts: dict[str, Any] = {}
    for name, kind, count, length in head["parts"]:
        at += -at % 8
        require(whole(count) and whole(length) and at + length <= len(data))
        parts[str(name)] = _part(data, kind, count, at, length)
        at += length
    require(at == len(data))
    return dict(head["meta"]), parts


def _part(data: bytes, kind: str, count: int, at: int, length: int) -> Any:
    if kind == "text":
        strings = tuple(data[at : at + length].decode().split("\n")) if count else ()
        require(len(strings) == count)
        return strings
    require(kind in _TYPES and length == count * np.dtype(_TYPES[kind]).itemsize)
    return np.frombuffer(data, f"<{kind}", count, at)


def _genotypes(meta: dict[str, Any], parts: dict[str, Any]) -> Genotypes:
    covered = _covered(parts)
    found = Genotypes(
        covered=covered,
        **{**meta, "skipped": _counts(meta["skipped"]), "no_calls": _counts(meta["no_calls"])},
        **parts,
    )
    n = len(found.pos)
    columns = (found.contig, found.dosage, found.ploidy, found.ref, found.alt)
    require(all(len(column) == n for column in columns))
    require(found.pos.dtype == np.int32 and isinstance(found.sample, str))
    require(found.contig.dtype == found.dosage.dtype == found.ploidy.dtype == np.int8)
    require(found.build in get_args(Build) and found.callability in CALLABILITIES)
    require(whole(found.records))
    require(n == 0 or bool(_rows_hold(found)))
    return found


def _covered(parts: dict[str, Any]) -> Intervals | None:
    """Take the covered stretches out of the parts: within contigs, sorted and disjoint."""
    if f"covered_{_STRETCH[0]}" not in parts:
        return None
    found = Intervals(**{name: parts.pop(f"covered_{name}") for name in _STRETCH})
    require(found.start.dtype == found.end.dtype == np.int32)
    require(found.contig.dtype == found.ploidy.dtype == np.int8)
    require(len(found.contig) == len(found.start) == len(found.end) == len(found.ploidy))
    fits = (found.contig >= 0) & (found.contig < len(CONTIGS)) & (found.start >= 1)
    require(bool(np.all(fits & (found.end >= found.start) & np.isin(found.ploidy, (1, 2)))))
    places = found.contig.astype(np.int64) << 32
    require(bool(np.all((places + found.start)[1:] > (places + found.end)[:-1])))
    return found


def _rows_hold(g: Genotypes) -> np.bool_:
    fits = (g.contig >= 0) & (g.contig < len(CONTIGS)) & (g.pos >= 1)
    calls = (g.ploidy >= 0) & (g.ploidy <= 2) & (g.dosage >= -1) & (g.dosage <= g.ploidy)
    agree = (g.dosage == -1) == (g.ploidy == 0)
    place = g.contig.astype(np.int64) * (1 << 32) + g.pos
    return np.all(fits & calls & agree) & np.all(np.diff(place) >= 0)


def _features(meta: dict[str, Any], parts: dict[str, Any]) -> Features:
    found = Features(**{**meta, "skipped": _counts(meta["skipped"])}, **parts)
    require(found.modality in FEATURE_MODALITIES)
    require(len(found.ids) == len(found.values) == len(set(found.ids)))
    require(found.values.dtype == np.float64 and not np.isinf(found.values).any())
    require(all(isinstance(t, str) for t in (found.namespace, found.unit, found.assay)))
    return found


def _participant(meta: dict[str, Any]) -> Participant:
    found = Participant(**meta)
    require(isinstance(found.participant, str) and found.sex in get_args(Sex))
    require(found.population is None or isinstance(found.population, str))
    require(
        all(
            isinstance(k, str) and isinstance(v, float) and math.isfinite(v)
            for k, v in found.covariates.items()
        )
    )
    return found


def _refusal(meta: dict[str, Any]) -> IngestError:
    short = {key: str(meta[key])[:400] for key in ("reason", "code", "where", "name")}
    return IngestError(
        short["reason"], code=short["code"], where=short["where"], name=short["name"]
    )


def _counts(value: Any) -> dict[str, int]:
    require(isinstance(value, dict) and all(whole(v) for v in value.values()))
    return cast("dict[str, int]", value)
