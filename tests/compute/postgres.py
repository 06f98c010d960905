"""A PostgreSQL database of a test's own with compute's tables."""

from contextlib import contextmanager

from compute.tables import open_engine, upgrade
from tests.postgres import fresh_database


@contextmanager
def postgres_engine():
    """Yield an engine of it; skips where no server answers."""
    with fresh_database() as url:
        upgrade(url)
        engine = open_engine(url)
        try:
            yield engine
        finally:
            engine.dispose()
