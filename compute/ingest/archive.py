"""A .zip in memory: one data file, and beside it at most one BED of callable regions.

Names in an archive are labels and never paths: nothing is extracted anywhere. Sizes an archive
states of itself are not believed. Spec: PKWARE APPNOTE 6.3 (stored and deflated members only).
"""

from __future__ import annotations

import encodings.cp437  # noqa: F401 - the code page of names in a zip; a child can import nothing
import io
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Final

from compute.errors import IngestError
from compute.parsed import Limits

_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
_STEP: Final = 1 << 20
_RATIO_FREE: Final = 1 << 22
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f/\\:]{1,200}\Z")
_BED: Final = re.compile(r"\.bed(\.gz)?\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Members by role, as they are in the archive (possibly still gzip)."""

    data: bytes
    regions: bytes | None


def is_zip(data: bytes) -> bool:
    """Tell whether bytes start as a zip archive does."""
    return data.startswith(_MAGIC)


def unpack(data: bytes, limits: Limits) -> Unpacked:
    """Return the archive's data file and its BED, if any.

    Raises IngestError ``bad_archive``, ``bomb``, ``damaged``, ``several_files``.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _sorted_out(archive, len(data), limits)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error) as error:
        raise IngestError(
            "the zip archive is damaged or cut short; download it again", code="damaged"
        ) from error
    except (NotImplementedError, RuntimeError, ValueError, UnicodeError) as error:
        raise _bad("is encrypted, or written in a way that is not supported") from error


def pack(data: bytes, name: str, regions: bytes) -> bytes:
    """Return a zip of a variant-only file and its callable regions (BED), as one upload."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in ((name, data), ("callable.bed", regions)):
            archive.writestr(zipfile.ZipInfo(member), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _sorted_out(archive: zipfile.ZipFile, size: int, limits: Limits) -> Unpacked:
    members = archive.infolist()
    if len(members) > limits.max_members:
        raise _bad(f"holds more than {limits.max_members} files")
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise _bad("names one file twice")
    for member in members:
        _check(member)
    beds = [m for m in members if _BED.search(m.filename)]
    others = [m for m in members if m not in beds]
    if len(others) != 1 or len(beds) > 1:
        raise IngestError(
            f"the archive holds {len(others)} data files and {len(beds)} BED files: put one "
            "person's one file in it, and at most one BED of callable regions",
            code="several_files",
        )
    budget = min(limits.max_plain, max(size * limits.max_ratio, _RATIO_FREE))
    found = _read(archive, others[0], budget)
    return Unpacked(found, _read(archive, beds[0], budget - len(found)) if beds else None)


def _check(member: zipfile.ZipInfo) -> None:
    # orig_filename: zipfile itself cuts a name at NUL and turns separators.
    if not _NAME.match(member.orig_filename) or member.filename.strip(". ") == "":
        raise _bad("names a file with a path, a drive, or a character that cannot be shown")
    if member.flag_bits & 1:
        raise _bad("is encrypted; unpack it first")
    if member.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise _bad("uses a compression other than deflate")


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    with archive.open(member) as stream:
        while piece := stream.read(_STEP):
            total += len(piece)
            if total > budget:
                raise IngestError(
                    "the archive inflates to far more than its size; it is refused unread",
                    code="bomb",
                )
            parts.append(piece)
    if not total:
        raise IngestError("a file in the archive is empty", code="empty")
    return b"".join(parts)


def _bad(what: str) -> IngestError:
    return IngestError(f"the zip archive {what}", code="bad_archive")
