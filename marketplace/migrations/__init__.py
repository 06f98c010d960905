"""Alembic migrations of the marketplace's database; run when the server starts."""
