"""Reading many people's genotypes at once: a chunk of rows, a batch of people, decrypted in place.

The vault makes it, after every check, and it holds the ciphers of exactly the people one recorded
access names; it cannot be asked for anybody else. Memory is one batch a thread, whatever the size
of the cohort or of the table.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.copies import HEAD_MESSAGES, MESSAGES_A_CHUNK, decode_genotypes
from compute.heads import StoredCopy
from compute.kernels.planes import Words, pack_bits, pack_dosages, words_of
from compute.planes import (
    CHUNK_ROWS,
    NOT_COVERED,
    absent_from,
    is_dense,
    read_extras,
    read_planes,
    rows_in,
)
from compute.sealing import NONCE_BYTES, StoreError
from compute.store import CohortStore
from compute.variants import SharedVariants

BATCH: Final = 128  # people decrypted before a kernel runs: 8 MiB
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


class OpenedCopy:
    """One person's copy under its own cipher. context: `copy_context` of its dataset and grant."""

    __slots__ = ("_context", "_ends", "_sealed", "_store", "cipher", "copy")

    def __init__(self, store: CohortStore, copy: StoredCopy, key: bytes, context: bytes) -> None:
        self._store, self.copy, self.cipher, self._context = store, copy, AESGCM(key), context
        self._ends = tuple(accumulate(copy.extent.sizes))
        self._sealed: memoryview | None = None

    @property
    def version(self) -> int:
        """Return how many rows of the variant table it knows."""
        return self.copy.head.table_version

    @property
    def has_stretches(self) -> bool:
        """Tell whether covered stretches stand behind its chunks."""
        return len(self.copy.extent.sizes) % MESSAGES_A_CHUNK == 0

    def message(self, number: int) -> bytes:
        """Decrypt one message, b"" where there is none. Raises StoreError."""
        sealed, context = self._place(number)
        if not sealed:
            return b""
        try:
            return self.cipher.decrypt(bytes(sealed[:NONCE_BYTES]), sealed[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise _changed() from None

    def planes(self, chunk: int, rows: int, out: Words) -> bool:
        """Decrypt a chunk's planes over out (2, words); tell whether extras follow."""
        number = HEAD_MESSAGES + MESSAGES_A_CHUNK * chunk
        sealed, context = self._place(number)
        size = len(sealed) - NONCE_BYTES - 16
        if is_dense(size, rows) and out.shape[1] == words_of(rows):
            target = out.data.cast("B")
            try:
                self.cipher.decrypt_into(
                    sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context, target
                )
            except (InvalidTag, ValueError):
                raise _changed() from None
        else:
            out[:] = 0
            read_planes(self.message(number), rows, out)
        return bool(self.copy.extent.sizes[number + 1])

    def extras(self, chunk: int, rows: int, words: int, *, followed: bool = True) -> Words:
        """Return a chunk's extras, (2, words): rows not covered, rows called haploid."""
        number = HEAD_MESSAGES + MESSAGES_A_CHUNK * chunk + 1
        return read_extras(self.message(number) if followed else b"", rows, words)

    def whole(self) -> list[bytes]:
        """Decrypt every message in order. Raises StoreError."""
        return [self.message(number) for number in range(len(self.copy.extent.sizes))]

    def _place(self, number: int) -> tuple[memoryview, bytes]:
        if self._sealed is None:
            self._sealed = self._store.messages(self.copy)
        start = self._ends[number - 1] if number else 0
        last = not self._followed(number)
        context = self._context + self.copy.head.place_of(number, last=last)
        return self._sealed[start : self._ends[number]], context

    def _followed(self, number: int) -> bool:
        sizes = self.copy.extent.sizes
        return number % 2 == 1 and number + 1 < len(sizes) and sizes[number + 1] > 0


def _changed() -> StoreError:
    return StoreError("stored ciphertext does not open: it was changed, moved or erased")


Opener: TypeAlias = Callable[[int, int], Sequence[OpenedCopy]]
"""(first, last) -> those people's copies, after every check as it stands now."""


class CohortReader:
    """The genotypes of the people of one access, in the order the vault was asked for them.

    A batch's keys are unwrapped when its turn comes, so that nobody is opened who stopped before.
    kept (people,): whose genotypes are handed on, None: everybody's. The others' are read all the
    same, so that time and work do not tell how many they are.
    """

    kept: npt.NDArray[np.bool_] | None = None

    def __init__(self, people: int, open_some: Opener, variants: SharedVariants) -> None:
        self._count, self._open_some, self._variants = people, open_some, variants
        self._opened: dict[int, Sequence[OpenedCopy]] = {}
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
        work: Callable[[int, Block], None],
        *,
        threads: int = 1,
        tick: Tick = lambda: None,
    ) -> None:
        """Call work(thread, block) for every batch of people over one chunk.

        A block counts people among those kept. Each thread has its own number, so that it may add
        to sums of its own. tick is called in
        this thread once a person before a batch is opened, and may stop it all by raising.
        """
        with ExitStack() as stack:
            # Each its own queue: who sums whom does not hang on timing, nor do the last bits.
            pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in range(threads)]
            waiting: deque[Future[None]] = deque()
            try:
                for number, start in enumerate(range(0, len(self), BATCH)):
                    for _ in range(start, min(start + BATCH, len(self))):
                        tick()
                    # The next batch's keys are unwrapped while the threads work on those before.
                    self._people(start)
                    if len(waiting) > threads:
                        waiting.popleft().result()
                    at = number % threads
                    waiting.append(pools[at].submit(self._run, work, at, chunk, start))
                while waiting:
                    waiting.popleft().result()
            finally:
                for one in waiting:
                    one.cancel()

    def _run(self, work: Callable[[int, Block], None], number: int, chunk: int, start: int) -> None:
        block = self.block(chunk, start)
        if self.kept is not None:
            own = np.flatnonzero(self.kept[start : start + len(block.planes)])
            block = block.taken(own, int(self.kept[:start].sum()))
        if len(block.planes):
            work(number, block)

    def block(self, chunk: int, first: int) -> Block:
        """Decrypt one batch of people over one chunk. Raises StoreError.

        Its planes lie in a buffer of this thread's and last until the next block is asked for.
        """
        people = self._people(first)
        rows = self.rows(chunk)
        words = words_of(rows)
        planes = self._room(len(people), words)
        extras: dict[int, Words] = {}
        for at, person in enumerate(people):
            own = rows_in(person.version, chunk)
            if not own:
                planes[at] = 0
            followed = own > 0 and person.planes(chunk, own, planes[at])
            if followed:
                extras[at] = person.extras(chunk, own, words)
            if own < rows:
                extras.setdefault(at, np.zeros((2, words), np.uint64))
                later = self._decoded if person.has_stretches else self._later_rows
                later(person, chunk, own, planes[at], extras[at])
        by_stretch = np.array([person.has_stretches for person in people], np.bool_)
        return _block(first, planes, extras, by_stretch)

    def _people(self, first: int) -> Sequence[OpenedCopy]:
        found = self._opened.get(first)
        if found is None:
            last = min(first + BATCH, len(self))
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


def codes_at(person: OpenedCopy, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return (4, rows): the bits lo, hi, uncovered, haploid of rows the person knows."""
    out = np.zeros((4, len(rows)), np.uint8)
    for chunk in np.unique(rows // CHUNK_ROWS).tolist():
        own = rows_in(person.version, chunk)
        planes = np.zeros((2, words_of(own)), np.uint64)
        followed = person.planes(chunk, own, planes)
        extras = person.extras(chunk, own, planes.shape[1], followed=followed)
        here = rows // CHUNK_ROWS == chunk
        at = (rows[here] - chunk * CHUNK_ROWS).astype(np.uint64)
        for number, plane in enumerate((*planes, *extras)):
            out[number, here] = (plane[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1)
    return out


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
