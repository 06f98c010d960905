"""AES-256-GCM as the store uses it, and the KMS port behind which data keys are wrapped."""

import os
from dataclasses import dataclass
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.errors import ComputeError

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class StoreError(ComputeError):
    """The cohort store cannot give or keep what was asked."""

    default_code = "store"


class Kms(Protocol):
    """Wraps data keys. `context` is authenticated: a wrapped key opens only where it was made."""

    def wrap(self, key: bytes, context: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class LocalKms:
    """A key-encryption key held in memory, from the worker's key file."""

    kek: bytes

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Encrypt `key` under the key-encryption key, bound to `context`."""
        return seal(self.kek, key, b"omic/kek/v1" + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open a wrapped key. Raises StoreError."""
        return unseal(self.kek, wrapped, b"omic/kek/v1" + context)


def seal(key: bytes, data: bytes, context: bytes) -> bytes:
    """Encrypt with AES-256-GCM under a fresh nonce: nonce || ciphertext || tag."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Open `seal`. Raises StoreError."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise StoreError(
            "stored ciphertext does not open: it was changed, moved or erased"
        ) from None
