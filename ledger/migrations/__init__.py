"""Schema migrations of the ledger's database (alembic), run by the program itself at start."""
