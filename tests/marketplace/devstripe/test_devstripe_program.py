"""The program itself: its options, its memory, and state that survives kill -9."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.marketplace.devstripe_harness import KEY, SECRET, Receiver, sdk, wait_for

MEMORY_LIMIT_KB = 60 * 1024


def start(directory, *options):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "marketplace.devstripe",
            "--dir",
            str(directory),
            "--port",
            "0",
            *options,
        ],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    return process, found.group(0)


def stop(process, number=signal.SIGTERM):
    process.send_signal(number)
    process.wait(10)
    process.stdout.close()
    return process.returncode


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_state_keys_and_waiting_events_survive_kill_9_in_little_memory(tmp_path):
    key, secret = tmp_path / "key", tmp_path / "secret"
    key.write_text(KEY + "\n")
    secret.write_text(SECRET + "\n")
    receiver = Receiver()
    receiver.answers = [503] * 1000
    options = (
        "--key-file",
        str(key),
        "--secret-file",
        str(secret),
        "--webhook",
        receiver.url,
        "--retry-base",
        "0.2",
    )
    process, url = start(tmp_path / "state", *options)
    params = {"amount": 1500, "currency": "jpy", "confirm": True, "payment_method": "pm_card_visa"}
    try:
        made = sdk(url).v1.payment_intents.create(params, {"idempotency_key": "durable"})
        wait_for(lambda: receiver.got)
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) < MEMORY_LIMIT_KB
        arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
        assert KEY not in arguments
        assert SECRET not in arguments
    finally:
        assert stop(process, signal.SIGKILL) == -signal.SIGKILL
    receiver.answers = []
    receiver.got.clear()
    process, url = start(tmp_path / "state", *options)
    try:
        client = sdk(url)
        assert client.v1.payment_intents.retrieve(made.id).status == "succeeded"
        assert client.v1.balance.retrieve().available[0].amount == 1500
        again = client.v1.payment_intents.create(params, {"idempotency_key": "durable"})
        assert again.id == made.id
        assert len(client.v1.charges.list().data) == 1
        wait_for(lambda: len({event.id for event in receiver.events()}) == 3)
    finally:
        assert stop(process) == 0
        receiver.close()
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--webhook", "http://x.example"),
        ("--secret", "whsec_x"),
        ("--webhook", "file:///etc/passwd", "--secret", "whsec_x"),
        ("--webhook", "http://x.example", "--secret", "plain"),
        ("--key", "sk_live_x"),
        ("--key-file", "/nowhere/at/all"),
    ],
)
def test_wrong_options_end_at_once(tmp_path, options):
    from marketplace.devstripe.__main__ import main

    with pytest.raises(SystemExit) as caught:
        main(["--dir", str(tmp_path), "--port", "0", *options])
    assert caught.value.code != 0


def loaded(code):
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    return set(done.stdout.split())


def test_the_program_stands_alone():
    names = loaded("import marketplace.devstripe.__main__")
    assert not names & {
        "stripe",
        "numpy",
        "sqlmodel",
        "sqlalchemy",
        "cryptography",
        "ledger",
        "compute",
    }
    ours = {name for name in names if name.startswith("marketplace.")}
    others = {name for name in ours if not name.startswith("marketplace.devstripe")}
    assert others == {"marketplace.currencies"}


def test_the_adapter_and_the_book_do_not_need_it():
    names = loaded("import marketplace.payments, marketplace.book")
    assert not [name for name in names if name.startswith("marketplace.devstripe")]
    assert not names & {"flask", "sqlmodel"}
