"""Checking many records on all cores: commitment, signatures and form, in processes of their own.

Reading a whole log is bound by signatures, and Python runs on one core at a time; so follower and
audit hand the bytes of many records to `python -m ledger.checker`, and fold meanwhile. The rule
is that of `ledger.records`; a checker holds no key, no state, and talks to its parent only.
"""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO

from ledger.entries import PasskeyPolicy, validate_payload
from ledger.entry_types import RULES
from ledger.envelope import Entry, parse_checked_entry, parse_entry_bytes
from ledger.errors import LedgerError, VerificationError
from ledger.fold_model import Record
from ledger.leaf import Leaf, parse_leaf
from ledger.records import verify_records

WORKERS = 2
WORTH_IT = 4_096
_HEAD = struct.Struct(">I")
_FIELDS = struct.Struct(">QIIB")


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record as fetched: the leaf's bytes and, where at hand, entry bytes and salt."""

    index: int
    leaf: bytes
    entry: bytes | None = None
    salt: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """Records in order; bad: leaf index -> what is wrong with it."""

    records: Sequence[Record]
    bad: dict[int, str]


class Checker:
    """Checks records on this thread: for few, and where no process may be started."""

    def __init__(self, passkeys: PasskeyPolicy | None) -> None:
        self._passkeys = passkeys

    def submit(self, raws: Sequence[RawRecord]) -> "Future[Checked]":
        """Check records; the answer is there when this returns."""
        answer: Future[Checked] = Future()
        answer.set_result(check(raws, self._passkeys))
        return answer

    def close(self) -> None:
        """Nothing to end."""


class ProcessChecker(Checker):
    """Checks records in other processes. Close it."""

    def __init__(self, passkeys: PasskeyPolicy | None, workers: int = WORKERS) -> None:
        super().__init__(passkeys)
        policy = None if passkeys is None else [passkeys.rp_id, list(passkeys.origins)]
        root = str(Path(__file__).parents[1])
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "ledger.checker", json.dumps(policy)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
            for _ in range(workers)
        ]
        for process in self._processes:
            self._free.put(process)
        self._pool = ThreadPoolExecutor(workers, "checker")

    def submit(self, raws: Sequence[RawRecord]) -> "Future[Checked]":
        """Hand records to a free process; the result may raise VerificationError."""
        return self._pool.submit(self._ask, raws)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)
        for process in self._processes:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
            process.wait()

    def _ask(self, raws: Sequence[RawRecord]) -> Checked:
        process = self._free.get()
        try:
            answer = _exchange(process, raws)
        finally:
            self._free.put(process)
        bad = {int(index): str(reason) for index, reason in answer["bad"].items()}
        checked = [_record(one, one.index not in bad, answer["form"]) for one in raws]
        return Checked(checked, bad)


def _exchange(
    process: "subprocess.Popen[bytes]", raws: Sequence[RawRecord]
) -> dict[str, dict[str, str]]:
    if process.stdin is None or process.stdout is None:
        raise VerificationError("the checking process has no pipes")
    try:
        process.stdin.write(b"".join(_pack(raws)))
        process.stdin.flush()
        answer: dict[str, dict[str, str]] = json.loads(process.stdout.readline())
    except (OSError, ValueError):
        # Fail closed: records nobody checked are not folded.
        raise VerificationError("a checking process ended; nothing it had is believed") from None
    return answer


def _pack(raws: Sequence[RawRecord]) -> Iterator[bytes]:
    yield _HEAD.pack(len(raws))
    for one in raws:
        entry, salt = one.entry or b"", one.salt or b""
        yield _FIELDS.pack(one.index, len(one.leaf), len(entry), len(salt))
        yield one.leaf
        yield entry
        yield salt


def _unpack(stream: IO[bytes], count: int) -> Iterator[RawRecord]:
    for _ in range(count):
        index, leaf, entry, salt = _FIELDS.unpack(stream.read(_FIELDS.size))
        yield RawRecord(
            index, stream.read(leaf), stream.read(entry) or None, stream.read(salt) or None
        )


def checker_for(count: int, passkeys: PasskeyPolicy | None) -> Checker:
    """Return a checker for so many records: processes where it is worth starting them."""
    return ProcessChecker(passkeys) if count >= WORTH_IT else Checker(passkeys)


def check(raws: Sequence[RawRecord], passkeys: PasskeyPolicy | None, threads: int = 2) -> Checked:
    """Parse and check records here. Raises FormatError for a leaf that cannot be read."""
    bad: dict[int, str] = {}
    records = []
    for one in raws:
        leaf = parse_leaf(one.leaf)
        try:
            entry = leaf.entry if one.entry is None else parse_entry_bytes(one.entry)
            records.append(Record(one.index, leaf, entry, one.salt))
        except LedgerError as error:
            bad[one.index] = f"the envelope cannot be read: {error}"
            records.append(Record(one.index, leaf))
    readable = [record for record in records if record.index not in bad]
    return Checked(records, bad | verify_records(readable, passkeys, threads))


def _record(one: RawRecord, good: bool, form: dict[str, str]) -> Record:
    """Build a record a process has checked; a good form need not be checked a second time."""
    leaf = parse_leaf(one.leaf)
    if not good:
        return _unchecked(one, leaf)
    if one.entry is None:
        return Record(one.index, leaf, leaf.entry)
    if str(one.index) in form:
        return _unchecked(one, leaf)
    entry = parse_checked_entry(one.entry, RULES)
    return Record(one.index, leaf, entry, one.salt)


def _unchecked(one: RawRecord, leaf: Leaf) -> Record:
    try:
        entry = leaf.entry if one.entry is None else parse_entry_bytes(one.entry)
    except LedgerError:
        entry = None
    return Record(one.index, leaf, entry, one.salt)


def _form(entry: Entry | None) -> str | None:
    if entry is None:
        return None
    try:
        validate_payload(entry)
    except LedgerError as error:
        return str(error)
    return None


def serve(source: IO[bytes], answers: IO[bytes], passkeys: PasskeyPolicy | None) -> None:
    """Answer one JSON line for each block of records, until the parent closes its end."""
    while len(head := source.read(_HEAD.size)) == _HEAD.size:
        (count,) = _HEAD.unpack(head)
        found = check(list(_unpack(source, count)), passkeys, threads=1)
        form = {one.index: text for one in found.records if (text := _form(one.entry)) is not None}
        answers.write(json.dumps({"bad": found.bad, "form": form}).encode() + b"\n")
        answers.flush()


def main(argv: Sequence[str]) -> None:
    """Run one checking process; argv[1]: the passkey policy, [rp id, origins] or null."""
    policy = json.loads(argv[1])
    passkeys = None if policy is None else PasskeyPolicy(policy[0], tuple(policy[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer, passkeys)


if __name__ == "__main__":
    main(sys.argv)
