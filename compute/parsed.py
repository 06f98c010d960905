"""Values an ingested file becomes. Plain arrays, no file, no person's name.

Genotypes: one row a (contig, pos, ref, alt) after splitting multi-allelic sites. ``dosage`` is
the number of copies of this ALT, -1 = no call; ``ploidy`` the number of alleles called at the
site (0 = no call). At a split site another ALT keeps its place: it adds to ploidy (so to AN) and
not to dosage (so not to AC). ALT "." marks a site stated to be covered and without any ALT.
Positions are 1-based (VCF 4.4 section 1.6.1). ``covered`` names stretches read and found hom-ref
(gVCF reference blocks), or callable (a BED beside a variant-only file).

Clinical: coded terms and numeric measurements only. No free text, name, address or identifier
has a field to live in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from compute.builds import Build

Modality = Literal[
    "genotypes",
    "expression",
    "participant",
    "methylation",
    "proteomics",
    "metabolomics",
    "microbiome",
    "clinical",
]
Callability = Literal["all-sites", "gvcf-blocks", "array-manifest", "variant-only"]
Sex = Literal["female", "male", "unknown"]

MODALITIES: Final[tuple[Modality, ...]] = get_args(Modality)
# Modalities kept as Features.
FEATURE_MODALITIES: Final[tuple[Modality, ...]] = (
    "expression", "methylation", "proteomics", "metabolomics", "microbiome",
)  # fmt: skip
CALLABILITIES: Final = ("all-sites", "gvcf-blocks", "array-manifest", "variant-only")
# Only these say of a site in the file, and of it alone, that it was looked at.
COVERING: Final = frozenset({"all-sites", "array-manifest"})
NO_CALL: Final = -1
NOT_COVERED: Final = -2

Int8: TypeAlias = npt.NDArray[np.int8]
Int32: TypeAlias = npt.NDArray[np.int32]
Float64: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Covered stretches: sorted, disjoint, 1-based, both ends included.

    ``ploidy`` is the copies of the reference there: 2, or 1 where the sample is haploid.
    """

    contig: Int8
    start: Int32
    end: Int32
    ploidy: Int8

    def __len__(self) -> int:
        return len(self.start)

    def bases(self) -> int:
        """Return how many bases are covered."""
        return int((self.end.astype(np.int64) - self.start + 1).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Genotypes:
    """One person's genotypes, sorted by contig, position, ref, alt."""

    sample: str
    build: Build
    callability: Callability
    contig: Int8  # index into builds.CONTIGS
    pos: Int32
    ref: tuple[str, ...]
    alt: tuple[str, ...]
    dosage: Int8
    ploidy: Int8
    records: int  # records read, before splitting and skipping
    skipped: Mapping[str, int] = field(default_factory=dict)  # records or alleles, by reason
    no_calls: Mapping[str, int] = field(default_factory=dict)  # records, by reason
    covered: Intervals | None = None  # None: the file says nothing beside its own sites

    def __len__(self) -> int:
        return len(self.pos)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Feature x value of one person; NaN = missing."""

    namespace: str
    unit: str
    assay: str
    ids: tuple[str, ...]
    values: Float64
    modality: Modality = "expression"
    skipped: Mapping[str, int] = field(default_factory=dict)  # rows or cells, by reason

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant record: what a study says of one person beside the measurements."""

    participant: str
    sex: Sex
    population: str | None
    covariates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Term:
    """A coded statement about the person. onset: ISO 8601 age, a year, or a CURIE."""

    curie: str
    label: str
    excluded: bool = False
    onset: str | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """A coded number. unit: UCUM as written; time_ms: Unix milliseconds."""

    curie: str
    value: float
    unit: str
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Demographics:
    """What a cohort needs and no more. region: country code as stated.

    last_seen: when the record last speaks of the person, an ISO 8601 age or a year.
    """

    sex: Sex = "unknown"
    birth_year: int | None = None
    region: str | None = None
    last_seen: str | None = None


@dataclass(frozen=True, slots=True)
class Clinical:
    """One person's coded record. source: phenopacket, fhir or openehr."""

    source: str
    terms: tuple[Term, ...]
    measurements: tuple[Measurement, ...]
    demographics: Demographics
    skipped: Mapping[str, int] = field(default_factory=dict)  # items, by reason
    mended: Mapping[str, int] = field(default_factory=dict)  # codes kept in another form, by reason


Parsed: TypeAlias = Genotypes | Features | Participant | Clinical


@dataclass(frozen=True, slots=True)
class Hints:
    """What is said beside the file, where the file is silent; a contradiction is refused.

    ``alleles``: REF/ALT table of array sites (compute.ingest.alleles). ``regions``: BED of the
    callable regions of a variant-only file. Both plain or gzip bytes.
    """

    build: Build | None = None
    namespace: str | None = None
    unit: str | None = None
    assay: str | None = None
    alleles: bytes | None = None
    regions: bytes | None = None


NO_HINTS: Final = Hints()


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one file. Bytes unless said otherwise."""

    max_input: int = 2 << 30
    max_plain: int = 4 << 30
    max_ratio: int = 200  # plain : compressed
    max_header: int = 16 << 20
    max_line: int = 8 << 20
    max_records: int = 30_000_000
    max_alts: int = 1000
    max_features: int = 5_000_000
    max_record_json: int = 64 << 10
    max_columns: int = 20_000
    max_intervals: int = 5_000_000
    max_members: int = 8  # files in a .zip
    max_json: int = 32 << 20
    max_terms: int = 100_000
    max_measurements: int = 500_000


DEFAULT_LIMITS: Final = Limits()
