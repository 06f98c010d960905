"""Digest of normalised content, to notice a file that is already registered.

Independent of compression, record order, header, sample name and phase. It is an unkeyed hash
of personal data: a small record can be guessed from it. Keep it inside the owner's client or
the compute zone; put only a keyed form of it anywhere else.
"""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np

from compute.parsed import Clinical, Features, Genotypes, Intervals, Parsed, Participant


def content_digest(parsed: Parsed) -> bytes:
    """Return the SHA-256 (32 bytes) of an ingested file's normalised content."""
    if isinstance(parsed, Genotypes):
        stretches = () if parsed.covered is None else _covered_parts(parsed.covered)
        return _hash(b"genotypes", *_genotype_parts(parsed), *stretches)
    if isinstance(parsed, Features):
        return _hash(b"features", *_feature_parts(parsed))
    if isinstance(parsed, Clinical):
        return _hash(b"clinical", _clinical_part(parsed))
    return _hash(b"participant", _participant_part(parsed))


def _hash(kind: bytes, *parts: bytes) -> bytes:
    digest = hashlib.sha256(b"omic/content/v1")
    for part in (kind, *parts):
        digest.update(struct.pack(">Q", len(part)))
        digest.update(part)
    return digest.digest()


def _genotype_parts(g: Genotypes) -> tuple[bytes, ...]:
    return (
        g.build.encode(),
        g.contig.astype("<i1").tobytes(),
        g.pos.astype("<i4").tobytes(),
        "\n".join(g.ref).encode(),
        "\n".join(g.alt).encode(),
        g.dosage.astype("<i1").tobytes(),
        g.ploidy.astype("<i1").tobytes(),
    )


def _covered_parts(stretches: Intervals) -> tuple[bytes, ...]:
    return (
        stretches.contig.astype("<i1").tobytes(),
        stretches.start.astype("<i4").tobytes(),
        stretches.end.astype("<i4").tobytes(),
        stretches.ploidy.astype("<i1").tobytes(),
    )


def _clinical_part(c: Clinical) -> bytes:
    terms = sorted((t.curie, t.excluded, t.onset or "") for t in c.terms)
    numbers = sorted((m.curie, m.time_ms or 0, m.unit, m.value) for m in c.measurements)
    d = c.demographics
    body = [terms, numbers, d.sex, d.birth_year, d.region]
    return json.dumps(body, separators=(",", ":")).encode()


def _feature_parts(f: Features) -> tuple[bytes, ...]:
    order = sorted(range(len(f.ids)), key=f.ids.__getitem__)
    values = np.where(np.isnan(f.values), np.nan, f.values)[order]
    ids = "\n".join(f.ids[i] for i in order)
    return (f.namespace.encode(), ids.encode(), values.astype("<f8").tobytes())


def _participant_part(p: Participant) -> bytes:
    body = [p.participant, p.sex, p.population, sorted(p.covariates.items())]
    return json.dumps(body, separators=(",", ":")).encode()
