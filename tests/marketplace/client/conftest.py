"""A client's home beside a market that is not there: nothing here opens a connection."""

import json
import os

import pytest

from ledger import CLAIMS, Auditor, Pins, TrustPolicy, public_key
from ledger.cosignature import Ed25519Cosigner
from ledger.note import Ed25519Signer, format_vkey
from marketplace.client.home import Home
from marketplace.client.statements import new_id

NOWHERE = "http://127.0.0.1:9"  # the discard port: nobody answers


@pytest.fixture
def trust_file():
    """A trust file whose ledger, marketplace and attester do not answer."""
    log, cosigner = Ed25519Signer("log.test", os.urandom(32)), Ed25519Cosigner("w", os.urandom(32))
    lines = [f"log {format_vkey(log.vkey)}", f"witness w {format_vkey(cosigner.vkey)}", "quorum w"]
    keys = [public_key(os.urandom(32)) for _ in range(4)]
    pins = Pins(
        marketplace=(keys[0],),
        compute=(keys[1],),
        auditors=(Auditor("an auditor", keys[2], os.urandom(32)),),
        attesters=dict.fromkeys(CLAIMS, (keys[3],)),
    )
    policy = "\n".join([*lines, ""])
    trust = TrustPolicy("log.test", NOWHERE, NOWHERE, policy, pins)
    return json.dumps({**json.loads(trust.format()), "attester_url": NOWHERE}).encode()


@pytest.fixture
def home(tmp_path, trust_file):
    made = Home(tmp_path / "home")
    made.create_from(trust_file, "owner", new_id())
    return made


@pytest.fixture
def omic(capsys, monkeypatch):
    """Run the `omic` command in this process: (exit status, stdout, stderr)."""
    from tests.marketplace.client.program import run_omic

    def run(*arguments, passphrase=None):
        monkeypatch.delenv("OMIC_PASSPHRASE", raising=False)
        if passphrase is not None:
            monkeypatch.setenv("OMIC_PASSPHRASE", passphrase)
        return run_omic(monkeypatch, capsys, *arguments)

    return run


def snapshot(directory):
    """Every file of a directory with its bytes: to show that nothing changed."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }
