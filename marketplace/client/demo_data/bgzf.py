"""Write BGZF, so that the demo's VCF files can be indexed like any other.

Spec: SAM specification section 4.1. Deterministic: no time stamp, fixed level.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

_BLOCK: Final = 65280
_EOF: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def compress(data: bytes, level: int = 6) -> bytes:
    """Return ``data`` as BGZF, ending in the end-of-file block."""
    blocks = [_block(data[at : at + _BLOCK], level) for at in range(0, len(data), _BLOCK)]
    return b"".join([*blocks, _EOF])


def _block(data: bytes, level: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    # 18 bytes before the body and 8 after it; BSIZE is the block's size minus one.
    head = struct.pack("<4BI2BH2B2H", 31, 139, 8, 4, 0, 0, 255, 6, 66, 67, 2, len(body) + 25)
    return head + body + struct.pack("<2I", zlib.crc32(data), len(data))
