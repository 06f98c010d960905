"""Signatures checked in processes of their own, by the one rule of `ledger.entries`.

A signature costs more than all else about an entry, and threads that hand the interpreter lock
to and fro for each one gain nothing. A worker process holds no key and no state: it gets the very
bytes an entry is committed to and answers which do not verify. What it cannot answer is checked
here instead: nothing is ever taken as checked that was not.
"""

import json
import logging
import os
import queue
import struct
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ledger.entries import PasskeyPolicy, verify_signatures
from ledger.envelope import commitment, parse_entry_bytes
from ledger.errors import FormatError, LedgerError, PolicyError, VerificationError

MAX_PROCESSES = 4
SLICE = 256  # entries handed over at a time
WORTH_IT = 128  # fewer are checked faster than they are handed over
_MAIN = "import sys, ledger.verifiers as v; v.serve(sys.stdin.buffer, sys.stdout.buffer)"
_U32 = struct.Struct(">I")
_KINDS: dict[str, type[LedgerError]] = {
    one.__name__: one for one in (FormatError, PolicyError, VerificationError)
}
logger = logging.getLogger("ledger.verifiers")


@dataclass(frozen=True, slots=True)
class Claim:
    """Entry bytes whose signatures are to be checked, and for a personal entry its commitment.

    opening: (commitment in the leaf, salt), 32 bytes each, or None.
    """

    entry: bytes
    opening: tuple[bytes, bytes] | None = None


Bad = dict[int, LedgerError]
"""What is wrong, by the claim's number in its list."""


def check_claims(claims: Sequence[Claim], passkeys: PasskeyPolicy | None) -> Bad:
    """Check commitments and signatures, here and now."""
    bad: Bad = {}
    for number, claim in enumerate(claims):
        try:
            entry = parse_entry_bytes(claim.entry)
            if claim.opening is not None:
                committed, salt = claim.opening
                if commitment(salt, entry, claim.entry) != committed:
                    raise VerificationError("the entry is not what its leaf commits to")
            verify_signatures(entry, passkeys)
        except LedgerError as error:
            bad[number] = error
    return bad


class Verifiers:
    """A few worker processes, started when there is first enough to do. For any thread.

    processes: how many at most; None: one a core, up to four.
    """

    def __init__(self, passkeys: PasskeyPolicy | None, processes: int | None = None) -> None:
        count = processes or min(MAX_PROCESSES, os.cpu_count() or 1)
        self._passkeys = passkeys
        self._threads = ThreadPoolExecutor(count, "verifier")
        self._idle: queue.LifoQueue[_Process | None] = queue.LifoQueue()
        self._count = count
        for _ in range(count):
            self._idle.put(None)

    def start(self, claims: Sequence[Claim]) -> "Checking":
        """Begin to check claims; `Checking.bad` waits for the answer."""
        if len(claims) < WORTH_IT:
            return Checking([], check_claims(claims, self._passkeys))
        slices = [claims[at : at + SLICE] for at in range(0, len(claims), SLICE)]
        return Checking([self._threads.submit(self._check, part) for part in slices], {})

    def close(self) -> None:
        """End the worker processes, after what was begun. May be used again afterwards."""
        found = [self._idle.get() for _ in range(self._count)]
        for process in found:
            if process is not None:
                process.close()
            self._idle.put(None)

    def _check(self, claims: Sequence[Claim]) -> Bad:
        process = self._idle.get()
        try:
            process = process or _Process(self._passkeys)
            return process.check(claims)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("a verifier process failed, checking here: %s", type(error).__name__)
            if process is not None:
                process.close()
            process = None
            return check_claims(claims, self._passkeys)
        finally:
            self._idle.put(process)


class Checking:
    """Claims being checked."""

    def __init__(self, slices: "list[Future[Bad]]", known: Bad) -> None:
        self._slices = slices
        self._known = known

    def bad(self) -> Bad:
        """Wait, and return what is wrong."""
        for number, part in enumerate(self._slices):
            for at, error in part.result().items():
                self._known[number * SLICE + at] = error
        self._slices = []
        return self._known


class _Process:
    """One worker process and its two pipes."""

    def __init__(self, passkeys: PasskeyPolicy | None) -> None:
        package = str(Path(__file__).parents[1])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        child = subprocess.Popen(
            [sys.executable, "-c", _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            process_group=0,  # a terminal's Ctrl-C is the log's to answer
        )
        if child.stdin is None or child.stdout is None:
            raise OSError("no pipes to the worker process")
        self._child, self._input, self._output = child, child.stdin, child.stdout
        policy = None if passkeys is None else [passkeys.rp_id, list(passkeys.origins)]
        _write_frame(self._input, json.dumps(policy).encode())

    def check(self, claims: Sequence[Claim]) -> Bad:
        """Ask the worker. Raises what `_check` catches when it is gone or talks nonsense."""
        _write_frame(self._input, _pack(claims))
        answer = _read_frame(self._output)
        if answer is None:
            raise ValueError("the worker has ended")
        value = json.loads(answer)
        if not isinstance(value, dict) or value.get("checked") != len(claims):
            raise ValueError("the worker did not answer for each claim")
        return {int(at): _KINDS[kind](text) for at, (kind, text) in value["bad"].items()}

    def close(self) -> None:
        """End the process: it stops when its input does."""
        with suppress(OSError):  # it may be gone already
            self._input.close()
        self._output.close()
        self._child.wait()


def _pack(claims: Sequence[Claim]) -> bytes:
    parts: list[bytes] = []
    for claim in claims:
        opening = b"".join(claim.opening or ())
        parts += (_U32.pack(len(opening)), opening, _U32.pack(len(claim.entry)), claim.entry)
    return b"".join(parts)


def _unpack(data: bytes) -> list[Claim]:
    fields, at = [], 0
    while at < len(data):
        (length,) = _U32.unpack_from(data, at)
        fields.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    pairs = zip(fields[0::2], fields[1::2], strict=True)
    return [
        Claim(entry, (opening[:32], opening[32:]) if opening else None) for opening, entry in pairs
    ]


def _write_frame(sink: IO[bytes], data: bytes) -> None:
    sink.write(_U32.pack(len(data)) + data)
    sink.flush()


def _read_frame(source: IO[bytes]) -> bytes | None:
    """Read one frame; None at the end of the input."""
    head = source.read(_U32.size)
    if len(head) < _U32.size:
        return None
    (length,) = _U32.unpack(head)
    data = source.read(length)
    return data if len(data) == length else None


def serve(source: IO[bytes], sink: IO[bytes]) -> None:
    """Answer until the input ends: the first frame is the passkey policy, the others claims."""
    first = _read_frame(source)
    if first is None:
        return
    policy = json.loads(first)
    passkeys = None if policy is None else PasskeyPolicy(policy[0], tuple(policy[1]))
    while (data := _read_frame(source)) is not None:
        claims = _unpack(data)
        bad = {
            at: [_kind(error), str(error)] for at, error in check_claims(claims, passkeys).items()
        }
        _write_frame(sink, json.dumps({"checked": len(claims), "bad": bad}).encode())


def _kind(error: LedgerError) -> str:
    return next((name for name, one in _KINDS.items() if isinstance(error, one)), "FormatError")
