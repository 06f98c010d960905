"""The supervisor: one a directory, clear refusals, crash and restart, a clean stop, recovery."""

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

from marketplace.embedded import Layout, SetupError, Supervisor, first_start
from tests.e2e.stack import free_base

OMIC = [sys.executable, "-m", "marketplace.client.cli"]
NAMES = {
    "witness-1",
    "witness-2",
    "witness-3",
    "ledger",
    "stripe",
    "attester",
    "keys",
    "marketplace",
    "compute",
}


def eventually(check, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (result := check()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return result


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children_of(directory):
    """Process ids of market processes of this directory, by the name of their directory."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        place = Path(arguments[arguments.index("--dir") + 1]) if "--dir" in arguments else Path()
        if place.parent == Path(directory) and alive(int(path.parent.name)):
            found[place.name] = int(path.parent.name)
    return found


def healthy(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


class Up:
    """`omic up` in a process of its own."""

    def __init__(self, directory, port, *more):
        self.directory, self.port = directory, port
        command = [*OMIC, "up", "--dir", str(directory), "--port", str(port), *more]
        self.log = directory.parent / f"up-{port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def ready(self):
        def up():
            assert self.process.poll() is None, self.log.read_text()
            return "Open" in self.log.read_text()

        eventually(up)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(40)


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    made = Up(tmp_path_factory.mktemp("up") / "market", free_base())
    try:
        made.ready()
        yield made
    finally:
        made.end()
        assert children_of(made.directory) == {}


def refused(*arguments):
    done = subprocess.run([*OMIC, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_everything_runs_and_the_page_answers(up):
    assert set(children_of(up.directory)) == NAMES
    assert healthy(up.port)
    page = httpx.get(f"http://127.0.0.1:{up.port}/", headers={"Host": f"localhost:{up.port}"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


def test_secrets_and_directories_are_private(up):
    for name in ("*.key", "*.token", "*.pem", "tokens.toml", "stripe.*", "config.toml"):
        for path in up.directory.rglob(name):
            if path.is_file():
                assert path.stat().st_mode & 0o077 == 0, path
    for name in NAMES - {"stripe"}:
        assert (up.directory / name).stat().st_mode & 0o077 == 0, name


def test_a_second_instance_on_the_same_directory_is_refused_and_harms_nothing(up):
    before = children_of(up.directory)
    said = refused("up", "--dir", up.directory)
    assert "another `omic up` already runs" in said
    assert str(up.directory) in said
    assert children_of(up.directory) == before
    assert healthy(up.port)


def test_another_port_on_an_existing_directory_is_refused(up):
    said = refused("up", "--dir", up.directory, "--port", up.port + 16)
    assert f"--port {up.port}" in said
    assert "another --dir" in said


def test_a_busy_port_names_the_port_and_makes_nothing(up, tmp_path):
    said = refused("up", "--dir", tmp_path / "other", "--port", up.port)
    assert f"port {up.port}" in said
    assert "--port" in said
    assert not (tmp_path / "other" / "trust").exists()
    assert children_of(tmp_path / "other") == {}


@pytest.mark.parametrize("name", ["ledger", "marketplace", "compute", "witness-2"])
def test_a_crashed_child_is_started_again(name, up):
    before = children_of(up.directory)
    os.kill(before[name], signal.SIGKILL)
    eventually(lambda: children_of(up.directory).get(name, before[name]) != before[name])
    after = children_of(up.directory)
    assert {n for n in NAMES if after.get(n) != before[n]} == {name}
    if name != "compute":
        port = json.loads((up.directory / "trust" / "trust.json").read_text())
        assert port["v"] == 1
        eventually(lambda: healthy(Layout(up.directory, up.port, {}).port_of(name)))
    assert f"{name} stopped" in up.log.read_text() or up.process.poll() is None


def test_sigterm_stops_everything_and_leaves_no_child(up):
    """Last of those that use it: it ends the shared run, and starts it again on the same DIR."""
    pids = children_of(up.directory)
    trust = (up.directory / "trust" / "trust.json").read_bytes()
    assert up.end() == 0
    assert not any(alive(pid) for pid in pids.values())
    assert "Stopped." in up.log.read_text()
    again = Up(up.directory, up.port)
    try:
        again.ready()
        assert (up.directory / "trust" / "trust.json").read_bytes() == trust
        # Killed hard, the supervisor takes its children along: nobody is left with the ports.
        pids = children_of(up.directory)
        again.process.kill()
        again.process.wait()
        eventually(lambda: not any(alive(pid) for pid in pids.values()), 30)
    finally:
        again.end()


def fake_layout(tmp_path):
    return Layout(tmp_path / "market", free_base(), {})


def test_a_half_made_directory_recovers(tmp_path):
    """A first start killed before the trust file existed: the next one begins again."""
    layout = fake_layout(tmp_path)
    started = subprocess.Popen([*OMIC, "up", "--dir", str(layout.root), "--port", str(layout.port)])
    eventually(lambda: (layout.directory("ledger") / "log.key").exists())
    started.kill()
    started.wait()
    assert not layout.trust_file.exists()
    eventually(lambda: children_of(layout.root) == {})  # an `init` of its own may outlive it
    with Supervisor(layout) as market:
        assert set(market.pids()) == NAMES
        assert healthy(layout.port_of("ledger"))
    assert json.loads(layout.trust_file.read_text())["pins"]["compute"]
    assert children_of(layout.root) == {}


def test_keys_without_their_trust_file_are_never_made_anew(tmp_path):
    layout = fake_layout(tmp_path)
    first_start(layout)
    kept = (layout.directory("ledger") / "log.key").read_bytes()
    layout.trust_file.unlink()
    with pytest.raises(SetupError, match="put the trust file back"):
        first_start(layout)
    assert (layout.directory("ledger") / "log.key").read_bytes() == kept


def test_a_second_start_keeps_every_key(tmp_path):
    layout = fake_layout(tmp_path)
    first_start(layout)
    kept = {
        path: path.read_bytes()
        for path in layout.root.rglob("*")
        if path.is_file() and path.name != "config.toml"
    }
    first_start(layout)
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_child_that_cannot_start_is_told_with_its_log_and_stops_the_rest(tmp_path):
    layout = fake_layout(tmp_path)
    first_start(layout)
    (layout.directory("ledger") / "log.key").write_text("not a key\n")
    with pytest.raises(SetupError, match="ledger stopped while starting") as caught:
        Supervisor(layout).start()
    assert "ledger.log" in str(caught.value)
    assert children_of(layout.root) == {}


def test_every_port_is_looked_at_before_anything_is_made(tmp_path):
    layout = fake_layout(tmp_path)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", layout.port_of("witness-3")))
        busy.listen()
        with pytest.raises(SetupError, match=f"port {layout.port_of('witness-3')} .*witness-3"):
            Supervisor(layout).start()
    assert not layout.trust_file.exists()
