"""The key origin's process: `python -m marketplace.keyorigin.server --dir D`.

Serves the bundle and nothing else, holds no secret, writes nothing, and never sees a request body.
config.toml: port, host, trust_file. Exit status 2: it could not start.
"""

import argparse
import gzip
import signal
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ledger import LedgerError
from marketplace.keyorigin.bundle import TYPES, Bundle, build

StartResponse = Callable[[str, list[tuple[str, str]]], Any]
CANNOT_START = 2
INDEX = "/index.html"
HSTS = "max-age=31536000; includeSubDomains"


def make_app(bundle: Bundle, *, secure: bool = False) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI application that serves a bundle. secure: it is reached by https."""
    fixed = _headers(bundle, secure=secure)
    refused = [_policy(bundle), *fixed]
    files = {**bundle.files, "/manifest.json": bundle.manifest()}
    # A third of the bytes on the wire; the digest is of the files as they are.
    policies = {name: _policy(bundle, name) for name in files}
    packed = {name: gzip.compress(data, mtime=0) for name, data in files.items()}

    def app(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _answer(start, "405 Method Not Allowed", b"only GET\n", refused)
        path = environ.get("PATH_INFO") or "/"
        if path == "/healthz":
            return _answer(start, "200 OK", b'{"status":"ok"}', [*refused, _type(".json")])
        name = INDEX if path == "/" else path
        data = files.get(name)
        if data is None:
            return _answer(start, "404 Not Found", b"there is nothing here\n", refused)
        told = [policies[name], *fixed, _type(Path(name).suffix), ("Vary", "Accept-Encoding")]
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", ""):
            return _answer(start, "200 OK", packed[name], [*told, ("Content-Encoding", "gzip")])
        return _answer(start, "200 OK", data, told)

    return app


def _headers(bundle: Bundle, *, secure: bool) -> list[tuple[str, str]]:
    strict = [("Strict-Transport-Security", HSTS)] if secure else []
    return [
        *strict,
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
        # Always asked again: an old page must not outlive a release.
        ("Cache-Control", "no-cache"),
        ("ETag", f'"{bundle.digest}"'),
    ]


def _policy(bundle: Bundle, path: str = INDEX) -> tuple[str, str]:
    return "Content-Security-Policy", bundle.policy(path)


def _type(suffix: str) -> tuple[str, str]:
    return "Content-Type", TYPES.get(suffix, "application/octet-stream")


def _answer(
    start: StartResponse, status: str, body: bytes, headers: list[tuple[str, str]]
) -> Iterable[bytes]:
    start(status, [*headers, ("Content-Length", str(len(body)))])
    return [body]


def serve(directory: Path) -> None:
    """Serve until SIGTERM. Raises OSError, KeyError or LedgerError where it cannot start."""
    import waitress

    config = tomllib.loads((directory / "config.toml").read_text())
    bundle = build((directory / config["trust_file"]).read_bytes())
    server = waitress.create_server(
        make_app(bundle, secure=bool(config.get("secure"))),
        host=config.get("host", "127.0.0.1"),
        port=int(config["port"]),
        threads=4,
        ident=None,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run()


def main() -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    try:
        serve(parser.parse_args().dir)
    except (OSError, KeyError, ValueError, LedgerError) as error:
        sys.stderr.write(f"key origin: {type(error).__name__}: {error}\n")
        return CANNOT_START
    return 0


if __name__ == "__main__":
    sys.exit(main())
