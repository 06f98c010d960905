"""Fixtures of the ledger's store, log, server, witness, client and follower tests."""

import os
import secrets

import pytest

from tests.ledger.ledger_world import World


@pytest.fixture
def world(tmp_path):
    """A deployment with three running witnesses; the log is not started."""
    world = World(tmp_path)
    world.start_witnesses()
    yield world
    world.close()


@pytest.fixture
def running(world):
    """A deployment whose log runs in this process behind HTTP."""
    world.log = world.start()
    world.serve(world.log)
    world.wait_healthy()
    return world


def postgres_url() -> str:
    return os.environ.get("OMIC_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432")


@pytest.fixture
def postgres_database():
    """A fresh PostgreSQL database, dropped afterwards."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import OperationalError

    admin = create_engine(postgres_url() + "/postgres", isolation_level="AUTOCOMMIT")
    name = f"omic_test_{secrets.token_hex(6)}"
    try:
        with admin.connect() as db:
            db.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError:
        if os.environ.get("CI"):
            raise
        pytest.skip("no PostgreSQL here")
    yield f"{postgres_url()}/{name}"
    with admin.connect() as db:
        db.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
