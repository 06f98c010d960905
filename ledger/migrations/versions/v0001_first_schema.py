"""First schema: heads, leaves, identities, envelopes, attachments, access trees, tiles."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def _index() -> sa.Column:
    return sa.Column("leaf_index", sa.BigInteger, primary_key=True, autoincrement=False)


def _data(name: str = "data") -> sa.Column:
    return sa.Column(name, sa.LargeBinary, nullable=False)


def upgrade() -> None:
    op.create_table(
        "heads",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        _data("root"),
        sa.Column("time", sa.BigInteger, nullable=False),
        _data(),
    )
    op.create_table("leaves", _index(), _data())
    op.create_table(
        "identities",
        sa.Column("identity", sa.LargeBinary, primary_key=True),
        sa.Column("leaf_index", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table("envelopes", _index(), _data("entry"), _data("salt"))
    op.create_table(
        "attachments", _index(), sa.Column("name", sa.String(32), primary_key=True), _data()
    )
    op.create_table("access_trees", sa.Column("root", sa.LargeBinary, primary_key=True), _data())
    op.create_table(
        "tiles",
        sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("tile_index", sa.BigInteger, primary_key=True, autoincrement=False),
        _data(),
    )


def downgrade() -> None:
    for name in (
        "tiles",
        "access_trees",
        "attachments",
        "envelopes",
        "identities",
        "leaves",
        "heads",
    ):
        op.drop_table(name)
