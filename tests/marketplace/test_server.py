"""The process: first start, clear refusals, serving, a clean stop, and its memory."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from ledger import Pins, TrustPolicy, public_key, unb64
from ledger.cosignature import Ed25519Cosigner
from ledger.note import Ed25519Signer, format_vkey
from marketplace.config import default_settings, format_toml, load_config
from marketplace.errors import ConfigError

COMMAND = [sys.executable, "-m", "marketplace.server"]
MEMORY_MB = 180


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def init(capsys):
    def first_start(directory, port):
        from marketplace.server import main

        capsys.readouterr()
        assert main(["init", "--dir", str(directory), "--port", str(port)]) == 0
        return json.loads(capsys.readouterr().out)

    return first_start


@pytest.fixture
def ready(tmp_path, init):
    """A directory the server can start from; its ledger does not answer."""
    port, home = free_port(), tmp_path / "marketplace"
    public = init(home, port)["marketplace"]
    log = Ed25519Signer("log.test", os.urandom(32))
    witness = Ed25519Cosigner("w0.test", os.urandom(32))
    lines = [f"log {format_vkey(log.vkey)}", f"witness w0 {format_vkey(witness.vkey)}"]
    policy = "\n".join([*lines, "quorum w0", ""])
    pins = Pins(marketplace=(unb64(public),), compute=(public_key(os.urandom(32)),))
    trust = TrustPolicy("log.test", "http://x", f"http://localhost:{port}", policy, pins)
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "trust.json").write_bytes(trust.format())
    for name, text in (
        ("ledger.token", "t1"), ("worker.token", "t2"), ("stripe.key", "sk_test_1"),
        ("stripe.webhook", "whsec_1"),
    ):  # fmt: skip
        private(home / name, text)
    return home, port


def private(path, text):
    path.touch(mode=0o600)
    path.write_text(text)


def start(home):
    return subprocess.Popen(
        [*COMMAND, "--dir", str(home)], cwd=home, stderr=subprocess.PIPE, text=True
    )


def wait_healthy(port, seconds=40):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the server did not answer in time")


def test_init_makes_a_private_key_once_and_prints_only_the_public_one(tmp_path, init):
    home = tmp_path / "m"
    first = init(home, 8080)
    assert init(home, 8080) == first
    assert set(first) == {"marketplace"}
    assert len(unb64(first["marketplace"])) == 32
    key = home / "signing.key"
    assert key.stat().st_mode & 0o077 == 0
    assert load_config(home).port == 8080


def test_it_serves_stops_cleanly_and_stays_small(ready):
    home, port = ready
    process = start(home)
    try:
        wait_healthy(port)
        answer = httpx.get(f"http://127.0.0.1:{port}/openapi.json")
        assert answer.json()["openapi"] == "3.1.0"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        quiet = httpx.get(f"http://127.0.0.1:{port}/api/v1/status")
        assert quiet.status_code == 503
        assert quiet.headers["Content-Type"] == "application/problem+json"
        status = Path(f"/proc/{process.pid}/status").read_text()
        (resident,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
        assert int(resident.split()[1]) / 1024 < MEMORY_MB
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, log
    assert "stopped" in log
    for secret in ("t1", "sk_test_1", "whsec_1"):
        assert f"{secret}\n" not in log


def run(home, capsys):
    """Start in this process a server that must refuse to; return exit status and what it said."""
    from marketplace.server import main

    status = main(["--dir", str(home)])
    return status, capsys.readouterr().err


def test_a_busy_port_is_a_clear_error(ready, capsys):
    home, port = ready
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        status, said = run(home, capsys)
    assert status == 2
    assert f"port {port}" in said
    assert not (home / "marketplace.sqlite").exists()


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda home: (home / "config.toml").unlink(), "init"),
        (lambda home: (home / "config.toml").write_text("port = ["), "config.toml"),
        (lambda home: (home / "worker.token").unlink(), "worker token"),
        (lambda home: (home / "worker.token").chmod(0o644), "chmod 600"),
        (lambda home: private(home / "signing.key", "00" * 32), "not pinned"),
        (lambda home: private(home / "signing.key", "zz"), "32-byte key"),
        (lambda home: private(home / "stripe.key", "sk_live_1"), "live"),
        (lambda home: (home / "../trust/trust.json").write_text("{}"), "trust policy"),
    ],
)
def test_what_is_wrong_with_a_directory_is_said_with_exit_status_2(ready, spoil, word, capsys):
    home, _port = ready
    spoil(home)
    status, said = run(home, capsys)
    assert status == 2
    assert word in said


def test_the_environment_overrides_addresses_and_paths_are_the_directory_s(tmp_path):
    (tmp_path / "config.toml").write_text(format_toml(default_settings(9000)))
    plain = load_config(tmp_path, {})
    assert plain.database_url == f"sqlite:///{tmp_path / 'marketplace.sqlite'}"
    assert plain.object_store_url == str(tmp_path / "objects")
    assert plain.origin == "http://localhost:9000"
    changed = load_config(
        tmp_path,
        {
            "OMIC_DATABASE_URL": "postgresql://h/d",
            "OMIC_BROKER_URL": "redis://h",
            "OMIC_OBJECT_STORE_URL": "s3://bucket/x",
        },
    )
    assert changed.database_url == "postgresql://h/d"
    assert changed.broker_url == "redis://h"
    assert changed.object_store_url == "s3://bucket/x"


def test_a_configuration_without_a_key_names_it(tmp_path):
    settings = default_settings(9000)
    del settings["ledger_url"]
    (tmp_path / "config.toml").write_text(format_toml(settings))
    with pytest.raises(ConfigError, match="ledger_url"):
        load_config(tmp_path, {})
