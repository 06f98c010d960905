"""Genotypes of many people at once, as bit planes: what families hand to `compute.kernels`.

A family that takes blocks sums over a part of the variant table at a time (`part`), for all people,
and closes it before the next: memory is a part's sums, whatever the size of the table. A block's
rows are laid out as they come from the store; a `Layout` says where the table's rows lie in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

import numpy as np
import numpy.typing as npt

from compute.arrays import Arrays, Shapes
from compute.errors import QueryError
from compute.kernels import BitCounter, Words, pack_bits, pack_dosages, words_of
from compute.parsed import NOT_COVERED
from compute.queries.data import Frame, PersonData, VariantTable
from compute.queries.family import dosages

Int64 = npt.NDArray[np.int64]
Index = npt.NDArray[np.intp]
BATCH: Final = 128  # people unpacked at once


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Table rows (k,), where each lies in a block (k,), and how many rows a block has."""

    rows: Int64
    at: Int64
    width: int

    @classmethod
    def whole(cls, size: int) -> Self:
        """Return the layout of blocks that hold a table as it stands."""
        rows = np.arange(size)
        return cls(rows, rows, size)


@dataclass(frozen=True, slots=True, eq=False)
class GenotypeBlock:
    """Some people over a layout's rows: records without genotypes; planes (people, 2, words).

    uncovered, haploid: (n, words) of the people at `uncovered_of`, `haploid_of`; nobody else has
    such rows. A row not covered has both bits set, as one without a call.
    """

    people: Sequence[PersonData]
    planes: Words
    uncovered: Words
    uncovered_of: Index
    haploid: Words
    haploid_of: Index

    def taken(self, chosen: Index) -> GenotypeBlock:
        """Return the block of the people at `chosen`, rising."""
        if len(chosen) == len(self.people):
            return self
        own_u, own_h = (np.isin(of, chosen) for of in (self.uncovered_of, self.haploid_of))
        return GenotypeBlock(
            [self.people[at] for at in chosen.tolist()],
            self.planes[chosen],
            self.uncovered[own_u],
            np.searchsorted(chosen, self.uncovered_of[own_u]),
            self.haploid[own_h],
            np.searchsorted(chosen, self.haploid_of[own_h]),
        )

    def doubled(self) -> Words:
        """Return planes in which a haploid call of ALT is two copies (plink2's X model 2)."""
        if not len(self.haploid_of):
            return self.planes
        planes = self.planes.copy()
        copies = planes[self.haploid_of]
        planes[self.haploid_of, 0] = copies[:, 0] & ~self.haploid
        planes[self.haploid_of, 1] = copies[:, 1] | (copies[:, 0] & self.haploid)
        return planes

    def states(self, who: int, at: Int64) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
        """Return one person's (dosage, ploidy) at rows `at` of the block, no call -1 and 0."""
        low, high = _bits(self.planes[who, 0], at), _bits(self.planes[who, 1], at)
        dosage = (low + 2 * high).astype(np.int8)
        dosage[dosage == 3] = -1
        own = np.flatnonzero(self.haploid_of == who)
        haploid = _bits(self.haploid[own[0]], at) if len(own) else np.zeros(len(at), np.int8)
        return dosage, np.where(dosage < 0, 0, np.where(haploid > 0, 1, 2)).astype(np.int8)


def _bits(plane: Words, at: Int64) -> npt.NDArray[np.int8]:
    place = at.astype(np.uint64)
    found: npt.NDArray[np.uint64] = (plane[at >> 6] >> (place & np.uint64(63))) & np.uint64(1)
    return np.asarray(found, np.int8)


def block_of(people: Sequence[PersonData], table: VariantTable) -> GenotypeBlock:
    """Pack people's dosages over a table (layout `Layout.whole`). Raises QueryError ``shape``."""
    calls = np.array([dosages(person, table) for person in people], np.int8)
    calls = calls.reshape(len(people), len(table))
    words = words_of(len(table))
    uncovered = np.flatnonzero((calls == NOT_COVERED).any(axis=1))
    mixed = [at for at, person in enumerate(people) if person.ploidy is not None]
    ploidy = np.array([people[at].ploidy for at in mixed], np.int8).reshape(len(mixed), len(table))
    haploid = (ploidy == 1) & (calls[mixed] >= 0)
    bare = [replace(p, dosage=np.zeros(0, np.int8), ploidy=None) for p in people]
    return GenotypeBlock(
        bare, pack_dosages(calls),
        pack_bits(calls[uncovered] == NOT_COVERED, words), uncovered,
        pack_bits(haploid, words), np.array(mixed, np.intp),
    )  # fmt: skip


class Part(Protocol):
    """Sums over people of one part of the table."""

    def add(self, block: GenotypeBlock) -> None:
        """Add people."""
        ...

    def merge(self, other: Self) -> None:
        """Add what another has summed over other people, of the same layout."""
        ...


class BlockPartial(ABC):
    """A partial that takes blocks: `part`, add people to it, `close`; part after part.

    `add` and `merge` sum the table whole, which suits small cohorts.
    """

    frame: Frame

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.people = 0
        self._whole: Any = None

    def expect(self, people: Sequence[PersonData]) -> None:  # noqa: B027 - most need not know
        """Learn who will be added to every part, in order."""

    @abstractmethod
    def part(self, layout: Layout) -> Any:
        """Return empty sums over a layout's rows."""

    @abstractmethod
    def close(self, layout: Layout, part: Any) -> None:
        """Take the results of a part all people were added to."""

    def most_rows(self) -> int | None:
        """Return how many rows a part may have, None: any."""
        return None

    def add(self, person: PersonData) -> None:
        """Add one person, over the whole table."""
        self.add_people([person])

    def add_people(self, people: Sequence[PersonData]) -> None:
        """Add some people, over the whole table."""
        if self._whole is None:
            self._whole = self.part(Layout.whole(len(self.frame.table)))
        for at in range(0, len(people), BATCH):
            self._whole.add(block_of(people[at : at + BATCH], self.frame.table))
        self.people += len(people)

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame. Raises QueryError ``merge``."""
        if self.frame is not other.frame:
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        self.people += other.people
        if self._whole is None:
            self._whole = other._whole
        elif other._whole is not None:
            self._whole.merge(other._whole)

    def finish(self) -> None:
        """Close what `add` summed, before the reduction."""
        if self._whole is None and not self.people:
            self._whole = self.part(Layout.whole(len(self.frame.table)))
        if self._whole is not None:
            self.close(Layout.whole(len(self.frame.table)), self._whole)
            self._whole = None


class SummedPartial(BlockPartial):
    """A partial whose parts end as plain arrays, which somebody else may have made of a part."""

    @abstractmethod
    def results(self, layout: Layout, part: Any) -> Arrays:
        """Return what a part comes to, once all people were added to it."""

    @abstractmethod
    def shapes(self, rows: int) -> Shapes:
        """Return the shapes of `results` over so many rows."""

    @abstractmethod
    def accept(self, layout: Layout, results: Arrays) -> None:
        """Take the results of a part."""

    def close(self, layout: Layout, part: Any) -> None:
        """Take the results of a part all people were added to."""
        self.accept(layout, self.results(layout, part))


class RowPartial(SummedPartial):
    """A partial of one value a row of the table, of each name.

    first: by name, the type of `compute.arrays` and the value every row starts as; one
    that no part has keeps it.
    """

    def __init__(self, frame: Frame, first: Mapping[str, tuple[str, Any]]) -> None:
        super().__init__(frame)
        size = len(frame.table)
        self.values = {name: np.full(size, value, kind) for name, (kind, value) in first.items()}

    def shapes(self, rows: int) -> Shapes:
        """Return one value a row, of each name."""
        return {name: (values.dtype.str, (rows,)) for name, values in self.values.items()}

    def accept(self, layout: Layout, results: Arrays) -> None:
        """Take the values of a part's rows."""
        for name, values in self.values.items():
            values[layout.rows] = results[name]


class HaploidCounts:
    """How many haploid calls there are a row, and of how many ALT."""

    def __init__(self, width: int) -> None:
        self._called, self._alt = BitCounter(width), BitCounter(width)

    def add(self, block: GenotypeBlock) -> None:
        """Add people."""
        if len(block.haploid_of):
            self._called.add(block.haploid)
            self._alt.add(block.haploid & block.planes[block.haploid_of, 0])

    def merge(self, other: Self) -> None:
        """Add another's people."""
        self._called.merge(other._called)
        self._alt.merge(other._alt)

    def counts(self) -> tuple[Int64, Int64]:
        """Return (calls, of them ALT), int64 (width,) each."""
        return self._called.counts(), self._alt.counts()


def runs(places: Iterable[int | None]) -> Iterable[tuple[int, Index]]:
    """Split people into runs of neighbours: (place of the first, indexes within the block).

    places: each person's place in a design, None where it has none.
    """
    at = np.array([-1 if place is None else place for place in places], np.int64)
    own = np.flatnonzero(at >= 0)
    if not len(own):
        return []
    cuts = np.flatnonzero(np.diff(at[own]) != 1) + 1
    return [(int(at[run[0]]), run) for run in np.split(own, cuts)]
