"""`omic audit ledger` shows how far it is to a person at a terminal, and to nobody else."""

import io
import json

import pytest
from rich.console import Console

from marketplace.client import cli_audit
from tests.ledger.ledger_scenes import TRUST, Scene
from tests.ledger.test_tile_directory import write


@pytest.fixture
def audited(tmp_path, monkeypatch, omic):
    """Audit a small directory of tiles; returns what the bar drew, and the answer."""
    scene = Scene()
    scene.put("grant")
    directory = write(scene, tmp_path / "copy")
    (tmp_path / "trust.json").write_bytes(TRUST.format())

    def run(*options, terminal):
        drawn = io.StringIO()
        console = Console(file=drawn, force_terminal=terminal, width=100)
        monkeypatch.setattr(cli_audit, "_progress_console", console)
        where = ("--trust", tmp_path / "trust.json", "--tiles", directory)
        status, out, _ = omic(*options, "audit", "ledger", *where)
        assert status == 0
        return drawn.getvalue(), out

    return run


def test_a_terminal_sees_the_bar_reach_its_end(audited):
    drawn, out = audited(terminal=True)
    assert "reading the ledger" in drawn
    assert "100%" in drawn
    assert "reading the ledger" not in out  # beside the answer, not in it


@pytest.mark.parametrize(("options", "terminal"), [((), False), (("--json",), True)])
def test_programs_see_no_bar(audited, options, terminal):
    drawn, out = audited(*options, terminal=terminal)
    assert drawn == ""
    assert not options or json.loads(out)["verdict"] == "pass"
