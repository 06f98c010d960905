"""What a query family is: typed parameters, needs, partial sums and a reduction.

A family is code of ours; `compute.queries.code` tells an auditor which code made a number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIGS
from compute.errors import QueryError
from compute.parsed import Modality
from compute.queries.assumed import Sampled
from compute.queries.data import Frame, PersonData, VariantTable
from compute.queries.params import Selected, Strict

ReleaseMode = Literal["trusted", "private"]
Column: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Needs:
    """What a query opens of each person."""

    modalities: frozenset[Modality]
    features: tuple[str, ...] = ()  # of feature_modality; () with all_features: every one
    strata: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    feature_modality: Modality = "expression"
    all_features: bool = False
    learns: bool = False  # `Family.learn` must see everybody's records before the sums
    references: tuple[str, ...] = ()  # SHA-256 (hex) of the operator's files it reads

    @classmethod
    def by(cls, stratum: str | None, modality: Modality, **more: Any) -> Self:
        """Return needs of one modality and, where a stratum is asked for, of the record."""
        record: set[Modality] = {"participant"} if stratum else set()
        strata = (stratum,) if stratum else ()
        return cls(frozenset({modality, *record}), strata=strata, **more)


@dataclass(frozen=True, slots=True)
class Cell:
    """A column that counts people or allele copies, and the columns a small count hides.

    ``of``: a column of totals, of which the remainder (of - count) may not be small either.
    """

    count: str
    hides: tuple[str, ...]
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What must not leave exactly in trusted mode; `compute.queries.disclosure` applies it.

    ``tails``: quantile column -> its probability, given only with enough people on both sides.
    ``grid``: column -> the column of standard deviations whose fraction it is rounded to, so that
    no order statistic is a person's own value. ``rounded``: columns of people rounded to 5.
    ``decimals``: column -> places it is rounded to. ``remake``: columns made again from rounded
    ones, so that no exact count can be read off what is derived.
    ``spread``: what is hidden in one stratum is hidden in all (rows lie stratum by stratum);
    ``together``: split so, a row with any small cell loses whatever a small cell can hide.
    ``dominated``: columns hidden, in every stratum, where one person's value makes up most of a
    sum; the family says where in a boolean column "dominated", which does not leave.
    ``pool``: joins rows before anything else, given which counts are small (1 to it), so that fewer
    are hidden.
    """

    cells: tuple[Cell, ...] = ()
    tails: Mapping[str, float] = field(default_factory=dict)
    grid: Mapping[str, str] = field(default_factory=dict)
    rounded: tuple[str, ...] = ()
    decimals: Mapping[str, int] = field(default_factory=dict)
    remake: Callable[[Mapping[str, Column]], Mapping[str, Column]] | None = None
    spread: bool = False
    together: bool = False
    dominated: tuple[str, ...] = ()
    pool: Callable[[Answer, int], Answer] | None = None


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How far one person can move a statistic; ``each`` is a bound per row and column."""

    statement: str
    each: Mapping[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Exact numbers, before release control. Never leaves compute as it is.

    ``columns`` have equal length; NaN = not available, with the reason in a column of its own.
    ``people`` counts the people in each stratum, exactly.
    """

    family: str
    version: int
    columns: Mapping[str, Column]
    people: Mapping[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def rows(self) -> list[dict[str, Any]]:
        """Return one mapping a row; NaN as None."""
        plain = {name: _plain(column) for name, column in self.columns.items()}
        return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able content, column by column; NaN as null."""
        return {
            "family": self.family,
            "version": self.version,
            "columns": {name: _plain(column) for name, column in self.columns.items()},
            "facts": json.loads(json.dumps(dict(self.facts), allow_nan=False)),
        }


class Partial(Protocol):
    """Sums over some people. ``add`` takes what it needs of a person and keeps nothing else."""

    @property
    def people(self) -> int:
        """Return how many people were added."""
        ...

    def add(self, person: PersonData) -> None:
        """Add one person. Raises QueryError for data that do not fit the frame."""
        ...

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        ...


class Family(Protocol):
    """One entry of the closed catalogue."""

    name: ClassVar[str]
    version: ClassVar[int]
    title: ClassVar[str]
    modes: ClassVar[frozenset[ReleaseMode]]
    sensitivity: ClassVar[Sensitivity]
    params: ClassVar[type[Strict]]
    disclosure: ClassVar[Disclosure | None]
    limits: ClassVar[str]  # the sizes it is offered to, in words
    states_first: ClassVar[bool]  # needs Frame.states before the sums
    least_people: ClassVar[int]  # a floor of its own above that of any cohort, else 0
    sampled: ClassVar[Sampled | None]  # its number whose error a value's spread decides

    def needs(self, params: Any) -> Needs:
        """Return what the query opens of each person."""
        ...

    def cost(self, params: Any, variants: int, people: int) -> int:
        """Return work units (one = one genotype read), for quotes and limits."""
        ...

    def learn(self, params: Any, people: Iterable[PersonData], frame: Frame) -> Any:
        """Return what must be known of everybody before the sums (Frame.learned), or None.

        people: records, clinical data and features, without genotypes. frame: levels and
        references, an empty table.
        """
        ...

    def start(self, params: Any, frame: Frame) -> Any:
        """Return an empty Partial. Raises QueryError where the query cannot run on the frame."""
        ...

    def reduce(self, partial: Any) -> Answer:
        """Turn sums into the answer."""
        ...


class Defaults:
    """What most families share: trusted mode alone, nothing to learn first, one unit a genotype."""

    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    disclosure: ClassVar[Disclosure | None] = None  # None: nothing leaves exactly
    states_first: ClassVar[bool] = False
    least_people: ClassVar[int] = 0
    sampled: ClassVar[Sampled | None] = None

    def learn(self, params: Any, people: Iterable[PersonData], frame: Frame) -> Any:
        """Learn nothing."""
        return None

    def cost(self, params: Any, variants: int, people: int) -> int:
        """Return one unit a genotype, or one a person where no variant is read."""
        return max(variants, 1) * people


def variant_columns(table: VariantTable, rows: Selected) -> dict[str, Column]:
    """Return the columns contig, pos, ref, alt of some rows of a table."""
    return {
        "contig": np.array(CONTIGS)[table.contig[rows].astype(np.intp)],
        "pos": table.pos[rows].astype(np.int64),
        "ref": np.array([table.ref[i] for i in rows.tolist()], dtype=object),
        "alt": np.array([table.alt[i] for i in rows.tolist()], dtype=object),
    }


def dosages(person: PersonData, table: VariantTable) -> npt.NDArray[np.int8]:
    """Return a person's dosages after checking shape and range. Raises QueryError."""
    dosage = person.dosage
    fits = dosage.shape == (len(table),) and dosage.dtype == np.int8
    if not fits or (len(dosage) and not -2 <= int(dosage.min()) <= int(dosage.max()) <= 2):
        raise QueryError("a person's genotypes do not fit the variant table", code="shape")
    if person.ploidy is not None and (
        person.ploidy.shape != dosage.shape or bool((dosage > person.ploidy).any())
    ):
        raise QueryError("a person's ploidy does not fit the genotypes", code="shape")
    return dosage


def doubled(person: PersonData, table: VariantTable) -> npt.NDArray[np.int8]:
    """Return a person's dosages, a haploid call of ALT being two copies (plink2's X model 2)."""
    dosage = dosages(person, table)
    if person.ploidy is None:
        return dosage
    return np.where(person.ploidy == 1, 2 * dosage, dosage).astype(np.int8)


def _plain(column: Column) -> list[Any]:
    return [None if isinstance(v, float) and math.isnan(v) else v for v in column.tolist()]
