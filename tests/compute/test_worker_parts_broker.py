"""Helpers as processes of their own: real Celery workers, over the real brokers.

A helper is forked while its lead waits, when the log has all it needs; from then on lead and helper
share the disk and the broker, and nothing else.
"""

import json
import multiprocessing
import os
import secrets
import signal
import time
from contextlib import contextmanager, suppress

import pytest

from compute.broker import PartSender, make_app, part_queue_of
from compute.worker import serve
from compute.worker_helper import help_with
from compute.worker_lead import Lead
from tests.compute.parts_world import PartsWorld, part_message, small_chunks
from tests.compute.test_worker_parts import Exact, ask, left_over
from tests.conftest import RABBITMQ, REDIS

FORK = multiprocessing.get_context("fork")
WAIT_S = 60


@pytest.fixture
def world(tmp_path, monkeypatch):
    small_chunks(monkeypatch)
    made = PartsWorld(tmp_path, wait_ms=60_000)
    made.run("ingest")
    yield made
    made.shop.store.close()


@pytest.fixture
def region():
    return "t" + secrets.token_hex(8)


@contextmanager
def broker(kind, region):
    """The URL of a broker on which our queue alone is ours, taken away afterwards."""
    if kind == "filesystem":
        yield "filesystem://broker"
    elif kind == "redis":
        import redis

        url = f"redis://{REDIS[0]}:{REDIS[1]}/0"
        yield url
        redis.Redis.from_url(url).delete(part_queue_of(region))
    else:
        from amqp import Connection

        yield "amqp://guest:guest@{}:{}//".format(*RABBITMQ)
        address = "{}:{}".format(*RABBITMQ)
        with Connection(address, userid="guest", password="guest") as connection:
            connection.channel().queue_delete(part_queue_of(region))


class Processes:
    """Helpers, each a process that reads the queue until it is told to end."""

    def __init__(self, world, url, region):
        self._world, self._url, self._region = world, url, region
        self._running = []

    def start(self, count, dying=0):
        for number in range(count):
            made = FORK.Process(target=self._serve, args=(number < dying,), daemon=True)
            made.start()
            self._running.append(made)

    def _serve(self, dies):
        if dies:
            os.environ["OMIC_FAULT_STEP"] = "part_taken"
        shop = self._world.helper()

        def handle(*message):
            left = help_with(shop, part_message(*message))
            with (self._world.folder / "helped").open("a") as file:
                file.write(f"{os.getpid()} {left}\n")

        queue = part_queue_of(self._region)
        os._exit(serve(self._url, self._world.folder, handle, self._region, "omic.part", queue))

    def helped(self):
        """Return how many partitions each process left."""
        path, found = self._world.folder / "helped", {}
        for line in path.read_text().splitlines() if path.exists() else ():
            pid, left = map(int, line.split())
            found[pid] = found.get(pid, 0) + left
        return found

    def end(self):
        """End every helper; return their exit codes."""
        for one in self._running:
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGTERM)
        for one in self._running:
            one.join(WAIT_S)
        return [one.exitcode for one in self._running]

    def lose_one_then_start_another(self):
        """Start a helper that is killed at its first partition, then one that sums the others."""
        self.start(1, dying=1)
        self._running[0].join(WAIT_S)
        self.start(1)
        deadline = time.monotonic() + WAIT_S
        while not self.helped() and time.monotonic() < deadline:
            time.sleep(0.05)


def shared(world, monkeypatch, processes, start):
    """Run an order whose lead takes nothing itself and starts helpers when they are needed."""

    def take_nothing(self, pass_):
        if not processes._running:
            start()

    with monkeypatch.context() as patch:
        patch.setattr(Lead, "_take_free", take_nothing)
        world.ask(ask("linear_association"))


@pytest.mark.parametrize("kind", [
    "filesystem",
    pytest.param("redis", marks=pytest.mark.service),
    pytest.param("rabbitmq", marks=pytest.mark.service),
])  # fmt: skip
def test_helpers_in_processes_of_their_own_give_the_same_bytes(world, monkeypatch, kind, region):
    exact = Exact(monkeypatch)
    with broker(kind, region) as url:
        world.told.send = PartSender(url, world.folder, region).send
        world.lead(shared=True)
        processes = Processes(world, url, region)
        try:
            shared(world, monkeypatch, processes, lambda: processes.start(2))
        finally:
            codes = processes.end()
    assert codes == [0, 0]
    assert sum(processes.helped().values()) == 6  # three partitions of two passes
    found = exact.last
    world.lead(shared=False)
    world.ask(ask("linear_association"))
    assert exact.last == found
    assert left_over(world) == 0


@pytest.mark.service
def test_a_helper_killed_in_the_middle_holds_nothing_up(world, monkeypatch, region):
    exact = Exact(monkeypatch)
    world.wait_ms = 5_000
    with broker("rabbitmq", region) as url:
        world.told.send = PartSender(url, world.folder, region).send
        world.lead(shared=True)
        processes = Processes(world, url, region)
        try:
            shared(world, monkeypatch, processes, processes.lose_one_then_start_another)
        finally:
            codes = processes.end()
    assert codes == [-signal.SIGKILL, 0]
    # One partition died with its helper: the lead summed that one itself, and whatever else was
    # not left in time on a busy machine.
    assert 2 <= sum(processes.helped().values()) <= 5
    found = exact.last
    world.lead(shared=False)
    world.ask(ask("linear_association"))
    assert exact.last == found


def test_a_message_holds_two_numbers_and_an_id_and_is_written_whole(tmp_path):
    order = "ab" * 16
    PartSender("filesystem://broker", tmp_path, "local").send(order, 1, 7)
    (path,) = (tmp_path / "broker" / "queue").iterdir()
    message = json.loads(path.read_text())
    import base64

    args, kwargs, _embed = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([order, 1, 7], {})
    assert message["headers"]["task"] == "omic.part"
    assert order not in json.dumps(message["headers"])
    assert not list((tmp_path / "broker").glob("out-*/*"))


def test_parts_and_jobs_have_queues_of_their_own():
    assert part_queue_of("local") not in {"compute", "compute.local"}
    app = make_app("redis://host/0", __import__("pathlib").Path(), "eu", part_queue_of("eu"))
    assert [queue.name for queue in app.conf.task_queues] == ["parts-eu"]
    assert app.conf.accept_content == ["json"]
