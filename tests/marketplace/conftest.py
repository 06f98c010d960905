import pytest

from tests.postgres import fresh_database


@pytest.fixture
def world(tmp_path):
    from tests.marketplace.market_world import World

    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def postgres_url():
    """A fresh PostgreSQL database on the server OMIC_TEST_POSTGRES names."""
    with fresh_database() as url:
        yield url
