"""Values an ingested file becomes. Plain arrays, no file, no person's name.

Genotypes: one row a (contig, pos, ref, alt) after splitting multi-allelic sites. ``dosage`` is
the number of copies of this ALT, -1 = no call; ``ploidy`` the number of alleles called at the
site (0 = no call). At a split site another ALT keeps its place: it adds to ploidy (so to AN) and
not to dosage (so not to AC). ALT "." marks a site stated to be covered and without any ALT.
Positions are 1-based (VCF 4.4 section 1.6.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import Build

Modality = Literal["genotypes", "expression", "participant"]
Callability = Literal["all-sites", "gvcf-blocks", "array-manifest", "variant-only"]
Sex = Literal["female", "male", "unknown"]

MODALITIES: Final = ("genotypes", "expression", "participant")
CALLABILITIES: Final = ("all-sites", "gvcf-blocks", "array-manifest", "variant-only")
# Only these say of a site in the file, and of it alone, that it was looked at.
COVERING: Final = frozenset({"all-sites", "array-manifest"})
NO_CALL: Final = -1
NOT_COVERED: Final = -2

Int8: TypeAlias = npt.NDArray[np.int8]
Int32: TypeAlias = npt.NDArray[np.int32]
Float64: TypeAlias = npt.NDArray[np.float64]


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

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Participant:
    """A participant record: what a study says of one person beside the measurements."""

    participant: str
    sex: Sex
    population: str | None
    covariates: Mapping[str, float]


Parsed: TypeAlias = Genotypes | Features | Participant


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one file. Bytes unless said otherwise."""

    max_input: int = 2 << 30
    max_plain: int = 4 << 30
    max_ratio: int = 200  # plain : compressed
    max_header: int = 16 << 20
    max_records: int = 30_000_000
    max_alts: int = 1000
    max_features: int = 5_000_000
    max_record_json: int = 64 << 10


DEFAULT_LIMITS: Final = Limits()
