"""An application behind a real HTTP server in this process, which ends at once when it is let go."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from waitress import create_server, wasyncore

ENDS_SECONDS = 5


@contextmanager
def served(app, port: int = 0, threads: int = 4, **options) -> Iterator[int]:
    """Serve an application until the block ends; yields the port. options: waitress' own."""
    server = create_server(app, host="127.0.0.1", port=port, threads=threads, **options)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server.effective_port
    finally:
        # Closed inside its own loop: select never sees a closed socket, and no browser's open
        # connection keeps it. Closing takes the trigger along, perhaps before its waking byte.
        with suppress(OSError):
            server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
        thread.join(ENDS_SECONDS)
        server.task_dispatcher.shutdown(timeout=1)
