"""the health passport: what belongs to a share."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text = sqlmodel.sql.sqltypes.AutoString
    op.create_table(
        "shared_files",
        sa.Column("share", text(), nullable=False),
        sa.Column("owner", text(), nullable=False),
        sa.Column("dataset", text(), nullable=False),
        sa.Column("token_sha256", text(), nullable=False),
        sa.Column("header", text(), nullable=True),
        sa.Column("object_key", text(), nullable=True),
        sa.Column("fetches", sa.Integer(), nullable=False),
        sa.Column("fetched_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["object_key"], ["objects.key"], name=op.f("fk_shared_files_object_key_objects")
        ),
        sa.PrimaryKeyConstraint("share", name=op.f("pk_shared_files")),
    )
    op.create_index(op.f("ix_shared_files_owner"), "shared_files", ["owner"], unique=False)
    op.create_index(op.f("ix_shared_files_dataset"), "shared_files", ["dataset"], unique=False)


def downgrade() -> None:
    op.drop_table("shared_files")
