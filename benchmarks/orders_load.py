"""The load of `benchmarks.orders`, a process of its own: posts events at a fixed rate.

Reads [url, rate, [[body, headers], ...]] from a file; prints {"ms", "seconds", "failed"} as JSON.
Times count from when a request was due, so that a server that falls behind shows it.
"""

import http.client
import json
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

SENDERS = 16


def run() -> None:
    url, rate, events = json.loads(Path(sys.argv[1]).read_text())
    parts, times, failed = urlsplit(url), [], [0]
    lock, position = threading.Lock(), iter(enumerate(events))
    started = time.perf_counter() + 0.5

    def sender() -> None:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
        while True:
            with lock:
                item = next(position, None)
            if item is None:
                return
            number, (body, headers) = item
            due = started + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            connection.request("POST", parts.path, body.encode(), headers)
            answer = connection.getresponse()
            answer.read()
            took = (time.perf_counter() - due) * 1000
            with lock:
                times.append(took)
                failed[0] += answer.status != 200

    threads = [threading.Thread(target=sender) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"ms": times, "seconds": time.perf_counter() - started, "failed": failed[0]}))


if __name__ == "__main__":
    run()
