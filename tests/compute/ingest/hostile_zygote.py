"""A zygote whose children misbehave on purpose, after confinement. Tests only.

The file's content names the misbehaviour; the answer is a participant record saying what
happened, so that the test sees it through the ordinary wire.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from compute.ingest import Participant, zygote
from compute.ingest.wire import encode


def attempt(action):
    try:
        action()
    except (OSError, ImportError) as error:
        return f"refused {type(error).__name__}"
    return "done"


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect(address)


def write(path):
    Path(path).write_bytes(b"x")


def open_files():
    for number in range(64):
        with suppress(OSError):
            yield str(Path(f"/proc/self/fd/{number}").readlink()).split(":")[0]


def behave(deed, argument):
    if deed == "connect":
        return attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", int(argument))))
    if deed == "unix":
        return attempt(lambda: connect(socket.AF_UNIX, argument))
    if deed == "write":
        return attempt(lambda: write(argument))
    if deed == "read":
        return attempt(lambda: Path(argument).read_bytes())
    if deed == "mkdir":
        return attempt(lambda: Path(argument).mkdir())
    if deed == "unlink":
        return attempt(lambda: Path(argument).unlink())
    if deed == "exec":
        return attempt(lambda: subprocess.run(["/bin/true"], check=True))
    if deed == "fork":
        return attempt(os.fork)
    if deed == "kill":
        return attempt(lambda: os.kill(int(argument), 0))
    if deed == "memory":
        hoard = []
        while True:
            hoard.append(bytearray(1 << 24))
    if deed == "spin":
        while True:
            pass
    if deed == "wait":
        signal.pause()
    if deed == "flood":
        while True:
            os.write(4, b"x" * 65536)
    if deed == "die":
        os.kill(os.getpid(), 11) if argument == "signal" else os._exit(7)
    if deed == "junk":
        os.write(4, b"nonsense")
        os._exit(0)
    if deed == "fds":
        return " ".join(sorted(open_files()))
    return "nothing"


def answer(job, source):
    deed, _, argument = os.pread(source, 4096, 0).decode().partition(" ")
    return encode(Participant(behave(deed, argument), "unknown", None, {}))


if __name__ == "__main__":
    zygote.answer = answer
    sys.exit(zygote.main())
