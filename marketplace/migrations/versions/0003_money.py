"""refunds, disputes, payees, charities, payouts, reconciliations; tax and receipt of a payment."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("charities",
    sa.Column("code", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("code", name=op.f("pk_charities"))
    )
    op.create_table("payout_batches",
    sa.Column("id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("period", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_payout_batches")),
    sa.UniqueConstraint("period", "currency", name=op.f("uq_payout_batches_period_currency"))
    )
    op.create_index(op.f("ix_payout_batches_state"), "payout_batches", ["state"], unique=False)
    op.create_table("reconciliations",
    sa.Column("id", sa.Integer(), nullable=False),
    sa.Column("at", sa.BigInteger(), nullable=False),
    sa.Column("ok", sa.Boolean(), nullable=False),
    sa.Column("report", sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciliations"))
    )
    op.create_index(op.f("ix_reconciliations_at"), "reconciliations", ["at"], unique=False)
    op.create_table("payees",
    sa.Column("party", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("mode", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("charity", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column("account_id", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column("ready", sa.Boolean(), nullable=False),
    sa.Column("submitted", sa.Boolean(), nullable=False),
    sa.Column("changed_at", sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(["charity"], ["charities.code"], name=op.f("fk_payees_charity_charities")),
    sa.PrimaryKeyConstraint("party", name=op.f("pk_payees")),
    sa.UniqueConstraint("account_id", name=op.f("uq_payees_account_id"))
    )
    op.create_table("payouts",
    sa.Column("id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("batch_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("party", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("account_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("amount", sa.BigInteger(), nullable=False),
    sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("transfer_id", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column("reversed", sa.BigInteger(), nullable=False),
    sa.Column("announced", sa.BigInteger(), nullable=False),
    sa.Column("error", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column("salt", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("position", sa.Integer(), nullable=True),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column("changed_at", sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(["batch_id"], ["payout_batches.id"], name=op.f("fk_payouts_batch_id_payout_batches")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_payouts")),
    sa.UniqueConstraint("batch_id", "party", name=op.f("uq_payouts_batch_id_party")),
    sa.UniqueConstraint("transfer_id", name=op.f("uq_payouts_transfer_id"))
    )
    op.create_index(op.f("ix_payouts_batch_id"), "payouts", ["batch_id"], unique=False)
    op.create_index(op.f("ix_payouts_party"), "payouts", ["party"], unique=False)
    op.create_index(op.f("ix_payouts_state"), "payouts", ["state"], unique=False)
    op.create_table("disputes",
    sa.Column("id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("payment_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("order_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("amount", sa.BigInteger(), nullable=False),
    sa.Column("fee", sa.BigInteger(), nullable=False),
    sa.Column("escrow", sa.BigInteger(), nullable=False),
    sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("opened_at", sa.BigInteger(), nullable=False),
    sa.Column("closed_at", sa.BigInteger(), nullable=True),
    sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_disputes_order_id_orders")),
    sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_disputes_payment_id_payments")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_disputes"))
    )
    op.create_index(op.f("ix_disputes_order_id"), "disputes", ["order_id"], unique=False)
    op.create_index(op.f("ix_disputes_payment_id"), "disputes", ["payment_id"], unique=False)
    op.create_index(op.f("ix_disputes_state"), "disputes", ["state"], unique=False)
    op.create_table("refunds",
    sa.Column("id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("payment_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("order_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("amount", sa.BigInteger(), nullable=False),
    sa.Column("net", sa.BigInteger(), nullable=False),
    sa.Column("currency", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
    sa.Column("provider_id", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("error", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
    sa.Column("created_at", sa.BigInteger(), nullable=False),
    sa.Column("changed_at", sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_refunds_order_id_orders")),
    sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name=op.f("fk_refunds_payment_id_payments")),
    sa.PrimaryKeyConstraint("id", name=op.f("pk_refunds")),
    sa.UniqueConstraint("provider_id", name=op.f("uq_refunds_provider_id"))
    )
    op.create_index(op.f("ix_refunds_order_id"), "refunds", ["order_id"], unique=False)
    op.create_index(op.f("ix_refunds_payment_id"), "refunds", ["payment_id"], unique=False)
    op.create_index(op.f("ix_refunds_state"), "refunds", ["state"], unique=False)
    op.create_index("ix_book_lines_slot", "book_lines", ["account", "owner", "currency"], unique=False)
    op.add_column("payments", sa.Column("tax", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("payments", sa.Column("receipt_url", sqlmodel.sql.sqltypes.AutoString(), nullable=True))
    op.add_column("payments", sa.Column("method", sqlmodel.sql.sqltypes.AutoString(), nullable=True))
    op.add_column("payments", sa.Column("purchase_order", sqlmodel.sql.sqltypes.AutoString(), nullable=True))
    op.add_column("webhook_events", sa.Column("object_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default=""))
    op.add_column("webhook_events", sa.Column("state", sqlmodel.sql.sqltypes.AutoString(), nullable=False, server_default="done"))
    op.create_index(op.f("ix_webhook_events_state"), "webhook_events", ["state"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_webhook_events_state"), table_name="webhook_events")
    op.drop_column("webhook_events", "state")
    op.drop_column("webhook_events", "object_id")
    op.drop_column("payments", "purchase_order")
    op.drop_column("payments", "method")
    op.drop_column("payments", "receipt_url")
    op.drop_column("payments", "tax")
    op.drop_index("ix_book_lines_slot", table_name="book_lines")
    op.drop_index(op.f("ix_refunds_state"), table_name="refunds")
    op.drop_index(op.f("ix_refunds_payment_id"), table_name="refunds")
    op.drop_index(op.f("ix_refunds_order_id"), table_name="refunds")
    op.drop_table("refunds")
    op.drop_index(op.f("ix_disputes_state"), table_name="disputes")
    op.drop_index(op.f("ix_disputes_payment_id"), table_name="disputes")
    op.drop_index(op.f("ix_disputes_order_id"), table_name="disputes")
    op.drop_table("disputes")
    op.drop_index(op.f("ix_payouts_state"), table_name="payouts")
    op.drop_index(op.f("ix_payouts_party"), table_name="payouts")
    op.drop_index(op.f("ix_payouts_batch_id"), table_name="payouts")
    op.drop_table("payouts")
    op.drop_table("payees")
    op.drop_index(op.f("ix_reconciliations_at"), table_name="reconciliations")
    op.drop_table("reconciliations")
    op.drop_index(op.f("ix_payout_batches_state"), table_name="payout_batches")
    op.drop_table("payout_batches")
    op.drop_table("charities")
