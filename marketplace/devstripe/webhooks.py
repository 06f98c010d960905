"""Sending events: signed, retried with exponential backoff until a 2xx, at least once.

One background thread sends what is due, oldest first; what was queued survives a restart. Each
attempt is signed afresh, as Stripe does. Spec: https://docs.stripe.com/webhooks#verify-manually.
"""

import hashlib
import hmac
import http.client
import json
import logging
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from marketplace.devstripe import checkout, events
from marketplace.devstripe.events import DELIVERED, PENDING
from marketplace.devstripe.store import Json, Store, Unit, public

TIMEOUT_SECONDS = 10
MAX_BACKOFF_SECONDS = 300.0
IDLE_SECONDS = 0.5
EXPIRY_SECONDS = 5.0

log = logging.getLogger(__name__)


def signature_header(secret: str, body: bytes, timestamp: int) -> str:
    """Return `t=<time>,v1=<hex HMAC-SHA256 of "time.body">`."""
    signed = f"{timestamp}.".encode() + body
    return f"t={timestamp},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def backoff_seconds(attempts: int, base: float) -> float:
    """Return the wait after this many failed attempts: base, 2 base, 4 base ... at most 300 s."""
    return float(min(base * 2 ** min(attempts - 1, 20), MAX_BACKOFF_SECONDS))


@dataclass(frozen=True, slots=True)
class Due:
    """One sending to do."""

    seq: int
    attempts: int
    url: str
    secret: str
    event: Json


class Deliverer:
    """The background thread; `wake` makes it look at once."""

    def __init__(self, store: Store, clock: Callable[[], float], retry_base: float) -> None:
        self._store, self._clock, self._base = store, clock, retry_base
        self._wake, self._stop = threading.Event(), threading.Event()
        self._next_expiry = 0.0
        self._thread = threading.Thread(target=self._loop, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to send what is due."""
        self._thread.start()

    def wake(self) -> None:
        """Look at once for what is due."""
        self._wake.set()

    def is_alive(self) -> bool:
        """Tell whether events are being sent."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """End after the delivery in hand."""
        self._stop.set()
        self._wake.set()
        self._thread.join(TIMEOUT_SECONDS + 1)

    def _loop(self) -> None:
        while not self._stop.is_set():
            due = self._next()
            if due is None:
                self._wake.wait(self._pause())
                self._wake.clear()
                continue
            status, error = send(due, int(self._clock()))
            self._record(due, status, error)

    def _next(self) -> Due | None:
        with self._store.unit(self._clock()) as unit:
            if unit.clock >= self._next_expiry:
                checkout.expire_due(unit)
                self._next_expiry = unit.clock + EXPIRY_SECONDS
            return next_due(unit)

    def _pause(self) -> float:
        """Return how long to sleep: until the next retry is due, at most the idle time."""
        with self._store.unit(self._clock()) as unit:
            row = unit.db.execute(
                "SELECT min(due) FROM delivery WHERE status = ? AND due > ?", (PENDING, unit.clock)
            ).fetchone()
            return IDLE_SECONDS if row[0] is None else min(row[0] - unit.clock, IDLE_SECONDS)

    def _record(self, due: Due, status: int | None, error: str | None) -> None:
        ok = status is not None and 200 <= status < 300
        attempts = due.attempts + 1
        wait = 0.0 if ok else backoff_seconds(attempts, self._base)
        with self._store.unit(self._clock()) as unit:
            unit.db.execute(
                "UPDATE delivery SET attempts = ?, status = ?, due = ?, last_status = ?,"
                " last_error = ? WHERE seq = ?",
                (attempts, DELIVERED if ok else PENDING, unit.clock + wait, status, error, due.seq),
            )
        if not ok:
            log.info(
                "webhook %s attempt %d failed; again in %.1f s", due.event["id"], attempts, wait
            )


def next_due(unit: Unit) -> Due | None:
    """Return the oldest sending whose time has come and whose endpoint is enabled."""
    row = unit.db.execute(
        "SELECT d.seq, d.attempts, e.body, v.body FROM delivery d"
        " JOIN object e ON e.id = d.endpoint JOIN object v ON v.id = d.event"
        " WHERE d.status = ? AND d.due <= ? AND json_extract(e.body, '$.status') = 'enabled'"
        " ORDER BY d.due, d.seq LIMIT 1",
        (PENDING, unit.clock),
    ).fetchone()
    if row is None:
        return None
    endpoint, event = json.loads(row[2]), json.loads(row[3])
    counted = events.with_pending(unit, public(event))
    return Due(int(row[0]), int(row[1]), endpoint["url"], endpoint["_secret"], counted)


def send(due: Due, timestamp: int) -> tuple[int | None, str | None]:
    """Post one event; return the answer's status, or what went wrong with the connection."""
    body = json.dumps(due.event, indent=2).encode()
    parts = urlsplit(due.url)
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "DevStripe/1.0 (TEST MONEY)",
        "Stripe-Signature": signature_header(due.secret, body, timestamp),
    }
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, headers)
            return connection.getresponse().status, None
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        return None, type(error).__name__


def release(unit: Unit, order: str) -> int:
    """Let held sendings go, in the order `sent`, `reversed` or `shuffled`; return how many."""
    rows = [
        int(row[0])
        for row in unit.db.execute(
            "SELECT seq FROM delivery WHERE status = ? ORDER BY seq", (events.HELD,)
        )
    ]
    if order == "reversed":
        rows.reverse()
    elif order == "shuffled":
        random.SystemRandom().shuffle(rows)
    for place, seq in enumerate(rows):
        unit.db.execute(
            "UPDATE delivery SET status = ?, due = ? WHERE seq = ?",
            (PENDING, unit.clock - 1 + place * 1e-6, seq),
        )
    return len(rows)
