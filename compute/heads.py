"""One derived copy: what is known of it unopened, and how its messages are sealed in place."""

import os
import struct
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.gcm import NONCE_BYTES
from compute.planes import LAYOUT_VERSION
from compute.segments import Extent

_PLACE, _LENGTH = struct.Struct(">IQQ?"), struct.Struct(">I")


class CopyHead(NamedTuple):
    """What is known of one derived copy without opening it. table_version: rows it knows of."""

    dataset: str
    grant: str
    modality: str
    layout: int
    table_version: int
    wrapped_data_key: bytes
    wrapped_activity_key: bytes

    def chunk_context(self, number: int, *, last: bool = True) -> bytes:
        """Return the additional data of one message: dataset, grant, layout, table version, number.

        last: no message that belongs to this one follows (so that none can be taken away).
        """
        return copy_context(self.dataset, self.grant) + self.place_of(number, last=last)

    def place_of(self, number: int, *, last: bool) -> bytes:
        """Return the part of `chunk_context` that differs between messages."""
        return _PLACE.pack(self.layout, self.table_version, number, last)


class StoredCopy(NamedTuple):
    """A copy's head, where its sealed messages lie, and its `copy_context`."""

    head: CopyHead
    extent: Extent
    context: bytes


def copy_context(dataset: str, grant: str) -> bytes:
    """Return the length-prefixed (dataset, grant) every key and chunk of a copy is bound to."""
    one, other = dataset.encode(), grant.encode()
    return _LENGTH.pack(len(one)) + one + _LENGTH.pack(len(other)) + other


def fresh_head(dataset: str, grant: str, modality: str, table_version: int) -> CopyHead:
    """Return a head without keys; the vault adds them wrapped."""
    return CopyHead(dataset, grant, modality, LAYOUT_VERSION, table_version, b"", b"")


def seal_messages(head: CopyHead, key: bytes, messages: Sequence[bytes]) -> list[bytes]:
    """Encrypt a copy's messages under its data key, each in its place; an empty one stays empty."""
    cipher, sealed = AESGCM(key), []
    for number, message in enumerate(messages):
        followed = number % 2 == 1 and any(messages[number + 1 : number + 2])
        nonce = os.urandom(NONCE_BYTES)
        context = head.chunk_context(number, last=not followed)
        sealed.append(nonce + cipher.encrypt(nonce, message, context) if message else b"")
    return sealed
