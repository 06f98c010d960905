import pytest

from tests.compute.worker_world import World


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path, people=24)
    yield made
    made.shop.store.close()
