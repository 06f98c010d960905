"""The mirror process: a full verified copy of a log, at another organisation, served over HTTP.

    python -m ledger.mirror init --dir D --port P --source URL [--trust FILE] [--keeps leaves]
    python -m ledger.mirror --dir D
    python -m ledger.mirror promote --dir D --to DIR --keys DIR --port P
    python -m ledger.mirror catch-up --dir D --to DIR

A public mirror keeps leaves only; one with envelopes or sealed grants is a processor of personal
data and follows every erasure. If the log is lost, `promote` makes a new log of the copy; if only
an old backup of it is left, `catch-up` brings that up to the copy (see `ledger.rescue`). It takes
no entries, and signs nothing.
"""

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledger.client import LedgerClient
from ledger.config import DEFAULT_TRUST_FILE, read_secret
from ledger.errors import ConsistencyError, FormatError, LedgerError
from ledger.mirror_config import MirrorConfig, init, load_mirror
from ledger.mirror_copy import Keeps, Mirror
from ledger.reader import Reader
from ledger.rescue import catch_up, promote
from ledger.store_sql import SqlStore
from ledger.trust import TrustPolicy
from ledger.web import make_public_app

POLL_SECONDS = 1.0
THREADS = 8
logger = logging.getLogger("ledger.mirror")


class Service:
    """One running mirror: its copy, what it serves, and the loop that follows the log."""

    def __init__(self, config: MirrorConfig) -> None:
        trust = TrustPolicy.load(config.trust_file)
        token = None if config.token_file is None else read_secret(config.token_file)
        self.store = SqlStore(config.database_url)
        self._client = LedgerClient(config.source, token)
        self.mirror = Mirror(self._client, trust, self.store, config.keeps)
        self.reader = Reader(self.store, self.mirror.published)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="mirror", daemon=True)

    def app(self) -> Any:
        """Return the WSGI application."""
        return make_public_app(self.reader)

    def start(self) -> None:
        """Follow the log until `close`."""
        self._thread.start()

    def close(self) -> None:
        """Finish the step under way and let go of the store."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._client.close()
        self.store.close()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                self.mirror.sync()
            except ConsistencyError as error:
                # The evidence is what this mirror holds: it is served on, and never replaced.
                logger.critical("not copied: %s", error)
            except LedgerError as error:
                logger.warning("not copied: %s", error)
            except Exception:
                # What is stored stays good and served; a dead loop would go unnoticed.
                logger.exception("not copied")
            self._stop.wait(POLL_SECONDS)


def run(directory: Path) -> None:
    """Serve until SIGTERM or SIGINT. Raises LedgerError."""
    from waitress.server import create_server

    config = load_mirror(directory)
    service = Service(config)
    try:
        service.start()
        http = create_server(
            service.app(), host=config.host, port=config.port, threads=THREADS, ident=None
        )

        def stop(*_: object) -> None:
            raise SystemExit(0)  # what waitress's loop takes as the order to close

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        logger.info("mirror of %s on port %d", config.source, config.port)
        http.run()
    finally:
        service.close()


def main(argv: Sequence[str] | None = None, prog: str = "ledger.mirror") -> int:
    """Run the command line; returns the exit code: 2 for an error that needs somebody."""
    options = _parser(prog).parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        if options.command == "run":
            run(options.dir)
            return 0
        made = _make(options)
        sys.stdout.write(json.dumps(made) + "\n")
    except LedgerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _make(options: argparse.Namespace) -> dict[str, Any]:
    if options.command == "catch-up":
        if options.to is None:
            raise FormatError("catch-up needs --to, the directory of the log that is behind")
        return catch_up(options.dir, options.to)
    if options.port is None:
        raise FormatError("give --port")
    if options.command == "promote":
        if options.to is None or options.keys is None:
            raise FormatError("promote needs --to, the new log's directory, and --keys")
        return promote(options.dir, options.to, options.keys, options.port)
    if options.source is None:
        raise FormatError("init needs --source, the address of the log")
    return init(options.dir, options.source, options.port, options.trust, options.keeps)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog)
    commands = ("init", "run", "promote", "catch-up")
    parser.add_argument("command", nargs="?", choices=commands, default="run")
    parser.add_argument("--dir", type=Path, required=True, help="the mirror's directory")
    parser.add_argument("--port", type=int)
    parser.add_argument("--source", help="address of the log to copy")
    parser.add_argument("--trust", default=DEFAULT_TRUST_FILE, help="trust.json, from --dir")
    parser.add_argument("--keeps", default=Keeps.LEAVES.value, choices=[k.value for k in Keeps])
    parser.add_argument("--to", type=Path, help="directory of the log to make, or to bring up")
    parser.add_argument("--keys", type=Path, help="directory with the log's keys from backup")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
