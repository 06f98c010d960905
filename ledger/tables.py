"""The tables of the ledger's database: what stands in them, and which of them can be erased.

Leaves, tiles, identities and heads are for ever; envelopes and attachments are erasable and hold
everything personal. Never a name, an e-mail address, free text of owners, or a genotype.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, LargeBinary, SmallInteger, String
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel


class LedgerTable(SQLModel, registry=registry()):
    """The base of the ledger's tables: its own metadata, so that no other room's can collide."""


def _index_key() -> "Column[Any]":
    return Column("leaf_index", BigInteger, primary_key=True, autoincrement=False)


def _bytes() -> "Column[Any]":
    return Column(LargeBinary, nullable=False)


class HeadRow(LedgerTable, table=True):
    """The newest sequenced tree ("sequenced") and the newest published checkpoint ("published").

    data: the encoded frontier of the former, the signed note of the latter. time: Unix ms.
    """

    __tablename__ = "heads"
    name: str = Field(sa_column=Column(String(16), primary_key=True))
    size: int = Field(sa_column=Column(BigInteger, nullable=False))
    root: bytes = Field(sa_column=_bytes())
    time: int = Field(sa_column=Column(BigInteger, nullable=False))
    data: bytes = Field(sa_column=_bytes())


class LeafRow(LedgerTable, table=True):
    """The bytes of one leaf; its hash stands in the level-0 tile."""

    __tablename__ = "leaves"
    leaf_index: int = Field(sa_column=_index_key())
    data: bytes = Field(sa_column=_bytes())


class IdentityRow(LedgerTable, table=True):
    """Which leaf already holds a commitment or a payload id (both hashed: see `identity_keys`)."""

    __tablename__ = "identities"
    __table_args__ = {"sqlite_with_rowid": False}
    key: bytes = Field(sa_column=Column("identity", LargeBinary, primary_key=True))
    leaf_index: int = Field(sa_column=Column(BigInteger, nullable=False))


class EnvelopeRow(LedgerTable, table=True):
    """A personal entry and the salt of its commitment. Erasable."""

    __tablename__ = "envelopes"
    leaf_index: int = Field(sa_column=_index_key())
    entry: bytes = Field(sa_column=_bytes())
    salt: bytes = Field(sa_column=_bytes())


class AttachmentRow(LedgerTable, table=True):
    """Bytes an entry commits to, such as a sealed grant. Erasable."""

    __tablename__ = "attachments"
    leaf_index: int = Field(sa_column=_index_key())
    name: str = Field(sa_column=Column(String(32), primary_key=True))
    data: bytes = Field(sa_column=_bytes())


class AccessTreeRow(LedgerTable, table=True):
    """The sorted leaves of an access tree, 32 bytes each, by their root. Public."""

    __tablename__ = "access_trees"
    root: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    data: bytes = Field(sa_column=_bytes())


class TileRow(LedgerTable, table=True):
    """A hash tile, as wide as the newest sequenced tree makes it."""

    __tablename__ = "tiles"
    level: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    tile_index: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    data: bytes = Field(sa_column=_bytes())
