"""The encrypted cohort store: ciphertext of derived copies, and the wrapped keys that open them.

Every dataset has a data key of its own, wrapped by the key-encryption key behind a small KMS
port; destroying one person's wrapped key makes that copy noise and rewrites nobody else's. This
module holds ciphertext and wrapped keys only: the vault alone unwraps. The index (heads, wrapped
keys, where the bytes are) is SQLite; the bytes lie in segment files (compute.segments), many
people to a file. Rows are overwritten on deletion (SQLite secure_delete) and the write-ahead log
truncated, since a deleted row otherwise stays readable; the bytes in the segment become a hole.

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
from pathlib import Path
from typing import Any

from compute.gcm import KEY_BYTES
from compute.heads import CopyColumns, CopyHead, StoredCopy, copy_context
from compute.part_store import PartStore
from compute.planes import LAYOUT_VERSION
from compute.sealing import Kms, StoreError, seal, unseal
from compute.segments import (
    Extent,
    Int64,
    Mapped,
    SegmentError,
    SegmentFiles,
    Span,
    unpacked_sizes,
)

_PARAMETERS = 500  # SQLite takes at least 999 in one statement
TABLE_CONTEXT = b"omic/variant-table/v1"
OBJECT_CONTEXT = b"omic/own-copy/v1"
ANSWER_CONTEXT = b"omic/answer/v1"
_SCHEMA = """
-- Copies of an older layout are made again from the grants in force.
DROP TABLE IF EXISTS wrapped;
DROP TABLE IF EXISTS chunk;
DROP TABLE IF EXISTS variant_segment;
CREATE TABLE IF NOT EXISTS copy(
    dataset TEXT PRIMARY KEY, grant_id TEXT NOT NULL, modality TEXT NOT NULL,
    layout INTEGER NOT NULL, table_version INTEGER NOT NULL, data_key BLOB NOT NULL,
    activity_key BLOB NOT NULL, segment TEXT NOT NULL, start INTEGER NOT NULL, sizes BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS copy_grant ON copy(grant_id);
CREATE INDEX IF NOT EXISTS copy_segment ON copy(segment);
CREATE TABLE IF NOT EXISTS variant_rows(
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


class CohortStore:
    """An index in SQLite, ciphertext in segment files. Safe for threads; many processes by WAL."""

    def __init__(self, path: Path, kms: Kms) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._path, self._kms = path, kms
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "secure_delete=ON", "synchronous=FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._db.execute("DELETE FROM copy WHERE layout <> ?", (LAYOUT_VERSION,))
        self.segments = SegmentFiles(path.with_suffix(".segments"))
        self.parts = PartStore(path.with_suffix(".parts"), kms)
        self._table_key = self._own_key("variant-table", TABLE_CONTEXT)

    def close(self) -> None:
        """Close the files, leaving no write-ahead log."""
        with self._lock:
            self.segments.close()
            self.parts.close()
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._db.close()

    # -- derived copies ------------------------------------------------------------------------

    def put(self, head: CopyHead, sealed: Sequence[bytes]) -> None:
        """Store one copy whole, replacing an earlier one of the same dataset."""
        self.put_all([(head, sealed)])

    def put_all(self, copies: Sequence[tuple[CopyHead, Sequence[bytes]]]) -> None:
        """Store copies whole, all or none: one wait for the disk, however many."""
        with self._lock:
            whole = self.segments.append([part for _, sealed in copies for part in sealed])
            at, first, earlier = whole.offset, 0, []
            with self._write() as db:
                for head, sealed in copies:
                    sizes = whole.sizes[first : first + len(sealed)]
                    extent = Extent(whole.segment, at, sizes)
                    earlier += self._drop(db, "dataset", head.dataset)
                    row = (head.dataset, head.grant, head.modality, head.layout)
                    keys = (head.table_version, head.wrapped_data_key, head.wrapped_activity_key)
                    place = (extent.segment, extent.offset, extent.packed_sizes())
                    db.execute(
                        "INSERT INTO copy VALUES (?,?,?,?,?,?,?,?,?,?)", (*row, *keys, *place)
                    )
                    at, first = at + extent.length, first + len(sealed)
        for one in earlier:
            self.segments.erase(one)

    def head(self, dataset: str) -> CopyHead | None:
        """Return what is known of a copy, or None."""
        found = self.copies([dataset])
        return found[dataset].head if found else None

    def heads(self) -> list[CopyHead]:
        """Return every copy's head, by dataset."""
        with self._lock:
            rows = self._db.execute("SELECT * FROM copy ORDER BY dataset").fetchall()
        return [CopyHead(*row[:7]) for row in rows]

    def grants(self) -> set[str]:
        """Return every grant a copy was made under."""
        with self._lock:
            return {row[0] for row in self._db.execute("SELECT grant_id FROM copy")}

    def copies(self, datasets: Sequence[str]) -> dict[str, StoredCopy]:
        """Return the copies of these datasets that there are."""
        return {name: _stored(row) for name, row in self._rows(datasets).items()}

    def columns(self, datasets: Sequence[str]) -> CopyColumns:
        """Return the copies of these datasets that there are, in order."""
        found = self._rows(datasets)
        return CopyColumns.of([found[name] for name in datasets if name in found])

    def _rows(self, datasets: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        wanted = list(dict.fromkeys(datasets))
        rows: list[tuple[Any, ...]] = []
        with self._lock:
            for start in range(0, len(wanted), _PARAMETERS):
                part = wanted[start : start + _PARAMETERS]
                marks = ",".join("?" * len(part))
                query = f"SELECT * FROM copy WHERE dataset IN ({marks})"  # noqa: S608 (marks only)
                rows += self._db.execute(query, part).fetchall()
        return {row[0]: row for row in rows}

    def messages(self, copy: StoredCopy) -> Span:
        """Return a copy's sealed messages, one after another, mapped. Raises StoreError.

        A copy moved by compaction meanwhile is looked up again.
        """
        try:
            return self.segments.span(copy.extent)
        except SegmentError:
            again = self.copies([copy.head.dataset]).get(copy.head.dataset)
            if again is None or again.head != copy.head or again.extent == copy.extent:
                raise StoreError("the derived copy of this dataset is not in the store") from None
            return self.segments.span(again.extent)

    def mapped(self, columns: CopyColumns, lengths: Int64) -> Mapped:
        """Return the sealed messages of many copies, `lengths` bytes of each, mapped.

        Raises StoreError. Copies moved by compaction meanwhile are looked up again.
        """
        try:
            return self.segments.mapped(columns.segments, columns.offsets, lengths)
        except SegmentError:
            again = self.columns(columns.datasets)
            if again.data_keys != columns.data_keys:
                raise StoreError("a derived copy of these datasets is no longer there") from None
            return self.segments.mapped(again.segments, again.offsets, lengths)

    def chunk(self, dataset: str, number: int) -> bytes:
        """Return one sealed message. Raises StoreError."""
        found = self.copies([dataset]).get(dataset)
        if found is None or not 0 <= number < len(found.extent.sizes):
            raise StoreError("the derived copy of this dataset is not in the store")
        start = sum(found.extent.sizes[:number])
        return bytes(self.messages(found).view[start : start + found.extent.sizes[number]])

    def destroy_grants(self, grants: Iterable[str]) -> int:
        """Delete wrapped keys and copies of these grants for good; return how many there were.

        Kept answers and partial sums that any of them had a part in go with them. The keys go
        first, so that a crash in between leaves noise; nobody else's bytes are touched.
        """
        wanted = set(grants)
        with self._write() as db:
            answers = self._drop_answers(db, wanted)
            gone = [extent for grant in wanted for extent in self._drop(db, "grant_id", grant)]
        if gone or answers:
            self._truncate_log()
        for extent in gone:
            self.segments.erase(extent)
        self.parts.destroy(wanted)
        return len(gone)

    def compact(self, least: float = 0.5) -> int:
        """Move the copies of segments less than `least` full into others; return segments removed.

        Ciphertext is copied as it is, unopened. Crash-safe: the index changes in one transaction
        after the moved bytes are on the disk, and a file goes only when nothing names it.
        """
        with self._lock:
            return sum(self._compact(name, least) for name in self.segments.names())

    # -- the shared variant table --------------------------------------------------------------

    def variant_segments(self, start: int = 0) -> list[tuple[int, int, bytes]]:
        """Return (first row, rows, opened bytes) of the segments from row `start` on."""
        query = "SELECT first, count, sealed FROM variant_rows WHERE first >= ? ORDER BY first"
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
            query = "SELECT coalesce(max(first + count), 0) FROM variant_rows"
            if db.execute(query).fetchone()[0] != first:
                return False
            db.execute("INSERT INTO variant_rows VALUES (?,?,?)", (first, count, sealed))
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
        """Delete every kept copy and partial sum whose name starts with `prefix`, for good."""
        self.parts.withdraw(prefix)
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
    def _drop(db: sqlite3.Connection, column: str, value: str) -> list[Extent]:
        """Delete copies by "dataset" or "grant_id"; return where their bytes lie."""
        query = f"SELECT segment, start, sizes FROM copy WHERE {column}=?"  # noqa: S608
        found = [_extent(row) for row in db.execute(query, (value,))]
        db.execute(f"DELETE FROM copy WHERE {column}=?", (value,))  # noqa: S608
        return found

    def _compact(self, name: str, least: float) -> bool:
        with self.segments.claimed(name) as ours:
            if not ours:
                return False
            live = self._in_segment(name)
            used = sum(extent.length for _, extent in live)
            if live and used >= least * self.segments.size(name):
                return False
            self._move(live, name)
            self.segments.remove(name)
            return True

    def _in_segment(self, name: str) -> list[tuple[str, Extent]]:
        query = "SELECT dataset, segment, start, sizes FROM copy WHERE segment=? ORDER BY start"
        with self._lock:
            return [(row[0], _extent(row[1:])) for row in self._db.execute(query, (name,))]

    def _move(self, live: Sequence[tuple[str, Extent]], name: str) -> None:
        moved = []
        for dataset, extent in live:
            whole = bytes(self.segments.span(extent).view)
            new = self.segments.append([whole], apart_from=name)
            moved.append((new.segment, new.offset, dataset, name, extent.offset))
        with self._write() as db:
            query = "UPDATE copy SET segment=?, start=? WHERE dataset=? AND segment=? AND start=?"
            db.executemany(query, moved)

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


def _stored(row: Sequence[Any]) -> StoredCopy:
    return StoredCopy(CopyHead(*row[:7]), _extent(row[7:]), copy_context(row[0], row[1]))


def _extent(row: Sequence[Any]) -> Extent:
    return Extent(row[0], row[1], unpacked_sizes(row[2]))


def digest(data: bytes) -> str:
    """Return the SHA-256 of bytes in hex."""
    return hashlib.sha256(data).hexdigest()
