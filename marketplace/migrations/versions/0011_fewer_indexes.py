"""no index that another one begins with: each costs every owner's row of a settlement."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_shares_order_id", table_name="shares")
    op.drop_index("ix_book_lines_account", table_name="book_lines")


def downgrade() -> None:
    op.create_index("ix_book_lines_account", "book_lines", ["account"], unique=False)
    op.create_index("ix_shares_order_id", "shares", ["order_id"], unique=False)
