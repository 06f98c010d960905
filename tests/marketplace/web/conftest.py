import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def fresh(tmp_path):
    """A market where nothing has happened yet."""
    from web_world import WebWorld

    made = WebWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def lively_world(tmp_path_factory):
    """A market with owners, orders in every kind of state, and who lives in it. Only to look at."""
    from web_world import lively

    made, who = lively(tmp_path_factory.mktemp("lively"))
    yield made, who
    made.close()
