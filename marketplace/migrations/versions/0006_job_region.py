"""a queue for each region: where a job may run."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text = sqlmodel.sql.sqltypes.AutoString
    op.add_column("jobs", sa.Column("region", text(), nullable=False, server_default="local"))


def downgrade() -> None:
    op.drop_column("jobs", "region")
