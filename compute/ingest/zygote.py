"""The confined parser's zygote: imports once, forks one child a file.

    python -m compute.ingest.zygote      (file descriptor 0 is the control socket)

The zygote never reads a file, holds no secret and keeps no state between files. Protocol on the
socket, one message each (SOCK_SEQPACKET): the parent sends a job (JSON) with two descriptors,
input and output, and one more for each table beside it ("extras"); the zygote answers {"pid"}
with a pidfd, and {"status", "signal", "peak", "cpu_ms"} once the child is gone. The child writes
one wire frame to the output pipe.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
from typing import Any, Final, NoReturn

from compute.errors import IngestError
from compute.ingest import wire
from compute.ingest.confine import confine, leave_network
from compute.ingest.parse import parse
from compute.ingest.source import read
from compute.parsed import Hints, Limits

MAX_MESSAGE: Final = 1 << 16
UNCONFINED: Final = "not_confined"
EXTRAS: Final = ("alleles", "regions")  # the Hints that are bytes


def main() -> None:
    """Serve jobs until the parent closes its end."""
    # Loaded before the first fork: a confined child can open no library.
    import h5py  # noqa: F401
    import numpy as np  # noqa: F401
    import pysam

    pysam.set_verbosity(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the host decides when to stop
    leave_network()
    control = socket.socket(fileno=0)
    gc.collect()
    gc.freeze()  # children share these pages
    while True:
        message, fds, _, _ = socket.recv_fds(control, MAX_MESSAGE, 2 + len(EXTRAS))
        if not message:
            return
        _serve(control, json.loads(message), fds)


def _serve(control: socket.socket, job: dict[str, Any], fds: list[int]) -> None:
    pid = os.fork()
    if pid == 0:
        _child(control, job, fds)
    for fd in fds:
        os.close(fd)
    handle = os.pidfd_open(pid)
    socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [handle])
    os.close(handle)
    _, status, used = os.wait4(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    said = {"status": max(code, 0), "signal": max(-code, 0), "peak": used.ru_maxrss << 10,
            "cpu_ms": int((used.ru_utime + used.ru_stime) * 1000)}  # fmt: skip
    control.send(json.dumps(said).encode())


def _child(control: socket.socket, job: dict[str, Any], fds: list[int]) -> NoReturn:
    status = 1
    try:
        for place, fd in enumerate(fds, 3):  # ascending: no descriptor is overwritten unread
            os.dup2(fd, place)
        control.detach()
        os.closerange(3 + len(fds), 1024)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        run_child(job, 3, 4)
        status = 0
    finally:
        os._exit(status)


def run_child(job: dict[str, Any], source: int, output: int) -> None:
    """Confine this process, parse descriptor ``source``, write one wire frame to ``output``."""
    gc.disable()  # the child lives for one file
    taken = confine(memory=job["memory"], cpu_s=job["cpu_s"], files=job["files"])
    write_all(output, answer(job, source) if confined(taken) else _unconfined())


def confined(taken: frozenset[str]) -> bool:
    """Tell whether the layers that took are enough to read an untrusted byte: fail closed.

    The limits and no_new_privs always; of Landlock and seccomp one at least, by kernel.
    """
    return taken >= {"limits", "no_new_privs"} and bool(taken & {"landlock", "seccomp"})


def _unconfined() -> bytes:
    message = "the parser cannot be confined on this machine: nothing was read"
    return wire.encode_error(IngestError(message, code=UNCONFINED))


def answer(job: dict[str, Any], source: int) -> bytes:
    """Return the wire frame for a job: the parsed file, or its refusal."""
    try:
        parsed = parse(
            source,
            job["modality"],
            job["name"],
            sample=job["sample"],
            callability=job["callability"],
            hints=_hints(job),
            limits=Limits(**job["limits"]),
        )
        return wire.encode(parsed)
    except IngestError as error:
        return wire.encode_error(error)
    except MemoryError:
        return wire.encode_error(
            IngestError("the file needs more memory than a file may take", code="too_large")
        )


def _hints(job: dict[str, Any]) -> Hints:
    limits = Limits(**job["limits"])
    beside: dict[str, Any] = {
        name: read(at, limits) for at, name in enumerate(job.get("extras", ()), 5)
    }
    return Hints(**job.get("hints", {}), **beside)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte to a pipe."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


if __name__ == "__main__":
    main()
