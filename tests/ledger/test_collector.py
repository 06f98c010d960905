"""The garbage collector is left as it was found, and set aside only for whole processes."""

import gc
import subprocess
import sys

import pytest

from ledger.collector import paused


def test_a_pause_ends_with_its_block_even_by_an_error():
    assert gc.isenabled()
    with pytest.raises(KeyError), paused():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_a_pause_inside_a_pause_stays_one():
    with paused():
        with paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_settling_keeps_collecting_new_cycles():
    code = (
        "import gc\nfrom ledger.collector import settle\nsettle()\n"
        "class A: pass\na = A()\na.a = a\ndel a\n"
        "assert gc.isenabled() and gc.get_freeze_count() and gc.collect() >= 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
