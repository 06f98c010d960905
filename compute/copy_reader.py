"""One person's genotype copy under its own key: messages opened in their place, never kept."""

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.copies import HEAD_MESSAGES, MESSAGES_A_CHUNK
from compute.gcm import NONCE_BYTES, OVERHEAD, SealedMessages
from compute.heads import CopyColumns, StoredCopy
from compute.kernels import CodeCounter
from compute.kernels.planes import STEP, Bool, Words, words_of
from compute.planes import CHUNK_ROWS, Int64, read_extras, read_planes, rows_in
from compute.sealing import Kms, StoreError
from compute.segments import SIZE_BYTES, Span
from compute.store import CohortStore


class OpenedCopy:
    """One person's copy and the data key that opens it, for the length of one run."""

    __slots__ = ("_sealed", "_store", "copy", "key", "version")

    def __init__(self, store: CohortStore, copy: StoredCopy, key: bytes) -> None:
        self._store, self.copy, self.key = store, copy, key
        self.version = copy.head.table_version  # how many rows of the variant table it knows
        self._sealed: Span | None = None

    @property
    def has_stretches(self) -> bool:
        """Tell whether covered stretches stand behind its chunks."""
        return len(self.copy.extent.sizes) % MESSAGES_A_CHUNK == 0

    def message(self, number: int) -> bytes:
        """Decrypt one message, b"" where there is none. Raises StoreError."""
        sealed, context = self._place(number)
        nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        if not text:
            return b""
        try:
            return AESGCM(self.key).decrypt(bytes(nonce), text, context)
        except (InvalidTag, ValueError):
            raise _changed() from None

    def whole(self) -> list[bytes]:
        """Decrypt every message in order. Raises StoreError."""
        return [self.message(number) for number in range(len(self.copy.extent.sizes))]

    def planes(self, chunk: int, rows: int, out: Words) -> None:
        """Decrypt a chunk's planes into out, (2, words) of zeros. Raises StoreError."""
        read_planes(self.message(_planes_of(chunk)), rows, out)

    def extras(self, chunk: int, rows: int, words: int) -> Words:
        """Return a chunk's extras, (2, words): rows not covered, rows called haploid."""
        return read_extras(self.message(_planes_of(chunk) + 1), rows, words)

    def sealed(self) -> Span:
        """Return all its messages, sealed, one after another. Raises StoreError."""
        if self._sealed is None:
            self._sealed = self._store.messages(self.copy)
        return self._sealed

    def _place(self, number: int) -> tuple[memoryview, bytes]:
        sizes = self.copy.extent.sizes
        start = sum(sizes[:number])
        followed = number % 2 == 1 and any(sizes[number + 1 : number + 2])
        context = self.copy.context + self.copy.head.place_of(number, last=not followed)
        return self.sealed().view[start : start + sizes[number]], context


def activity_keys(kms: Kms, copies: CopyColumns) -> list[bytes]:
    """Unwrap the activity keys of copies, in order: all or none. Raises StoreError."""
    return kms.unwrap_each(copies.activity_keys, [b"activity" + one for one in copies.contexts()])


class OpenedBatch:
    """Some people's copies opened together: their data keys, and where their messages lie.

    versions: int64 (people,), rows each knows; by_stretch: bool (people,), whose covered stretches
    stand behind the chunks.
    """

    def __init__(self, store: CohortStore, kms: Kms, copies: CopyColumns) -> None:
        """Unwrap the data keys: all or none. Raises StoreError."""
        self._store, self._copies, self._contexts = store, copies, copies.contexts()
        self._keys = kms.unwrap_each(copies.data_keys, [b"data" + one for one in self._contexts])
        self._sizes = copies.sizes()
        self._starts = self._sizes.cumsum(axis=0) - self._sizes  # both (messages, people)
        self._wholes = store.mapped(copies, self._sizes.sum(axis=0))
        counts = np.array([*map(len, copies.packed_sizes)], np.int64) // SIZE_BYTES
        self.versions, self.by_stretch = copies.versions, counts % MESSAGES_A_CHUNK == 0

    def __len__(self) -> int:
        return len(self._keys)

    def person(self, at: int) -> OpenedCopy:
        """Return one of them alone."""
        return OpenedCopy(self._store, self._copies.copy(at), self._keys[at])

    def size(self, number: int) -> Int64:
        """Return int64 (people,): the length of each one's message, 0 where there is none."""
        return self._sizes[number] if number < len(self._sizes) else np.zeros(len(self), np.int64)

    def sealed(self, number: int, size: int, at: Int64, last: Bool) -> SealedMessages:
        """Return a message, of `size` opened bytes, of the people `at`. last: nothing follows."""
        places = self._copies.places_of(number, last)
        bound = list(map(bytes.__add__, self._contexts, places))
        starts = self._starts[number, at] if len(at) else at  # no row of it where nobody has one
        own = at.tolist()
        keys, contexts = [self._keys[one] for one in own], [bound[one] for one in own]
        return SealedMessages(keys, self._wholes.taken(at), starts, size, contexts)


class BatchChunk:
    """One chunk, of `rows` rows, of a batch of people, sealed until it is opened or counted.

    more: bool (people,), of whom the planes do not say everything. alike: whether everybody's
    planes are dense and say all there is to say.
    """

    def __init__(self, batch: OpenedBatch, chunk: int, rows: int) -> None:
        self._batch, self._chunk, number = batch, chunk, _planes_of(chunk)
        known = (batch.versions - chunk * CHUNK_ROWS).clip(0, CHUNK_ROWS)
        extras, size = batch.size(number + 1) > 0, 2 * 8 * words_of(rows)
        self.more: Bool = extras | (known < rows)
        fits = -(-known // STEP) == -(-rows // STEP)
        self._dense = np.flatnonzero(fits & (batch.size(number) == size + OVERHEAD))
        self._sealed = batch.sealed(number, size, self._dense, ~extras)
        rest = self.more | batch.by_stretch
        self.alike = len(self._dense) == len(batch) and not rest.any()

    def __len__(self) -> int:
        return len(self._batch)

    def count(self, counter: CodeCounter) -> None:
        """Count everybody, who must be alike, and keep nobody's planes. Raises StoreError."""
        try:
            self._sealed.count(counter)
        except (InvalidTag, ValueError):
            raise _changed() from None

    def open(self, first: int, planes: Words) -> None:
        """Decrypt the people from `first` on over planes, uint64 (some of them, 2, words).

        Raises StoreError.
        """
        octets = planes.reshape(len(planes), -1).view(np.uint8)
        here = slice(*np.searchsorted(self._dense, [first, first + len(planes)]).tolist())
        dense = self._dense[here] - first
        try:
            self._sealed.open(here.start, here.stop, octets, dense)
        except InvalidTag:
            raise _changed() from None
        for other in sorted(set(range(len(planes))).difference(dense.tolist())):
            person, planes[other] = self._batch.person(first + other), 0
            if own := rows_in(person.version, self._chunk):
                person.planes(self._chunk, own, planes[other])


def codes_at(person: OpenedCopy, rows: Int64) -> npt.NDArray[np.uint8]:
    """Return (4, rows): the bits lo, hi, uncovered, haploid of rows the person knows."""
    out = np.zeros((4, len(rows)), np.uint8)
    for chunk in np.unique(rows // CHUNK_ROWS).tolist():
        own = rows_in(person.version, chunk)
        planes = np.zeros((2, words_of(own)), np.uint64)
        person.planes(chunk, own, planes)
        extras = person.extras(chunk, own, planes.shape[1])
        here = rows // CHUNK_ROWS == chunk
        at = (rows[here] - chunk * CHUNK_ROWS).astype(np.uint64)
        for number, plane in enumerate((*planes, *extras)):
            out[number, here] = (plane[at >> np.uint64(6)] >> (at & np.uint64(63))) & np.uint64(1)
    return out


def _planes_of(chunk: int) -> int:
    return HEAD_MESSAGES + MESSAGES_A_CHUNK * chunk


def _changed() -> StoreError:
    return StoreError("stored ciphertext does not open: it was changed, moved or erased")
