"""What every table has: names of constraints, one metadata, and columns wider than the default."""

from typing import Any

from sqlalchemy import JSON, BigInteger, MetaData
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
METADATA = MetaData(naming_convention=NAMING)


class Table(SQLModel):
    """The base of every table here: its own metadata, so no other package's tables mix in."""

    metadata = METADATA


def big(**options: Any) -> Any:
    """Return a 64-bit integer column: times and money outgrow 32 bits on PostgreSQL."""
    return Field(sa_type=BigInteger, **options)


def json_column() -> Any:
    """Return a column of JSON."""
    return Field(sa_type=JSON)
