"""The main job as a user runs it: `omic demo`, on the embedded default and on other services.

PostgreSQL + Redis, and RabbitMQ + S3 (moto plays S3 here), chosen by configuration alone.
"""

import json
import os
import secrets
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tomli_w
from sqlalchemy import create_engine, text

from tests.conftest import RABBITMQ, REDIS
from tests.e2e.stack import free_base
from tests.postgres import postgres_server

PEOPLE = 60
MOST_KIB = 1536 * 1024
STAGES = {
    "start", "cut", "owners", "team", "orders", "owners_view", "withdraw", "attacks", "audit", "total",
}  # fmt: skip


class Memory(threading.Thread):
    """Samples what all processes of a run hold together (PSS: shared pages counted once)."""

    def __init__(self, directory: Path) -> None:
        super().__init__(daemon=True)
        self.mark, self.peak_kib, self.ended = str(directory).encode(), 0, threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.5):
            self.peak_kib = max(self.peak_kib, sum(map(self._pss, Path("/proc").glob("[0-9]*"))))

    def _pss(self, process: Path) -> int:
        try:
            if self.mark not in (process / "cmdline").read_bytes():
                return 0
            text = (process / "smaps_rollup").read_text()
        except OSError:
            return 0
        return int(text.split("\nPss:")[1].split()[0])


def run_demo(directory: Path, *extra) -> tuple[dict, str]:
    """Run the installed command in a process of its own; return its JSON and what it said."""
    memory = Memory(directory)
    memory.start()
    try:
        document, said = _demo(directory, *extra)
    finally:
        memory.ended.set()
        memory.join()
    assert 0 < memory.peak_kib < MOST_KIB
    return document, said


def _demo(directory: Path, *extra) -> tuple[dict, str]:
    json_file = directory / "demo.json"
    command = [sys.executable, "-m", "marketplace.client.cli", "demo"]
    command += ["--dir", directory / "run", "--port", str(free_base()), "--people", str(PEOPLE)]
    done = subprocess.run(
        [*map(str, command), "--json", str(json_file), *map(str, extra)],
        capture_output=True, text=True, timeout=280, cwd=directory,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "Traceback" not in done.stderr
    return json.loads(json_file.read_text()), done.stdout


def check(document: dict, said: str, directory: Path) -> None:
    """Every field the demo promises, with the numbers it must have."""
    assert set(document) == {
        "owners", "datasets", "consented", "orders", "ledger", "withdrawn_excluded",
        "tamper_refused", "forgery_refused", "useless_refused", "seconds",
    }  # fmt: skip
    assert document["owners"] == PEOPLE
    assert document["datasets"] == document["consented"] == 3 * PEOPLE
    assert [o["query"] for o in document["orders"]] == [
        "genotype_counts", "genotype_counts", "cis_association", "genotype_counts",
    ]  # fmt: skip
    # CEU, YRI, everybody; and everybody but the one who withdrew, by the auditor's own figure.
    assert [o["cohort_size"] for o in document["orders"]] == [30, 30, 60, 59]
    for order in document["orders"]:
        assert set(order) == {"id", "query", "state", "cohort_size", "result_sha256", "verified"}
        assert (order["state"], order["verified"]) == ("settled", True)
        assert len(bytes.fromhex(order["result_sha256"])) == 32
    assert len({o["id"] for o in document["orders"]}) == 4
    assert len({o["result_sha256"] for o in document["orders"]}) == 4
    ledger = document["ledger"]
    assert set(ledger) == {"size", "root", "verified"}
    assert ledger["verified"] is True
    assert ledger["size"] > 5 * PEOPLE
    assert len(bytes.fromhex(ledger["root"])) == 32
    for attack in ("withdrawn_excluded", "tamper_refused", "forgery_refused"):
        assert document[attack] is True
    assert set(document["seconds"]) == STAGES
    assert document["seconds"]["total"] < 240
    for words in ("local stand-ins", "trusted", "scripted", "test money", "This ledger is sound"):
        assert words in said
    assert said.count("Verified: everything in this bundle holds") == 4
    report = directory / "run" / "report"
    for name in ("index.html", "frequencies.svg", "frequencies.png", "association.svg"):
        assert (report / name).stat().st_size > 1000


def left_over(directory: Path) -> list[str]:
    """Command lines of processes that still run out of this directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if str(directory).encode() in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found


def test_the_main_job_on_the_embedded_default(tmp_path):
    document, said = run_demo(tmp_path)
    check(document, said, tmp_path)
    assert left_over(tmp_path) == []
    assert no_plaintext(tmp_path / "run") == []


def no_plaintext(run: Path) -> list[str]:
    """Files of the servers that hold a genome or a person's name in clear."""
    canaries = (b"##fileformat=VCF", b"NA06984", b"omic.participant/1")
    return [
        str(path.relative_to(run))
        for name in ("ledger", "compute", "marketplace", "broker", "logs", "stripe", "attester")
        for path in (run / name).rglob("*")
        if path.is_file() and any(canary in path.read_bytes() for canary in canaries)
    ]


@pytest.fixture
def services(tmp_path):
    """A configuration with a database each for ledger, compute and marketplace, and Redis."""
    import redis

    names = {p: f"omic_{p}_{secrets.token_hex(6)}" for p in ("ledger", "compute", "marketplace")}
    admin = create_engine(postgres_server() + "/postgres", isolation_level="AUTOCOMMIT")
    with admin.connect() as database:
        for name in names.values():
            database.execute(text(f"CREATE DATABASE {name}"))
    config = {p: {"database_url": f"{postgres_server()}/{name}"} for p, name in names.items()}
    number = empty_redis_database()
    broker = f"redis://{REDIS[0]}:{REDIS[1]}/{number}"
    for process in ("compute", "marketplace"):
        config[process]["broker_url"] = broker
    path = tmp_path / "services.toml"
    path.write_text(tomli_w.dumps(config))
    yield path, admin, names, redis.Redis.from_url(broker)
    redis.Redis.from_url(broker).flushdb()
    with admin.connect() as database:
        for name in names.values():
            database.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def empty_redis_database() -> int:
    """A database number nobody uses: flushing somebody else's queue would be theft."""
    import redis

    for number in range(15, 0, -1):
        if redis.Redis(*REDIS, db=number).dbsize() == 0:
            return number
    raise AssertionError("no empty Redis database among 1..15")


@pytest.mark.service
def test_the_main_job_on_postgresql_and_redis(tmp_path, services):
    path, _admin, names, broker = services
    document, said = run_demo(tmp_path, "--config", path)
    check(document, said, tmp_path)
    run = tmp_path / "run"
    # It really ran there: no embedded database, no file broker, and the log is in PostgreSQL.
    assert not list(run.rglob("ledger.sqlite")) + list(run.rglob("marketplace.sqlite"))
    assert not (run / "compute" / "compute.sqlite").exists()
    assert not (run / "broker").exists()
    assert broker.dbsize() > 0
    sizes = {}
    for process, name in names.items():
        engine = create_engine(f"{postgres_server()}/{name}")
        with engine.connect() as database:
            count = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'"
            sizes[process] = database.execute(text(count)).scalar()
        engine.dispose()
    assert all(sizes.values()), sizes
    assert left_over(tmp_path) == []


@pytest.fixture
def rabbitmq():
    """A channel to a RabbitMQ whose queue `compute` is ours alone while the test runs."""
    from amqp import Connection

    with Connection("{}:{}".format(*RABBITMQ), userid="guest", password="guest") as connection:
        channel = connection.channel()
        found = channel.queue_declare("compute", durable=True, auto_delete=False)
        assert found.consumer_count == 0, "somebody else's worker reads the queue 'compute'"
        channel.queue_delete("compute")
        yield channel
        channel.queue_delete("compute")


@pytest.fixture
def bucket(monkeypatch):
    """A bucket on a local S3, its address and keys in the environment as in production."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="omic")
    yield client
    server.stop()


@pytest.mark.service
def test_the_main_job_on_rabbitmq_and_s3(tmp_path, rabbitmq, bucket):
    broker = "amqp://guest:guest@{}:{}//".format(*RABBITMQ)
    config = {
        "compute": {"broker_url": broker},
        "marketplace": {"broker_url": broker, "object_store_url": "s3://omic/market"},
    }
    path = tmp_path / "services.toml"
    path.write_text(tomli_w.dumps(config))
    document, said = run_demo(tmp_path, "--config", path)
    check(document, said, tmp_path)
    run = tmp_path / "run"
    # It really ran there: no folder of messages or objects; the queue was used and is empty.
    assert not (run / "broker").exists()
    assert not (run / "marketplace" / "objects").exists()
    queue = rabbitmq.queue_declare("compute", passive=True)
    assert (queue.message_count, queue.consumer_count) == (0, 0)
    pages = bucket.get_paginator("list_objects_v2").paginate(Bucket="omic", Prefix="market/")
    objects = [item for page in pages for item in page["Contents"]]
    assert len(objects) >= 3 * PEOPLE
    canaries = (b"##fileformat=VCF", b"NA06984", b"omic.participant/1")
    for item in objects:
        body = bucket.get_object(Bucket="omic", Key=item["Key"])["Body"].read()
        assert not any(canary in body for canary in canaries), item["Key"]
    assert left_over(tmp_path) == []
    assert no_plaintext(run) == []
