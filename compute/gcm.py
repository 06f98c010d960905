"""AES-256-GCM messages opened many at once: one call outside the GIL instead of thousands in it.

The cipher is OpenSSL's, in the very libcrypto this interpreter's hashlib is linked to; a loop
compiled by numba calls it. Where there is none, or too little work to load numba for, the
`cryptography` package opens one message after another: slower, the same bytes. A message is
nonce (12 bytes) || ciphertext || tag (16), as `compute.sealing` makes them (NIST SP 800-38D).
"""

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.kernels.engine import engine_for
from compute.segments import Span

Octets: TypeAlias = npt.NDArray[np.uint8]
Int64: TypeAlias = npt.NDArray[np.int64]
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
OVERHEAD: Final = NONCE_BYTES + TAG_BYTES
_MOST: Final = 1 << 30  # bytes of one message: OpenSSL counts in a C int


class Messages(NamedTuple):
    """Sealed messages of one size: the i-th starts at starts[i] of wholes[i].

    addresses: int64 (n,), of the first byte of each whole; starts: int64 (n,); size: bytes.
    """

    wholes: Sequence[memoryview]
    addresses: Int64
    starts: Int64
    size: int

    @staticmethod
    def joined(messages: Sequence[bytes]) -> "Messages":
        """Return messages, as long as the first of them, put one after another."""
        whole, count = Span.of(b"".join(messages)), len(messages)
        size = len(whole.view) // max(count, 1)
        starts = np.arange(count, dtype=np.int64) * size
        return Messages([whole.view] * count, np.full(count, whole.address), starts, size)

    def view(self, number: int) -> memoryview:
        """Return one message."""
        start = int(self.starts[number])
        return self.wholes[number][start : start + self.size]


def open_each(
    keys: Sequence[bytes],
    sealed: Messages,
    contexts: Sequence[bytes],
    out: Octets,
    at: Int64 | None = None,
) -> None:
    """Open message i under keys[i], bound to contexts[i], into row at[i] (or i) of `out`.

    out: uint8 (rows, size), C-contiguous; a message is size + 28 bytes. Raises InvalidTag where
    one does not open (those after it may stay unopened), ValueError for other shapes.
    """
    rows = np.arange(len(sealed.starts)) if at is None else at
    _check(keys, sealed, contexts, out, rows)
    if not len(rows):
        return
    library = _library() if engine_for(out.size).__name__.endswith("compiled") else None
    if library is not None:
        library.open_each(keys, sealed, contexts, out, rows)
        return
    for number, row in enumerate(rows.tolist()):
        message = sealed.view(number)
        nonce, text, into = message[:NONCE_BYTES], message[NONCE_BYTES:], out[row].data
        AESGCM(keys[number]).decrypt_into(nonce, text, contexts[number], into)


def _check(
    keys: Sequence[bytes],
    sealed: Messages,
    contexts: Sequence[bytes],
    out: Octets,
    rows: Int64,
) -> None:
    """Refuse what the compiled loop, which checks nothing, could read or write past its end."""
    ends = sealed.starts + sealed.size
    lengths = np.fromiter(map(len, sealed.wholes), np.int64, len(sealed.wholes))
    if not out.flags.c_contiguous or out.dtype != np.uint8 or sealed.size > _MOST:
        raise ValueError("out must be contiguous rows of bytes")
    if not len(keys) == len(ends) == len(lengths) == len(contexts) == len(rows):
        raise ValueError("as many keys, contexts and rows are needed as messages")
    if len(rows) and sealed.size != out.shape[1] + OVERHEAD:
        raise ValueError("a message is not as long as its row and 28 bytes")
    if (rows < 0).any() or (rows >= len(out)).any():
        raise ValueError("a row lies outside out")
    if (sealed.starts < 0).any() or (ends > lengths).any():
        raise ValueError("a message lies outside its bytes")
    if {len(key) for key in keys} - {KEY_BYTES}:
        raise ValueError("a key is not 32 bytes")


class _Library:
    """libcrypto, by the addresses of what is called of it. Raises AttributeError, OSError."""

    def __init__(self) -> None:
        import _hashlib

        from compute.gcm_compiled import open_each as loop

        self._loop: Any = loop
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

    def open_each(
        self,
        keys: Sequence[bytes],
        sealed: Messages,
        contexts: Sequence[bytes],
        out: Octets,
        rows: Int64,
    ) -> None:
        """Do what `open_each` does, checked already."""
        ends = list(accumulate(map(len, contexts)))
        dll = self._dll
        context = dll.EVP_CIPHER_CTX_new()
        try:
            if not dll.EVP_DecryptInit_ex(context, dll.EVP_aes_256_gcm(), None, None, None):
                raise InvalidTag
            failed = self._loop(
                self._calls,
                context,
                np.frombuffer(b"".join(keys), np.uint8),
                sealed.addresses + sealed.starts,
                np.frombuffer(b"".join(contexts) + b"\0", np.uint8),
                np.array(ends, np.int64),
                out,
                rows,
            )
        finally:
            dll.EVP_CIPHER_CTX_free(context)
        if failed >= 0:
            raise InvalidTag


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
    key, nonce, text, context = os.urandom(32), os.urandom(12), os.urandom(64), b"omic"
    sealed = nonce + AESGCM(key).encrypt(nonce, text, context)
    out, first = np.zeros((1, 64), np.uint8), np.zeros(1, np.int64)
    library.open_each([key], Messages.joined([sealed]), [context], out, first)
    opened = out.tobytes() == text
    try:
        library.open_each([key], Messages.joined([sealed]), [b"other"], out, first)
    except InvalidTag:
        return opened and not out.any()
    return False
