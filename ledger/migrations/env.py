"""Alembic environment: runs on the connection the store hands in, never on one of its own."""

from alembic import context

from ledger.tables import LedgerTable

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=LedgerTable.metadata,
    version_table="ledger_version",
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
