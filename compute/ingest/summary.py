"""Quality summaries for the owner, before anything is encrypted.

They go to the person whose data it is and to nobody else: a call rate or a Ti/Tv of one person
is that person's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np

from compute.builds import Build
from compute.ingest.digest import content_digest
from compute.parsed import Callability, Features, Genotypes, Parsed, Participant

_TRANSITIONS = frozenset({("A", "G"), ("G", "A"), ("C", "T"), ("T", "C")})


@dataclass(frozen=True, slots=True)
class GenotypeSummary:
    """QC of one sample. Ratios are None where the denominator is zero."""

    modality: str
    sample: str
    build: Build
    callability: Callability
    records: int
    variants: int
    called: int
    call_rate: float | None
    het: int
    hom_alt: int
    het_hom_ratio: float | None
    ti_tv: float | None
    contigs: int
    skipped: Mapping[str, int]
    no_calls: Mapping[str, int]
    content_digest: str

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FeatureSummary:
    """QC of one feature file."""

    modality: str
    namespace: str
    unit: str
    assay: str
    features: int
    missing: int
    content_digest: str

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ParticipantSummary:
    """What a participant record holds: field names, not values."""

    modality: str
    fields: tuple[str, ...]
    covariates: tuple[str, ...]
    content_digest: str

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able fields."""
        return asdict(self)


Summary: TypeAlias = GenotypeSummary | FeatureSummary | ParticipantSummary


def summarise(parsed: Parsed) -> Summary:
    """Summarise an ingested file for its owner."""
    digest = content_digest(parsed).hex()
    if isinstance(parsed, Genotypes):
        return _genotypes(parsed, digest)
    if isinstance(parsed, Features):
        return FeatureSummary(
            modality="expression",
            namespace=parsed.namespace,
            unit=parsed.unit,
            assay=parsed.assay,
            features=len(parsed),
            missing=int(np.isnan(parsed.values).sum()),
            content_digest=digest,
        )
    return _participant(parsed, digest)


def _genotypes(g: Genotypes, digest: str) -> GenotypeSummary:
    called = g.ploidy > 0
    het = int(((g.dosage == 1) & (g.ploidy == 2)).sum())
    hom_alt = int(((g.dosage == 2) & (g.ploidy == 2)).sum())
    return GenotypeSummary(
        modality="genotypes",
        sample=g.sample,
        build=g.build,
        callability=g.callability,
        records=g.records,
        variants=len(g),
        called=int(called.sum()),
        call_rate=_ratio(int(called.sum()), len(g)),
        het=het,
        hom_alt=hom_alt,
        het_hom_ratio=_ratio(het, hom_alt),
        ti_tv=_ti_tv(g),
        contigs=len(np.unique(g.contig)),
        skipped=dict(g.skipped),
        no_calls=dict(g.no_calls),
        content_digest=digest,
    )


def _ti_tv(g: Genotypes) -> float | None:
    """Transitions over transversions among the SNPs this person carries an ALT of."""
    carried = np.flatnonzero(g.dosage > 0).tolist()
    pairs = [(g.ref[i], g.alt[i]) for i in carried if len(g.ref[i]) == len(g.alt[i]) == 1]
    transitions = sum(pair in _TRANSITIONS for pair in pairs)
    return _ratio(transitions, len(pairs) - transitions)


def _participant(p: Participant, digest: str) -> ParticipantSummary:
    fields = ("participant", "sex", *(("population",) if p.population else ()))
    return ParticipantSummary("participant", fields, tuple(sorted(p.covariates)), digest)


def _ratio(over: int, under: int) -> float | None:
    return over / under if under else None
