"""The confined parser: same answers, no way out, hard limits, and a host that lives on."""

from __future__ import annotations

import os
import platform
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from compute.ingest import (
    HostLimits,
    IngestError,
    ParserDiedError,
    ParserHost,
    content_digest,
    parse,
)
from compute.ingest.confine import MACHINES, landlock_version
from marketplace.client import demo_data
from tests.compute.ingest.vcf_text import bcf, bgzf, vcf

HOSTILE = (str(Path(__file__).with_name("hostile_zygote.py")),)
GOOD = vcf(("1", 100, "A", "G", "0/1"), ("X", 5, "C", "T", "1"))


@pytest.fixture(scope="module")
def host():
    with ParserHost() as host:
        yield host


@pytest.fixture(scope="module")
def hostile():
    limits = HostLimits(wall_s=20, cpu_s=2, memory=320 << 20, answer=1 << 24)
    with ParserHost(limits, zygote=HOSTILE) as host:
        yield host


def deed(host, text):
    return host.parse(text.encode(), "participant", "x").participant


def test_the_child_answers_as_the_parser_does(host, tmp_path):
    for data in (GOOD, bgzf(GOOD, tmp_path), bcf(GOOD, tmp_path)):
        assert content_digest(host.parse(data, "genotypes", "x")) == content_digest(
            parse(GOOD, "genotypes", "x")
        )


def test_a_refusal_comes_through(host):
    with pytest.raises(IngestError) as caught:
        host.parse(GOOD.replace(b"0/1", b"0/7"), "genotypes", "/secret/dir/my.vcf")
    assert (caught.value.code, caught.value.name, caught.value.where) == (
        "bad_genotype",
        "my.vcf",
        "line 11",
    )


def test_no_network(hostile, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert deed(hostile, f"connect {port}").startswith("refused")
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert deed(hostile, f"unix {path}").startswith("refused")


def test_nothing_is_written(hostile, tmp_path):
    existing = tmp_path / "kept"
    existing.write_text("kept")
    assert deed(hostile, f"write {tmp_path / 'new'}").startswith("refused")
    assert deed(hostile, f"write {existing}").startswith("refused")
    assert deed(hostile, f"mkdir {tmp_path / 'dir'}").startswith("refused")
    assert deed(hostile, f"unlink {existing}").startswith("refused")
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    assert existing.read_text() == "kept"


def test_no_file_is_read_where_the_kernel_has_landlock(hostile, tmp_path):
    """A subverted parser runs as the worker's user: it must not reach the vault's key file."""
    (tmp_path / "key").write_text("secret")
    expected = "refused PermissionError" if landlock_version() else "done"
    assert deed(hostile, f"read {tmp_path / 'key'}") == expected


def test_no_process_and_no_signal(hostile):
    assert deed(hostile, "exec").startswith("refused")
    assert deed(hostile, "fork").startswith("refused")
    assert deed(hostile, f"kill {os.getpid()}").startswith("refused")


def test_only_the_two_descriptors_are_open(hostile):
    kinds = deed(hostile, "fds").split()
    assert sorted(set(kinds)) == ["/dev/null", "/memfd", "pipe"]
    assert kinds.count("/memfd") == kinds.count("pipe") == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("spin", "parser_time"),
        ("memory", "too_large"),
        ("flood", "parser_memory"),
        ("die", "parser_died"),
        ("die signal", "parser_died"),
        ("junk", "parser_protocol"),
    ],
)
def test_misbehaviour_is_a_named_refusal_and_the_host_lives(hostile, text, code):
    with pytest.raises(IngestError) as caught:
        deed(hostile, text)
    assert (
        caught.value.code in {code, "parser_died"}
        if text == "memory"
        else caught.value.code == code
    )
    assert caught.value.name == "x"
    assert hostile.used.peak <= 320 << 20 and hostile.used.cpu_ms <= 3000  # its limits
    assert deed(hostile, "nothing") == "nothing"


def test_a_killed_zygote_is_started_again():
    with ParserHost() as host:
        host.parse(GOOD, "genotypes", "x")
        first = host._process
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert len(host.parse(GOOD, "genotypes", "x")) == 2
        assert host._process.pid != first.pid


def test_closing_stops_the_zygote():
    with ParserHost() as host:
        host.parse(GOOD, "genotypes", "x")
        process = host._process
    assert process.poll() is not None
    assert subprocess.run(["ps", "-p", str(process.pid)], capture_output=True).returncode != 0


def test_the_demo_cohort_parses(host):
    files = [
        (data, modality)
        for p in demo_data.people()
        for data, modality in (
            (demo_data.vcf(p.participant), "genotypes"),
            (demo_data.expression(p.participant), "expression"),
            (demo_data.record(p.participant), "participant"),
        )
    ]
    parsed = [host.parse(data, modality, "x") for data, modality in files]
    assert len(parsed) == 534


def test_parser_died_is_an_ingest_error():
    assert issubclass(ParserDiedError, IngestError)


def test_confine_says_which_layers_took():
    """Limits and no_new_privs everywhere; the seccomp filter on the machines it is written for."""
    code = (
        "import sys; from compute.ingest.confine import confine;"
        "sys.stdout.write(' '.join(sorted(confine(memory=512 << 20, cpu_s=5, files=30))))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    ).stdout.split()
    expected = {"limits", "no_new_privs"}
    expected |= {"seccomp"} if platform.machine() in MACHINES else set()
    expected |= {"landlock"} if landlock_version() else set()
    assert set(told) == expected


def test_a_child_that_only_waits_is_killed_by_the_clock():
    with ParserHost(HostLimits(wall_s=0.5), zygote=HOSTILE) as host:
        with pytest.raises(ParserDiedError) as caught:
            deed(host, "wait")
        assert caught.value.code == "parser_time"
        assert deed(host, "nothing") == "nothing"
