"""scoped tokens, and answers kept for requests that may be sent again."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text = sqlmodel.sql.sqltypes.AutoString
    op.add_column("sessions", sa.Column("scopes", text(), nullable=False, server_default=""))
    op.create_table(
        "kept_answers",
        sa.Column("id", text(), nullable=False),
        sa.Column("party", text(), nullable=False),
        sa.Column("request", text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_answers")),
    )
    op.create_index(op.f("ix_kept_answers_party"), "kept_answers", ["party"])
    op.create_index(op.f("ix_kept_answers_expires_at"), "kept_answers", ["expires_at"])


def downgrade() -> None:
    op.drop_table("kept_answers")
    op.drop_column("sessions", "scopes")
