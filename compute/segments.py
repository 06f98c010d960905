"""Segment files: the ciphertext of many people's copies in few files, appended and never changed.

A file is opened once and mapped, whoever is read from it. A writer holds an exclusive lock on the
one it appends to, so several processes share a folder. Appended bytes are on the disk before
`append` returns; the index that names them (compute.store) commits after, so a crash leaves bytes
nobody names, which compaction takes away. Erasing punches a hole (or writes zeros where the file
system cannot): nobody else's bytes move. Holds ciphertext only.
"""

import ctypes
import fcntl
import mmap
import os
import secrets
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.errors import ComputeError

Int64: TypeAlias = npt.NDArray[np.int64]
SIZE_BYTES: Final = 4  # of each size an index holds
FULL: Final = 64 << 20  # bytes: a few hundred people of half a million variants
_SUFFIX: Final = ".seg"
_PUNCH_HOLE: Final = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
_ZEROS: Final = bytes(1 << 20)


class SegmentError(ComputeError):
    """A segment file is missing or shorter than the index says."""

    default_code = "store"


class Extent(NamedTuple):
    """Where one copy's messages lie: segment name, byte offset, the size of each in order."""

    segment: str
    offset: int
    sizes: tuple[int, ...]

    @property
    def length(self) -> int:
        """Return how many bytes it takes."""
        return sum(self.sizes)

    def packed_sizes(self) -> bytes:
        """Return the sizes as little-endian u32."""
        return struct.pack(f"<{len(self.sizes)}I", *self.sizes)


class Span(NamedTuple):
    """Bytes in memory, and the address of the first, good for as long as the view is held."""

    view: memoryview
    address: int

    @staticmethod
    def of(data: "bytes | mmap.mmap") -> "Span":
        """Return the whole of some bytes."""
        return Span(memoryview(data), int(np.frombuffer(data, np.uint8).ctypes.data))

    def part(self, start: int, end: int) -> "Span":
        """Return some of it."""
        return Span(self.view[start:end], self.address + start)


class Mapped(NamedTuple):
    """Many extents in memory, good for as long as this is held.

    addresses: int64 (n,), of each one's first byte; lengths: int64 (n,), bytes.
    """

    addresses: Int64
    lengths: Int64
    held: tuple[Span, ...]

    @staticmethod
    def joined(parts: "Sequence[bytes]") -> "Mapped":
        """Return copies of some bytes, one after another."""
        whole, lengths = Span.of(b"".join(parts)), np.array([*map(len, parts)], np.int64)
        return Mapped(lengths.cumsum() - lengths + whole.address, lengths, (whole,))

    def taken(self, at: Int64) -> "Mapped":
        """Return those at some indexes."""
        return Mapped(self.addresses[at], self.lengths[at], self.held)


def unpacked_sizes(data: bytes) -> tuple[int, ...]:
    """Return the sizes `Extent.packed_sizes` packed."""
    return struct.unpack(f"<{len(data) // SIZE_BYTES}I", data)


class SegmentFiles:
    """The segment files of one folder. Safe for threads; processes share by file locks."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.RLock()
        self._writing: tuple[str, int] | None = None
        self._maps: dict[str, Span] = {}

    def close(self) -> None:
        """Give up the lock of the segment written to, and every mapping no longer in use."""
        with self._lock:
            if self._writing is not None:
                os.close(self._writing[1])
                self._writing = None
            self._maps.clear()

    def append(self, messages: Sequence[bytes], *, apart_from: str = "") -> Extent:
        """Write messages one after another, durably, into another segment than `apart_from`."""
        with self._lock:
            name, fd = self._writable(apart_from)
            offset = os.lseek(fd, 0, os.SEEK_END)
            _write_all(fd, messages)
            os.fdatasync(fd)
            return Extent(name, offset, tuple(map(len, messages)))

    def span(self, extent: Extent) -> Span:
        """Return the bytes of an extent, mapped, read only. Raises SegmentError."""
        end = extent.offset + extent.length
        return self._whole(extent.segment, end).part(extent.offset, end)

    def mapped(self, names: Sequence[str], starts: Int64, lengths: Int64) -> Mapped:
        """Return the bytes of many extents, mapped, read only. Raises SegmentError."""
        number = {name: at for at, name in enumerate(dict.fromkeys(names))}
        of_extent = np.array([number[name] for name in names], np.int64)
        furthest = np.zeros(len(number), np.int64)
        np.maximum.at(furthest, of_extent, starts + lengths)
        if (starts < 0).any() or (lengths < 0).any():
            raise SegmentError("the index names bytes before a segment's first: restore it")
        wholes = tuple(map(self._whole, number, furthest.tolist()))
        bases = np.array([whole.address for whole in wholes], np.int64)
        return Mapped(bases[of_extent] + starts, lengths, wholes)

    def _whole(self, name: str, end: int) -> Span:
        """Return a segment, at least `end` bytes of it, mapped. Raises SegmentError."""
        with self._lock:
            found = self._maps.get(name)
            if found is None or len(found.view) < end:
                found = self._map(name, end)
        return found

    def erase(self, extent: Extent) -> None:
        """Make an extent's bytes unreadable on the disk for good; a missing segment is erased."""
        if not extent.length:
            return
        with suppress(FileNotFoundError), _opened(self._path(extent.segment), os.O_RDWR) as fd:
            if not _punch(fd, extent.offset, extent.length):
                _write_zeros(fd, extent.offset, extent.length)
            os.fdatasync(fd)

    def names(self) -> list[str]:
        """Return every segment's name."""
        return sorted(path.stem for path in self._folder.glob(f"*{_SUFFIX}"))

    def size(self, name: str) -> int:
        """Return a segment's length in bytes, holes included."""
        return self._path(name).stat().st_size

    @contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Hold a segment nobody writes to; yields False where somebody does."""
        with self._lock:
            if self._writing is not None and self._writing[0] == name:
                os.close(self._writing[1])
                self._writing = None
        try:
            with _opened(self._path(name), os.O_RDWR) as fd:
                yield _locked(fd)
        except FileNotFoundError:
            yield False

    def remove(self, name: str) -> None:
        """Delete a whole segment; a reader that has it mapped keeps what it mapped."""
        with self._lock:
            self._maps.pop(name, None)
        self._path(name).unlink(missing_ok=True)
        self._sync_folder()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _writable(self, apart_from: str) -> tuple[str, int]:
        if self._writing is not None:
            name, fd = self._writing
            if os.fstat(fd).st_size < FULL:
                return name, fd
            os.close(fd)
        self._writing = self._reopen(apart_from) or self._create()
        return self._writing

    def _reopen(self, apart_from: str) -> tuple[str, int] | None:
        """Take up a segment that has room and that nobody writes to."""
        for name in self.names():
            if name == apart_from:
                continue
            fd = os.open(self._path(name), os.O_RDWR | os.O_CLOEXEC)
            if os.fstat(fd).st_size < FULL and _locked(fd) and self._path(name).exists():
                return name, fd
            os.close(fd)
        return None

    def _create(self) -> tuple[str, int]:
        name = secrets.token_hex(8)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        fd = os.open(self._path(name), flags, 0o600)
        _locked(fd)
        self._sync_folder()
        return name, fd

    def _map(self, name: str, end: int) -> Span:
        try:
            with _opened(self._path(name), os.O_RDONLY) as fd:
                if os.fstat(fd).st_size < end:
                    raise SegmentError("a segment is shorter than the index says: restore it, or "
                                       "withdraw and ingest its people again")  # fmt: skip
                self._maps[name] = Span.of(mmap.mmap(fd, 0, prot=mmap.PROT_READ))
        except FileNotFoundError:
            raise SegmentError("a segment of the store is missing") from None
        return self._maps[name]

    def _sync_folder(self) -> None:
        with _opened(self._folder, os.O_RDONLY | os.O_DIRECTORY) as fd:
            os.fsync(fd)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_all(fd: int, messages: Sequence[bytes]) -> None:
    view = memoryview(b"".join(messages))
    while view:
        view = view[os.write(fd, view) :]


def _punch(fd: int, offset: int, length: int) -> bool:
    """Free the blocks of a range and zero its ragged ends; False where the system cannot."""
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if fallocate is None:
        return False
    arguments = (ctypes.c_int(fd), ctypes.c_int(_PUNCH_HOLE), ctypes.c_longlong(offset))
    return bool(fallocate(*arguments, ctypes.c_longlong(length)) == 0)


def _write_zeros(fd: int, offset: int, length: int) -> None:
    end = offset + length
    while offset < end:
        offset += os.pwrite(fd, _ZEROS[: end - offset], offset)
