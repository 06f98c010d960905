"""Job ids on their way to the workers: whole, opaque, and private to this machine's user."""

import base64
import json
import threading

import pytest

from marketplace.broker import CelerySender
from marketplace.errors import UnavailableError

JOB = "ab" * 16


def test_a_message_holds_the_job_id_and_nothing_else(tmp_path):
    CelerySender("filesystem://broker", tmp_path).send(JOB)
    (path,) = (tmp_path / "broker" / "queue").iterdir()
    message = json.loads(path.read_text())
    args, kwargs, _embed = json.loads(base64.b64decode(message["body"]))
    assert (args, kwargs) == ([JOB], {})
    assert message["headers"]["task"] == "omic.run"
    assert JOB not in json.dumps(message["headers"]["argsrepr"])
    assert (tmp_path / "broker").stat().st_mode & 0o077 == 0


def test_a_reader_never_sees_a_message_half_written(tmp_path):
    sender = CelerySender("filesystem://broker", tmp_path)
    queue, done, seen = tmp_path / "broker" / "queue", threading.Event(), set()

    def read():
        while not done.is_set():
            for path in queue.iterdir():
                if path.name not in seen:
                    json.loads(path.read_text())
                    seen.add(path.name)

    failures = []
    thread = threading.Thread(target=lambda: _caught(read, failures))
    thread.start()
    for _ in range(100):
        sender.send(JOB)
    done.set()
    thread.join()
    assert failures == []
    assert len(list(queue.iterdir())) == 100


def test_what_a_crash_left_half_written_is_not_handed_over(tmp_path):
    CelerySender("filesystem://broker", tmp_path, "7")
    (tmp_path / "broker" / "out-7" / "cut.msg").write_text('{"bo')
    CelerySender("filesystem://broker", tmp_path, "7").send(JOB)
    (path,) = (tmp_path / "broker" / "queue").iterdir()
    json.loads(path.read_text())


def test_a_broker_that_does_not_answer_is_named(tmp_path):
    with pytest.raises(UnavailableError, match="broker"):
        CelerySender("redis://127.0.0.1:1/0", tmp_path).send(JOB)


def _caught(act, failures):
    try:
        act()
    except Exception as error:
        failures.append(error)
