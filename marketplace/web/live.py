"""Live progress by server-sent events, without letting watchers use up the server's threads.

A watcher holds a thread while it listens; only a few may at a time. Whoever finds no place gets
the present state and is told when to ask again, which browsers do by themselves.
Spec: WHATWG HTML, section 9.2 (server-sent events).
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from flask import Response

PLACES = 3
HOLD_SECONDS = 20.0
LOOK_SECONDS = 0.5
SOON_MS, LATER_MS = 500, 3_000
_places = threading.BoundedSemaphore(PLACES)


def event(name: str, value: Any) -> str:
    """Return one event; its data is JSON on one line."""
    return f"event: {name}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n"


def watched(look: Callable[[], dict[str, Any]], over: Callable[[dict[str, Any]], bool]) -> Response:
    """Stream what `look` says, now and at each change, until `over` or for some seconds."""
    place = _places.acquire(blocking=False)
    body = _held(look, over) if place else iter([f"retry: {LATER_MS}\n", event("state", look())])
    response = Response(body, mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    if place:
        response.call_on_close(_places.release)
    return response


def _held(
    look: Callable[[], dict[str, Any]], over: Callable[[dict[str, Any]], bool]
) -> Iterator[str]:
    until, last = time.monotonic() + HOLD_SECONDS, None
    yield f"retry: {SOON_MS}\n"
    while True:
        now = look()
        if now != last:
            yield event("state", now)
            last = now
        if over(now) or time.monotonic() >= until:
            return
        time.sleep(LOOK_SECONDS)
