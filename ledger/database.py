"""Opening the ledger's database: SQLite (WAL, FULL, secure delete) or PostgreSQL, one writer.

Brings the schema to the newest version by itself (alembic, loaded only when there is something
to do) and takes the writer's lock. Never deletes or repairs anything.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from ledger.errors import StoreError

SCHEMA_VERSION = "0001"
BUSY_MS = 10_000
PAGE_CACHE_KIB = 8192  # keys are random: too small a cache reads a page for each entry
CHECKPOINT_PAGES = 4000  # what is written twice is copied back once
POOL_SIZE = 6
# "omic.log" as a number: the advisory lock every writer of one PostgreSQL database asks for.
WRITER_LOCK = int.from_bytes(b"omic.log", "big")
_SQLITE_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA secure_delete=ON",
    f"PRAGMA busy_timeout={BUSY_MS}",
    f"PRAGMA cache_size=-{PAGE_CACHE_KIB}",
    f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
)


def open_engine(url: str) -> Engine:
    """Open sqlite:///PATH or postgresql+psycopg://... and bring its schema up to date.

    Raises StoreError.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            _create_private(parsed.database)
        engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=0, pool_timeout=60)
        event.listen(engine, "connect", _settings(engine.dialect.name))
        with engine.connect() as connection:
            _upgrade(connection)
    except (SQLAlchemyError, OSError) as error:
        raise StoreError(f"cannot open the ledger's database: {driver_reason(error)}") from None
    return engine


def _create_private(path: str | None) -> None:
    if not path or path == ":memory:":
        raise StoreError("the ledger needs a database file; give sqlite:///PATH")
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _settings(dialect: str) -> Callable[[Any, Any], None]:
    def apply(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        # A promise to callers: what `append` returned from survives a power cut.
        statements = _SQLITE_SETTINGS if dialect == "sqlite" else ("SET synchronous_commit = on",)
        for statement in statements:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    return apply


def _upgrade(connection: Connection) -> None:
    found = None
    if inspect(connection).has_table("ledger_version"):
        found = connection.execute(text("SELECT version_num FROM ledger_version")).scalar()
    if found == SCHEMA_VERSION:
        return
    if found is not None and str(found) > SCHEMA_VERSION:
        raise StoreError(f"the database has schema {found}, newer than this program; update it")
    # Loaded here only: it costs 10 MB that a running log has no use for.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


class WriterLock:
    """Held by the one process that may append; the operating system drops it when that dies.

    The compare-and-swap of the head still decides: this lock only says so early and clearly.
    """

    def __init__(self, engine: Engine) -> None:
        self._connection: Connection | None = None
        self._file: int | None = None
        if engine.dialect.name == "sqlite":
            self._file = _lock_file(f"{engine.url.database}.lock")
        else:
            self._connection = _lock_database(engine)

    def release(self) -> None:
        """Let another writer in."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._connection is not None:
            _hang_up(self._connection)
            self._connection = None


def _lock_file(path: str) -> int:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise StoreError(_second_writer()) from None
    return handle


def _lock_database(engine: Engine) -> Connection:
    # Not from the pool: this one stays open for the life of the writer.
    connection = create_engine(engine.url, pool_size=1).connect()
    connection = connection.execution_options(isolation_level="AUTOCOMMIT")
    got = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": WRITER_LOCK})
    if not got.scalar():
        _hang_up(connection)
        raise StoreError(_second_writer())
    return connection


def _hang_up(connection: Connection) -> None:
    """End the session itself, and with it the lock: closing only hands it back to its pool."""
    connection.close()
    connection.engine.dispose()


def _second_writer() -> str:
    return (
        "another process already writes to this log's database; two writers would fork the log. "
        "Stop that process first, or point this one at its own database"
    )


def driver_reason(error: Exception) -> str:
    """Say what the driver said, without the statement and its values."""
    return str(getattr(error, "orig", None) or error).strip().split("\n")[0][:200]
