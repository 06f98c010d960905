"""The witness process: cosigns a log's checkpoints as long as the log only grows.

    python -m ledger.witness init --dir D --name N --port P [--log VKEY]
    python -m ledger.witness --dir D

Its own key, its own SQLite file; it sees sizes, roots and proofs, never an entry. What it
cosigned is stored by compare-and-swap, durably, before it answers. Spec: C2SP tlog-witness.
"""

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

from ledger.config import (
    CONFIG_NAME,
    DEFAULT_TRUST_FILE,
    WitnessConfig,
    load_witness,
    read_secret,
    write_secret,
    write_toml,
)
from ledger.cosignature import Ed25519Cosigner, MLDSA44Cosigner
from ledger.errors import FormatError, LedgerError
from ledger.note import Note, format_note, format_signatures
from ledger.policy import parse_policy
from ledger.vkey import NoteSignature, VerifierKey, format_vkey, parse_vkey
from ledger.witness_core import (
    MAX_REQUEST_BYTES,
    Outcome,
    decide,
    parse_add_checkpoint,
)
from ledger.witness_store import WitnessStore

KEY_NAME = "witness.key"
DATABASE_NAME = "witness.db"
SOCKET_SECONDS = 30.0
TEXT = "text/plain; charset=utf-8"
logger = logging.getLogger("ledger.witness")


class Cosigner(Protocol):
    """Signs a checkpoint's text at a time."""

    vkey: VerifierKey

    def cosign(self, text: str, time: int) -> NoteSignature:
        """Return a cosignature of a checkpoint at a time (c2sp.org/tlog-cosignature)."""
        ...


class Witness:
    """Answers add-checkpoint requests. clock: Unix seconds."""

    def __init__(
        self,
        store: WitnessStore,
        cosigners: Sequence[Cosigner],
        trusted: Callable[[str], Mapping[str, Sequence[VerifierKey]]],
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._cosigners = cosigners
        self._trusted = trusted
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> Outcome:
        """Decide, store, and only then hand out the cosignature. Section "add-checkpoint"."""
        try:
            request = parse_add_checkpoint(body)
        except FormatError:
            return decide(body, {}, None)
        while True:
            stored = self._store.last(request.origin)
            trusted = self._trusted(request.origin)
            outcome = decide(request, trusted, stored)
            if outcome.store is None or outcome.cosign is None:
                return outcome
            signatures = self._cosign(outcome.cosign)
            known = {(key.name, key.key_id) for key in trusted[request.origin]}
            # Lines of unknown keys are not kept: nobody has checked them.
            by_log = [one for one in request.note.signatures if (one.name, one.key_id) in known]
            note = format_note(Note(request.note.text, (*by_log, *signatures)))
            if self._store.swap(request.origin, stored, outcome.store, note):
                return replace(outcome, body=format_signatures(signatures))
            # Another request moved this origin in between: judge this one again.

    def _cosign(self, text: str) -> list[NoteSignature]:
        now = self._clock()
        return [cosigner.cosign(text, now) for cosigner in self._cosigners]

    def checkpoint(self, origin_hash: str) -> bytes | None:
        """Return the newest cosigned checkpoint of an origin."""
        return self._store.note(origin_hash)


class TrustedLogs:
    """The log keys a witness accepts: from its configuration, and from the trust file's policy.

    The trust file is looked at again when an unknown origin asks, so that start order is free.
    """

    def __init__(self, vkeys: Sequence[str], trust_file: Path | None) -> None:
        self._fixed = [parse_vkey(text) for text in vkeys]
        self._file = trust_file
        self._seen: tuple[int, int] | None = None
        self._keys = _by_origin(self._fixed)

    def __call__(self, origin: str) -> Mapping[str, Sequence[VerifierKey]]:
        if origin not in self._keys:
            self._reload()
        return self._keys

    def _reload(self) -> None:
        try:
            if self._file is None:
                return
            state = self._file.stat()
            if (state.st_mtime_ns, state.st_size) == self._seen:
                return
            policy = parse_policy(
                json.loads(self._file.read_bytes())["witness_policy"].encode(), allow_weak=True
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError, LedgerError) as error:
            logger.warning("trust file not usable yet: %s", type(error).__name__)
            return
        self._seen = (state.st_mtime_ns, state.st_size)
        self._keys = _by_origin([*self._fixed, *(log.vkey for log in policy.logs)])


def _by_origin(keys: Sequence[VerifierKey]) -> dict[str, list[VerifierKey]]:
    found: dict[str, list[VerifierKey]] = {}
    for key in keys:
        if key not in found.setdefault(key.name, []):
            found[key.name].append(key)
    return found


class WitnessServer(ThreadingHTTPServer):
    """The HTTP face of one witness."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], witness: Witness) -> None:
        self.witness = witness
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SOCKET_SECONDS
    disable_nagle_algorithm = True
    wbufsize = 1 << 14
    server: WitnessServer

    def do_POST(self) -> None:
        try:
            length = int(self.headers.get("Content-Length", "-1"))
        except ValueError:
            length = -1
        if not 0 <= length <= MAX_REQUEST_BYTES:
            self.close_connection = True
            self._answer(413 if length > 0 else 411, b"a Content-Length of at most 1 MiB\n")
            return
        body = self.rfile.read(length)
        if self.path != "/add-checkpoint":
            self._answer(404, b"no such resource\n")
            return
        try:
            outcome = self.server.witness.add_checkpoint(body)
        except LedgerError as error:
            logger.critical("%s", error)
            self._answer(500, b"the witness cannot store; nothing was cosigned\n")
            return
        self._answer(outcome.status, outcome.body, outcome.content_type)

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._answer(200, b"ok\n")
            return
        origin_hash, _, name = self.path.removeprefix("/").partition("/")
        note = self.server.witness.checkpoint(origin_hash) if name == "checkpoint" else None
        if note is None:
            self._answer(404, b"never cosigned\n")
            return
        self._answer(200, note)

    def _answer(self, status: int, body: bytes, content_type: str = TEXT) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base
        logger.debug(format, *args)


def init(
    directory: Path, name: str, port: int, logs: Sequence[str], *, mldsa: bool
) -> dict[str, object]:
    """Create a witness's key and configuration; return its public parts."""
    for log in logs:
        parse_vkey(log)
    seeds = {"ed25519": os.urandom(32).hex()} | ({"mldsa44": os.urandom(32).hex()} if mldsa else {})
    cosigners = _cosigners(name, seeds)
    write_secret(directory / KEY_NAME, json.dumps(seeds) + "\n")
    write_toml(
        directory / CONFIG_NAME,
        {"name": name, "port": port, "logs": list(logs), "trust_file": DEFAULT_TRUST_FILE},
    )
    public: dict[str, object] = {"name": name, "port": port, "url": f"http://127.0.0.1:{port}"}
    public["witness"] = public["vkey"] = format_vkey(cosigners[0].vkey)
    if mldsa:
        public["witness_mldsa44"] = format_vkey(cosigners[1].vkey)
    return public


def _cosigners(name: str, seeds: Mapping[str, str]) -> list[Cosigner]:
    kinds: dict[str, Callable[[str, bytes], Cosigner]] = {
        "ed25519": Ed25519Cosigner,
        "mldsa44": MLDSA44Cosigner,
    }
    return [kinds[kind](name, bytes.fromhex(seed)) for kind, seed in seeds.items()]


def open_witness(config: WitnessConfig) -> tuple[Witness, WitnessStore]:
    """Open a witness from its directory. Raises LedgerError."""
    try:
        seeds = json.loads(read_secret(config.directory / KEY_NAME))
        cosigners = _cosigners(config.name, seeds)
    except (ValueError, KeyError, AttributeError):
        raise FormatError(f"{KEY_NAME} is damaged; restore it from a backup") from None
    store = WitnessStore(config.directory / DATABASE_NAME)
    trusted = TrustedLogs(config.logs, config.trust_file)
    return Witness(store, cosigners, trusted, lambda: int(time.time())), store


def run(directory: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    config = load_witness(directory)
    witness, store = open_witness(config)
    server = WitnessServer((config.host, config.port), witness)
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the serving loop, which this very thread runs.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    logger.info("witness %s on port %d", config.name, config.port)
    server.serve_forever(poll_interval=0.2)
    server.server_close()
    store.close()


def main(argv: Sequence[str] | None = None, prog: str = "ledger.witness") -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("command", nargs="?", choices=("init", "run"), default="run")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--name")
    parser.add_argument("--port", type=int)
    parser.add_argument("--log", action="append", default=[], help="verifier key of a log")
    parser.add_argument("--mldsa", action="store_true", help="cosign with ML-DSA-44 too")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    try:
        if options.command == "run":
            run(options.dir)
            return 0
        if options.name is None or options.port is None:
            parser.error("init needs --name and --port")
        public = init(options.dir, options.name, options.port, options.log, mldsa=options.mldsa)
        sys.stdout.write(json.dumps(public) + "\n")
    except LedgerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
