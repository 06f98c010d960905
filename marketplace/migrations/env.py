"""Runs migrations on the connection the server hands over; there is no alembic.ini."""

import sqlmodel  # noqa: F401  (types used by migrations)
from alembic import context

from marketplace.tables import METADATA

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    render_as_batch=True,
    compare_type=True,
    transaction_per_migration=False,
)
context.run_migrations()
