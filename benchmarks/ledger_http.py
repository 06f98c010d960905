"""From append to a witnessed checkpoint, over HTTP: log, three witnesses and clients apart."""

import json
import threading
from itertools import islice
from pathlib import Path
from time import perf_counter, sleep

import httpx

from benchmarks.harness import Figure, percentile
from benchmarks.ledger_read import bench_world
from benchmarks.workload import notes
from ledger.envelope import submission_to_json

CLIENTS = 16
PER_SECOND = 1_000
PER_REQUEST = 16


def witnessed(place: Path, quick: bool) -> list[Figure]:
    """Time each request from its sending to its receipts, at 1,000 appends a second."""
    seconds = 5 if quick else 30
    count = seconds * PER_SECOND // PER_REQUEST
    made = notes(count * PER_REQUEST)
    bodies = [
        json.dumps({"entries": [submission_to_json(e) for e in islice(made, PER_REQUEST)]}).encode()
        for _ in range(count)
    ]
    world = bench_world(place)
    try:
        for directory in world.witness_dirs:
            world.spawn(directory=directory, module="ledger.witness")
        for port in world.witness_ports:
            world.wait_healthy(world.url_of(port))
        world.spawn()
        world.wait_healthy()
        waits, late, took = _drive(world.url, bodies)
    finally:
        world.close()
    achieved = count * PER_REQUEST / took
    return [
        Figure("appends offered over HTTP", achieved, "/s", note=f"{CLIENTS} clients"),
        Figure("append to witnessed, median", percentile(waits, 0.5), "s", at_least=False),
        Figure(
            "append to witnessed, p99",
            percentile(waits, 0.99),
            "s",
            1.0,
            at_least=False,
            note=f"{len(waits)} requests of {PER_REQUEST}; {late} sent over 0.1 s late",
        ),
    ]


def _drive(url: str, bodies: list[bytes]) -> tuple[list[float], int, float]:
    """Send on a fixed schedule: request n is due at n/rate, whatever the answers take."""
    waits: list[float] = []
    late: list[int] = []
    gap = PER_REQUEST / PER_SECOND
    start = perf_counter() + 0.5

    def client(number: int) -> None:
        with httpx.Client(timeout=60) as http:
            for at in range(number, len(bodies), CLIENTS):
                due = start + at * gap
                sleep(max(0.0, due - perf_counter()))
                if perf_counter() - due > 0.1:
                    late.append(at)
                answer = http.post(f"{url}/entries?wait=1", content=bodies[at])
                if answer.status_code != 200:
                    raise RuntimeError(answer.text[:300])
                # From when it was due: a slow answer must not hide behind a later sending.
                waits.append(perf_counter() - due)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(waits) != len(bodies):
        raise RuntimeError(f"{len(bodies) - len(waits)} requests failed")
    return waits, len(late), perf_counter() - start
