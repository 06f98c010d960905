"""A parser child that could not be confined refuses to parse."""

import gc
import os

import pytest

from compute.errors import IngestError
from compute.ingest import wire, zygote

JOB = {"memory": 1 << 30, "cpu_s": 5, "files": 16}
ALL = frozenset({"limits", "no_new_privs", "landlock", "seccomp"})


def run(monkeypatch, taken):
    """Run a child in this process under a made-up result of confine; return its frame."""
    parsed = []
    monkeypatch.setattr(zygote, "confine", lambda **_limits: frozenset(taken))
    monkeypatch.setattr(zygote, "answer", lambda *_job: parsed.append(1) or b"parsed")
    source, output = os.pipe()
    try:
        zygote.run_child(JOB, source, output)
        return os.read(source, 1 << 16), bool(parsed)
    finally:
        gc.enable()
        os.close(source)
        os.close(output)


@pytest.mark.parametrize("missing", [{"landlock"}, {"seccomp"}, set()])
def test_one_of_the_two_filters_is_enough(monkeypatch, missing):
    assert run(monkeypatch, ALL - missing) == (b"parsed", True)


@pytest.mark.parametrize("missing", [{"landlock", "seccomp"}, {"limits"}, {"no_new_privs"}, ALL])
def test_anything_less_parses_nothing(monkeypatch, missing):
    frame, parsed = run(monkeypatch, ALL - missing)
    assert not parsed
    with pytest.raises(IngestError) as caught:
        wire.decode(frame)
    assert caught.value.code == zygote.UNCONFINED
