"""The server put together: state, webhook thread, `/v1`, hosted pages, `/_dev`."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flask import Flask, Response

from marketplace.devstripe import api, control, endpoints, pages
from marketplace.devstripe.params import is_web_url
from marketplace.devstripe.store import Store
from marketplace.devstripe.webhooks import Deliverer

FILE_NAME = "devstripe.sqlite"
MAX_BODY_BYTES = 256 * 1024


@dataclass(slots=True)
class Fault:
    """Calls to break on purpose: which, how, how many more."""

    kind: str
    path: str
    left: int


class DevStripe:
    """The running parts. `clock` gives seconds since 1970; `key` None takes any test key."""

    def __init__(
        self,
        directory: Path,
        *,
        clock: Callable[[], float],
        webhook: str | None = None,
        secret: str | None = None,
        key: str | None = None,
        retry_base: float = 1.0,
        fee_bps: int = 0,
    ) -> None:
        if key is not None and not key.startswith("sk_test_"):
            raise SystemExit("The development Stripe server takes sk_test_ keys only.")
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.clock, self.key = clock, key
        self.store = Store(directory / FILE_NAME)
        self.deliverer = Deliverer(self.store, clock, retry_base)
        self._fault: Fault | None = None
        self._lock = threading.Lock()
        with self.store.unit(clock()) as unit:
            unit.set("fee_bps", fee_bps)
            if webhook is not None and secret is not None:
                endpoints.ensure_starting(unit, webhook, secret)

    def set_fault(self, kind: str, path: str, count: int) -> None:
        """Have the next `count` calls whose path holds `path` fail in this way."""
        with self._lock:
            self._fault = Fault(kind, path, count)

    def take_fault(self, path: str) -> str | None:
        """Return how this call must fail, if it must."""
        with self._lock:
            fault = self._fault
            if fault is None or fault.left < 1 or fault.path not in path:
                return None
            fault.left -= 1
            return fault.kind

    def close(self) -> None:
        """Stop sending events and let go of the file."""
        self.deliverer.stop()
        self.store.close()


def check_webhook(url: str | None, secret: str | None) -> str | None:
    """Return what is wrong with the webhook options, or None."""
    if (url is None) != (secret is None):
        return "--webhook and --secret go together."
    if url is not None and not is_web_url(url):
        return "--webhook must be an http(s) URL."
    if secret is not None and not secret.startswith("whsec_"):
        return "--secret must start with whsec_."
    return None


def create_app(server: DevStripe) -> Flask:
    """Return the WSGI application of a server."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.register_blueprint(api.blueprint(server))
    app.register_blueprint(control.blueprint(server))
    app.register_blueprint(pages.blueprint(server))

    @app.after_request
    def wake(response: Response) -> Response:
        server.deliverer.wake()
        return response

    return app
