"""The ledger process: its command line, and putting store, log and web face together.

    python -m ledger.server init --dir D --port P --origin O [--witness URL ...]
    python -m ledger.server --dir D
    python -m ledger.server auditor --dir D --name WHO [--days N]

init creates the log key, the operator key and the tokens, and prints the public parts as one
JSON line. The server never holds anybody else's key.
"""

import argparse
import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ledger import collector
from ledger.auditors import DEFAULT_DAYS, Auditors, give_access
from ledger.config import (
    CONFIG_NAME,
    DEFAULT_TRUST_FILE,
    TOKENS_NAME,
    LedgerConfig,
    load_ledger,
    load_tokens,
    read_secret,
    write_secret,
    write_toml,
)
from ledger.entries import public_key
from ledger.envelope import b64
from ledger.errors import FormatError, LedgerError
from ledger.log import Log
from ledger.note import (
    Ed25519Signer,
    format_private_key,
    format_vkey,
    parse_private_key,
)
from ledger.publish import Publisher
from ledger.reader import Reader
from ledger.snapshot import Snapshots
from ledger.state import State
from ledger.store_sql import SqlStore
from ledger.trust import Pins, TrustPolicy
from ledger.web import Operator, make_app

LOG_KEY_NAME = "log.key"
OPERATOR_KEY_NAME = "operator.key"
DATABASE_NAME = "ledger.db"
SNAPSHOT_NAME = "fold.snapshot"
MAX_BODY_BYTES = 8 << 20
THREADS = 24
logger = logging.getLogger("ledger.server")


def init(directory: Path, origin: str, port: int, witnesses: Sequence[str]) -> dict[str, Any]:
    """Create keys, tokens and configuration; return the public parts. Raises LedgerError."""
    seed, operator_seed = os.urandom(32), os.urandom(32)
    signer = Ed25519Signer(origin, seed)
    write_secret(directory / LOG_KEY_NAME, format_private_key(origin, seed) + "\n")
    write_secret(directory / OPERATOR_KEY_NAME, operator_seed.hex() + "\n")
    write_setup(directory, origin, port, witnesses)
    return {
        "log": format_vkey(signer.vkey),
        "vkey": format_vkey(signer.vkey),
        "origin": origin,
        "operator": b64(public_key(operator_seed)),
        "url": f"http://127.0.0.1:{port}",
        "port": port,
    }


def write_setup(directory: Path, origin: str, port: int, witnesses: Sequence[str] = ()) -> None:
    """Write fresh tokens and the configuration of a log, without its keys. Raises LedgerError."""
    tokens = {name: secrets.token_urlsafe(32) for name in ("envelopes", "grants")}
    tokens["auditor"] = give_access(directory, "first")
    write_toml(directory / TOKENS_NAME, tokens)
    config: dict[str, Any] = {
        "port": port,
        "origin": origin,
        "database_url": f"sqlite:///{DATABASE_NAME}",
        "trust_file": DEFAULT_TRUST_FILE,
    }
    if witnesses:
        config["witnesses"] = [{"url": url} for url in witnesses]
    write_toml(directory / CONFIG_NAME, config)


class Service:
    """One running ledger: store, log, reader and the operator's hand."""

    def __init__(self, config: LedgerConfig) -> None:
        trust = None if config.trust_file is None else TrustPolicy.load(config.trust_file)
        secret = read_secret(config.directory / LOG_KEY_NAME)
        signer = parse_private_key(secret)
        if signer.vkey.name != config.origin:
            raise FormatError(f"the log key is for {signer.vkey.name!r}, not {config.origin!r}")
        _check_trust(trust, signer)
        self.tokens = load_tokens(config.directory)
        self.auditors = Auditors(config.directory)
        self.store = SqlStore(config.database_url)
        publisher = Publisher(
            self.store,
            signer,
            config.witnesses or _witness_urls(trust),
            None if trust is None else trust.policy,
        )
        pins = Pins() if trust is None else trust.pins
        passkeys = None if trust is None else trust.passkeys
        # The log's own key guards it: only who can sign for the log could have written it.
        snapshots = Snapshots(config.directory / SNAPSHOT_NAME, secret.encode())
        self.log = Log(self.store, publisher, lambda: State(pins), passkeys, snapshots=snapshots)
        self.reader = Reader(self.store, lambda: self.log.published)
        self.operator = Operator(self.log, _operator_seed(config.directory))

    def app(self) -> Any:
        """Return the WSGI application."""
        return make_app(self.log, self.reader, self.operator, self.tokens, self.auditors)

    def close(self) -> None:
        """Finish what is waiting and let go of the store."""
        self.log.stop()
        self.store.close()


def _check_trust(trust: TrustPolicy | None, signer: Ed25519Signer) -> None:
    if trust is not None and signer.vkey not in [log.vkey for log in trust.policy.logs]:
        raise FormatError(
            "the trust file names another log key: nobody would accept what this log signs. "
            "Correct trust.json or start from the right directory"
        )


def _witness_urls(trust: TrustPolicy | None) -> tuple[str, ...]:
    if trust is None:
        return ()
    return tuple(witness.url for witness in trust.policy.witnesses if witness.url)


def _operator_seed(directory: Path) -> bytes:
    try:
        return bytes.fromhex(read_secret(directory / OPERATOR_KEY_NAME))
    except ValueError:
        raise FormatError(f"{OPERATOR_KEY_NAME} is damaged; restore it from a backup") from None


def run(directory: Path) -> None:
    """Serve until SIGTERM or SIGINT. Raises LedgerError if the log must not serve."""
    from waitress.server import create_server

    config = load_ledger(directory)
    service = Service(config)
    try:
        service.log.start()
        collector.settle()
        server = create_server(
            service.app(),
            host=config.host,
            port=config.port,
            threads=THREADS,
            max_request_body_size=MAX_BODY_BYTES,
            connection_limit=500,
            channel_timeout=60,
            ident=None,
            clear_untrusted_proxy_headers=True,
        )

        def stop(*_: object) -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            raise SystemExit(0)  # what waitress's loop takes as the order to close

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        logger.info(
            "log %s on port %d, %d entries", config.origin, config.port, service.log.head.size
        )
        server.run()
    finally:
        service.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 2 for an error that needs somebody."""
    parser = argparse.ArgumentParser(prog="ledger.server")
    parser.add_argument("command", nargs="?", choices=("init", "run", "auditor"), default="run")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--origin")
    parser.add_argument("--name", help="of an auditor to give access to, or to end it (--days 0)")
    parser.add_argument("--days", type=int, default=DEFAULT_DAYS)
    parser.add_argument("--witness", action="append", default=[], help="address of a witness")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    for name in ("httpx", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        if options.command == "run":
            run(options.dir)
            return 0
        if options.command == "auditor":
            token = give_access(options.dir, options.name or "", options.days)
            answer = {"auditor": options.name, "days": options.days, "token": token}
            sys.stdout.write(json.dumps(answer) + "\n")
            return 0
        if options.port is None or options.origin is None:
            parser.error("init needs --port and --origin")
        public = init(options.dir, options.origin, options.port, options.witness)
        sys.stdout.write(json.dumps(public) + "\n")
    except LedgerError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
