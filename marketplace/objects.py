"""The ciphertext store: a directory or S3, chosen by URL, through obstore.

Bodies are streamed, never held whole; the digest is taken while they pass, and an object that is
too large or does not have the promised SHA-256 is deleted before anybody can refer to it.
The store holds ciphertext only: nothing here could open it.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import obstore
from obstore.store import LocalStore, from_url

from marketplace.errors import (
    ConfigError,
    NotFoundError,
    TamperedError,
    TooLargeError,
    UnavailableError,
)

CHUNK = 1 << 20
PART = 8 << 20  # one multipart part; S3 wants at least 5 MiB


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written: size in bytes, SHA-256 in hex."""

    key: str
    size: int
    sha256: str


class ObjectStore:
    """Put, read (whole or a range) and delete objects by key."""

    def __init__(self, store: Any) -> None:
        self._store = store

    @classmethod
    def open(cls, url: str) -> "ObjectStore":
        """Open file:///directory, s3://bucket/prefix or a plain directory. Raises ConfigError."""
        try:
            if "://" not in url or url.startswith("file://"):
                path = Path(url.removeprefix("file://")).absolute()
                path.mkdir(parents=True, exist_ok=True, mode=0o700)
                return cls(LocalStore(path))
            return cls(from_url(url))
        except (ValueError, OSError, obstore.exceptions.BaseError) as error:
            raise ConfigError(
                f"object_store_url cannot be used ({type(error).__name__}); "
                "give a directory, file:///directory or s3://bucket/prefix"
            ) from error

    def put(self, key: str, body: IO[bytes], *, limit: int, sha256: str | None = None) -> Stored:
        """Stream a body in, at most `limit` bytes, with this digest if one is given.

        Raises TooLargeError, TamperedError, UnavailableError; then nothing is kept.
        """
        meter = _Meter(body, limit)
        try:
            obstore.put(self._store, key, iter(meter), chunk_size=PART, max_concurrency=2)
        except (obstore.exceptions.BaseError, OSError) as error:
            self.delete(key)
            raise UnavailableError(
                f"the object store did not take the body ({type(error).__name__}); send it again"
            ) from error
        if meter.too_large:
            self.delete(key)
            raise TooLargeError(f"the body has more than the {limit} bytes accepted here")
        digest = meter.digest.hexdigest()
        if sha256 is not None and digest != sha256:
            self.delete(key)
            raise TamperedError(
                f"the body's SHA-256 is {digest}, not the {sha256} announced; send the file again"
            )
        return Stored(key, meter.size, digest)

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes [start, end) of an object. Raises NotFoundError before the first byte."""
        options: Any = {} if start == 0 and end is None else {"range": _range(start, end)}
        try:
            result = obstore.get(self._store, key, options=options)
        except (obstore.exceptions.NotFoundError, FileNotFoundError):
            raise NotFoundError("the object is not in the store any more") from None
        except (obstore.exceptions.BaseError, OSError) as error:
            raise UnavailableError(
                f"the object store does not answer ({type(error).__name__}); try again"
            ) from error
        return (bytes(chunk) for chunk in result.stream(min_chunk_size=CHUNK))

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is no error."""
        try:
            obstore.delete(self._store, key)
        except (obstore.exceptions.NotFoundError, FileNotFoundError):
            return
        except (obstore.exceptions.BaseError, OSError) as error:
            raise UnavailableError(
                f"the object store did not delete ({type(error).__name__})"
            ) from error


class _Meter:
    """Passes a body on in chunks, hashing and counting; stops early when it grows too large.

    It ends rather than raises there: an exception inside the store's own threads would come out
    as theirs, not ours.
    """

    def __init__(self, body: IO[bytes], limit: int) -> None:
        self._body, self._limit = body, limit
        self.size, self.digest, self.too_large = 0, hashlib.sha256(), False

    def __iter__(self) -> Iterator[bytes]:
        while chunk := self._body.read(CHUNK):
            self.size += len(chunk)
            if self.size > self._limit:
                self.too_large = True
                return
            self.digest.update(chunk)
            yield chunk


def _range(start: int, end: int | None) -> Any:
    return {"offset": start} if end is None else (start, end)
