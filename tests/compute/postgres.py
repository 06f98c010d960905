"""A PostgreSQL database of a test's own, where a server is at hand (CI has one)."""

import os
import secrets
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from compute.tables import open_engine, upgrade


@contextmanager
def postgres_engine():
    """Yield an engine of a new database with compute's tables; skips where no server answers."""
    server = os.environ.get("OMIC_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432")
    admin = open_engine(server + "/postgres").execution_options(isolation_level="AUTOCOMMIT")
    name = f"omic_test_{secrets.token_hex(6)}"
    try:
        with admin.connect() as db:
            db.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no PostgreSQL here")
    engine = open_engine(f"{server}/{name}")
    try:
        upgrade(f"{server}/{name}")
        yield engine
    finally:
        engine.dispose()
        with admin.connect() as db:
            db.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
