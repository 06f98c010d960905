"""The mirror process: a full verified copy of a log, at another organisation, served over HTTP.

    python -m ledger.mirror init --dir D --port P --source URL [--trust FILE] [--keeps leaves]
    python -m ledger.mirror --dir D
    python -m ledger.mirror promote --dir D --to DIR --keys DIR --port P

A public mirror keeps leaves only; one with envelopes or sealed grants is a processor of personal
data and follows every erasure. If the log is lost, `promote` makes a new log of the copy, and
refuses unless the copy is at least as far as the witnesses: the log then goes on without a fork.
It takes no entries, and signs nothing.
"""

import argparse
import json
import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger import server
from ledger.client import LedgerClient, UnavailableError
from ledger.config import (
    CONFIG_NAME,
    DATABASE_VARIABLE,
    DEFAULT_TRUST_FILE,
    LOG_KEY_NAME,
    OPERATOR_KEY_NAME,
    absolute_url,
    read_config,
    read_key,
    read_secret,
    write_secret,
    write_toml,
)
from ledger.errors import ConsistencyError, FormatError, LedgerError, RefusedError
from ledger.mirror_copy import Keeps, Mirror
from ledger.note import Signer, parse_private_key
from ledger.publish import Publisher
from ledger.reader import Reader
from ledger.store import Head
from ledger.store_sql import SqlStore
from ledger.trust import TrustPolicy
from ledger.web import make_public_app

DATABASE_NAME = "mirror.db"
BEARER_FILE = "token"
POLL_SECONDS = 1.0
WITNESS_WAIT_SECONDS = 20.0
THREADS = 8
logger = logging.getLogger("ledger.mirror")


@dataclass(frozen=True, slots=True)
class MirrorConfig:
    """One mirror. token_file: the ledger's token of that scope, when it keeps more than leaves."""

    directory: Path
    host: str
    port: int
    source: str
    database_url: str
    keeps: Keeps
    trust_file: Path
    token_file: Path | None


def init(
    directory: Path, source: str, port: int, trust: str = DEFAULT_TRUST_FILE, keeps: str = "leaves"
) -> dict[str, Any]:
    """Write the configuration of a mirror of the log at `source`. Raises LedgerError."""
    value = {"port": port, "source": source, "keeps": _keeps(keeps).value, "trust_file": trust}
    value["database_url"] = f"sqlite:///{DATABASE_NAME}"
    if keeps != Keeps.LEAVES:
        value["token_file"] = BEARER_FILE
    write_toml(directory / CONFIG_NAME, value)
    return {"url": f"http://127.0.0.1:{port}", "port": port, "source": source, "keeps": keeps}


def load_mirror(directory: Path) -> MirrorConfig:
    """Read a mirror's config.toml. Raises FormatError, naming the key."""
    value = read_config(directory / CONFIG_NAME)
    url = os.environ.get(DATABASE_VARIABLE) or read_key(value, "database_url", str)
    token = value.get("token_file")
    return MirrorConfig(
        directory,
        str(value.get("host", "127.0.0.1")),
        read_key(value, "port", int),
        read_key(value, "source", str),
        absolute_url(url, directory),
        _keeps(str(value.get("keeps", Keeps.LEAVES.value))),
        directory / str(value.get("trust_file", DEFAULT_TRUST_FILE)),
        None if token is None else directory / str(token),
    )


def _keeps(word: str) -> Keeps:
    try:
        return Keeps(word)
    except ValueError:
        raise FormatError(f"a mirror keeps leaves, envelopes or grants, not {word!r}") from None


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


def promote(
    directory: Path, target: Path, keys: Path, port: int, wait: float = WITNESS_WAIT_SECONDS
) -> dict[str, Any]:
    """Make a log in `target` of the copy in `directory`, ready for `python -m ledger.server`.

    keys: a directory with log.key and operator.key of the lost log, from their backup.
    Entries that were acknowledged but never witnessed are not in any mirror: whoever sent them
    sends them again. Raises RefusedError while the old log answers, ConsistencyError if the copy
    is behind its witnesses or another history, StoreError if too few witnesses answer.
    """
    config = load_mirror(directory)
    trust = TrustPolicy.load(config.trust_file)
    signer = parse_private_key(read_secret(keys / LOG_KEY_NAME))
    if signer.vkey not in [log.vkey for log in trust.policy.logs]:
        raise FormatError(f"{keys / LOG_KEY_NAME} is not the key of the log {trust.origin}")
    names = (LOG_KEY_NAME, OPERATOR_KEY_NAME)
    secrets = {name: read_secret(keys / name) for name in names}
    database = _sqlite_path(config.database_url)
    _require_silence(config.source)
    head = _require_newest(config, trust, signer, wait)
    server.write_setup(target, trust.origin, port)
    for name, text in secrets.items():
        write_secret(target / name, text + "\n")
    _copy_database(database, target / server.DATABASE_NAME)
    return {"origin": trust.origin, "size": head.size, "root": head.root.hex(), "dir": str(target)}


def _require_newest(config: MirrorConfig, trust: TrustPolicy, signer: Signer, wait: float) -> Head:
    """Return the copy's head. Raises unless it continues what every witness has seen."""
    store = SqlStore(config.database_url)
    urls = [witness.url for witness in trust.policy.witnesses if witness.url]
    publisher = Publisher(store, signer, urls, trust.policy)
    try:
        publisher.check_against_witnesses(store.head(), wait)
        return store.head()
    finally:
        publisher.close()
        store.close()


def _require_silence(source: str) -> None:
    """Refuse while the old log answers: two logs with one key would fork."""
    with LedgerClient(source) as client:
        try:
            client.checkpoint()
        except UnavailableError:
            return
        except LedgerError:
            pass  # it answers, if only with an error
    raise RefusedError(
        f"the log at {source} still answers: two logs with one key would fork. Stop it for good, "
        "then promote the mirror"
    )


def _sqlite_path(url: str) -> str:
    if not url.startswith("sqlite:///"):
        raise RefusedError(
            "this copy is in PostgreSQL: make a log with `ledger.server init`, put the old keys "
            "in its directory and this database's address in its config.toml, and never start "
            "the mirror on it again; the log compares itself with the witnesses when it starts"
        )
    return url.removeprefix("sqlite:///")


def _copy_database(path: str, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    with (
        closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(target)) as copy,
    ):
        source.backup(copy)


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
    parser.add_argument("command", nargs="?", choices=("init", "run", "promote"), default="run")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--source", help="address of the log to copy")
    parser.add_argument("--trust", default=DEFAULT_TRUST_FILE, help="trust.json, from --dir")
    parser.add_argument("--keeps", default=Keeps.LEAVES.value, choices=[k.value for k in Keeps])
    parser.add_argument("--to", type=Path, help="directory of the log to make")
    parser.add_argument("--keys", type=Path, help="directory with the log's keys from backup")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
