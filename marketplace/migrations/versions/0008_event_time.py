"""when a provider's event happened: what was paid about then is fetched together."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("happened_at", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("webhook_events", column)


def downgrade() -> None:
    op.drop_column("webhook_events", "happened_at")
