"""The worker as a program: keys, configuration, the marketplace's API, the broker."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from compute.broker import QUEUE, TASK, filesystem_options, make_app
from compute.config import ConfigError, WorkerConfig, load_config, read_token
from compute.jobs_client import JobsClient, MissingFileError
from compute.keys import EPOCH_MS, current_epoch, load_keys
from compute.messages import JobMessage, Outcome
from compute.progress import Progress
from compute.tables import StoreStateError, upgrade
from compute.worker import main
from compute.worker_outcomes import Code, LeaseLostError, TryAgainError, code_of
from compute.worker_start import announce, package_digest, wait_for_database
from ledger import b64, submission_to_json
from tests.compute.simulators import now_ms
from tests.compute.worker_world import World, new_id

JOB = JobMessage(job_id="a" * 32, kind="ingest", attempt=1, lease=3, lease_ms=1000)


# -- keys and configuration ------------------------------------------------------------------------


def test_init_makes_private_files_and_prints_public_parts_only(tmp_path, capsys):
    assert main(["init", "--dir", str(tmp_path / "compute"), "--region", "local"]) == 0
    public = json.loads(capsys.readouterr().out)
    keys = load_keys(tmp_path / "compute")
    assert public["compute"] == b64(keys.identity_public)
    assert [item["key_id"] for item in public["keys"]] == [e.key_id for e in keys.epochs]
    text = json.dumps(public)
    for secret in (keys.kek, keys.identity_seed, keys.epochs[0].hpke_secret):
        assert b64(secret) not in text
        assert secret.hex() not in repr(keys) + repr(keys.epochs[0])
    for path in (tmp_path / "compute" / "keys").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_init_never_overwrites_keys_and_says_the_same_again(tmp_path, capsys):
    arguments = ["init", "--dir", str(tmp_path)]
    assert main(arguments) == 0
    first = capsys.readouterr().out
    (tmp_path / "keys.new").mkdir()
    assert main(arguments) == 0
    assert capsys.readouterr().out == first


def test_a_key_others_can_read_is_refused(tmp_path, capsys):
    main(["init", "--dir", str(tmp_path)])
    (tmp_path / "keys" / "kek.key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_keys(tmp_path)


def test_an_epoch_counts_only_in_its_time_and_region(tmp_path, capsys):
    main(["init", "--dir", str(tmp_path), "--region", "eu"])
    epochs = load_keys(tmp_path).epochs
    now = epochs[0].not_before
    assert current_epoch(epochs, "eu", now) == epochs[0]
    assert current_epoch(epochs, "eu", now + EPOCH_MS) is None
    assert current_epoch(epochs, "eu", now - 1) is None
    assert current_epoch(epochs, "us", now) is None


def test_running_without_init_is_a_clear_message(tmp_path, capsys):
    assert main(["--dir", str(tmp_path)]) == 2
    assert "init" in capsys.readouterr().err


def test_environment_goes_over_the_file_and_paths_are_relative(tmp_path):
    (tmp_path / "config.toml").write_text('store_url = "file://s.sqlite"\ntrust_file = "../t"\n')
    config = load_config(tmp_path, {"OMIC_BROKER_URL": "redis://here"})
    assert config.broker_url == "redis://here"
    assert config.store_path == tmp_path / "s.sqlite"
    assert config.trust_file == tmp_path / "../t"


def test_tokens_are_read_whole_or_by_scope(tmp_path):
    path = tmp_path / "token"
    path.write_text("abc==\n")
    assert read_token(path, "grants") == "abc=="
    path.write_text('envelopes = "e"\ngrants = "g"\n')
    assert read_token(path, "grants") == "g"
    with pytest.raises(ConfigError, match="scope worker"):
        read_token(path, "worker")


def test_keys_and_code_are_published_once(tmp_path):
    world = World(tmp_path)
    assert world.log.types.count("compute.key_published") == 1
    assert announce(world.shop) == []
    world.restart()
    assert announce(world.shop) == []
    released = world.log.state.compute_releases[-1].payload
    assert released["code_digest"] == package_digest()
    key = world.log.state.compute_keys[world.epoch.key_id]
    assert key.hpke_public == b64(world.epoch.hpke_public)


def test_a_helper_sees_when_its_workers_database_is_there(tmp_path):
    """And leaves it as it is: two that migrate one database at once would be in each other's way."""
    config = WorkerConfig(
        tmp_path, "", "", f"sqlite:///{tmp_path / 'c.sqlite'}", "", "", "local", tmp_path, tmp_path,
        tmp_path,
    )  # fmt: skip
    with pytest.raises(StoreStateError):
        wait_for_database(config, wait_s=0)
    upgrade(config.database_url)
    wait_for_database(config, wait_s=0)


@pytest.mark.parametrize(
    "line", ["helpers = -1", 'helpers = "2"', "partition_genotypes = 0", "partition_wait_ms = true"]
)
def test_a_number_of_helpers_that_is_none_is_refused(tmp_path, line):
    (tmp_path / "config.toml").write_text(line + "\n")
    with pytest.raises(ConfigError, match=line.split()[0]):
        load_config(tmp_path)


def test_nobody_is_asked_to_help_unless_there_are_helpers(tmp_path):
    (tmp_path / "config.toml").write_text("helpers = 2\npartition_genotypes = 7\n")
    config = load_config(tmp_path)
    assert (config.helpers, config.partition_genotypes) == (2, 7)
    assert config.partition_wait_ms == 60_000
    (tmp_path / "config.toml").write_text("")
    assert load_config(tmp_path).helpers == 0


# -- the marketplace's worker API ------------------------------------------------------------------


def client(answer):
    seen = []

    def handle(request):
        seen.append(request)
        return answer(request)

    http = httpx.Client(transport=httpx.MockTransport(handle))
    return JobsClient("http://market/", lambda: "token", "w1", http), seen


def test_lease_and_heartbeat_speak_the_contract(tmp_path):
    world = World(tmp_path, people=1)
    stop = submission_to_json_of(world)

    def answer(request):
        if request.url.path.endswith("/lease"):
            return httpx.Response(200, json=JOB.to_dict())
        return httpx.Response(200, json={"stops": [stop, {"not": "a stop"}], "cancel": True})

    jobs, seen = client(answer)
    assert jobs.lease(JOB.job_id) == JOB
    beat = jobs.heartbeat(JOB, Progress("summing", 2, 8))
    assert (len(beat.stops), beat.cancel) == (1, True)
    assert seen[0].url == f"http://market/worker/v1/jobs/{JOB.job_id}/lease"
    assert seen[0].headers["authorization"] == "Bearer token"
    progress = {"step": "summing", "done": 2, "total": 8}
    assert json.loads(seen[1].content) == {"lease": 3, "progress": progress}


def submission_to_json_of(world):
    from ledger import submission_for

    return submission_to_json(submission_for(world.stop_entry(world.people[0]), b"s" * 32))


def test_a_taken_job_is_none_and_a_lost_lease_raises():
    jobs, _ = client(lambda request: httpx.Response(409, json={}))
    assert jobs.lease(JOB.job_id) is None
    with pytest.raises(LeaseLostError):
        jobs.heartbeat(JOB, Progress())
    with pytest.raises(LeaseLostError):
        jobs.put_object(JOB, "result", b"x")


def test_objects_carry_their_hash_and_lease():
    jobs, seen = client(lambda request: httpx.Response(204))
    jobs.put_object(JOB, "result", b"bytes")
    jobs.outcome(JOB, Outcome(state="ingested"))
    assert seen[0].url.params["lease"] == "3"
    assert len(seen[0].headers["x-content-sha256"]) == 64
    assert json.loads(seen[1].content)["outcome"]["state"] == "ingested"


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, text="<html>")])
def test_anything_else_is_try_again(answer):
    jobs, _ = client(lambda request: answer)
    with pytest.raises(TryAgainError):
        jobs.heartbeat(JOB, Progress())
    missing, _ = client(lambda request: httpx.Response(404))
    with pytest.raises(MissingFileError):
        missing.dataset_file("d")


def test_no_exception_text_becomes_a_code():
    assert code_of(ValueError("ann@example.org is hom-alt")) is Code.INTERNAL


# -- the broker ------------------------------------------------------------------------------------

SCRIPT = """
import sys, time
from pathlib import Path
from compute.worker import serve
folder = Path(sys.argv[1])
def handle(job_id):
    (folder / "started").write_text(job_id)
    time.sleep(float(sys.argv[2]))
    (folder / "done").write_text(job_id)
print("up", flush=True)
sys.exit(serve("filesystem://broker", folder, handle))
"""


def start(folder, seconds):
    arguments = [sys.executable, "-c", SCRIPT, str(folder), str(seconds)]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def until(path, deadline_s=30):
    end = time.monotonic() + deadline_s
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.02)


def send(folder, job_id):
    app = make_app("filesystem://broker", folder)
    app.send_task(TASK, args=[job_id], queue=QUEUE, argsrepr="(...)", kwargsrepr="{}")


def test_a_message_runs_and_sigterm_finishes_the_job_in_hand(tmp_path):
    job_id = new_id()
    send(tmp_path, job_id)
    process = start(tmp_path, 0.5)
    try:
        until(tmp_path / "started")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0
    assert (tmp_path / "done").read_text() == job_id
    assert job_id.encode() not in errors


def test_broker_folders_are_private_and_messages_mask_arguments(tmp_path):
    job_id = new_id()
    send(tmp_path, job_id)
    for name in ("queue", "control", "processed"):
        assert (tmp_path / "broker" / name).stat().st_mode & 0o777 == 0o700
    message = json.loads(next((tmp_path / "broker" / "queue").iterdir()).read_text())
    assert message["headers"]["argsrepr"] == "(...)"
    options = filesystem_options(tmp_path / "broker")
    assert (options["store_processed"], options["polling_interval"]) == (True, 0.05)


def test_redis_gets_its_redelivery_settings_and_results_go_nowhere():
    app = make_app("redis://localhost:6379/0", Path())
    options = app.conf.broker_transport_options
    assert (options["unacked_restore_interval"], options["unacked_restore_throttle"]) == (2, 1)
    assert options["visibility_timeout"] > 3600
    assert app.conf.result_backend is None
    assert app.conf.accept_content == ["json"]
    assert make_app("amqp://host", Path()).conf.broker_url == "amqp://host"


def test_the_program_never_dumps_core(tmp_path):
    script = (
        "import resource, compute.worker as w\n"
        f"w.main(['--dir', {str(tmp_path)!r}])\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "(0, 0)"
    assert now_ms() > 0
