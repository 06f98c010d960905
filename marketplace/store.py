"""The database: one engine, write and read sessions, and the migrations run at start.

SQLite (WAL, one writer at a time) and PostgreSQL through the same code. A write session takes the
write lock at once on SQLite, so a decision read inside it cannot be overtaken; on PostgreSQL the
services lock the row they decide on, and unique constraints do the rest.
"""

import json
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import Session

from marketplace.errors import ConfigError, UnavailableError

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

LOG = logging.getLogger(__name__)
MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 10_000
MIGRATION_LOCK = 0x6F6D6963  # PostgreSQL advisory lock: several instances may start at once


class Turn:
    """A lock handed over in the order it was asked for.

    A plain lock goes to whoever runs when it is free: work that writes one transaction after the
    other would keep everybody else out.
    """

    def __init__(self) -> None:
        self._lock, self._held = threading.Lock(), False
        self._waiting: deque[threading.Lock] = deque()

    def __enter__(self) -> None:
        with self._lock:
            if not self._held:
                self._held = True
                return
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()  # until the one before hands over

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


class Database:
    """Sessions over one database URL."""

    def __init__(self, url: str) -> None:
        self.url = normal_url(url)
        self.engine = _engine(self.url)
        # An engine that shares the pool but begins with the write lock held (SQLite).
        self._writer = self.engine.execution_options(begin_immediate=True)
        # SQLite's own waiting sleeps and polls; threads of one process can simply queue.
        self._turn = Turn() if self.is_sqlite else nullcontext()

    @property
    def is_sqlite(self) -> bool:
        """Tell whether it is SQLite, where one writes at a time."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session that commits when the block ends well and rolls back otherwise."""
        with (
            self._turn,
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session for reading; whatever it changed is thrown away."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    def migrate(self) -> None:
        """Bring the schema to the newest version. Raises UnavailableError."""
        try:
            with self._writer.begin() as connection:
                if not self.is_sqlite:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
                if not _is_newest(connection):
                    _upgrade(connection)
        except SQLAlchemyError as error:
            raise UnavailableError(
                f"the database cannot be brought up to date ({type(error).__name__}); "
                "check database_url and that the database accepts connections"
            ) from error

    def forget(self) -> bool:
        """Write the log back and empty it, so that deleted rows are in no file; tell whether done.

        A reader at work puts it off: try again. On PostgreSQL the operator's vacuum and WAL
        retention decide, and this does nothing.
        """
        if not self.is_sqlite:
            return True
        with self.engine.connect() as connection:
            raw = connection.connection.cursor()
            busy = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            raw.close()
        return not busy

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def normal_url(url: str) -> str:
    """Return a SQLAlchemy URL with our drivers. Raises ConfigError."""
    for short in ("postgresql://", "postgres://"):
        if url.startswith(short):
            url = "postgresql+psycopg://" + url.removeprefix(short)
    try:
        make_url(url)
    except ArgumentError:
        raise ConfigError(
            "database_url is not a URL such as sqlite:///market.sqlite or postgresql://host/name"
        ) from None
    return url


def _is_newest(connection: Connection) -> bool:
    """Tell whether the schema is the newest one, without loading alembic to find out."""
    newest = max(path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("0*.py"))
    if not inspect(connection).has_table("alembic_version"):
        return False
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest


def _upgrade(connection: Connection) -> None:
    from alembic import command

    command.upgrade(alembic_config(connection), "head")


def alembic_config(connection: Any = None) -> "AlembicConfig":
    """Return alembic's configuration without a file, on an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(
            url, pool_size=8, max_overflow=8, pool_pre_ping=True, hide_parameters=True
        )
    engine = create_engine(
        url,
        hide_parameters=True,
        connect_args={"check_same_thread": False, "timeout": BUSY_TIMEOUT_MS / 1000},
        json_serializer=lambda value: json.dumps(value, separators=(",", ":")),
    )
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own transaction handling starts too late; `_sqlite_begin` takes its place.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "synchronous=FULL",
        "secure_delete=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    immediate = connection.get_execution_options().get("begin_immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
