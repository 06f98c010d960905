"""Where helpers leave partial sums: offers of partitions, who took which, and sealed sums.

A file of its own beside the cohort store, made at the first offer. An offer is one pass over one
cohort: named by order, attempt and cohort root, with an id of its own, so that what belongs to an
earlier attempt, or to an earlier start of the same one, finds no place any more. A partial sum is
sealed under a key of its own, wrapped by the KMS; both are bound to offer, plan and partition, so
that one put elsewhere does not open. Withdrawing an offer deletes all of it at once (SQLite
secure_delete), and so does the end of a grant it was made under.

Never opens anybody's data; never decides who may.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compute.gcm import KEY_BYTES
from compute.sealing import Kms, StoreError, seal, unseal

_CONTEXT = b"omic/partial-sum/v1/"
_GIVEN = -1  # the number under which what comes with a pass is sealed
_SCHEMA = """
CREATE TABLE IF NOT EXISTS offer(
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, plan TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS part(
    offer TEXT NOT NULL, number INTEGER NOT NULL, taken_by TEXT, beat INTEGER NOT NULL DEFAULT 0,
    wrapped_key BLOB, sealed BLOB, PRIMARY KEY (offer, number));
CREATE TABLE IF NOT EXISTS offer_member(
    grant_id TEXT NOT NULL, offer TEXT NOT NULL, PRIMARY KEY (grant_id, offer)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Offer:
    """One pass whose partitions others may sum. name: order/attempt/cohort root; plan: its text."""

    id: str
    name: str
    plan: str

    def context(self, number: int) -> bytes:
        """Return what a partition's key and sums are bound to."""
        plan = hashlib.sha256(self.plan.encode()).hexdigest()
        return _CONTEXT + f"{self.name}/{self.id}/{plan}/{number}".encode()


@dataclass(frozen=True, slots=True)
class Standing:
    """How one partition stands: how often who took it was heard of, and whether it is summed."""

    beat: int
    done: bool


class PartStore:
    """Offers and partial sums. Safe for threads; many processes by WAL."""

    def __init__(self, path: Path, kms: Kms) -> None:
        self._path, self._kms = path, kms
        self._lock = threading.RLock()
        self._opened: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file, if there is one."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    # -- the lead's side -------------------------------------------------------------------------

    def offer(
        self, offer: Offer, grants: Iterable[str], parts: int, given: bytes | None = None
    ) -> None:
        """Offer the partitions 0 … parts - 1 of a pass, in place of an older offer of its name.

        grants: of the cohort; all is deleted when one of them ends. given: what comes with it.
        """
        with self._write() as db:
            self._drop(db, "name", offer.name)
            db.execute("INSERT INTO offer VALUES (?,?,?)", (offer.id, offer.name, offer.plan))
            members = [(grant, offer.id) for grant in grants]
            db.executemany("INSERT OR IGNORE INTO offer_member VALUES (?,?)", members)
            rows = [(offer.id, number) for number in range(parts)]
            db.executemany("INSERT INTO part(offer, number) VALUES (?,?)", rows)
            if given is not None:
                sealed = self._sealed(offer, _GIVEN, given)
                query = "INSERT INTO part VALUES (?,?,NULL,0,?,?)"
                db.execute(query, (offer.id, _GIVEN, *sealed))

    def standing(self, offer: Offer) -> dict[int, Standing]:
        """Return how each partition stands; nothing where the offer is no more."""
        query = "SELECT number, beat, sealed IS NOT NULL FROM part WHERE offer=? AND number >= 0"
        return {row[0]: Standing(row[1], bool(row[2])) for row in self._rows(query, offer.id)}

    def seize(self, offer: Offer, number: int, by: str) -> None:
        """Take a partition from whoever took it; what they leave afterwards is refused."""
        with self._write() as db:
            query = "UPDATE part SET taken_by=? WHERE offer=? AND number=? AND sealed IS NULL"
            db.execute(query, (by, offer.id, number))

    def partial_sum(self, offer: Offer, number: int) -> bytes:
        """Return what was left for a partition. Raises StoreError where that is not ours."""
        query = "SELECT wrapped_key, sealed FROM part WHERE offer=? AND number=?"
        rows = self._rows(query, offer.id, number)
        if not rows or not all(isinstance(value, bytes) for value in rows[0]):
            raise StoreError("no partial sum was left for this partition")
        context = offer.context(number)
        return unseal(self._kms.unwrap(rows[0][0], context), rows[0][1], context)

    def withdraw(self, prefix: str) -> None:
        """Delete the offers whose name starts with `prefix`, and all that was left for them."""
        if not self._path.exists():
            return
        query = "SELECT name FROM offer WHERE substr(name, 1, ?) = ?"
        found = self._rows(query, len(prefix), prefix)
        if found:
            with self._write() as db:
                for (name,) in found:
                    self._drop(db, "name", name)
            self._truncate_log()

    def destroy(self, grants: Iterable[str]) -> None:
        """Delete every offer made under one of these grants, for good. Raises StoreError."""
        if not self._path.exists():
            return
        query = "SELECT offer FROM offer_member WHERE grant_id=?"
        found = {offer for grant in set(grants) for (offer,) in self._rows(query, grant)}
        if found:
            with self._write() as db:
                for offer in found:
                    self._drop(db, "id", offer)
            if self._truncate_log():
                raise StoreError("partial sums are being read: not yet overwritten; retry")

    # -- a helper's side -------------------------------------------------------------------------

    def find(self, name: str) -> Offer | None:
        """Return the offer of this name that stands now."""
        if not self._path.exists():
            return None
        rows = self._rows("SELECT id, name, plan FROM offer WHERE name=?", name)
        return Offer(*rows[0]) if rows else None

    def given(self, offer: Offer) -> bytes | None:
        """Return what comes with a pass, None where nothing does. Raises StoreError."""
        query = "SELECT 1 FROM part WHERE offer=? AND number=?"
        return self.partial_sum(offer, _GIVEN) if self._rows(query, offer.id, _GIVEN) else None

    def free(self, offer: Offer) -> list[int]:
        """Return the partitions nobody has taken."""
        query = "SELECT number FROM part WHERE offer=? AND number >= 0 AND taken_by IS NULL"
        return sorted(row[0] for row in self._rows(query, offer.id))

    def take(self, offer: Offer, number: int, by: str) -> bool:
        """Take a partition; False where somebody has, or there is none. Two never both do."""
        with self._write() as db:
            query = "UPDATE part SET taken_by=? WHERE offer=? AND number=? AND taken_by IS NULL"
            return db.execute(query, (by, offer.id, number)).rowcount == 1

    def beat(self, offer: Offer, number: int, by: str) -> bool:
        """Say that one is still at it; False where the partition is not one's own any more."""
        with self._write() as db:
            query = "UPDATE part SET beat=beat+1 WHERE offer=? AND number=? AND taken_by=?"
            return db.execute(query, (offer.id, number, by)).rowcount == 1

    def give_back(self, offer: Offer, number: int, by: str) -> None:
        """Let somebody else take a partition that was not summed."""
        with self._write() as db:
            query = (
                "UPDATE part SET taken_by=NULL WHERE offer=? AND number=? AND taken_by=? "
                "AND sealed IS NULL"
            )
            db.execute(query, (offer.id, number, by))

    def leave(self, offer: Offer, number: int, by: str, data: bytes) -> bool:
        """Leave a partition's sums, sealed; False, and nothing is kept, where it is not one's own.

        Sums of an offer that was withdrawn, or of a partition that was seized, are such.
        """
        sealed = self._sealed(offer, number, data)
        with self._write() as db:
            query = (
                "UPDATE part SET wrapped_key=?, sealed=? WHERE offer=? AND number=? "
                "AND taken_by=? AND sealed IS NULL"
            )
            return db.execute(query, (*sealed, offer.id, number, by)).rowcount == 1

    # -- inside ----------------------------------------------------------------------------------

    def _sealed(self, offer: Offer, number: int, data: bytes) -> tuple[bytes, bytes]:
        context, key = offer.context(number), os.urandom(KEY_BYTES)
        return self._kms.wrap(key, context), seal(key, data, context)

    @staticmethod
    def _drop(db: sqlite3.Connection, column: str, value: str) -> None:
        """Delete an offer by "name" or "id", with all that belongs to it."""
        query = f"SELECT id FROM offer WHERE {column}=?"  # noqa: S608
        for (offer,) in db.execute(query, (value,)).fetchall():
            for table, key in (("part", "offer"), ("offer_member", "offer"), ("offer", "id")):
                db.execute(f"DELETE FROM {table} WHERE {key}=?", (offer,))  # noqa: S608

    @property
    def _db(self) -> sqlite3.Connection:
        if self._opened is None:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._opened = sqlite3.connect(
                self._path, timeout=30, isolation_level=None, check_same_thread=False
            )
            for pragma in ("journal_mode=WAL", "secure_delete=ON", "synchronous=NORMAL"):
                self._opened.execute(f"PRAGMA {pragma}")
            self._opened.executescript(_SCHEMA)
        return self._opened

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._guarded() as db:
            return db.execute(query, values).fetchall()

    def _truncate_log(self) -> bool:
        """Fold the write-ahead log into the file, so that no deleted row stays readable in it.

        Tells whether somebody who reads was in the way.
        """
        with self._guarded() as db:
            return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

    @contextmanager
    def _guarded(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                name = type(error).__name__
                raise StoreError(f"the file of partial sums cannot be used ({name})") from None

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._guarded() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
