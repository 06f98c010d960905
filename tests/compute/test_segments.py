"""Segment files: appended, erased by holes, compacted; a crash at any moment loses nothing."""

import os
import subprocess
import sys

import pytest

from compute import segments
from compute.heads import fresh_head
from compute.sealing import LocalKms, StoreError
from compute.segments import SegmentFiles
from compute.store import CohortStore

KEK = b"k" * 32


def head(dataset):
    return fresh_head(dataset, f"g-{dataset}", "genotypes", 0)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(segments, "FULL", 50_000)
    made = CohortStore(tmp_path / "store.sqlite", LocalKms(KEK))
    yield made
    made.close()


def fill(store, count=40, size=5_000):
    data = {f"d{n:02}": os.urandom(size) for n in range(count)}
    for name, one in data.items():
        store.put(head(name), [one[:100], b"", one[100:]])
    return data


def whole(store, name):
    return b"".join(store.chunk(name, n) for n in range(3))


def test_many_people_share_few_files_that_only_their_owner_may_read(store, tmp_path):
    data = fill(store)
    files = list((tmp_path / "store.segments").iterdir())
    assert len(files) == 4
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)
    assert all(whole(store, name) == one for name, one in data.items())


def test_erasing_one_person_is_a_hole_and_moves_nobody(store, tmp_path):
    data = fill(store)
    places = {name: store.copies([name])[name].extent for name in data}
    assert store.destroy_grants(["g-d07"]) == 1
    extent = places["d07"]
    raw = (tmp_path / "store.segments" / f"{extent.segment}.seg").read_bytes()
    assert raw[extent.offset : extent.offset + extent.length] == bytes(extent.length)
    for name, one in data.items():
        if name != "d07":
            assert store.copies([name])[name].extent == places[name]
            assert whole(store, name) == one


def test_erasing_writes_zeros_where_no_hole_can_be_punched(store, tmp_path, monkeypatch):
    data = fill(store, 2)
    monkeypatch.setattr(segments, "_punch", lambda *_: False)
    store.destroy_grants(["g-d00"])
    raw = b"".join(f.read_bytes() for f in (tmp_path / "store.segments").iterdir())
    assert data["d00"][200:400] not in raw
    assert whole(store, "d01") == data["d01"]


def test_compaction_keeps_every_living_copy_and_removes_the_rest(store, tmp_path):
    data = fill(store)
    gone = [f"d{n:02}" for n in range(40) if n % 5]
    store.destroy_grants([f"g-{name}" for name in gone])
    assert store.compact() > 0
    assert len(store.segments.names()) < 4
    for name in data:
        if name in gone:
            with pytest.raises(StoreError):
                store.chunk(name, 0)
        else:
            assert whole(store, name) == data[name]
    assert store.compact() == 0


def test_a_reader_finds_a_copy_that_compaction_moved(store):
    data = fill(store)
    before = store.copies(["d00"])["d00"]
    store.destroy_grants([f"g-d{n:02}" for n in range(1, 40)])
    store.segments.close()
    store.compact()
    assert bytes(store.messages(before).view) == data["d00"]


def test_a_segment_another_process_writes_to_is_left_alone(store, tmp_path):
    fill(store, 2)
    other = SegmentFiles(tmp_path / "store.segments")
    with other.claimed(store.segments.names()[0]) as ours:
        assert not ours
    assert other.append([b"x"]).segment not in store.segments.names()[:0]
    store.segments.close()
    with other.claimed(store.copies(["d00"])["d00"].extent.segment) as ours:
        assert ours
    other.close()


CRASH = """
import os, sys
from pathlib import Path
from compute import segments, store as s
from compute.sealing import LocalKms
from compute.heads import fresh_head
from compute.store import CohortStore
at = int(sys.argv[2])
calls = 0
def crash(function):
    def wrapped(*a, **k):
        global calls
        calls += 1
        if calls == at:
            os._exit(9)
        return function(*a, **k)
    return wrapped
store = CohortStore(Path(sys.argv[1]), LocalKms(b"k" * 32))
for name in ("fdatasync", "fsync"):
    setattr(os, name, crash(getattr(os, name)))
segments.SegmentFiles.remove = crash(segments.SegmentFiles.remove)
segments.SegmentFiles.erase = crash(segments.SegmentFiles.erase)
CohortStore._move = crash(CohortStore._move)
store.put(fresh_head("new", "g-new", "genotypes", 0), [b"n" * 5000])
store.destroy_grants(["g-d00", "g-d01", "g-d02"])
store.compact(1.1)
"""


def test_a_crash_at_any_step_of_put_erase_and_compaction_loses_nobody(tmp_path):
    at, code = 0, 9
    while code == 9:
        at += 1 if at < 4 else 2
        folder = tmp_path / str(at)
        store = CohortStore(folder / "s.sqlite", LocalKms(KEK))
        data = fill(store, 6)
        store.close()
        run = [sys.executable, "-c", CRASH, str(folder / "s.sqlite"), str(at)]
        code = subprocess.run(run, check=False, timeout=60).returncode
        assert code in (0, 9)
        again = CohortStore(folder / "s.sqlite", LocalKms(KEK))
        for name in ("d03", "d04", "d05"):
            assert whole(again, name) == data[name]
        for name in ("d00", "d01", "d02", "new"):
            if again.head(name) is not None:
                again.chunk(name, 0)
        again.compact()
        for name in ("d03", "d04", "d05"):
            assert whole(again, name) == data[name]
        again.close()
    assert at > 8
