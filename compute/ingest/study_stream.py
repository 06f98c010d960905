"""The text of a study's file piece by piece: plain, gzip, BGZF (over threads) or BCF; from disk.

Never holds the whole text. Pieces end anywhere: who reads them joins the lines at their edges. A
piece of BGZF is inflated by who reads it, into a room of its thread's own, since fresh memory for
each costs more than inflating.
"""

from __future__ import annotations

import mmap
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from compute.errors import IngestError
from compute.ingest.bcf import is_bcf, opened
from compute.ingest.source import ERRORS, is_bgzf, zlib_fast

Piece: TypeAlias = bytes | list[bytes]  # text, or BGZF blocks of it
_In = TypeVar("_In")
_Out = TypeVar("_Out")
_BGZF_EOF: Final = 28  # bytes of the end-of-file block
_BLOCKS: Final = 64  # BGZF blocks of 64 KiB in a piece
_STEP: Final = 1 << 22
MAX_LINE: Final = 1 << 28
AHEAD: Final = 4  # pieces being worked on
_own: Final = threading.local()


def mapped(source: Path | bytes) -> bytes | mmap.mmap:
    """Return a file's bytes without reading them. Raises IngestError ``unreadable``, ``empty``."""
    if isinstance(source, bytes):
        if not source:
            raise IngestError("the file is empty", code="empty")
        return source
    try:
        with source.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise IngestError("the file is empty", code="empty") from None
    except OSError as error:
        raise IngestError(
            f"the file cannot be read ({error.strerror})", code="unreadable"
        ) from error


def pieces_of(source: Path | bytes) -> Iterator[Piece]:
    """Yield a VCF's or BCF's text in order. Raises IngestError ``damaged``, ``truncated``."""
    data = mapped(source)
    try:
        if data[:2] != b"\x1f\x8b":
            yield from _plain(data)
        elif is_bcf(_start(data)):
            yield from _bcf(source)
        elif is_bgzf(data[:18]):
            yield from _batches(data)
        else:
            yield from _gzip(data)
    except ERRORS as error:
        raise _damaged() from error


def text_of(piece: Piece) -> tuple[bytes | bytearray, int]:
    """Return a piece's text and its size, good until this thread asks again.

    Raises IngestError ``damaged``.
    """
    if isinstance(piece, bytes):
        return piece, len(piece)
    room: bytearray = _own.__dict__.setdefault("room", bytearray(len(piece) << 16))
    size = 0
    try:
        for block in piece:
            text = zlib_fast.decompress(block, 31, 1 << 16)
            if len(text) > 1 << 16:
                raise _damaged()
            room[size : size + len(text)] = text
            size += len(text)
    except ERRORS as error:
        raise _damaged() from error
    return room, size


def in_order(pool: Executor, action: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """Yield action(item) in order while the next few are worked on."""
    waiting: deque[Future[_Out]] = deque()
    for item in items:
        waiting.append(pool.submit(action, item))
        if len(waiting) >= AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def lines_of(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """Yield a text's lines without their ends. Raises IngestError ``truncated``."""
    carried = b""
    for piece in pieces:
        text, size = text_of(piece)
        *lines, carried = (carried + text[:size]).split(b"\n")
        yield from lines
        if len(carried) > MAX_LINE:
            raise IngestError(f"a line is longer than {MAX_LINE} bytes", code="line_too_long")
    if carried:
        raise IngestError("the last line does not end: the file is cut short", code="truncated")


def _damaged() -> IngestError:
    return IngestError(
        "the compressed data are damaged; copy or download the file again", code="damaged"
    )


def _plain(data: bytes | mmap.mmap) -> Iterator[bytes]:
    for at in range(0, len(data), _STEP):
        yield data[at : at + _STEP]


def _start(data: bytes | mmap.mmap) -> bytes:
    """Return the first plain bytes of a gzip stream."""
    return bytes(zlib.decompressobj(31).decompress(data[: 1 << 16], 64))


def _batches(data: bytes | mmap.mmap) -> Iterator[list[bytes]]:
    """Yield runs of whole BGZF blocks. Spec: SAM section 4.1."""
    at, found, last = 0, [], b""
    while at < len(data):
        head = data[at : at + 18]
        if len(head) < 18 or not is_bgzf(head):
            raise IngestError("a BGZF block is damaged or cut", code="damaged")
        size = int.from_bytes(head[16:18], "little") + 1
        if at + size > len(data):
            raise _truncated("its last BGZF block is cut")
        last = data[at : at + size]
        found.append(last)
        at += size
        if len(found) == _BLOCKS:
            yield found
            found = []
    if len(last) != _BGZF_EOF:
        raise _truncated("the BGZF end-of-file block is missing")
    yield found


def _gzip(data: bytes | mmap.mmap) -> Iterator[bytes]:
    member = None
    for at in range(0, len(data), 1 << 18):
        rest = data[at : at + (1 << 18)]
        while rest or member is not None:
            member = member or zlib_fast.decompressobj(31)
            text = member.decompress(rest, _STEP)
            if text:
                yield text
            rest = member.unused_data if member.eof else member.unconsumed_tail
            if member.eof:
                member = None
            elif not rest and not text:
                break
    if member is not None:
        raise _truncated("the last gzip member does not end")


def _bcf(source: Path | bytes) -> Iterator[bytes]:
    """Yield a BCF as htslib writes it as VCF."""
    with opened(source) as variants:
        yield str(variants.header).encode()
        lines: list[str] = []
        size = 0
        for record in variants:
            lines.append(str(record))
            size += len(lines[-1])
            if size > _STEP:
                yield "".join(lines).encode()
                lines, size = [], 0
        if lines:
            yield "".join(lines).encode()


def _truncated(what: str) -> IngestError:
    return IngestError(
        f"the file is cut short: {what}. Copy or download it again", code="truncated"
    )
