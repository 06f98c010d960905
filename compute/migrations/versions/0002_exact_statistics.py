"""exact statistics are counted beside rho"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("compute_reservation", schema=None) as batch_op:
        batch_op.add_column(sa.Column("exact", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("compute_reservation", schema=None) as batch_op:
        batch_op.drop_column("exact")
