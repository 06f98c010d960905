"""Reading many people's genotypes at once: a chunk of rows, a batch of people, decrypted in place.

The vault makes it, after every check, and it holds the ciphers of exactly the people one recorded
access names; it cannot be asked for anybody else. Memory is one batch a thread, whatever the size
of the cohort or of the table.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.copies import decode_genotypes
from compute.copy_reader import BatchChunk, OpenedBatch, OpenedCopy, codes_at
from compute.kernels.planes import Words, pack_bits, pack_dosages, words_of
from compute.planes import CHUNK_ROWS, NOT_COVERED, absent_from, rows_in
from compute.variants import SharedVariants

BATCH: Final = 128  # people decrypted before a kernel runs: 8 MiB
OPENED: Final = 512  # people looked up and unwrapped at once, at most
Tick: TypeAlias = Callable[[], None]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Some people over one chunk: first is the index of the first; planes (people, 2, words).

    uncovered, haploid: (n, words) planes of the people at `uncovered_of` and `haploid_of` (indexes
    within the block); nobody else has such rows. by_stretch (people,): whose file states coverage
    by stretches, so that hom-ref says nothing of what it lists.
    """

    first: int
    planes: Words
    uncovered: Words
    uncovered_of: npt.NDArray[np.intp]
    haploid: Words
    haploid_of: npt.NDArray[np.intp]
    by_stretch: npt.NDArray[np.bool_]

    def taken(self, chosen: npt.NDArray[np.intp], first: int) -> "Block":
        """Return the block of the people at `chosen`, rising; first: the index of the first."""
        own_u, own_h = (np.isin(of, chosen) for of in (self.uncovered_of, self.haploid_of))
        return Block(
            first,
            self.planes[chosen],
            self.uncovered[own_u],
            np.searchsorted(chosen, self.uncovered_of[own_u]),
            self.haploid[own_h],
            np.searchsorted(chosen, self.haploid_of[own_h]),
            self.by_stretch[chosen],
        )


Opener: TypeAlias = Callable[[int, int], OpenedBatch]
"""(first, last) -> those people's copies, opened after every check as it stands now."""


Work: TypeAlias = Callable[[int, Block], None]
Whole: TypeAlias = Callable[[int, int, BatchChunk], bool]
"""(thread, index of the first person, a batch still sealed) -> whether the work is done."""


class CohortReader:
    """The genotypes of the people of one access, in the order the vault was asked for them.

    A batch's keys are unwrapped when its turn comes, so that nobody is opened who stopped before.
    kept (people,): whose genotypes are handed on, None: everybody's. The others' are read all the
    same, so that time and work do not tell how many they are.
    """

    kept: npt.NDArray[np.bool_] | None = None

    def __init__(self, people: int, open_some: Opener, variants: SharedVariants) -> None:
        self._count, self._open_some, self._variants = people, open_some, variants
        self._opened: dict[int, OpenedBatch] = {}
        # Few large steps cost less than many small ones, but every thread wants some.
        self._step = max(BATCH, min(OPENED, -(-people // (8 * BATCH)) * BATCH))
        self.size = len(variants)
        self._buffers = threading.local()

    def __len__(self) -> int:
        return self._count

    def chunks(self) -> list[int]:
        """Return the numbers of the table's chunks."""
        return list(range(-(-self.size // CHUNK_ROWS)))

    def rows(self, chunk: int) -> int:
        """Return how many rows a chunk has."""
        return rows_in(self.size, chunk)

    def each(
        self,
        chunk: int,
        work: Work,
        *,
        threads: int = 1,
        whole: Whole = lambda _thread, _first, _sealed: False,
        tick: Tick = lambda: None,
    ) -> None:
        """Call work(thread, block) for every batch of people over one chunk.

        A block counts people among those kept. Each thread has its own number, so that it may add
        to sums of its own. whole is asked first about a batch whose people are all kept and alike:
        it may do the work on what is still sealed. tick is called in this thread once a person
        before a batch is opened, and may stop it all by raising.
        """
        with ExitStack() as stack:
            # Each its own queue: who sums whom does not hang on timing, nor do the last bits.
            pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(threads)]
            waiting: deque[Future[None]] = deque()
            try:
                for number, start in enumerate(range(0, len(self), self._step)):
                    for _ in range(start, min(start + self._step, len(self))):
                        tick()
                    # The next batch's keys are unwrapped while the threads work on those before.
                    self._batch(start)
                    if len(waiting) > threads:
                        waiting.popleft().result()
                    at = number % threads
                    waiting.append(pools[at].submit(self._run, (work, whole), at, chunk, start))
                while waiting:
                    waiting.popleft().result()
            finally:
                for one in waiting:
                    one.cancel()

    def _run(self, ways: tuple[Work, Whole], number: int, chunk: int, start: int) -> None:
        work, whole = ways
        sealed = BatchChunk(self._batch(start), chunk, self.rows(chunk))
        if self.kept is None and sealed.alike and whole(number, start, sealed):
            return
        for first in range(0, len(sealed), BATCH):
            block = self._block(sealed, chunk, start, first)
            if len(block.planes):
                work(number, block)

    def _block(self, sealed: BatchChunk, chunk: int, start: int, first: int) -> Block:
        """Decrypt some of those opened together, from `first` of them on. Raises StoreError.

        The planes lie in a buffer of this thread's and last until the next block is decrypted.
        """
        opened, last = self._batch(start), min(first + BATCH, len(sealed))
        planes = self._room(last - first, words_of(self.rows(chunk)))
        sealed.open(first, planes)
        extras = {
            at: self._extras(opened.person(first + at), chunk, planes[at])
            for at in np.flatnonzero(sealed.more[first:last]).tolist()
        }
        block = _block(start + first, planes, extras, opened.by_stretch[first:last])
        if self.kept is None:
            return block
        own = np.flatnonzero(self.kept[block.first : block.first + len(planes)])
        return block.taken(own, int(self.kept[: block.first].sum()))

    def _extras(self, person: OpenedCopy, chunk: int, planes: Words) -> Words:
        """Return a person's extras, with the rows the table got later, and mend its planes."""
        own, words = rows_in(person.version, chunk), planes.shape[1]
        extras = person.extras(chunk, own, words) if own else np.zeros((2, words), np.uint64)
        if own < self.rows(chunk):
            later = self._decoded if person.has_stretches else self._later_rows
            later(person, chunk, own, planes, extras)
        return extras

    def _batch(self, first: int) -> OpenedBatch:
        found = self._opened.get(first)
        if found is None:
            last = min(first + self._step, len(self))
            found = self._opened[first] = self._open_some(first, last)
        return found

    def _room(self, people: int, words: int) -> Words:
        """Return this thread's buffer, used again for every block: fresh memory costs more."""
        size = people * 2 * words
        buffer = getattr(self._buffers, "words", None)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers.words = np.empty(max(size, BATCH * 2 * words), np.uint64)
        found: Words = buffer[:size].reshape(people, 2, words)
        return found

    def _decoded(
        self, person: OpenedCopy, chunk: int, _own: int, planes: Words, extras: Words
    ) -> None:
        """Decode a person whole: stretches may speak of rows the table got later."""
        table = self._variants
        _, calls = decode_genotypes(person.whole(), table.site_rows(), table.places())
        rows = slice(chunk * CHUNK_ROWS, chunk * CHUNK_ROWS + self.rows(chunk))
        dosage, ploidy = calls.dosage[rows], calls.ploidy[rows]
        planes[:] = pack_dosages(dosage)
        extras[0] = pack_bits(dosage == NOT_COVERED, planes.shape[1])
        extras[1] = pack_bits(ploidy == 1, planes.shape[1])

    def _later_rows(
        self, person: OpenedCopy, chunk: int, own: int, planes: Words, extras: Words
    ) -> None:
        """Rows the person was stored without: not covered, or stated by its file's own site."""
        rows = self.rows(chunk)
        beyond = absent_from(own, planes.shape[1]) & ~absent_from(rows, planes.shape[1])
        planes |= beyond
        extras[0] |= beyond
        row, early = self._variants.late(person.version)
        start = chunk * CHUNK_ROWS
        low, high = np.searchsorted(row, [start, start + rows])
        if low == high:
            return
        codes = codes_at(person, early[low:high])
        for at in np.unique(row[low:high]).tolist():
            here = codes[:, row[low:high] == at]
            stated = here[:, ~here[2].astype(np.bool_)]
            if stated.shape[1]:
                called = stated[:, (stated[0] & stated[1]) == 0]
                _set(extras[0], at - start, on=False)
                _set(extras[1], at - start, on=called.shape[1] > 0 and bool(called[3].all()))
                for plane in planes:
                    _set(plane, at - start, on=not called.shape[1])


def _set(plane: Words, row: int, *, on: bool) -> None:
    bit = np.uint64(1) << np.uint64(row & 63)
    plane[row >> 6] = plane[row >> 6] | bit if on else plane[row >> 6] & ~bit


def _block(
    first: int, planes: Words, extras: dict[int, Words], by_stretch: npt.NDArray[np.bool_]
) -> Block:
    words = planes.shape[2]
    uncovered = [at for at, extra in extras.items() if extra[0].any()]
    haploid = [at for at, extra in extras.items() if extra[1].any()]

    def stack(which: int, people: list[int]) -> Words:
        return np.array([extras[at][which] for at in people], np.uint64).reshape(-1, words)

    return Block(
        first,
        planes,
        stack(0, uncovered),
        np.array(uncovered, np.intp),
        stack(1, haploid),
        np.array(haploid, np.intp),
        by_stretch,
    )
