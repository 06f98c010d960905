"""AES-256-GCM as the store uses it, and the KMS port behind which data keys are wrapped."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.errors import ComputeError
from compute.gcm import KEY_BYTES, NONCE_BYTES, OVERHEAD, SealedMessages

_KEK = b"omic/kek/v1"


class StoreError(ComputeError):
    """The cohort store cannot give or keep what was asked."""

    default_code = "store"


class Kms(Protocol):
    """Wraps data keys. `context` is authenticated: a wrapped key opens only where it was made."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Return a data key wrapped."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key. Raises for another context or changed bytes."""
        ...

    def unwrap_each(self, wrapped: Sequence[bytes], contexts: Sequence[bytes]) -> list[bytes]:
        """Return many data keys, each of its own context, in order. Raises as `unwrap`."""
        ...


@dataclass(frozen=True, slots=True)
class LocalKms:
    """A key-encryption key held in memory, from the worker's key file."""

    kek: bytes
    _cipher: AESGCM = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_cipher", AESGCM(self.kek))

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Encrypt `key` under the key-encryption key, bound to `context`."""
        return _sealed(self._cipher, key, _KEK + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open a wrapped key. Raises StoreError."""
        return _unsealed(self._cipher, wrapped, _KEK + context)

    def unwrap_each(self, wrapped: Sequence[bytes], contexts: Sequence[bytes]) -> list[bytes]:
        """Open many wrapped data keys at once, each as `unwrap` does: all or none."""
        bound = [_KEK + context for context in contexts]
        out = np.zeros((len(wrapped), KEY_BYTES), np.uint8)
        if set(map(len, wrapped)) - {KEY_BYTES + OVERHEAD}:
            raise _changed()
        try:
            keys = [self.kek] * len(wrapped)
            SealedMessages.joined(keys, wrapped, KEY_BYTES, bound).open(0, len(wrapped), out)
        except InvalidTag:
            raise _changed() from None
        data = out.tobytes()
        return [data[at : at + KEY_BYTES] for at in range(0, len(data), KEY_BYTES)]


def seal(key: bytes, data: bytes, context: bytes) -> bytes:
    """Encrypt with AES-256-GCM under a fresh nonce: nonce || ciphertext || tag."""
    return _sealed(AESGCM(key), data, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Open `seal`. Raises StoreError."""
    try:
        cipher = AESGCM(key)
    except ValueError:
        raise _changed() from None
    return _unsealed(cipher, sealed, context)


def _sealed(cipher: AESGCM, data: bytes, context: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, context)


def _unsealed(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise _changed() from None


def _changed() -> StoreError:
    return StoreError("stored ciphertext does not open: it was changed, moved or erased")
