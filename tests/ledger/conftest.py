"""Fixtures of the ledger's store, log, server, witness, client and follower tests."""

import pytest

from tests.ledger.ledger_world import World
from tests.postgres import fresh_database


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


@pytest.fixture
def postgres_database():
    """A fresh PostgreSQL database, dropped afterwards."""
    with fresh_database() as url:
        yield url
