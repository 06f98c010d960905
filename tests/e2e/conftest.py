"""One embedded market for everything here that may share it: 24 CEU and 6 YRI people."""

import pytest

from tests.e2e.stack import Stack


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """A running market without owners yet; the crash tests let people join while it dies."""
    made = Stack(tmp_path_factory.mktemp("market"))
    made.start()
    try:
        yield made
    finally:
        made.stop()
