"""What a witness has cosigned, per origin: SQLite (WAL, FULL), moved by compare-and-swap only.

It never goes back: a lost or restored file could make the witness sign a second history.
"""

import os
import sqlite3
import threading
from hashlib import sha256
from pathlib import Path

from ledger.errors import StoreError

Stored = tuple[int, bytes]


class WitnessStore:
    """What was last cosigned per origin, in SQLite (WAL, FULL)."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "PRAGMA busy_timeout=10000",
            "CREATE TABLE IF NOT EXISTS cosigned (origin TEXT PRIMARY KEY, origin_hash TEXT UNIQUE,"
            " size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL)",
        ):
            self._db.execute(statement)
        self._lock = threading.Lock()

    def last(self, origin: str) -> Stored | None:
        """Return the (size, root) last cosigned for an origin."""
        with self._lock:
            row = self._db.execute(
                "SELECT size, root FROM cosigned WHERE origin = ?", (origin,)
            ).fetchone()
        return None if row is None else (row[0], row[1])

    def swap(self, origin: str, old: Stored | None, new: Stored, note: bytes) -> bool:
        """Replace `old` by `new`, durably; False if `old` is not what is stored any more."""
        origin_hash = sha256(origin.encode()).hexdigest()
        if old is None:
            statement = "INSERT OR IGNORE INTO cosigned VALUES (?, ?, ?, ?, ?)"
            values: tuple[object, ...] = (origin, origin_hash, *new, note)
        else:
            statement = (
                "UPDATE cosigned SET size = ?, root = ?, note = ? "
                "WHERE origin = ? AND size = ? AND root = ?"
            )
            values = (*new, note, origin, *old)
        try:
            with self._lock:
                return self._db.execute(statement, values).rowcount == 1
        except sqlite3.Error as error:
            raise StoreError(f"the witness cannot store what it would cosign: {error}") from None

    def note(self, origin_hash: str) -> bytes | None:
        """Return the newest cosigned checkpoint, by the hex SHA-256 of the origin."""
        with self._lock:
            row = self._db.execute(
                "SELECT note FROM cosigned WHERE origin_hash = ?", (origin_hash,)
            ).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._db.close()
