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


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def db(request, tmp_path):
    """An empty database of the market's, on SQLite and on PostgreSQL."""
    from marketplace.store import Database

    url = f"sqlite:///{tmp_path / 'm.sqlite'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
    made = Database(url)
    made.migrate()
    yield made
    made.close()
