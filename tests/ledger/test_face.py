"""The ledger's face: complete, and light enough for a client."""

import subprocess
import sys

import ledger

HEAVY = ("flask", "waitress", "sqlmodel", "sqlalchemy", "compute", "marketplace")


def test_every_public_name_is_there():
    assert sorted(set(ledger.__all__)) == sorted(ledger.__all__)
    assert [name for name in ledger.__all__ if not hasattr(ledger, name)] == []


def test_importing_it_pulls_in_no_server_and_no_database():
    code = f"import ledger, sys; print([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
