"""The worker's side of the confined parser: one zygote, one child a file, hard limits.

A child that dies, overruns or answers nonsense is a named refusal of that file; the host lives
on, and starts a new zygote should that be gone. Plaintext passes through a memfd and a pipe, it
is never written to a file system.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from compute.errors import ParserDiedError
from compute.ingest import wire
from compute.ingest.parse import shown_name
from compute.parsed import (
    DEFAULT_LIMITS,
    NO_HINTS,
    Callability,
    Hints,
    Limits,
    Modality,
    Parsed,
)

_ZYGOTE: Final = ("-m", "compute.ingest.zygote")
_KEEP_ENV: Final = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "TMPDIR")
_MAX_MESSAGE: Final = 1 << 16
_EXTRAS: Final = ("alleles", "regions")  # the Hints that are bytes, each a descriptor


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What one child may use: resident memory and answer in bytes, time in seconds."""

    memory: int = 512 << 20
    cpu_s: int = 60
    wall_s: float = 60.0
    answer: int = 512 << 20  # never more than an honest child can hold
    files: int = 32
    file: Limits = field(default=DEFAULT_LIMITS)


@dataclass(frozen=True, slots=True)
class Used:
    """What the last child used, as the kernel counted: resident bytes at most, CPU in ms."""

    peak: int = 0
    cpu_ms: int = 0


class ParserHost:
    """Parses untrusted files in confined children. Thread-safe: one file at a time."""

    def __init__(
        self, limits: HostLimits | None = None, *, zygote: tuple[str, ...] = _ZYGOTE
    ) -> None:
        self._limits = limits or HostLimits()
        self._zygote = zygote
        self._lock = threading.Lock()
        self.used = Used()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the zygote."""
        with self._lock:
            self._stop()

    def parse(
        self,
        plaintext: bytes | memoryview,
        modality: Modality,
        name: str,
        *,
        sample: str | None = None,
        callability: Callability | None = None,
        hints: Hints = NO_HINTS,
    ) -> Parsed:
        """Parse one file in a confined child.

        Raises IngestError where the file is refused, ParserDiedError where its child was killed
        (``parser_memory``, ``parser_time``, ``parser_died``, ``parser_protocol``).
        """
        beside = {name: data for name in _EXTRAS if (data := getattr(hints, name)) is not None}
        job = {
            "modality": modality,
            "name": shown_name(name),
            "sample": sample,
            "callability": callability,
            "memory": self._limits.memory,
            "cpu_s": self._limits.cpu_s,
            "files": self._limits.files,
            "limits": asdict(self._limits.file),
            "hints": {k: v for k, v in asdict(hints).items() if k not in _EXTRAS},
            "extras": list(beside),
        }
        try:
            with self._lock:
                return wire.decode(self._run(job, [plaintext, *beside.values()]))
        except ParserDiedError as error:
            raise error.named(shown_name(name)) from error.__cause__

    def _run(self, job: dict[str, Any], files: list[bytes | memoryview]) -> bytes:
        sources: list[int] = []
        try:
            for data in files:
                sources.append(os.memfd_create("omic-plaintext", os.MFD_CLOEXEC))
                _fill(sources[-1], data)
            return self._exchange(job, sources)
        except (OSError, ValueError, KeyError) as error:
            self._stop()
            raise ParserDiedError(
                "the parser process is gone and will be started again; try once more",
                code="parser_died",
            ) from error
        finally:
            for source in sources:
                os.close(source)

    def _exchange(self, job: dict[str, Any], sources: list[int]) -> bytes:
        control = self._started()
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                descriptors = [sources[0], writer, *sources[1:]]
                socket.send_fds(control, [json.dumps(job).encode()], descriptors)
            finally:
                os.close(writer)
            handle = self._child(control)
            try:
                answer, late = _collect(reader, self._limits)
                if answer is None:
                    with suppress(ProcessLookupError):
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
            status = self._message(control)
        finally:
            os.close(reader)
        return _judge(answer, late=late, status=status)

    def _child(self, control: socket.socket) -> int:
        data, fds, _, _ = socket.recv_fds(control, _MAX_MESSAGE, 1)
        if not data or len(fds) != 1:
            for fd in fds:
                os.close(fd)
            raise OSError("zygote closed")
        return fds[0]

    def _message(self, control: socket.socket) -> dict[str, int]:
        data = control.recv(_MAX_MESSAGE)
        if not data:
            raise OSError("zygote closed")
        message = json.loads(data)
        self.used = Used(int(message["peak"]), int(message["cpu_ms"]))
        return {"status": int(message["status"]), "signal": int(message["signal"])}

    def _started(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(self._limits.wall_s + 30)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *self._zygote],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,
            )
        self._control = ours
        return ours

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                # Its own session: a child that still runs goes with it.
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
            self._process = None


def _environment() -> dict[str, str]:
    # One thread: a child may not start more, and thread pools take address space.
    kept = {key: os.environ[key] for key in _KEEP_ENV if key in os.environ}
    return {**kept, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _fill(fd: int, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _collect(reader: int, limits: HostLimits) -> tuple[bytes | None, bool]:
    """Read the child's answer; None when it overran (True: the clock, False: the size)."""
    deadline = time.monotonic() + limits.wall_s
    chunks: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return None, True
        chunk = os.read(reader, 1 << 20)
        if not chunk:
            return b"".join(chunks), False
        size += len(chunk)
        if size > limits.answer:
            return None, False
        chunks.append(chunk)


def _judge(answer: bytes | None, *, late: bool, status: dict[str, int]) -> bytes:
    if late or status["signal"] == signal.SIGXCPU:
        raise ParserDiedError(
            "the file took longer to parse than a file may; it is refused", code="parser_time"
        )
    if answer is None:
        raise ParserDiedError("the parsed file is larger than it may be", code="parser_memory")
    if status["signal"] or status["status"]:
        raise ParserDiedError(
            f"the confined parser died (signal {status['signal']}, exit {status['status']}); the "
            "file is refused",
            code="parser_died",
        )
    return answer
