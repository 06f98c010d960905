"""The encrypted cohort store: ciphertext of derived copies, and the wrapped keys that open them.

Every dataset has a data key of its own, wrapped by the key-encryption key behind a small KMS
port; destroying one person's wrapped key makes that copy noise and rewrites nobody else's. This
module holds ciphertext and wrapped keys only: the vault alone unwraps. Rows are overwritten on
deletion (SQLite secure_delete) and the write-ahead log truncated, since a deleted row otherwise
stays readable in the file.

The variant table is encrypted under a key of the store. It is shared: a variant only one erased
person carried stays in it as a site, without a word of who carried it.
"""

import hashlib
import os
import sqlite3
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from compute.errors import ComputeError
from compute.planes import LAYOUT_VERSION

KEY_BYTES = 32
NONCE_BYTES = 12
TABLE_CONTEXT = b"omic/variant-table/v1"
OBJECT_CONTEXT = b"omic/own-copy/v1"
ANSWER_CONTEXT = b"omic/answer/v1"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS wrapped(
    dataset TEXT PRIMARY KEY, grant_id TEXT NOT NULL, modality TEXT NOT NULL,
    layout INTEGER NOT NULL, table_version INTEGER NOT NULL, data_key BLOB NOT NULL,
    activity_key BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS wrapped_grant ON wrapped(grant_id);
CREATE TABLE IF NOT EXISTS chunk(
    dataset TEXT NOT NULL, number INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (dataset, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS variant_segment(
    first INTEGER PRIMARY KEY, count INTEGER NOT NULL, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS own_copy(
    name TEXT PRIMARY KEY, wrapped_key BLOB NOT NULL, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answer(
    name TEXT PRIMARY KEY, wrapped_key BLOB NOT NULL, sealed BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS answer_member(
    grant_id TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (grant_id, name)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answer_member_name ON answer_member(name);
CREATE TABLE IF NOT EXISTS store_key(name TEXT PRIMARY KEY, wrapped_key BLOB NOT NULL);
"""


class StoreError(ComputeError):
    """The cohort store cannot give or keep what was asked."""

    default_code = "store"


class Kms(Protocol):
    """Wraps data keys. `context` is authenticated: a wrapped key opens only where it was made."""

    def wrap(self, key: bytes, context: bytes) -> bytes: ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class LocalKms:
    """A key-encryption key held in memory, from the worker's key file."""

    kek: bytes

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Encrypt `key` under the key-encryption key, bound to `context`."""
        return seal(self.kek, key, b"omic/kek/v1" + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Open a wrapped key. Raises StoreError."""
        return unseal(self.kek, wrapped, b"omic/kek/v1" + context)


@dataclass(frozen=True, slots=True)
class CopyHead:
    """What is known of one derived copy without opening it. table_version: rows it knows of."""

    dataset: str
    grant: str
    modality: str
    layout: int
    table_version: int
    wrapped_data_key: bytes
    wrapped_activity_key: bytes

    def chunk_context(self, number: int) -> bytes:
        """Return the additional data of one chunk: dataset, grant, layout, table version, chunk."""
        return copy_context(self.dataset, self.grant) + struct.pack(
            ">IQQ", self.layout, self.table_version, number
        )


def copy_context(dataset: str, grant: str) -> bytes:
    """Return the length-prefixed (dataset, grant) every key and chunk of a copy is bound to."""
    parts = (dataset.encode(), grant.encode())
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def seal(key: bytes, data: bytes, context: bytes) -> bytes:
    """Encrypt with AES-256-GCM under a fresh nonce: nonce || ciphertext || tag."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Open `seal`. Raises StoreError."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise StoreError(
            "stored ciphertext does not open: it was changed, moved or erased"
        ) from None


class CohortStore:
    """One SQLite file of ciphertext. Safe for threads of one process; many processes by WAL."""

    def __init__(self, path: Path, kms: Kms) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._path, self._kms = path, kms
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "secure_delete=ON", "synchronous=FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._table_key = self._own_key("variant-table", TABLE_CONTEXT)

    def close(self) -> None:
        """Close the file, leaving no write-ahead log."""
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.close()

    # -- derived copies ------------------------------------------------------------------------

    def put(self, head: CopyHead, sealed: Sequence[bytes]) -> None:
        """Store one copy whole, replacing an earlier one of the same dataset."""
        with self._write() as db:
            self._drop(db, head.dataset)
            row = (head.dataset, head.grant, head.modality, head.layout, head.table_version)
            db.execute(
                "INSERT INTO wrapped VALUES (?,?,?,?,?,?,?)",
                (*row, head.wrapped_data_key, head.wrapped_activity_key),
            )
            rows = [(head.dataset, number, data) for number, data in enumerate(sealed)]
            db.executemany("INSERT INTO chunk VALUES (?,?,?)", rows)

    def head(self, dataset: str) -> CopyHead | None:
        """Return what is known of a copy, or None."""
        with self._lock:
            row = self._db.execute("SELECT * FROM wrapped WHERE dataset=?", (dataset,)).fetchone()
        return None if row is None else CopyHead(*row)

    def heads(self) -> list[CopyHead]:
        """Return every copy's head, by dataset."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM wrapped ORDER BY dataset").fetchall()
        return [CopyHead(*row) for row in rows]

    def chunk_count(self, dataset: str) -> int:
        """Return how many chunks a copy has."""
        with self._lock:
            query = "SELECT count(*) FROM chunk WHERE dataset=?"
            return int(self._db.execute(query, (dataset,)).fetchone()[0])

    def chunk(self, dataset: str, number: int) -> bytes:
        """Return one sealed chunk. Raises StoreError."""
        with self._lock:
            query = "SELECT sealed FROM chunk WHERE dataset=? AND number=?"
            row = self._db.execute(query, (dataset, number)).fetchone()
        if row is None:
            raise StoreError("the derived copy of this dataset is not in the store")
        return bytes(row[0])

    def destroy_grants(self, grants: Iterable[str]) -> int:
        """Delete wrapped keys and copies of these grants for good; return how many there were.

        Kept answers that any of them had a part in go with them.
        """
        wanted = set(grants)
        found = [head.dataset for head in self.heads() if head.grant in wanted]
        with self._write() as db:
            answers = self._drop_answers(db, wanted)
            for dataset in found:
                self._drop(db, dataset)
        if found or answers:
            self._truncate_log()
        return len(found)

    # -- the shared variant table --------------------------------------------------------------

    def variant_segments(self, start: int = 0) -> list[tuple[int, int, bytes]]:
        """Return (first row, rows, opened bytes) of the segments from row `start` on."""
        query = "SELECT first, count, sealed FROM variant_segment WHERE first >= ? ORDER BY first"
        with self._lock:
            rows = self._db.execute(query, (start,)).fetchall()
        return [
            (first, count, unseal(self._table_key, sealed, _segment(first, count)))
            for first, count, sealed in rows
        ]

    def add_variants(self, first: int, count: int, data: bytes) -> bool:
        """Append a segment at row `first`; False when another writer was there before."""
        sealed = seal(self._table_key, data, _segment(first, count))
        with self._write() as db:
            query = "SELECT coalesce(max(first + count), 0) FROM variant_segment"
            if db.execute(query).fetchone()[0] != first:
                return False
            db.execute("INSERT INTO variant_segment VALUES (?,?,?)", (first, count, sealed))
        return True

    # -- the worker's own copies of answers ----------------------------------------------------

    def keep(self, name: str, data: bytes) -> None:
        """Keep bytes encrypted under a fresh key; a name already kept is left as it is."""
        context = OBJECT_CONTEXT + name.encode()
        key = os.urandom(KEY_BYTES)
        row = (name, self._kms.wrap(key, context), seal(key, data, context))
        with self._write() as db:
            db.execute("INSERT OR IGNORE INTO own_copy VALUES (?,?,?)", row)

    def kept(self, name: str) -> bytes | None:
        """Return bytes kept under a name, or None."""
        query = "SELECT wrapped_key, sealed FROM own_copy WHERE name=?"
        with self._lock:
            row = self._db.execute(query, (name,)).fetchone()
        if row is None:
            return None
        context = OBJECT_CONTEXT + name.encode()
        return unseal(self._kms.unwrap(row[0], context), row[1], context)

    def forget(self, prefix: str) -> None:
        """Delete every kept copy whose name starts with `prefix`, for good."""
        with self._write() as db:
            query = "DELETE FROM own_copy WHERE substr(name, 1, ?) = ?"
            db.execute(query, (len(prefix), prefix))
        self._truncate_log()

    # -- answers given once, given again ---------------------------------------------------------

    def keep_answer(self, name: str, grants: Iterable[str], data: bytes) -> None:
        """Keep an answer encrypted until one of these grants ends; the first kept stays."""
        context = ANSWER_CONTEXT + name.encode()
        key = os.urandom(KEY_BYTES)
        row = (name, self._kms.wrap(key, context), seal(key, data, context))
        with self._write() as db:
            db.execute("INSERT OR IGNORE INTO answer VALUES (?,?,?)", row)
            members = [(grant, name) for grant in grants]
            db.executemany("INSERT OR IGNORE INTO answer_member VALUES (?,?)", members)

    def answer(self, name: str) -> bytes | None:
        """Return a kept answer, or None. Raises StoreError."""
        query = "SELECT wrapped_key, sealed FROM answer WHERE name=?"
        with self._lock:
            row = self._db.execute(query, (name,)).fetchone()
        if row is None:
            return None
        context = ANSWER_CONTEXT + name.encode()
        return unseal(self._kms.unwrap(row[0], context), row[1], context)

    def answer_grants(self) -> set[str]:
        """Return every grant a kept answer depends on."""
        with self._lock:
            rows = self._db.execute("SELECT DISTINCT grant_id FROM answer_member").fetchall()
        return {row[0] for row in rows}

    # -- inside --------------------------------------------------------------------------------

    def _own_key(self, name: str, context: bytes) -> bytes:
        fresh = self._kms.wrap(os.urandom(KEY_BYTES), context)
        with self._write() as db:
            db.execute("INSERT OR IGNORE INTO store_key VALUES (?,?)", (name, fresh))
            query = "SELECT wrapped_key FROM store_key WHERE name=?"
            return self._kms.unwrap(db.execute(query, (name,)).fetchone()[0], context)

    @staticmethod
    def _drop(db: sqlite3.Connection, dataset: str) -> None:
        db.execute("DELETE FROM wrapped WHERE dataset=?", (dataset,))
        db.execute("DELETE FROM chunk WHERE dataset=?", (dataset,))

    @staticmethod
    def _drop_answers(db: sqlite3.Connection, grants: Iterable[str]) -> int:
        names: set[str] = set()
        for grant in grants:
            query = "SELECT name FROM answer_member WHERE grant_id=?"
            names.update(row[0] for row in db.execute(query, (grant,)))
        for name in names:
            db.execute("DELETE FROM answer WHERE name=?", (name,))
            db.execute("DELETE FROM answer_member WHERE name=?", (name,))
        return len(names)

    def _truncate_log(self) -> None:
        """Fold the write-ahead log into the file, so that no deleted row stays readable in it."""
        with self._lock:
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        if busy:
            raise StoreError("the store is being read: erased rows are not yet overwritten; retry")

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _segment(first: int, count: int) -> bytes:
    return TABLE_CONTEXT + struct.pack(">QQ", first, count)


def fresh_head(dataset: str, grant: str, modality: str, table_version: int) -> CopyHead:
    """Return a head without keys; the vault adds them wrapped."""
    return CopyHead(dataset, grant, modality, LAYOUT_VERSION, table_version, b"", b"")


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(data).hexdigest()
