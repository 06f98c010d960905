"""A development Stripe server and a webhook receiver for tests, on free loopback ports."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import stripe

from marketplace.devstripe import DevStripe, create_app
from tests.served import served

KEY = "sk_test_harness"
SECRET = "whsec_harness"
DEADLINE = 8.0
# one client: each new one would load the system's certificates, which nothing here needs
HTTP = httpx.Client(verify=False)


def wait_for(what: Callable[[], object], seconds: float = DEADLINE) -> object:
    """Poll until `what` gives something true, at most `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.01)
    raise AssertionError("nothing happened before the deadline")


class Receiver:
    """Takes webhooks; answers with the statuses in `answers`, then 200."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, str]] = []
        self.answers: list[int] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((body, self.headers["Stripe-Signature"]))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                return

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def events(self, kind: str | None = None) -> list[stripe.Event]:
        """The events received so far, each verified with the SDK."""
        found = [stripe.Webhook.construct_event(body, sign, SECRET) for body, sign in self.got]
        return [event for event in found if kind in (None, event.type)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Clock:
    """Real time plus a shift a test may make."""

    shift: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.shift


@dataclass
class Running:
    """A running server with the SDK's client."""

    url: str
    server: DevStripe
    receiver: Receiver
    clock: Clock
    client: stripe.StripeClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = sdk(self.url)

    @property
    def v1(self):
        return self.client.v1

    def dev(self, path: str, /, **form: object) -> dict:
        """Call a control endpoint."""
        answer = HTTP.post(
            f"{self.url}/_dev/{path}", data=form, headers={"Authorization": f"Bearer {KEY}"}
        )
        return {"status": answer.status_code, **answer.json()}

    def deliveries(self, event: str) -> list[dict]:
        answer = HTTP.get(
            f"{self.url}/_dev/deliveries",
            params={"event": event},
            headers={"Authorization": f"Bearer {KEY}"},
        )
        return answer.json()["data"]

    def waiting(self, kind: str, count: int = 1) -> list[stripe.Event]:
        """The events of a kind once `count` of them have arrived."""
        wait_for(lambda: len(self.receiver.events(kind)) >= count)
        return self.receiver.events(kind)


def sdk(url: str, key: str = KEY, retries: int = 0) -> stripe.StripeClient:
    bases = dict.fromkeys(("api", "connect", "files", "meter_events"), url)
    return stripe.StripeClient(key, base_addresses=bases, max_network_retries=retries)


@contextmanager
def running(directory: Path, hook: bool = True, **options: object) -> Iterator[Running]:
    """Serve from a directory in this process until the block ends; `hook` False sends no events."""
    receiver, clock = Receiver(), Clock()
    server = DevStripe(
        directory, clock=clock, webhook=receiver.url if hook else None, secret=SECRET if hook else None, key=KEY,
        **{"retry_base": 0.05, **options},
    )  # fmt: skip
    try:
        with served(create_app(server)) as port:
            server.deliverer.start()
            yield Running(f"http://127.0.0.1:{port}", server, receiver, clock)
    finally:
        server.close()
        receiver.close()
