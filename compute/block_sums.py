"""A family's sums over the encrypted store: chunk by chunk, many people at a time, in threads.

Of each chunk only the words that hold rows asked for are handed on. Nothing of a person is kept
beside what the family's own parts keep.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from compute.arrays import Arrays, Shapes
from compute.cohort_reader import Block, CohortReader, Tick
from compute.planes import CHUNK_ROWS, Int64
from compute.queries import (
    BlockPartial,
    GenotypeBlock,
    Layout,
    PersonData,
    QueryError,
    SummedPartial,
)


class BlockSums:
    """A family's sums, partition by partition (`compute.partitions.Sums`).

    people: the records of whom the reader keeps, in its order. rows: where each row of the
    partial's table lies in the store. tick: as `CohortReader.each`.
    """

    def __init__(
        self,
        reader: CohortReader,
        partial: BlockPartial,
        people: Sequence[PersonData],
        rows: Int64,
        *,
        threads: int = 1,
        tick: Tick = lambda: None,
    ) -> None:
        self._reader, self._partial, self._people = reader, partial, people
        self._rows, self._threads, self._tick = rows, threads, tick
        self._pieces: dict[int, list[Int64]] = {}
        for chunk, own in parts_of(rows, partial.most_rows()):
            self._pieces.setdefault(chunk, []).append(own)
        self.plain = isinstance(partial, SummedPartial)
        partial.expect(people)
        partial.people += len(people)

    def add(self, part: Sequence[int]) -> None:
        """Add everybody over some chunks. Raises StoreError; whatever tick raises stops it."""
        for chunk, own in self._of(part):
            layout, words = self._laid_out(chunk, own)
            self._partial.close(layout, self._sum(chunk, layout, words))

    def summed(self, part: Sequence[int]) -> Arrays:
        """Sum everybody over some chunks; names: number of the piece, a dot, the family's own."""
        found: Arrays = {}
        for number, (chunk, own) in enumerate(self._of(part)):
            layout, words = self._laid_out(chunk, own)
            results = self._summed.results(layout, self._sum(chunk, layout, words))
            found |= {f"{number}.{name}": array for name, array in results.items()}
        return found

    def shapes(self, part: Sequence[int]) -> Shapes:
        """Return what `summed` gives."""
        found: Shapes = {}
        for number, (_, own) in enumerate(self._of(part)):
            shapes = self._summed.shapes(len(own))
            found |= {f"{number}.{name}": shape for name, shape in shapes.items()}
        return found

    def take(self, part: Sequence[int], arrays: Arrays) -> None:
        """Take what was `summed`."""
        for number, (chunk, own) in enumerate(self._of(part)):
            names = self._summed.shapes(len(own))
            results = {name: arrays[f"{number}.{name}"] for name in names}
            self._summed.accept(self._laid_out(chunk, own)[0], results)

    @property
    def _summed(self) -> SummedPartial:
        if not isinstance(self._partial, SummedPartial):
            raise QueryError("this family's sums are not plain arrays", code="partial")
        return self._partial

    def _of(self, part: Sequence[int]) -> Iterator[tuple[int, Int64]]:
        return ((chunk, own) for chunk in part for own in self._pieces.get(chunk, ()))

    def _laid_out(self, chunk: int, own: Int64) -> tuple[Layout, Int64 | None]:
        return laid_out(own, self._rows[own] - chunk * CHUNK_ROWS, self._reader.rows(chunk))

    def _sum(self, chunk: int, layout: Layout, words: Int64 | None) -> Any:
        """Return everybody's sums over one piece of the table."""
        parts: list[Any] = [self._partial.part(layout) for _ in range(self._threads)]

        def work(thread: int, block: Block) -> None:
            records = self._people[block.first : block.first + len(block.planes)]
            parts[thread].add(gathered(block, words, records))

        self._reader.each(chunk, work, threads=self._threads, tick=self._tick)
        for other in parts[1:]:
            parts[0].merge(other)
        return parts[0]


def parts_of(rows: Int64, most: int | None) -> Iterator[tuple[int, Int64]]:
    """Yield (chunk, indexes into rows of those in it), at most `most` at a time."""
    chunk_of = rows // CHUNK_ROWS
    for chunk in np.unique(chunk_of).tolist():
        own = np.flatnonzero(chunk_of == chunk)
        step = len(own) if most is None else max(most // 512 * 512, 512)
        for start in range(0, len(own), step):
            yield chunk, own[start : start + step]


def laid_out(table_rows: Int64, at: Int64, size: int) -> tuple[Layout, Int64 | None]:
    """Return the layout of rows `at` of a chunk of `size` rows, and the words to take, None: all.

    Words are taken eight at a time, the least a kernel adds.
    """
    groups = np.unique(at >> 9)
    if len(groups) * 512 >= size // 2:
        return Layout(table_rows, at, size), None
    words = (groups[:, None] * 8 + np.arange(8)).reshape(-1)
    place = np.searchsorted(groups, at >> 9) * 512 + (at & 511)
    return Layout(table_rows, place, len(words) * 64), words


def gathered(block: Block, words: Int64 | None, people: Sequence[PersonData]) -> GenotypeBlock:
    """Return some words of a block."""
    planes, uncovered, haploid = block.planes, block.uncovered, block.haploid
    if words is not None:
        planes, uncovered, haploid = planes[:, :, words], uncovered[:, words], haploid[:, words]
    return GenotypeBlock(people, planes, uncovered, block.uncovered_of, haploid, block.haploid_of)
