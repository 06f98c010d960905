"""Bytes of an untrusted file: read within bounds, inflate while counting, decode strictly.

Never writes anywhere and never trusts a length a file states of itself. Formats: RFC 1952
(gzip), SAM specification section 4.1 (BGZF and its end-of-file block).
"""

from __future__ import annotations

import io
import os
import zlib
from importlib import import_module
from typing import Any, Final, TypeAlias

from compute.errors import IngestError
from compute.parsed import Limits

Source: TypeAlias = bytes | int


def _fastest() -> Any:
    """Return isal's zlib, several times faster, or the standard one: the same interface."""
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return zlib


zlib_fast: Final = _fastest()
ERRORS: Final = (zlib.error, zlib_fast.error)

_GZIP: Final = b"\x1f\x8b"
_BGZF_EOF: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_STEP: Final = 1 << 16
# A short file of one repeated line may compress very well; a bomb must be large to hurt.
_RATIO_FREE: Final = 1 << 22


def read(source: Source, limits: Limits) -> bytes:
    """Return all bytes of a buffer or a descriptor (from its start).

    Raises IngestError ``too_large`` above ``limits.max_input`` and ``empty`` for nothing.
    """
    data = source if isinstance(source, bytes) else _read_fd(source, limits)
    if len(data) > limits.max_input:
        raise _too_large(limits.max_input)
    if not data:
        raise IngestError("the file is empty", code="empty")
    return data


def _read_fd(fd: int, limits: Limits) -> bytes:
    # BytesIO hands its buffer out without a copy: a child holds a file once, not twice.
    found = io.BytesIO()
    try:
        while chunk := os.pread(fd, 1 << 22, found.tell()):
            found.write(chunk)
            if found.tell() > limits.max_input:
                raise _too_large(limits.max_input)
    except OSError as error:
        raise IngestError(
            f"the file cannot be read ({error.strerror})", code="unreadable"
        ) from error
    return found.getvalue()


def inflate(data: bytes, limits: Limits) -> bytes:
    """Return plain bytes of plain, gzip (any number of members) or BGZF input.

    Raises IngestError ``truncated``, ``damaged`` or ``bomb``; stops while inflating, before a
    bomb has been written out.
    """
    if not data.startswith(_GZIP):
        if len(data) > limits.max_plain:
            raise _too_large(limits.max_plain)
        return data
    if is_bgzf(data) and not data.endswith(_BGZF_EOF):
        raise _truncated("the BGZF end-of-file block is missing")
    try:
        return _inflate(data, limits)
    except ERRORS as error:
        raise IngestError(
            "the compressed data are damaged; copy or download the file again", code="damaged"
        ) from error


def is_bgzf(data: bytes) -> bool:
    """Tell whether a gzip stream starts with a BGZF block (extra field "BC")."""
    return data.startswith(_GZIP) and len(data) >= 18 and data[3] & 4 != 0 and data[12:14] == b"BC"


def _inflate(data: bytes, limits: Limits) -> bytes:
    budget = min(limits.max_plain, max(len(data) * limits.max_ratio, _RATIO_FREE))
    found = io.BytesIO()
    member = None
    for start in range(0, len(data) + _STEP, _STEP):
        rest = data[start : start + _STEP]
        while rest or member is not None:
            if member is None:
                member = zlib_fast.decompressobj(31)
            piece = member.decompress(rest, 1 << 20)
            if found.write(piece) and found.tell() > budget:
                raise _bomb(limits)
            if member.eof:
                rest, member = member.unused_data, None
            else:
                rest = member.unconsumed_tail
                if not rest and not piece:
                    break
    if member is not None:
        raise _truncated("the last gzip member does not end")
    return found.getvalue()


def check_lines(data: bytes, limits: Limits) -> None:
    """Refuse a line longer than any format's, before it is taken apart.

    Raises IngestError ``line_too_long`` naming the line.
    """
    at, most = 0, limits.max_line
    while len(data) - at > most:
        end = data.rfind(b"\n", at, at + most)
        if end < 0:
            raise IngestError(
                f"a line is longer than {most} bytes",
                code="line_too_long",
                where=f"line {_line_of(data, at)}",
            )
        at = end + 1


def decode(data: bytes) -> str:
    """Decode UTF-8 strictly. Raises IngestError ``bad_utf8`` naming the line."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise IngestError(
            "the text is not UTF-8; save it again as UTF-8",
            code="bad_utf8",
            where=f"line {_line_of(data, error.start)}",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise IngestError("a NUL byte stands in the text", code="bad_text", where=f"line {line}")
    return text


def _too_large(limit: int) -> IngestError:
    return IngestError(f"the file is larger than the limit of {limit} bytes", code="too_large")


def _truncated(what: str) -> IngestError:
    return IngestError(
        f"the file is cut short: {what}. Copy or download it again", code="truncated"
    )


def _bomb(limits: Limits) -> IngestError:
    return IngestError(
        f"the file inflates to more than {limits.max_ratio} times its size, or more than "
        f"{limits.max_plain} bytes; it is refused unread",
        code="bomb",
    )


def _line_of(data: bytes, offset: int) -> int:
    return data.count(b"\n", 0, offset) + 1
