"""One derived copy: what is known of it unopened, and how its messages are sealed in place."""

import os
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.gcm import NONCE_BYTES
from compute.planes import LAYOUT_VERSION
from compute.segments import SIZE_BYTES, Extent, Int64, unpacked_sizes

_PLACE, _LENGTH = struct.Struct(">IQQ?"), struct.Struct(">I")
_PLACES = np.dtype([("layout", ">u4"), ("version", ">u8"), ("number", ">u8"), ("last", "?")])


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


class CopyColumns(NamedTuple):
    """Many copies in one order, a column for each part of head and extent: cheaper than rows.

    layouts, versions, offsets: int64 (people,).
    """

    datasets: tuple[str, ...]
    grants: tuple[str, ...]
    modalities: tuple[str, ...]
    layouts: Int64
    versions: Int64
    data_keys: tuple[bytes, ...]
    activity_keys: tuple[bytes, ...]
    segments: tuple[str, ...]
    offsets: Int64
    packed_sizes: tuple[bytes, ...]

    @staticmethod
    def of(rows: Sequence[Sequence[Any]]) -> "CopyColumns":
        """Return the columns of rows of the store's index."""
        columns: list[Any] = list(zip(*rows, strict=True)) or [()] * len(CopyColumns._fields)
        found = CopyColumns(*columns)
        layouts, versions, offsets = (
            np.array(one, np.int64) for one in (found.layouts, found.versions, found.offsets)
        )
        return found._replace(layouts=layouts, versions=versions, offsets=offsets)

    def copy(self, at: int) -> StoredCopy:
        """Return one copy."""
        dataset, grant = self.datasets[at], self.grants[at]
        keys = self.data_keys[at], self.activity_keys[at]
        layout, version = int(self.layouts[at]), int(self.versions[at])
        head = CopyHead(dataset, grant, self.modalities[at], layout, version, *keys)
        sizes = unpacked_sizes(self.packed_sizes[at])
        extent = Extent(self.segments[at], int(self.offsets[at]), sizes)
        return StoredCopy(head, extent, copy_context(dataset, grant))

    def contexts(self) -> list[bytes]:
        """Return each one's `copy_context`."""
        return list(map(copy_context, self.datasets, self.grants))

    def sizes(self) -> Int64:
        """Return int64 (messages, people): each message's length, 0 where there is none."""
        width = max(map(len, self.packed_sizes), default=0)
        octets = b"".join([one.ljust(width, b"\0") for one in self.packed_sizes])
        shape = len(self.packed_sizes), width // SIZE_BYTES
        return np.frombuffer(octets, "<u4").reshape(shape).T.astype(np.int64)

    def places_of(self, number: int, last: npt.NDArray[np.bool_]) -> list[bytes]:
        """Return each one's `CopyHead.place_of` of a message; last: bool (people,)."""
        found = np.empty(len(self.datasets), _PLACES)
        found["layout"], found["version"] = self.layouts, self.versions
        found["number"], found["last"] = number, last
        whole, size = found.tobytes(), _PLACES.itemsize
        return [whole[at : at + size] for at in range(0, len(whole), size)]


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
