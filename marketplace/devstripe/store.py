"""All state in one SQLite file: objects, events, deliveries, idempotency keys, settings.

One connection behind one lock; every request is one transaction (`Store.unit`), so an answer, its
event and the event's deliveries are written together or not at all. Knows no HTTP.
"""

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marketplace.devstripe.errors import StripeFault, no_such

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL,
  account TEXT NOT NULL, created INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS object_kind ON object (kind, account, seq);
CREATE INDEX IF NOT EXISTS object_intent ON object (json_extract(body, '$.payment_intent'))
  WHERE json_extract(body, '$.payment_intent') IS NOT NULL;
CREATE TABLE IF NOT EXISTS balance (
  account TEXT NOT NULL, currency TEXT NOT NULL, amount INTEGER NOT NULL,
  PRIMARY KEY (account, currency));
CREATE TABLE IF NOT EXISTS idempotency_key (
  account TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, status INTEGER NOT NULL,
  body TEXT NOT NULL, request_id TEXT NOT NULL, created INTEGER NOT NULL,
  PRIMARY KEY (account, key));
CREATE TABLE IF NOT EXISTS delivery (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, endpoint TEXT NOT NULL,
  due REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'pending',
  last_status INTEGER, last_error TEXT);
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (status, due);
CREATE INDEX IF NOT EXISTS delivery_event ON delivery (event);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_id(prefix: str, length: int = 24) -> str:
    """Return a fresh id in Stripe's shape, for example `pi_` and 24 base-62 characters."""
    return f"{prefix}_" + "".join(secrets.choice(_ALPHABET) for _ in range(length))


class Unit:
    """One transaction: the time, the account it acts for, and reads and writes of objects."""

    def __init__(self, db: sqlite3.Connection, now: float, account: str, request: Json) -> None:
        self.db = db
        self.clock = now
        self.now = int(now)
        self.account = account
        self.request = request

    def scoped(self, account: str) -> "Unit":
        """Return the same transaction acting for another account ('' is the platform)."""
        return Unit(self.db, self.clock, account, self.request)

    def put(self, body: Json, **hidden: Any) -> Json:
        """Store a new object; `hidden` fields are kept under `_` and never answered."""
        stored = {**body, **{f"_{name}": value for name, value in hidden.items()}}
        self.db.execute(
            "INSERT INTO object (id, kind, account, created, body) VALUES (?, ?, ?, ?, ?)",
            (
                body["id"],
                body["object"],
                self.account,
                body.get("created", self.now),
                _dump(stored),
            ),
        )
        return stored

    def save(self, body: Json) -> Json:
        """Write a stored object back; return it."""
        self.db.execute("UPDATE object SET body = ? WHERE id = ?", (_dump(body), body["id"]))
        return body

    def find(self, object_id: str) -> Json | None:
        """Return any object of this account by id (used by `expand`)."""
        row = self.db.execute(
            "SELECT body FROM object WHERE id = ? AND account = ?", (object_id, self.account)
        ).fetchone()
        return _load(row[0]) if row else None

    def get(self, kind: str, object_id: str, param: str = "id") -> Json:
        """Return an object of this kind and account. Raises the 404 fault."""
        body = self.find(object_id)
        if body is None or body["object"] != kind:
            raise no_such(kind, object_id[:80], param)
        return body

    def where(self, kind: str, filters: Mapping[str, Any], limit: int = 1000) -> list[Json]:
        """Return objects of a kind whose fields equal the filters, newest first."""
        sql, values = _conditions(kind, self.account, filters)
        rows = self.db.execute(
            f"SELECT body FROM object WHERE {sql} ORDER BY seq DESC LIMIT ?",  # noqa: S608
            (*values, limit),
        )
        return [_load(row[0]) for row in rows]

    def page(
        self,
        kind: str,
        filters: Mapping[str, Any],
        bounds: Sequence[tuple[str, int]],
        *,
        after: str | None,
        before: str | None,
        limit: int,
    ) -> tuple[list[Json], bool]:
        """Return one page, newest first, and whether more follow (Stripe's cursors)."""
        sql, values = _conditions(kind, self.account, filters)
        for operator, stamp in bounds:
            sql, values = f"{sql} AND created {operator} ?", [*values, stamp]
        if after is not None:
            sql, values = f"{sql} AND seq < ?", [*values, self._seq(after, "starting_after")]
        if before is not None:
            sql, values = f"{sql} AND seq > ?", [*values, self._seq(before, "ending_before")]
        order = "ASC" if before is not None else "DESC"
        rows = self.db.execute(
            f"SELECT body FROM object WHERE {sql} ORDER BY seq {order} LIMIT ?",  # noqa: S608
            (*values, limit + 1),
        ).fetchall()
        found = [_load(row[0]) for row in rows[:limit]]
        return (found[::-1] if before is not None else found), len(rows) > limit

    def _seq(self, object_id: str, param: str) -> int:
        row = self.db.execute("SELECT seq FROM object WHERE id = ?", (object_id,)).fetchone()
        if row is None:
            raise no_such("object", object_id[:80], param)
        return int(row[0])

    def add_balance(self, currency: str, amount: int) -> None:
        """Add an amount (signed, minor units) to the account's balance."""
        self.db.execute(
            "INSERT INTO balance VALUES (?, ?, ?) ON CONFLICT (account, currency)"
            " DO UPDATE SET amount = amount + excluded.amount",
            (self.account, currency, amount),
        )

    def balances(self) -> dict[str, int]:
        """Return the account's balance in each currency, in minor units."""
        rows = self.db.execute(
            "SELECT currency, amount FROM balance WHERE account = ? ORDER BY currency",
            (self.account,),
        )
        return {str(currency): int(amount) for currency, amount in rows}

    def setting(self, name: str, default: Any) -> Any:
        """Return a setting of the server's."""
        row = self.db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else default

    def set(self, name: str, value: Any) -> None:
        """Keep a setting of the server's."""
        self.db.execute(
            "INSERT INTO setting VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, json.dumps(value)),
        )


class Store:
    """The file, its lock and its transactions."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA cache_size=-4000")
        self._db.executescript(_SCHEMA)

    @contextmanager
    def unit(self, now: float, account: str = "", request: Json | None = None) -> Iterator[Unit]:
        """Run one transaction; a fault marked `kept` (a declined card) commits what it did."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield Unit(self._db, now, account, request or {})
            except BaseException as error:
                keep = isinstance(error, StripeFault) and error.kept
                self._db.execute("COMMIT" if keep else "ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()


def public(body: Json) -> Json:
    """Return the answer's form of a stored object: fields starting with `_` left out."""
    return {name: value for name, value in body.items() if not name.startswith("_")}


def _conditions(kind: str, account: str, filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    sql, values = "kind = ? AND account = ?", [kind, account]
    for name, value in filters.items():
        many = value if isinstance(value, list | tuple) else [value]
        marks = ", ".join("?" for _ in many)
        # `name` comes from the route tables in this package, never from a request
        sql += f" AND json_extract(body, '$.{name}') IN ({marks})"
        values.extend(many)
    return sql, values


def _dump(body: Json) -> str:
    return json.dumps(body, separators=(",", ":"))


def _load(text: str) -> Json:
    loaded: Json = json.loads(text)
    return loaded
