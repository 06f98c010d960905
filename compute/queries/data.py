"""What a query runs on: a shared variant table and people, one at a time.

A person arrives, is added to partial sums, and is forgotten; nothing here keeps one. Three
states stay apart: hom-ref (dosage 0), no call (-1) and not covered (-2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIGS, Build
from compute.errors import QueryError
from compute.parsed import COVERING, NO_CALL, NOT_COVERED, Clinical, Genotypes

Int8: TypeAlias = npt.NDArray[np.int8]
Int32: TypeAlias = npt.NDArray[np.int32]
Key: TypeAlias = tuple[int, int, str, str]


@dataclass(frozen=True, slots=True, eq=False)
class VariantTable:
    """The variants a cohort is indexed by, in genome order; ``contig`` indexes CONTIGS."""

    build: Build
    contig: Int8
    pos: Int32
    ref: tuple[str, ...]
    alt: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pos)

    @classmethod
    def union(cls, people: Iterable[Genotypes]) -> Self:
        """Build the table of every variant somebody's file names (ALT "." is no variant).

        Raises QueryError where the builds differ or there is nobody.
        """
        keys: set[Key] = set()
        builds: set[Build] = set()
        last: Genotypes | None = None
        for person in people:
            builds.add(person.build)
            if last is None or not _same_sites(person, last):
                keys.update(key for key in _keys(person) if key[3] != ".")
            last = person
        if len(builds) != 1:
            raise QueryError("a cohort needs people of exactly one genome build", code="build")
        return cls.of(builds.pop(), sorted(keys))

    @classmethod
    def of(cls, build: Build, keys: Sequence[Key]) -> Self:
        """Build a table from sorted (contig code, pos, ref, alt) rows."""
        return cls(
            build=build,
            contig=np.array([key[0] for key in keys], np.int8),
            pos=np.array([key[1] for key in keys], np.int32),
            ref=tuple(key[2] for key in keys),
            alt=tuple(key[3] for key in keys),
        )

    def keys(self) -> Iterator[Key]:
        """Yield (contig code, pos, ref, alt) in table order."""
        return zip(self.contig.tolist(), self.pos.tolist(), self.ref, self.alt, strict=True)

    def names(self) -> Iterator[str]:
        """Yield "chrom-pos-ref-alt" in table order."""
        return (f"{CONTIGS[c]}-{p}-{r}-{a}" for c, p, r, a in self.keys())

    def digest(self) -> str:
        """Return the table's SHA-256 (hex)."""
        text = "\n".join((self.build, *self.names()))
        return hashlib.sha256(b"omic/variants/v1\n" + text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class PersonData:
    """One person, aligned to a variant table; lives as long as it takes to add it.

    ``ploidy`` is None where every call is diploid, else alleles called a variant (0 = none).
    """

    participant: str
    dosage: Int8 = field(default_factory=lambda: np.zeros(0, np.int8))
    ploidy: Int8 | None = None
    strata: Mapping[str, str] = field(default_factory=dict)
    covariates: Mapping[str, float] = field(default_factory=dict)
    features: Mapping[str, float] = field(default_factory=dict)
    feature_kind: tuple[str, str] | None = None  # (namespace, unit) the features are stated in
    clinical: Clinical | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What is fixed before the first person is opened: variants, and the levels of each stratum.

    Levels come from the participant records, which are read first, and ``learned`` is what a
    family makes of records and measurements then (a null model, ranks). ``references`` are the
    operator's parsed files by SHA-256. ``states``: int64 (7, rows), how many people have each
    genotype state, for a family that must know them first.
    """

    table: VariantTable
    levels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    learned: Any = None
    references: Mapping[str, Any] = field(default_factory=dict)
    states: npt.NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class CohortData:
    """A whole cohort in memory: for tests, small cohorts and the demo."""

    frame: Frame
    people: tuple[PersonData, ...]

    @classmethod
    def of(cls, table: VariantTable, people: Iterable[PersonData]) -> Self:
        """Build a cohort; stratum levels are those its people have, sorted."""
        members = tuple(people)
        names = sorted({name for person in members for name in person.strata})
        levels = {
            name: tuple(sorted({level_of(person, name) for person in members})) for name in names
        }
        return cls(Frame(table, levels), members)


def level_of(person: PersonData, stratum: str) -> str:
    """Return a person's level of a stratum, "unknown" where the record does not say."""
    return person.strata.get(stratum, "unknown")


class Strata:
    """The levels an answer is split by, numbered; one level, "all", where it is not split."""

    def __init__(self, by: str | None, frame: Frame) -> None:
        self.by = by
        self.names = frame.levels.get(by, ()) if by else ("all",)
        self._number = {name: number for number, name in enumerate(self.names)}

    def number(self, person: PersonData) -> int:
        """Return the number of a person's level. Raises QueryError for one the cohort has not."""
        number = self._number.get(level_of(person, self.by) if self.by else "all")
        if number is None:
            raise QueryError("a person's stratum is not among the cohort's levels", code="stratum")
        return number


def align(person: Genotypes, table: VariantTable) -> tuple[Int8, Int8 | None]:
    """Return a person's (dosage, ploidy) over a table.

    A site the file does not hold is not covered (-2), never hom-ref. A site it holds under the
    same REF with another ALT, or with none, is covered with dosage 0 of the table's ALT. People
    whose callability does not state coverage are not covered anywhere.
    Raises QueryError on another build.
    """
    if person.build != table.build:
        raise QueryError("a person's genotypes are on another genome build", code="build")
    if person.callability not in COVERING:
        return np.full(len(table), NOT_COVERED, np.int8), None
    if _same_sites(person, table):
        return person.dosage, _ploidy(person.ploidy)
    return _look_up(person, table)


def _look_up(person: Genotypes, table: VariantTable) -> tuple[Int8, Int8 | None]:
    exact = {key: row for row, key in enumerate(_keys(person))}
    sites: dict[tuple[int, int, str], int] = {}
    for row, (contig, pos, ref, _) in enumerate(_keys(person)):
        sites[contig, pos, ref] = max(sites.get((contig, pos, ref), 0), int(person.ploidy[row]))
    dosage = np.full(len(table), NOT_COVERED, np.int8)
    ploidy = np.zeros(len(table), np.int8)
    for at, key in enumerate(table.keys()):
        row_or_none = exact.get(key)
        if row_or_none is not None:
            dosage[at], ploidy[at] = person.dosage[row_or_none], person.ploidy[row_or_none]
        elif key[:3] in sites:
            ploidy[at] = sites[key[:3]]
            dosage[at] = 0 if ploidy[at] else NO_CALL
    return dosage, _ploidy(ploidy)


def _ploidy(ploidy: Int8) -> Int8 | None:
    return None if not (ploidy == 1).any() else ploidy


def _keys(person: Genotypes) -> Iterator[Key]:
    return zip(person.contig.tolist(), person.pos.tolist(), person.ref, person.alt, strict=True)


def _same_sites(one: Genotypes | VariantTable, other: Genotypes | VariantTable) -> bool:
    return (
        one.build == other.build
        and np.array_equal(one.pos, other.pos)
        and np.array_equal(one.contig, other.contig)
        and one.ref == other.ref
        and one.alt == other.alt
    )
