"""stops handed in, owners noted at the outcome, what compute reported of a dataset."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dataset_reports",
        sa.Column("dataset", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("dataset", name=op.f("pk_dataset_reports")),
    )
    # Plain ADD COLUMN and not a batch: a batch copies the table, which others refer to.
    op.add_column("datasets", sa.Column("registered_index", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("paid", sa.JSON(), nullable=True))
    op.add_column(
        "outbox", sa.Column("subject", sqlmodel.sql.sqltypes.AutoString(), nullable=True)
    )
    op.create_index(op.f("ix_outbox_subject"), "outbox", ["subject"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_outbox_subject"), "outbox")
    op.drop_column("outbox", "subject")
    op.drop_column("jobs", "paid")
    op.drop_column("datasets", "registered_index")
    op.drop_table("dataset_reports")
