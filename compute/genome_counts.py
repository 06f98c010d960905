"""Genotype states of many people, row by row, counted in bit planes chunk by chunk.

Haploid calls and rows not covered are counted in planes of their own and taken out of the code
counts. Nothing of a person is kept; memory is a chunk's counters a thread and stratum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from compute.arrays import Arrays, Shapes
from compute.cohort_reader import Block, CohortReader, Tick
from compute.copy_reader import BatchChunk
from compute.kernels import BitCounter, CodeCounter, Words, unpack_bits, words_of
from compute.kernels.planes import Bool
from compute.planes import CHUNK_ROWS, Int64

STATES: Final = ("not_covered", "no_call", "hom_ref", "het", "hom_alt", "hap_ref", "hap_alt")


class StateCounter:
    """Counts of the seven states over one chunk's rows; add people, merge, `counts`."""

    def __init__(self, rows: int) -> None:
        self._codes = CodeCounter(rows)
        self._uncovered, self._haploid = BitCounter(rows), BitCounter(rows)
        self._haploid_alt = BitCounter(rows)

    def add(self, block: Block, chosen: Int64 | None = None) -> None:
        """Add a block's people, or those at the indexes `chosen`."""
        if chosen is None:
            self._codes.add(block.planes)
            uncovered = np.arange(len(block.uncovered_of))
            haploid = np.arange(len(block.haploid_of))
        else:
            self._codes.add(block.planes[chosen])
            uncovered = np.flatnonzero(np.isin(block.uncovered_of, chosen))
            haploid = np.flatnonzero(np.isin(block.haploid_of, chosen))
        if len(uncovered):
            self._uncovered.add(block.uncovered[uncovered])
        if len(haploid):
            planes = block.haploid[haploid]
            self._haploid.add(planes)
            self._haploid_alt.add(planes & block.planes[block.haploid_of[haploid], 0])

    def add_sealed(self, people: BatchChunk) -> None:
        """Add a batch of people who are alike, decrypted and counted a few at a time."""
        people.count(self._codes)

    def merge(self, other: Self) -> None:
        """Add another's people."""
        for name in ("_codes", "_uncovered", "_haploid", "_haploid_alt"):
            getattr(self, name).merge(getattr(other, name))

    def counts(self, out: Int64) -> None:
        """Write int64 (7, rows), in the order of STATES, into `out`, which is zeros.

        In place, and only what is not zero: fresh memory costs more than the sums.
        """
        uncovered, no_call, none, one, two, haploid_ref, haploid_alt = out
        self._codes.counts(out[3:6])  # one copy, two, without a call
        no_call[:] = haploid_ref
        haploid_ref[:] = 0
        np.subtract(self._codes.people, one, out=none)
        none -= two
        none -= no_call
        if self._uncovered.used:
            self._uncovered.counts(uncovered)
            no_call -= uncovered
        if self._haploid.used:
            self._haploid.counts(haploid_ref)
            self._haploid_alt.counts(haploid_alt)
            haploid_ref -= haploid_alt
            none -= haploid_ref
            one -= haploid_alt


def stated_rows(block: Block) -> Words:
    """Return (words,): the rows some person's own file speaks of.

    A stretch covers sites only outsiders carry as well, so of its people only calls count that no
    stretch could have made: an answer must not name a site for a stranger's sake.
    """
    words = block.planes.shape[2]
    everything = np.full(words, ~np.uint64(0))
    uncovered = dict(zip(block.uncovered_of.tolist(), block.uncovered, strict=True))
    found = np.zeros(words, np.uint64)
    for at, by_stretch in enumerate(block.by_stretch.tolist()):
        covered = ~uncovered[at] if at in uncovered else everything
        if not by_stretch and covered is everything:
            return everything
        found |= covered & (block.planes[at, 0] | block.planes[at, 1]) if by_stretch else covered
    return found


@dataclass(frozen=True, slots=True, eq=False)
class StateCounts:
    """counts: int64 (levels, 7, table rows); stated: (table rows,) some person's file lists it."""

    counts: Int64
    stated: Bool


class StateSums:
    """Everybody's states, partition by partition (`compute.partitions.Sums`).

    levels: each person's, of level_count. tick: as `CohortReader.each`. found: what was summed.
    """

    plain = True

    def __init__(
        self,
        reader: CohortReader,
        levels: Sequence[int],
        level_count: int,
        *,
        threads: int = 1,
        tick: Tick = lambda: None,
    ) -> None:
        self._reader, self._threads, self._tick = reader, threads, tick
        self._of_person, self._levels = np.asarray(levels, np.int64), level_count
        shape = (level_count, len(STATES), reader.size)
        self.found = StateCounts(np.zeros(shape, np.int64), np.zeros(reader.size, np.bool_))

    def add(self, part: Sequence[int]) -> None:
        """Count some chunks. Raises StoreError; whatever tick raises stops it."""
        for chunk in part:
            sums = _ChunkSums(
                self._reader.rows(chunk), self._threads, self._levels, self._of_person
            )
            self._reader.each(
                chunk, sums.block, threads=self._threads, whole=sums.whole, tick=self._tick
            )
            here = self._here(chunk)
            self.found.stated[here] = sums.close(self.found.counts[:, :, here])

    def summed(self, part: Sequence[int]) -> Arrays:
        """Count some chunks; of each, counts (levels, 7, its rows) and stated (its rows,)."""
        self.add(part)
        found: Arrays = {}
        for chunk in part:
            here = self._here(chunk)
            found[f"{chunk}.counts"] = self.found.counts[:, :, here]
            found[f"{chunk}.stated"] = self.found.stated[here]
        return found

    def shapes(self, part: Sequence[int]) -> Shapes:
        """Return what `summed` gives."""
        found: Shapes = {}
        for chunk in part:
            rows = self._reader.rows(chunk)
            found[f"{chunk}.counts"] = ("<i8", (self._levels, len(STATES), rows))
            found[f"{chunk}.stated"] = ("|b1", (rows,))
        return found

    def take(self, part: Sequence[int], arrays: Arrays) -> None:
        """Take what was `summed`."""
        for chunk in part:
            here = self._here(chunk)
            self.found.counts[:, :, here] = arrays[f"{chunk}.counts"]
            self.found.stated[here] = arrays[f"{chunk}.stated"]

    def _here(self, chunk: int) -> slice:
        return slice(chunk * CHUNK_ROWS, chunk * CHUNK_ROWS + self._reader.rows(chunk))


class _ChunkSums:
    """One chunk's counters, a set for each thread. of_person: int64, each one's level."""

    def __init__(self, rows: int, threads: int, levels: int, of_person: Int64) -> None:
        self._rows, self._of_person = rows, of_person
        self._sums = [[StateCounter(rows) for _ in range(levels)] for _ in range(threads)]
        self._stated = np.zeros((threads, words_of(rows)), np.uint64)

    def block(self, thread: int, block: Block) -> None:
        """Add a block's people."""
        self._stated[thread] |= stated_rows(block)
        own = self._of_person[block.first : block.first + len(block.planes)]
        present = np.unique(own).tolist()
        for level in present:
            alone = len(present) == 1
            chosen = None if alone else np.flatnonzero(own == level)
            self._sums[thread][level].add(block, chosen)

    def whole(self, thread: int, first: int, sealed: BatchChunk) -> bool:
        """Add a batch of people who are alike, where they are of one level."""
        own = self._of_person[first : first + len(sealed)]
        if (own != own[0]).any():
            return False
        self._sums[thread][int(own[0])].add_sealed(sealed)
        self._stated[thread] = ~np.uint64(0)  # all are covered everywhere, by no stretch
        return True

    def close(self, out: Int64) -> Bool:
        """Write the counts of all threads, (levels, 7, rows); return which rows are stated."""
        for level, one in enumerate(self._sums[0]):
            for other in self._sums[1:]:
                one.merge(other[level])
            one.counts(out[level])
        return unpack_bits(np.bitwise_or.reduce(self._stated), self._rows)
