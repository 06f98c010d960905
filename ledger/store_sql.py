"""The store on SQLite or PostgreSQL, by SQLAlchemy core; the port and its promises are in `store`.

Never interprets an entry, and never puts row values into an error message.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from ledger.database import WriterLock, driver_reason, open_engine
from ledger.errors import LedgerError, NotFoundError, StoreError
from ledger.merkle import Frontier
from ledger.store import Batch, Head

CHUNK = 500
MAX_INSERT_ROWS = 1024  # SQLite takes 32,766 values in a statement
SCRUB_SECONDS = 10.0

LEAVES = ("leaves", (("leaf_index", "int8"), ("data", "bytea")))
IDENTITIES = ("identities", (("identity", "bytea"), ("leaf_index", "int8")))
ENVELOPES = ("envelopes", (("leaf_index", "int8"), ("entry", "bytea"), ("salt", "bytea")))
ATTACHMENTS = ("attachments", (("leaf_index", "int8"), ("name", "text"), ("data", "bytea")))
Columns = tuple[str, tuple[tuple[str, str], ...]]


class SqlStore:
    """The `Store` on SQLite or PostgreSQL. A reader (writer=False) takes no lock."""

    def __init__(self, url: str, *, writer: bool = True) -> None:
        self.engine = open_engine(url)
        self._sqlite = self.engine.dialect.name == "sqlite"
        try:
            self._lock = WriterLock(self.engine) if writer else None
        except StoreError:
            self.engine.dispose()
            raise

    def close(self) -> None:
        """See `Store`."""
        self.engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def head(self) -> Head:
        """See `Store`."""
        with self._reading() as db:
            row = _one(db, "SELECT size, root, time, data FROM heads WHERE name = 'sequenced'")
        if row is None:
            return Head()
        try:
            head = Head(Frontier.from_bytes(bytes(row[3])), row[2])
        except LedgerError as error:
            raise StoreError(f"the stored head is damaged ({error}); restore a backup") from None
        if (head.size, head.root) != (row[0], bytes(row[1])):
            raise StoreError("the stored head does not match its own root; restore a backup")
        return head

    def append(self, expected: Head, new: Head, batch: Batch) -> None:
        """See `Store`."""
        with self._writing() as db:
            self._swap_head(db, expected, new)
            self._insert_rows(db, batch)
            _put(db, "tiles", ("level", "tile_index"), _tile_rows(batch.tiles))
            _put(db, "access_trees", ("root",), _tree_rows(batch.access_trees))
            self._delete(db, "envelopes", batch.erase)
            self._delete(db, "attachments", {*batch.erase, *batch.drop})

    def _swap_head(self, db: Connection, expected: Head, new: Head) -> None:
        values = {
            "size": new.size,
            "root": new.root,
            "time": new.time,
            "data": new.frontier.to_bytes(),
        }
        if expected.size == 0:
            # The empty log has no row yet; its insert conflicts if somebody else began.
            statement = (
                "INSERT INTO heads (name, size, root, time, data) "
                "VALUES ('sequenced', :size, :root, :time, :data) ON CONFLICT (name) DO NOTHING"
            )
        else:
            values |= {"old_size": expected.size, "old_root": expected.root}
            statement = (
                "UPDATE heads SET size = :size, root = :root, time = :time, data = :data "
                "WHERE name = 'sequenced' AND size = :old_size AND root = :old_root"
            )
        if db.execute(text(statement), values).rowcount != 1:
            raise StoreError(
                f"the log's head is no longer at {expected.size} entries: another writer moved "
                "it. Stop one of the two; nothing of this batch was written"
            )

    def _insert_rows(self, db: Connection, batch: Batch) -> None:
        rows = batch.rows
        self._bulk(db, LEAVES, [(row.index, row.leaf) for row in rows])
        # Sorted: keys are random, and neighbours in the tree are then written together.
        keys = sorted((key, row.index) for row in rows for key in row.identities)
        self._bulk(db, IDENTITIES, keys)
        self._bulk(db, ENVELOPES, [(row.index, *row.envelope) for row in rows if row.envelope])
        attached = [(row.index, *item) for row in rows for item in row.attachments.items()]
        self._bulk(db, ATTACHMENTS, attached)

    def _bulk(self, db: Connection, columns: Columns, rows: list[tuple[Any, ...]]) -> None:
        """Insert many rows the fastest way each driver has."""
        if not rows:
            return
        table, typed = columns
        names = ", ".join(name for name, _ in typed)
        if self._sqlite:
            for part in _in_powers(rows):
                marks = ", ".join([f"({', '.join('?' * len(typed))})"] * len(part))
                # One statement for many rows: executemany gives up the interpreter lock at each
                # row, and waits for it at each row while another thread computes.
                statement = f"INSERT INTO {table} ({names}) VALUES {marks}"  # noqa: S608 - constant names
                db.exec_driver_sql(statement, tuple(chain.from_iterable(part)))
            return
        driver: Any = db.connection.driver_connection
        statement = f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)"
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types([kind for _, kind in typed])
            for row in rows:
                copy.write_row(row)

    def find(self, identities: Sequence[bytes]) -> dict[bytes, int]:
        """See `Store`."""
        query = "SELECT identity, leaf_index FROM identities WHERE identity"
        return {bytes(row[0]): row[1] for row in self._select_in(query, identities, "bytea")}

    def leaves(self, start: int, end: int) -> list[bytes]:
        """See `Store`."""
        with self._reading() as db:
            rows = db.execute(
                text(
                    "SELECT leaf_index, data FROM leaves "
                    "WHERE leaf_index >= :start AND leaf_index < :end ORDER BY leaf_index"
                ),
                {"start": start, "end": end},
            ).all()
        for index, row in zip(range(start, end), rows, strict=False):
            if row[0] != index:
                raise NotFoundError(f"leaf {index} is missing from the store")
        if len(rows) < end - start:
            raise NotFoundError(f"leaf {start + len(rows)} is not in the store")
        return [bytes(row[1]) for row in rows]

    def envelopes(self, indexes: Collection[int]) -> dict[int, tuple[bytes, bytes]]:
        """See `Store`."""
        query = "SELECT leaf_index, entry, salt FROM envelopes WHERE leaf_index"
        rows = self._select_in(query, list(indexes), "int8")
        return {row[0]: (bytes(row[1]), bytes(row[2])) for row in rows}

    def attachments(self, indexes: Collection[int], name: str) -> dict[int, bytes]:
        """See `Store`."""
        query = "SELECT leaf_index, name, data FROM attachments WHERE leaf_index"
        rows = self._select_in(query, list(indexes), "int8")
        return {row[0]: bytes(row[2]) for row in rows if row[1] == name}

    def access_tree(self, root: bytes) -> bytes | None:
        """See `Store`."""
        with self._reading() as db:
            row = _one(db, "SELECT data FROM access_trees WHERE root = :root", root=root)
        return None if row is None else bytes(row[0])

    def tile(self, level: int, index: int) -> bytes | None:
        """See `Store`."""
        query = "SELECT data FROM tiles WHERE level = :level AND tile_index = :index"
        with self._reading() as db:
            row = _one(db, query, level=level, index=index)
        return None if row is None else bytes(row[0])

    def published(self) -> bytes | None:
        """See `Store`."""
        with self._reading() as db:
            row = _one(db, "SELECT data FROM heads WHERE name = 'published'")
        return None if row is None else bytes(row[0])

    def publish(self, size: int, root: bytes, note: bytes, now_ms: int) -> None:
        """See `Store`."""
        row = {"name": "published", "size": size, "root": root, "time": now_ms, "data": note}
        with self._writing() as db:
            _put(db, "heads", ("name",), [row])

    def _delete(self, db: Connection, table: str, indexes: Collection[int]) -> None:
        if indexes:
            statement = text(f"DELETE FROM {table} WHERE leaf_index = :index")  # noqa: S608 - constant names
            db.execute(statement, [{"index": index} for index in sorted(indexes)])

    def scrub(self) -> None:
        """See `Store`."""
        with self._guard(), self.engine.connect() as plain:
            db = plain.execution_options(isolation_level="AUTOCOMMIT")
            if not self._sqlite:
                db.execute(text("VACUUM envelopes, attachments"))
                return
            deadline = time.monotonic() + SCRUB_SECONDS
            while (row := _one(db, "PRAGMA wal_checkpoint(TRUNCATE)")) is None or row[0]:
                if time.monotonic() > deadline:
                    raise StoreError(
                        "a long-running reader keeps erased bytes in the write-ahead log; "
                        "close it, and erase again"
                    )

    def _select_in(
        self, query: str, values: Sequence[int] | Sequence[bytes], kind: str
    ) -> list[Any]:
        rows: list[Any] = []
        with self._reading() as db:
            for at in range(0, len(values), CHUNK):
                part = list(values[at : at + CHUNK])
                if self._sqlite:
                    marks = ", ".join("?" * len(part))
                    got = db.exec_driver_sql(f"{query} IN ({marks})", tuple(part))
                else:
                    got = db.exec_driver_sql(f"{query} = ANY(%s::{kind}[])", (part,))
                rows += got.all()
        return rows

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"the ledger's database failed: {driver_reason(error)}") from None
        except Exception as error:
            # A driver's own error, raised below SQLAlchemy (PostgreSQL's COPY).
            if type(error).__module__.split(".")[0] in ("psycopg", "sqlite3"):
                raise StoreError(f"the ledger's database failed: {driver_reason(error)}") from None
            raise

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._guard(), self.engine.connect() as db:
            yield db

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._guard(), self.engine.begin() as db:
            yield db


def _one(db: Connection, query: str, **values: Any) -> Any:
    return db.execute(text(query), values).first()


def _in_powers(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Cut rows into lengths that are powers of four, so that few statements are ever compiled."""
    at, length = 0, MAX_INSERT_ROWS
    while at < len(rows):
        while length > len(rows) - at:
            length //= 4
        yield rows[at : at + length]
        at += length


def _put(
    db: Connection, table: str, keys: tuple[str, ...], rows: Iterable[Mapping[str, Any]]
) -> None:
    """Insert rows, replacing those with the same key."""
    found = [dict(row) for row in rows]
    if not found:
        return
    names = list(found[0])
    sets = ", ".join(f"{name} = excluded.{name}" for name in names if name not in keys)
    marks = ", ".join(f":{name}" for name in names)
    statement = (
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) "  # noqa: S608 - constant names
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {sets}"
    )
    db.execute(text(statement), found)


def _tile_rows(tiles: Mapping[tuple[int, int], bytes]) -> Iterator[dict[str, Any]]:
    for (level, index), data in tiles.items():
        yield {"level": level, "tile_index": index, "data": data}


def _tree_rows(trees: Mapping[bytes, bytes]) -> Iterator[dict[str, Any]]:
    for root, data in trees.items():
        yield {"root": root, "data": data}
