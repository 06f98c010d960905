"""The ledger process: its command line.

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

from ledger.auditors import DEFAULT_DAYS, give_access
from ledger.config import (
    CONFIG_NAME,
    DEFAULT_TRUST_FILE,
    LOG_KEY_NAME,
    OPERATOR_KEY_NAME,
    TOKENS_NAME,
    load_ledger,
    write_secret,
    write_toml,
)
from ledger.entries import public_key
from ledger.envelope import b64
from ledger.errors import LedgerError
from ledger.note import (
    Ed25519Signer,
    format_private_key,
    format_vkey,
)

DATABASE_NAME = "ledger.db"
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


def run(directory: Path) -> None:
    """Serve until SIGTERM or SIGINT. Raises LedgerError if the log must not serve."""
    # Loaded here and not above: `init` only makes keys and should not wait for the database.
    from waitress.server import create_server

    from ledger import collector
    from ledger.service import Service

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
