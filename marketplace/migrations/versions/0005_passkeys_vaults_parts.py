"""passkeys that sign in, vaults kept for their owners, uploads in parts."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TEXT = sqlmodel.sql.sqltypes.AutoString()


def upgrade() -> None:
    op.create_table(
        "upload_parts",
        sa.Column("dataset", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("object_key", TEXT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["object_key"], ["objects.key"], name=op.f("fk_upload_parts_object_key_objects")
        ),
        sa.PrimaryKeyConstraint("dataset", "number", name=op.f("pk_upload_parts")),
    )
    op.create_index(op.f("ix_upload_parts_owner"), "upload_parts", ["owner"])
    op.create_index(op.f("ix_upload_parts_created_at"), "upload_parts", ["created_at"])
    op.create_table(
        "passkeys",
        sa.Column("credential", TEXT, nullable=False),
        sa.Column("party", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("public_key", TEXT, nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("credential", name=op.f("pk_passkeys")),
    )
    op.create_index(op.f("ix_passkeys_party"), "passkeys", ["party"])
    op.create_table(
        "vaults",
        sa.Column("party", TEXT, nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("etag", TEXT, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party", name=op.f("pk_vaults")),
    )
    op.create_table(
        "vault_locators",
        sa.Column("locator", TEXT, nullable=False),
        sa.Column("party", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["party"], ["vaults.party"], name=op.f("fk_vault_locators_party_vaults")
        ),
        sa.PrimaryKeyConstraint("locator", name=op.f("pk_vault_locators")),
    )
    op.create_index(op.f("ix_vault_locators_party"), "vault_locators", ["party"])


def downgrade() -> None:
    for table in ("vault_locators", "vaults", "passkeys", "upload_parts"):
        op.drop_table(table)
