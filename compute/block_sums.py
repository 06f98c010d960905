"""A family's sums over the encrypted store: chunk by chunk, many people at a time, in threads.

Of each chunk only the words that hold rows asked for are handed on. Nothing of a person is kept
beside what the family's own parts keep.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from compute.cohort_reader import Block, CohortReader, Tick
from compute.planes import CHUNK_ROWS, Int64
from compute.queries import BlockPartial, GenotypeBlock, Layout, PersonData


def sum_blocks(
    reader: CohortReader,
    partial: BlockPartial,
    people: Sequence[PersonData],
    rows: Int64,
    *,
    threads: int = 1,
    tick: Tick = lambda: None,
    begin: Callable[[int], None] = lambda _calls: None,
) -> None:
    """Add whom the reader keeps, part of the table by part. people: their records, in its order.

    rows: where each row of the partial's table lies in the store. Raises StoreError; whatever tick
    raises stops it. begin: told beforehand how often tick will be called.
    """
    partial.expect(people)
    parts_due = list(parts_of(rows, partial.most_rows()))
    begin(len(parts_due) * len(reader))
    for chunk, own in parts_due:
        layout, words = laid_out(own, rows[own] - chunk * CHUNK_ROWS, reader.rows(chunk))
        parts: list[Any] = [partial.part(layout) for _ in range(threads)]

        def work(
            thread: int, block: Block, parts: list[Any] = parts, words: Int64 | None = words
        ) -> None:
            records = people[block.first : block.first + len(block.planes)]
            parts[thread].add(gathered(block, words, records))

        reader.each(chunk, work, threads=threads, tick=tick)
        for other in parts[1:]:
            parts[0].merge(other)
        partial.close(layout, parts[0])
    partial.people += len(people)


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
