"""Envelopes on their way from a log to a follower, as bytes.

Base64 in JSON would cost a follower as much as folding what is in it. For each envelope its leaf
index (u64 BE), the length of its entry (u32 BE, 0 once erased), the entry bytes, and the salt (32
bytes, absent once erased).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from ledger.errors import FormatError

SALT_BYTES = 32
_HEAD = struct.Struct(">QI")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A personal entry as stored; both None once erased."""

    index: int
    entry: bytes | None = None
    salt: bytes | None = None


def pack_envelopes(envelopes: Iterable[Envelope]) -> bytes:
    """Write envelopes one after another."""
    parts: list[bytes] = []
    for one in envelopes:
        entry, salt = one.entry or b"", one.salt or b""
        parts += (_HEAD.pack(one.index, len(entry)), entry, salt)
    return b"".join(parts)


def unpack_envelopes(data: bytes) -> list[Envelope]:
    """Read what `pack_envelopes` wrote. Raises FormatError."""
    found, at, size = [], 0, len(data)
    while at < size:
        start = at + _HEAD.size
        if start > size:
            raise FormatError("the ledger's envelopes are cut inside a length")
        index, length = _HEAD.unpack_from(data, at)
        end = start + length
        at = end + SALT_BYTES if length else end
        if at > size:
            raise FormatError(f"the envelope of entry {index} is cut short")
        found.append(Envelope(index, data[start:end], data[end:at]) if length else Envelope(index))
    return found
