"""Quality summaries for the owner, before anything is encrypted.

They go to the person whose data it is and to nobody else: a call rate or a Ti/Tv of one person
is that person's data.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np

from compute.builds import Build
from compute.ingest.digest import content_digest
from compute.ingest.sex import sex_check
from compute.parsed import Callability, Clinical, Features, Genotypes, Parsed, Participant, Sex

_TRANSITIONS = frozenset({("A", "G"), ("G", "A"), ("C", "T"), ("T", "C")})


@dataclass(frozen=True, slots=True)
class GenotypeSummary:
    """QC of one sample. Ratios are None where the denominator is zero.

    covered_bases: bases of covered stretches (gVCF blocks, callable regions). sex_check: what the
    X calls suggest, to be held against what the owner knows.
    """

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
    covered_bases: int = 0
    sex_check: Sex = "unknown"

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
    lowest: float | None = None
    median: float | None = None
    highest: float | None = None
    skipped: Mapping[str, int] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True)
class ClinicalSummary:
    """QC of a clinical record: how much of what was kept, and what was left out and why.

    kept: demographics that are there (names of fields, not values). by_terminology: terms and
    measurements by CURIE prefix. series: measurements with a time. mended: codes that were
    kept, though not written as their terminology writes them, by what was done.
    """

    modality: str
    source: str
    terms: int
    excluded: int
    measurements: int
    series: int
    by_terminology: Mapping[str, int]
    kept: tuple[str, ...]
    skipped: Mapping[str, int]
    content_digest: str
    mended: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able fields."""
        return asdict(self)


Summary: TypeAlias = GenotypeSummary | FeatureSummary | ParticipantSummary | ClinicalSummary


def summarise(parsed: Parsed) -> Summary:
    """Summarise an ingested file for its owner."""
    digest = content_digest(parsed).hex()
    if isinstance(parsed, Genotypes):
        return _genotypes(parsed, digest)
    if isinstance(parsed, Features):
        return _features(parsed, digest)
    if isinstance(parsed, Clinical):
        return _clinical(parsed, digest)
    return _participant(parsed, digest)


def _features(f: Features, digest: str) -> FeatureSummary:
    present = f.values[~np.isnan(f.values)]
    marks = np.quantile(present, (0, 0.5, 1)).tolist() if len(present) else (None,) * 3
    return FeatureSummary(
        modality=f.modality,
        namespace=f.namespace,
        unit=f.unit,
        assay=f.assay,
        features=len(f),
        missing=len(f) - len(present),
        content_digest=digest,
        lowest=marks[0],
        median=marks[1],
        highest=marks[2],
        skipped=dict(f.skipped),
    )


def _clinical(c: Clinical, digest: str) -> ClinicalSummary:
    codes = [term.curie for term in c.terms] + [m.curie for m in c.measurements]
    d = c.demographics
    kept = {"sex": d.sex != "unknown", "birth_year": d.birth_year, "region": d.region}
    return ClinicalSummary(
        modality="clinical",
        source=c.source,
        terms=len(c.terms),
        excluded=sum(term.excluded for term in c.terms),
        measurements=len(c.measurements),
        series=sum(m.time_ms is not None for m in c.measurements),
        by_terminology=dict(Counter(code.partition(":")[0] for code in codes)),
        kept=tuple(name for name, there in kept.items() if there),
        skipped=dict(c.skipped),
        content_digest=digest,
        mended=dict(c.mended),
    )


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
        covered_bases=g.covered.bases() if g.covered is not None else 0,
        sex_check=sex_check(g),
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
