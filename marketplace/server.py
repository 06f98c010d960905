"""The marketplace's process: `python -m marketplace.server init --dir D`, then `--dir D`.

`init` makes the signing key and a default configuration and prints the public key as one JSON
line. Running serves HTTP with waitress and does the background work until SIGTERM. Logs hold
ids, digests and counts, never a name, a secret or a body. Exit status 2: it could not start.
"""

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Protocol

from compute import ComputeError, use_ontology_file
from ledger import b64, settle_collector
from marketplace.config import (
    SIGNING_KEY_FILE,
    MarketConfig,
    default_settings,
    format_toml,
    load_config,
)
from marketplace.entries import create_key
from marketplace.errors import ConfigError, MarketError

if TYPE_CHECKING:
    from apiflask import APIFlask

LOG = logging.getLogger("marketplace")
THREADS = 8
# Who answers requests should not wait Python's usual 5 ms each time the background work computes.
SWITCH_SECONDS = 0.0005
DEFAULT_PORT = 8080
BODY_SLACK = 1 << 20
CANNOT_START = 2


class Server(Protocol):
    """The part of waitress's server used here."""

    def run(self) -> None:
        """Answer requests until it is closed."""
        ...

    def close(self) -> None:
        """Stop answering."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _options(arguments)
    _log_to_stderr()
    try:
        if options.command == "init":
            return init(options.dir, options.port)
        use_ontology_file(os.environ.get("OMIC_ONTOLOGY"))
        return serve(load_config(options.dir))
    except (MarketError, ComputeError) as error:
        sys.stderr.write(f"marketplace: {error}\n")
        return CANNOT_START


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m marketplace.server", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["init", "run"], default="run")
    parser.add_argument("--dir", type=Path, required=True, help="the server's directory")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    return parser.parse_args(arguments)


def _log_to_stderr() -> None:
    logging.basicConfig(
        level=os.environ.get("OMIC_LOG_LEVEL", "INFO"),
        stream=sys.stderr,
        format="%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    logging.Formatter.converter = time.gmtime  # the Z says UTC
    for noisy in ("httpx", "stripe", "urllib3", "alembic", "kombu"):
        logging.getLogger(noisy).setLevel(logging.ERROR)


def init(directory: Path, port: int) -> int:
    """Make the key and a default configuration where there is none; print the public key."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    public = create_key(directory / SIGNING_KEY_FILE)
    config = directory / "config.toml"
    if not config.exists():
        config.touch(mode=0o600)
        config.write_text(format_toml(default_settings(port)))
    sys.stdout.write(json.dumps({"marketplace": b64(public)}) + "\n")
    return 0


def serve(config: MarketConfig) -> int:
    """Serve until SIGTERM or SIGINT. Raises MarketError when it cannot start."""
    # Loaded here and not above: `init` only makes a key and should not wait for the web stack.
    from marketplace.app import compose, create_app
    from marketplace.background import Background
    from marketplace.releases import state_release

    let_requests_through()
    # Bound before anything else is opened: a second server must not even touch the database.
    listening = bind(config.host, config.port)
    services = compose(config)
    background = Background(services)
    state_release(services)
    server = _server(create_app(services), listening, config)
    _stop_on_signals(server)
    background.start()
    LOG.info("serving on %s:%d", config.host, config.port)
    try:
        server.run()
    finally:
        background.stop()
        server.close()
        services.db.close()
    LOG.info("stopped")
    return 0


def let_requests_through() -> None:
    """Keep the background's work and the garbage collector from holding requests up."""
    sys.setswitchinterval(SWITCH_SECONDS)
    # The fold holds millions of objects and no cycles: to look through them is in vain.
    settle_collector()


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ConfigError when the port is taken."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"port {port} on {host} cannot be used ({error.strerror}); another program has it: "
            "stop that program or choose another port in config.toml"
        ) from None
    return listening


def _server(app: "APIFlask", listening: socket.socket, config: MarketConfig) -> Server:
    import waitress

    made: Server = waitress.create_server(
        app,
        sockets=[listening],
        threads=THREADS,
        ident=None,
        max_request_body_size=config.limits.upload_bytes + BODY_SLACK,
        channel_timeout=120,
        connection_limit=500,
    )
    return made


def _stop_on_signals(server: Server) -> None:
    def stop(_number: int, _frame: FrameType | None) -> None:
        # waitress ends its loop on SystemExit; a second signal finds the default handler.
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_DFL)
        raise SystemExit(0)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)


if __name__ == "__main__":
    sys.exit(main())
