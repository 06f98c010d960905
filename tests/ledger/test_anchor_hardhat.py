"""The anchor's own commands against another EVM over JSON-RPC: a hardhat node in its own process.

Needs hardhat (npm) in the directory OMIC_HARDHAT names; it starts without a compiler, since the
contract's bytes come from Vyper.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

pytest.importorskip("web3", reason="the extra evm is not installed")

from ledger.anchor import __main__ as cli
from tests.ledger.ledger_scenes import TRUST
from tests.ledger.ledger_world import eventually, free_port
from tests.ledger.test_anchor import HASHES, MEMBERS, Source, address

# The node's first account, in its own documentation; its money is of no chain.
PAYER = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
HARDHAT = Path(os.environ.get("OMIC_HARDHAT", "none")) / "node_modules/.bin/hardhat"

pytestmark = pytest.mark.peer


@pytest.fixture
def rpc():
    """A fresh chain of a hardhat node; its address."""
    if not HARDHAT.exists() or shutil.which("node") is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have hardhat: set OMIC_HARDHAT to where it is installed")
        pytest.skip("no hardhat here: npm install hardhat, and set OMIC_HARDHAT to that directory")
    port = free_port()
    node = subprocess.Popen(
        [HARDHAT, "node", "--hostname", "127.0.0.1", "--port", str(port)],
        cwd=HARDHAT.parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HARDHAT_DISABLE_TELEMETRY_PROMPT": "true"},
    )
    url = f"http://127.0.0.1:{port}"
    ask = {"jsonrpc": "2.0", "id": 1, "method": "web3_clientVersion", "params": []}

    def up():
        try:
            return "HardhatNetwork" in httpx.post(url, json=ask, timeout=5).json()["result"]
        except httpx.TransportError:
            return False

    try:
        eventually(up, 60)
        yield url
    finally:
        node.kill()
        node.wait()


@pytest.fixture
def anchor(rpc, tmp_path, capsys):
    """Run a command of the anchor; returns its exit code and answer."""
    (tmp_path / "trust.json").write_bytes(TRUST.format())
    (tmp_path / "pay").write_text(PAYER)
    for number, key in enumerate(MEMBERS):
        (tmp_path / f"member{number}").write_text(key)

    def run(command, *options):
        usual = ["--rpc", rpc, "--trust", tmp_path / "trust.json"]
        code = cli.main([command, *map(str, usual), *map(str, options)])
        out = capsys.readouterr()
        return code, json.loads(out.out) if code != 2 else out.err

    return run


def test_anchors_on_a_hardhat_node_only_forward_and_k_of_n(anchor, tmp_path):
    members = [part for key in MEMBERS for part in ("--member", address(key))]
    code, made = anchor("deploy", "--key", tmp_path / "pay", "--k", 3, *members)
    assert (code, made["chain_id"]) == (0, 31337)

    def post(size, keys, hashes=HASHES):
        note = tmp_path / f"note{size}"
        note.write_text(Source(hashes[:size]).checkpoint())
        given = [part for n in keys for part in ("--member-key", tmp_path / f"member{n}")]
        where = ["--contract", made["contract"], "--note", note, "--key", tmp_path / "pay"]
        return anchor("post", *where, *given)

    code, error = post(9, [0, 1])
    assert (code, "too few" in error) == (2, True)
    code, done = post(9, [0, 1, 4])
    assert (code, done["anchored"], done["size"]) == (0, True, 9)
    assert post(5, [0, 1, 4]) == (0, {"size": 9, "anchored": False})  # never back
    code, done = post(40, [2, 3, 4])
    assert code == 0, done
    assert (code, done["anchored"], done["size"]) == (0, True, 40)
