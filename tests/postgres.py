"""A database of a test's own on the server OMIC_TEST_POSTGRES names."""

import os
import secrets
from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError


def postgres_server() -> str:
    """The server's URL without a database; libpq itself reads PGPASSWORD."""
    return os.environ.get("OMIC_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432")


@contextmanager
def fresh_database():
    """Yield a new database's URL, dropped afterwards. No server: skips, and in CI fails."""
    server = postgres_server()
    admin = create_engine(server + "/postgres", isolation_level="AUTOCOMMIT")
    name = f"omic_test_{secrets.token_hex(6)}"
    try:
        with admin.connect() as db:
            db.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no PostgreSQL here")
    try:
        yield f"{server}/{name}"
    finally:
        with admin.connect() as db:
            db.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
