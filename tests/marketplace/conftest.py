import os

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError


@pytest.fixture
def world(tmp_path):
    from tests.marketplace.market_world import World

    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def postgres_url():
    """A fresh PostgreSQL database on the server OMIC_TEST_POSTGRES names."""
    server = os.environ.get("OMIC_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432")
    engine = create_engine(server + "/postgres", isolation_level="AUTOCOMMIT")
    name = f"market_{os.getpid()}_{os.urandom(4).hex()}"
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL here: {type(error).__name__}")
    yield f"{server}/{name}"
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
