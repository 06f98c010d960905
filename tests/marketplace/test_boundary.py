"""The server's process can never reach what opens data: looked at in a process of its own."""

import json
import subprocess
import sys

CODE = """
import json, sys
import marketplace.server, marketplace.app, marketplace.background
print(json.dumps(sorted(sys.modules)))
"""
FORBIDDEN = (
    "compute.vault",
    "compute.ingest",
    "compute.crypt",
    "compute.worker",
    "pysam",
    "crypt4gh",
    "marketplace.client",
    "marketplace.devstripe",
    "marketplace.embedded",
    "ledger.server",
    "ledger.log",
)


def test_the_server_loads_nothing_that_opens_data():
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(json.loads(done.stdout))
    assert "marketplace.server" in loaded
    reached = [
        name
        for name in sorted(loaded)
        if any(name == one or name.startswith(one + ".") for one in FORBIDDEN)
    ]
    assert reached == []
