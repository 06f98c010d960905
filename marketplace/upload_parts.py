"""Uploads in parts: what a browser sends piece by piece, pauses, and takes up again.

A part is a staged object like any other; when the last has come, they are streamed into one upload
whose SHA-256 and length are what its owner announced, and from there all is as in `uploads`.
"""

import io
import queue
import threading
from contextlib import suppress
from typing import IO, cast

from sqlmodel import col, func, select

from marketplace import uploads
from marketplace.errors import (
    ForbiddenError,
    InputError,
    MarketError,
    NotFoundError,
    TooLargeError,
)
from marketplace.objects import ObjectStore, Stored
from marketplace.services import Services
from marketplace.tables import StoredObject, UploadPart

CHUNKS_AHEAD = 4


def put(
    services: Services, owner: str, dataset: str, number: int, body: IO[bytes], sha256: str
) -> Stored:
    """Store one part; sent again it takes the place of the first. Raises our errors."""
    limits = services.config.limits
    if not 0 <= number < limits.parts:
        raise InputError(f"parts are numbered from 0, and there are at most {limits.parts}")
    room = _room(services, owner, dataset, number)
    with services.db.write() as session:
        uploads.may_upload(session, owner, dataset)
        key = uploads.announce(session, services.clock())
    stored = services.objects.put(key, body, limit=min(room, limits.part_bytes), sha256=sha256)
    with services.db.write() as session:
        uploads.keep(session, stored, uploads.STAGED, services.clock())
        row = session.get(UploadPart, (dataset, number))
        if row is not None:
            uploads.doom(session, row.object_key)
        row = row or UploadPart(
            dataset=dataset, number=number, owner=owner, object_key=key, created_at=0
        )
        row.object_key, row.created_at = key, services.clock()
        session.add(row)
    return stored


def _room(services: Services, owner: str, dataset: str, number: int) -> int:
    """Return how many bytes this owner's parts may still take. Raises TooLargeError, Forbidden."""
    limits = services.config.limits
    with services.db.read() as session:
        others = select(UploadPart.owner).where(
            col(UploadPart.dataset) == dataset, col(UploadPart.owner) != owner
        )
        if session.exec(others).first() is not None:
            raise ForbiddenError("another owner sends a dataset of this id; take a new id")
        again = (col(UploadPart.dataset) == dataset) & (col(UploadPart.number) == number)
        query = (
            select(func.coalesce(func.sum(StoredObject.size), 0))
            .select_from(UploadPart)
            .join(StoredObject, col(StoredObject.key) == col(UploadPart.object_key))
            .where(col(UploadPart.owner) == owner, ~again)
        )
        used = int(session.exec(query).one())
    if used >= limits.staged_bytes:
        raise TooLargeError(
            f"your uploads under way have the {limits.staged_bytes} bytes one owner may stage; "
            "complete one first, or wait until they are dropped"
        )
    return limits.staged_bytes - used


def listed(services: Services, owner: str, dataset: str) -> list[tuple[int, StoredObject]]:
    """Return what has arrived of an upload: (number, object) in order."""
    query = (
        select(UploadPart.number, StoredObject)
        .join(StoredObject, col(StoredObject.key) == col(UploadPart.object_key))
        .where(col(UploadPart.dataset) == dataset, col(UploadPart.owner) == owner)
        .order_by(col(UploadPart.number))
    )
    with services.db.read() as session:
        return [(number, stored) for number, stored in session.exec(query).all()]


def complete(
    services: Services, owner: str, dataset: str, *, parts: int, size: int, sha256: str
) -> tuple[Stored, str]:
    """Make the parts one upload; return it with its state, as `uploads.stage` does.

    Raises NotFoundError, TamperedError, TooLargeError.
    """
    there = listed(services, owner, dataset)
    if [number for number, _ in there] != list(range(parts)):
        raise NotFoundError(f"{len(there)} of {parts} parts are here; send the missing ones first")
    total = sum(stored.size for _, stored in there)
    if total != size:
        raise InputError(f"the parts have {total} bytes together, not {size}")
    with _Joined(services.objects, [stored.key for _, stored in there]) as body:
        staged = uploads.stage(services, owner, dataset, cast("IO[bytes]", body), sha256)
    drop(services, dataset)
    return staged


def drop(services: Services, dataset: str) -> None:
    """Let an upload's parts go."""
    with services.db.write() as session:
        query = select(UploadPart).where(col(UploadPart.dataset) == dataset)
        for row in session.exec(query).all():
            uploads.doom(session, row.object_key)
            session.delete(row)


class _Joined(io.RawIOBase):
    """Objects one after another, read as one stream; a few chunks in memory at most.

    A thread of its own reads: the object store cannot be asked from within its own upload.
    """

    def __init__(self, objects: ObjectStore, keys: list[str]) -> None:
        self._queue: queue.Queue[bytes | Exception] = queue.Queue(CHUNKS_AHEAD)
        self._gone, self._rest = threading.Event(), b""
        self._thread = threading.Thread(target=self._feed, args=(objects, keys), daemon=True)
        self._thread.start()

    def _feed(self, objects: ObjectStore, keys: list[str]) -> None:
        try:
            for key in keys:
                for chunk in objects.read(key):
                    self._offer(chunk)
            self._offer(b"")
        except MarketError as error:
            self._offer(error)

    def _offer(self, item: bytes | Exception) -> None:
        while not self._gone.is_set():
            with suppress(queue.Full):
                self._queue.put(item, timeout=0.1)
                return

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next chunk, at most `size` bytes; b"" at the end. Raises MarketError."""
        if not self._rest:
            item = self._queue.get()
            if isinstance(item, Exception):
                raise item
            self._rest = item
            if not item:
                self._queue.put(item)
        end = len(self._rest) if size < 0 else size
        found, self._rest = self._rest[:end], self._rest[end:]
        return found

    def close(self) -> None:
        """Let the reading thread go, also where nobody read to the end."""
        self._gone.set()
        self._thread.join(timeout=5)
        super().close()
