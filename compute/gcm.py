"""AES-256-GCM messages opened many at once: one call outside the GIL instead of thousands in it.

The cipher is OpenSSL's, in the very libcrypto this interpreter's hashlib is linked to; a loop
compiled by numba calls it. Where there is none, or too little work to load numba for, the
`cryptography` package opens one message after another: slower, the same bytes. A message is
nonce (12 bytes) || ciphertext || tag (16), as `compute.sealing` makes them (NIST SP 800-38D).
"""

import ctypes
import os
import threading
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.kernels.counts import GROUP, CodeCounter
from compute.kernels.engine import engine_for
from compute.kernels.planes import Words, words_of
from compute.segments import Mapped, Span

Octets: TypeAlias = npt.NDArray[np.uint8]
Int64: TypeAlias = npt.NDArray[np.int64]
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
OVERHEAD: Final = NONCE_BYTES + TAG_BYTES
_MOST: Final = 1 << 30  # bytes of one message: OpenSSL counts in a C int


class SealedMessages:
    """Messages of one size under keys of their own, checked once."""

    def __init__(
        self,
        keys: Sequence[bytes],
        wholes: Mapped,
        starts: Int64,
        size: int,
        contexts: Sequence[bytes],
    ) -> None:
        """Message i: `size` opened bytes, sealed from starts[i] of wholes[i], bound to contexts[i].

        starts: int64 (n,). Raises ValueError for what does not fit together.
        """
        _check(keys, wholes.lengths, starts, size, contexts)
        self.size, self._wholes = size, wholes
        self._keys = np.frombuffer(b"".join(keys), np.uint8)
        self._sources = wholes.addresses + starts
        self._contexts = np.frombuffer(b"".join(contexts) + b"\0", np.uint8)
        self._ends = np.array([0, *accumulate(map(len, contexts))], np.int64)

    @staticmethod
    def joined(
        keys: Sequence[bytes], messages: Sequence[bytes], size: int, contexts: Sequence[bytes]
    ) -> "SealedMessages":
        """Return short messages, put one after another."""
        starts = np.zeros(len(messages), np.int64)
        return SealedMessages(keys, Mapped.joined(messages), starts, size, contexts)

    def __len__(self) -> int:
        return len(self._sources)

    def open(self, first: int, last: int, out: Octets, rows: Int64 | None = None) -> None:
        """Open messages first to last (not included) into the rows of `out`, given or from 0 on.

        out: uint8 (some, size), C-contiguous. Raises InvalidTag where one does not open (those
        after it may stay unopened), ValueError for another shape.
        """
        at = np.arange(last - first) if rows is None else rows
        self._check_target(first, last, out, at)
        if first == last:
            return
        if library := _library_for(out.size):
            keys = self._keys[KEY_BYTES * first :]
            sources, ends = self._sources[first:last], self._ends[first : last + 1]
            library.open(keys, sources, self._contexts, ends, out, at)
        else:
            self._open_slowly(first, out, at)

    def count(self, counter: CodeCounter) -> None:
        """Open every message, two planes of a counter's rows, and count it.

        Sixteen people's planes are in memory at a time, few enough to stay in the processor's
        cache, and nobody's afterwards. Raises InvalidTag where one does not open, ValueError where
        the messages are of another size.
        """
        if self.size != 2 * 8 * words_of(counter.rows):
            raise ValueError("the messages are not planes of the counter's rows")
        tile = _tile(self.size)
        planes = tile.view(np.uint64).reshape(GROUP, 2, -1)
        if library := _library_for(len(self) * self.size):
            for first in range(0, len(self), counter.most):
                last = min(first + counter.most, len(self))
                keys, into = self._keys[KEY_BYTES * first :], counter.room(last - first)
                sources, ends = self._sources[first:last], self._ends[first : last + 1]
                library.count(keys, sources, self._contexts, ends, tile, planes, into)
            return
        for first in range(0, len(self), GROUP):
            last = min(first + GROUP, len(self))
            try:
                self.open(first, last, tile)
                counter.add(planes[: last - first])
            finally:
                tile[:] = 0

    def _open_slowly(self, first: int, out: Octets, at: Int64) -> None:
        keys, contexts = self._keys.tobytes(), self._contexts.tobytes()
        for number, row in enumerate(at.tolist(), first):
            message = ctypes.string_at(int(self._sources[number]), self.size + OVERHEAD)
            cipher = AESGCM(keys[KEY_BYTES * number : KEY_BYTES * (number + 1)])
            context = contexts[self._ends[number] : self._ends[number + 1]]
            nonce, text = message[:NONCE_BYTES], message[NONCE_BYTES:]
            try:
                cipher.decrypt_into(nonce, text, context, out[row].data)
            except InvalidTag:
                out[row] = 0  # no byte is handed on unauthenticated
                raise

    def _check_target(self, first: int, last: int, out: Octets, at: Int64) -> None:
        if not 0 <= first <= last <= len(self) or len(at) != last - first:
            raise ValueError("there are not as many messages as rows")
        if not out.flags.c_contiguous or out.dtype != np.uint8 or out.shape[1:] != (self.size,):
            raise ValueError("out must be contiguous rows of the messages' size")
        if len(at) and not 0 <= at.min() <= at.max() < len(out):
            raise ValueError("a row lies outside out")


def _check(
    keys: Sequence[bytes], lengths: Int64, starts: Int64, size: int, contexts: Sequence[bytes]
) -> None:
    """Refuse what the compiled loop, which checks nothing, could read past its end."""
    if not len(keys) == len(lengths) == len(starts) == len(contexts):
        raise ValueError("as many keys, places and contexts are needed as messages")
    if not 0 <= size <= _MOST or (starts < 0).any() or (starts + size + OVERHEAD > lengths).any():
        raise ValueError("a message lies outside its bytes")
    if set(map(len, keys)) - {KEY_BYTES}:
        raise ValueError("a key is not 32 bytes")


class _Library:
    """libcrypto, by the addresses of what is called of it. Raises AttributeError, OSError."""

    def __init__(self) -> None:
        import _hashlib

        from compute.gcm_compiled import count_each, open_each

        self._open: Any = open_each
        self._count: Any = count_each
        self._dll = ctypes.CDLL(_hashlib.__file__)
        pointer = ctypes.c_void_p
        for name, result, arguments in (
            ("EVP_CIPHER_CTX_new", pointer, []),
            ("EVP_CIPHER_CTX_free", None, [pointer]),
            ("EVP_aes_256_gcm", pointer, []),
            ("EVP_DecryptInit_ex", ctypes.c_int, [pointer] * 5),
        ):
            function = getattr(self._dll, name)
            function.restype, function.argtypes = result, arguments
        called = (
            "EVP_DecryptInit_ex",
            "EVP_DecryptUpdate",
            "EVP_CIPHER_CTX_ctrl",
            "EVP_DecryptFinal_ex",
        )
        found = [ctypes.cast(getattr(self._dll, name), pointer).value for name in called]
        self._calls = np.array(found, np.int64)
        self._cipher = self._dll.EVP_aes_256_gcm()

    def open(
        self, keys: Octets, sources: Int64, contexts: Octets, ends: Int64, out: Octets, at: Int64
    ) -> None:
        """Open the messages at `sources` into rows `at` of out. Raises InvalidTag."""
        self._run(self._open, keys, sources, contexts, ends, out, at)

    def count(
        self, keys: Octets, sources: Int64, contexts: Octets, ends: Int64, tile: Octets,
        planes: Words, counter: Words,
    ) -> None:  # fmt: skip
        """Open the messages at `sources` over a tile and count its planes. Raises InvalidTag."""
        self._run(self._count, keys, sources, contexts, ends, tile, planes, counter)

    def _run(self, loop: Any, *arguments: Any) -> None:
        state = self._dll.EVP_CIPHER_CTX_new()
        try:
            if not self._dll.EVP_DecryptInit_ex(state, self._cipher, None, None, None):
                raise InvalidTag
            failed = loop(self._calls, state, *arguments)
        finally:
            self._dll.EVP_CIPHER_CTX_free(state)
        if failed >= 0:
            raise InvalidTag


def _tile(size: int) -> Octets:
    """Return this thread's buffer of sixteen messages, zeroed: fresh memory costs more."""
    found: Octets | None = getattr(_tiles, "tile", None)
    if found is None or found.shape[1] != size:
        found = _tiles.tile = np.zeros((GROUP, size), np.uint8)
    return found


_tiles = threading.local()


def _library_for(size: int) -> "_Library | None":
    """Return libcrypto where so many bytes are worth it, or numba is loaded already."""
    return _library() if engine_for(size).__name__.endswith("compiled") else None


@cache
def _library() -> _Library | None:
    """Return libcrypto where the interpreter has one that proves itself, else None."""
    try:
        found = _Library()
    except (ImportError, OSError, AttributeError):
        return None
    return found if _proves_itself(found) else None


def _proves_itself(library: _Library) -> bool:
    """Tell whether it opens what `cryptography` sealed, and refuses it when changed."""
    key, nonce, text, bound = os.urandom(32), os.urandom(12), os.urandom(64), b"omic"
    sealed = Span.of(nonce + AESGCM(key).encrypt(nonce, text, bound))
    out, first = np.zeros((1, 64), np.uint8), np.zeros(1, np.int64)

    def open_bound(context: bytes) -> bytes:
        sources, ends = first + sealed.address, np.array([0, len(context)], np.int64)
        keys, contexts = (np.frombuffer(part, np.uint8) for part in (key, context))
        library.open(keys, sources, contexts, ends, out, first)
        return out.tobytes()

    if open_bound(bound) != text:
        return False
    try:
        open_bound(b"other")
    except InvalidTag:
        return not out.any()
    return False
