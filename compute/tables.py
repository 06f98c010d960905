"""Tables of the compute worker: budget, orders in hand, what was ingested.

Holds ids, digests and exact rationals as text. Never a genotype, an answer in clear, a key or a
name: those are in the encrypted store, or nowhere. Strings stand for enumerations because a
PostgreSQL enumeration does not survive a downgrade.
"""

from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import BigInteger, Engine, Text, create_engine, event, inspect, text
from sqlmodel import Field, SQLModel

from compute.errors import ComputeError

SQLITE_WAIT_MS = 30_000
VERSION_TABLE = "compute_alembic_version"
_MIGRATIONS = Path(__file__).parent / "migrations"


class StoreStateError(ComputeError):
    """The worker's own database is not in a state it may work from."""

    default_code = "compute_database"


class BudgetRow(SQLModel, table=True):
    """What a person ("p:" + participant) or dataset ("d:" + id) has been charged; exact."""

    __tablename__ = "compute_budget"
    subject: str = Field(primary_key=True)
    spent: str = Field(default="0")


class ReservationRow(SQLModel, table=True):
    """One access's charge; state as in accountant.TRANSITIONS."""

    __tablename__ = "compute_reservation"
    access: str = Field(primary_key=True)
    order: str = Field(index=True)
    rho: str
    exact: int = Field(default=0, sa_type=BigInteger)
    state: str = Field(index=True)


class ChargeRow(SQLModel, table=True):
    """One subject's part in one reservation."""

    __tablename__ = "compute_charge"
    access: str = Field(primary_key=True, foreign_key="compute_reservation.access")
    subject: str = Field(primary_key=True, index=True)


class OrderRow(SQLModel, table=True):
    """One order in hand: its phase (orderbook.TRANSITIONS) and what a restart needs.

    members: grant ids of the cohort. submission: the signed entry on its way to the ledger, kept
    before it is sent so that a restart repeats the same bytes. final: the phase after closing.
    """

    __tablename__ = "compute_order"
    order: str = Field(primary_key=True)
    phase: str
    attempt: int = Field(default=1)
    access: str | None = None
    access_index: int | None = None
    result_index: int | None = None
    members: str = Field(default="[]", sa_type=Text)
    submission: str | None = Field(default=None, sa_type=Text)
    access_submission: str | None = Field(default=None, sa_type=Text)
    commitment: str | None = None
    final: str | None = None
    code: str | None = None


class IngestRow(SQLModel, table=True):
    """What became of one grant at ingest; state pending, ingested, excluded or destroyed."""

    __tablename__ = "compute_ingest"
    grant: str = Field(primary_key=True)
    dataset: str = Field(index=True)
    state: str = Field(index=True)
    reason: str | None = None
    access: str | None = None


METADATA = SQLModel.metadata
NAMES = (
    "compute_budget",
    "compute_reservation",
    "compute_charge",
    "compute_order",
    "compute_ingest",
)
TABLES = tuple(METADATA.tables[name] for name in NAMES)

_locks: dict[str, RLock] = {}


def write_lock(engine: Engine) -> RLock:
    """Return the lock threads of one process take before writing to a SQLite file."""
    return _locks.setdefault(str(engine.url), RLock())


def open_engine(url: str) -> Engine:
    """Open the database. SQLite: WAL, foreign keys, BEGIN IMMEDIATE (a reserve is serial)."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(
        url,
        max_overflow=64,
        hide_parameters=True,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, so that readers cannot upgrade
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={SQLITE_WAIT_MS}",
        "journal_mode=WAL",
        "foreign_keys=ON",
        "synchronous=FULL",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _on_begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def upgrade(url: str) -> None:
    """Bring the database to the newest migration (alembic is loaded only when there is one)."""
    if is_newest(url):
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, "head")


def is_newest(url: str) -> bool:
    """Tell whether the database already has the newest migration, without loading alembic."""
    newest = max(path.stem.split("_")[0] for path in (_MIGRATIONS / "versions").glob("0*.py"))
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(VERSION_TABLE):
                return False
            query = text(f"SELECT version_num FROM {VERSION_TABLE}")  # noqa: S608 (a name of ours)
            return connection.execute(query).scalar() == newest
    finally:
        engine.dispose()
