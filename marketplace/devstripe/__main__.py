"""Run the development Stripe server: `python -m marketplace.devstripe --port N --dir DIR ...`."""

import argparse
import logging
import signal
import sys
import time
from pathlib import Path
from types import FrameType

import waitress

from marketplace.devstripe.app import DevStripe, check_webhook, create_app

THREADS = 4


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="marketplace.devstripe", description="TEST MONEY ONLY.")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the state file")
    parser.add_argument("--webhook", help="URL events are sent to")
    parser.add_argument("--secret", help="whsec_... the events are signed with")
    parser.add_argument(
        "--secret-file", type=Path, help="file holding it (never in the process list)"
    )
    parser.add_argument("--key", help="sk_test_... ; without it any test key is taken")
    parser.add_argument("--key-file", type=Path, help="file holding it (never in the process list)")
    parser.add_argument(
        "--retry-base", type=float, default=1.0, help="seconds before the first retry"
    )
    parser.add_argument("--fee-bps", type=int, default=0, help="processing fee in basis points")
    options = parser.parse_args(arguments)
    options.secret = _secret(parser, options.secret, options.secret_file)
    options.key = _secret(parser, options.key, options.key_file)
    wrong = check_webhook(options.webhook, options.secret)
    if wrong is not None:
        parser.error(wrong)
    return options


def _secret(parser: argparse.ArgumentParser, value: str | None, path: Path | None) -> str | None:
    if path is None:
        return value
    try:
        return path.read_text().strip()
    except OSError as error:
        parser.error(f"cannot read {path}: {error.strerror}")


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


def main(arguments: list[str]) -> None:
    """Serve on 127.0.0.1 until SIGTERM; say the port on standard output once it listens."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("waitress").setLevel(logging.ERROR)
    signal.signal(signal.SIGTERM, _stop)
    server = DevStripe(
        options.dir, clock=time.time, webhook=options.webhook, secret=options.secret,
        key=options.key, retry_base=options.retry_base, fee_bps=options.fee_bps,
    )  # fmt: skip
    listener = waitress.create_server(
        create_app(server), host="127.0.0.1", port=options.port, threads=THREADS, ident="devstripe"
    )
    sys.stdout.write(f"TEST MONEY Stripe on http://127.0.0.1:{listener.effective_port}\n")
    sys.stdout.flush()
    server.deliverer.start()
    try:
        listener.run()
    finally:
        server.close()


if __name__ == "__main__":
    main(sys.argv[1:])
