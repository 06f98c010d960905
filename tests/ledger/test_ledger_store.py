"""One contract, two databases: what `ledger.store` promises, on SQLite and on PostgreSQL."""

import os
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import event

from ledger.errors import NotFoundError, StoreError
from ledger.merkle import EMPTY_ROOT, leaf_hash
from ledger.store import Batch, Head, Row
from ledger.store_sql import SqlStore, _in_powers


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return request.getfixturevalue("postgres_database")


@pytest.fixture
def store(url):
    store = SqlStore(url)
    yield store
    store.close()


def rows_after(head, count, **extra):
    return [
        Row(head.size + i, b"leaf %d" % (head.size + i), (os.urandom(32),), **extra)
        for i in range(count)
    ]


def append(store, count=3, time=7, tiles=None, batch=None, **extra):
    old = store.head()
    rows = rows_after(old, count, **extra)
    new = Head(old.frontier.extend(leaf_hash(row.leaf) for row in rows), time)
    store.append(old, new, batch(rows) if batch else Batch(rows, tiles or {}))
    return rows


def test_empty(store):
    assert (store.head().size, store.head().root, store.published()) == (0, EMPTY_ROOT, None)
    assert store.leaves(0, 0) == []
    assert store.tile(0, 0) is None
    assert store.access_tree(b"r" * 32) is None


def test_append_moves_the_head_and_is_there_for_another_connection(store, url):
    rows = append(store, 3) + append(store, 2)
    reader = SqlStore(url, writer=False)
    try:
        assert reader.head() == store.head()
        assert reader.head().time == 7
        assert reader.leaves(0, 5) == [row.leaf for row in rows]
        assert reader.find([rows[4].identities[0], b"?" * 32]) == {rows[4].identities[0]: 4}
    finally:
        reader.close()


def test_append_is_refused_when_the_head_moved(store):
    stale = store.head()
    append(store, 1)
    rows = rows_after(stale, 1)
    new = Head(stale.frontier.append(leaf_hash(rows[0].leaf)), 1)
    with pytest.raises(StoreError, match="another writer"):
        store.append(stale, new, Batch(rows, {}))
    assert store.head().size == 1


def test_append_is_refused_when_the_root_differs_at_the_same_size(store):
    append(store, 2)
    other = Head(Head().frontier.extend([leaf_hash(b"x"), leaf_hash(b"y")]), 7)
    row = Row(2, b"z", (os.urandom(32),))
    with pytest.raises(StoreError, match="another writer"):
        store.append(other, Head(other.frontier.append(leaf_hash(b"z")), 8), Batch([row], {}))
    assert store.head().size == 2


def test_one_of_two_racing_appends_wins(store):
    old = store.head()
    results = []

    def race(name):
        row = Row(0, name, (os.urandom(32),))
        try:
            store.append(old, Head(old.frontier.append(leaf_hash(name)), 1), Batch([row], {}))
            results.append(name)
        except StoreError:
            results.append(None)

    threads = [threading.Thread(target=race, args=(b"%d" % i,)) for i in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    (winner,) = [name for name in results if name]
    assert store.leaves(0, 1) == [winner]


def test_a_failed_append_writes_nothing(store):
    first = append(store, 1)
    old = store.head()
    rows = rows_after(old, 2)
    rows[1] = Row(2, b"again", first[0].identities)  # its identity is taken
    new = Head(old.frontier.extend(leaf_hash(row.leaf) for row in rows), 9)
    with pytest.raises(StoreError):
        store.append(old, new, Batch(rows, {(0, 0): b"t" * 32}))
    assert store.head() == old
    assert store.tile(0, 0) is None
    with pytest.raises(NotFoundError, match="leaf 1"):
        store.leaves(0, 2)


def test_tiles_are_replaced_and_trees_kept(store):
    append(store, 1, tiles={(0, 0): b"a" * 32})
    append(
        store,
        1,
        batch=lambda rows: Batch(
            rows, {(0, 0): b"b" * 64, (1, 0): b"c" * 32}, {b"r" * 32: b"tree"}
        ),
    )
    assert store.tile(0, 0) == b"b" * 64
    assert store.tile(1, 0) == b"c" * 32
    assert store.access_tree(b"r" * 32) == b"tree"


def test_published_is_replaced(store):
    store.publish(0, EMPTY_ROOT, b"first", 1)
    store.publish(0, EMPTY_ROOT, b"second", 2)
    assert store.published() == b"second"


def test_envelopes_and_attachments_and_erasing_in_the_same_step(store):
    extra = {"envelope": (b"entry", b"s" * 32), "attachments": {"sealed_grant": b"grant"}}
    append(store, 3, **extra)
    assert store.envelopes([0, 2, 9]) == {0: (b"entry", b"s" * 32), 2: (b"entry", b"s" * 32)}
    assert store.attachments([1], "sealed_grant") == {1: b"grant"}
    assert store.attachments([1], "other") == {}
    append(store, 1, batch=lambda rows: Batch(rows, {}, erase=[0], drop=[1]))
    assert store.envelopes([0, 1]).keys() == {1}
    assert store.attachments([0, 1, 2], "sealed_grant").keys() == {2}
    append(store, 1, batch=lambda rows: Batch(rows, {}, erase=[1], drop=[2]))
    assert store.attachments([2], "sealed_grant") == {}
    assert store.envelopes([1, 2]).keys() == {2}


def test_many_rows(store):
    rows = append(store, 1200)
    wanted = [row.identities[0] for row in rows]
    assert store.find(wanted) == {name: i for i, name in enumerate(wanted)}
    assert len(store.leaves(100, 1200)) == 1100


def test_a_second_writer_is_refused_and_let_in_after_the_first(url):
    first = SqlStore(url)
    with pytest.raises(StoreError, match="another process"):
        SqlStore(url)
    first.close()
    SqlStore(url).close()


def test_schema_of_a_newer_program_is_refused(store, url):
    from sqlalchemy import text

    with store.engine.begin() as db:
        db.execute(text("UPDATE ledger_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer than this program"):
        SqlStore(url, writer=False)


def test_migrations_make_the_tables_of_the_model(store):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from ledger.tables import LedgerTable

    with store.engine.connect() as db:
        context = MigrationContext.configure(db, opts={"version_table": "ledger_version"})
        assert compare_metadata(context, LedgerTable.metadata) == []


def test_database_not_there():
    with pytest.raises(StoreError, match="cannot open"):
        SqlStore("sqlite:////nonexistent-directory/x.db")
    with pytest.raises(StoreError, match="cannot open"):
        SqlStore("postgresql+psycopg://postgres@127.0.0.1:1/none?connect_timeout=1")


# What only SQLite promises.


@pytest.fixture
def sqlite_store(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/ledger.db")
    yield store
    store.close()


def raw_bytes(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.glob("ledger.db*"))


def canary(index: int) -> bytes:
    return b"CANARY-%08d-" % index


def test_settings_of_every_connection(sqlite_store):
    with sqlite_store.engine.connect() as db:
        got = [db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
               ("journal_mode", "synchronous", "secure_delete")]  # fmt: skip
    assert got == ["wal", 2, 1]


def test_database_file_is_private(sqlite_store, tmp_path):
    assert (tmp_path / "ledger.db").stat().st_mode & 0o077 == 0


def test_erased_bytes_are_in_no_file(sqlite_store, tmp_path):
    # Several page sizes' worth, so that overflow pages and the free list are used.
    for index in range(60):
        repeat = 1 + index % 7 * 60
        extra = {
            "envelope": (canary(index) * repeat, os.urandom(32)),
            "attachments": {"sealed_grant": canary(index + 1000) * repeat},
        }
        append(sqlite_store, 1, **extra)
    assert canary(10) in raw_bytes(tmp_path)
    assert canary(1010) in raw_bytes(tmp_path)
    gone = list(range(0, 60, 2))
    append(sqlite_store, 1, batch=lambda rows: Batch(rows, {}, erase=gone))
    sqlite_store.scrub()
    raw = raw_bytes(tmp_path)
    assert not [i for i in gone if canary(i) in raw or canary(i + 1000) in raw]
    assert all(canary(i) in raw and canary(i + 1000) in raw for i in range(1, 60, 2))


def test_without_the_scrub_the_log_file_still_shows_it(sqlite_store, tmp_path):
    # The positive control of the test above: a plain delete is not enough.
    append(sqlite_store, 1, envelope=(canary(1), os.urandom(32)))
    append(sqlite_store, 1, batch=lambda rows: Batch(rows, {}, erase=[0]))
    assert sqlite_store.envelopes([0]) == {}
    assert canary(1) in raw_bytes(tmp_path)
    sqlite_store.scrub()
    assert canary(1) not in raw_bytes(tmp_path)


def test_scrub_says_so_when_a_reader_is_in_the_way(sqlite_store, tmp_path, monkeypatch):
    monkeypatch.setattr("ledger.store_sql.SCRUB_SECONDS", 0.0)
    monkeypatch.setattr("ledger.database.BUSY_MS", 1)
    append(sqlite_store, 1, envelope=(canary(1), os.urandom(32)))
    other = sqlite3.connect(tmp_path / "ledger.db")
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM leaves").fetchone()
    with sqlite_store.engine.connect() as db:
        db.exec_driver_sql("PRAGMA busy_timeout=1")
    append(sqlite_store, 1, batch=lambda rows: Batch(rows, {}, erase=[0]))
    with sqlite_store.engine.connect() as db:
        db.exec_driver_sql("PRAGMA busy_timeout=1")
    with pytest.raises(StoreError, match="long-running reader"):
        sqlite_store.scrub()
    other.close()
    sqlite_store.scrub()
    assert canary(1) not in raw_bytes(tmp_path)


def test_disk_full_writes_nothing_and_heals(sqlite_store):
    append(sqlite_store, 1)
    before = sqlite_store.head()
    limit = {"pages": 1}

    def small(connection, _record, _proxy):
        connection.execute(f"PRAGMA max_page_count={limit['pages']}")

    event.listen(sqlite_store.engine, "checkout", small)
    with pytest.raises(StoreError, match="full"):
        append(sqlite_store, 1, envelope=(b"x" * 500_000, b"s" * 32))
    assert sqlite_store.head() == before
    limit["pages"] = 1 << 30
    append(sqlite_store, 1, envelope=(b"x" * 500_000, b"s" * 32))
    assert sqlite_store.head().size == 2


def test_a_damaged_head_is_named(sqlite_store):
    append(sqlite_store, 2)
    with sqlite_store.engine.begin() as db:
        db.exec_driver_sql("UPDATE heads SET root = zeroblob(32)")
    with pytest.raises(StoreError, match="does not match its own root"):
        sqlite_store.head()
    with sqlite_store.engine.begin() as db:
        db.exec_driver_sql("UPDATE heads SET data = x'00'")
    with pytest.raises(StoreError, match="damaged"):
        sqlite_store.head()


@pytest.mark.parametrize("count", [0, 1, 3, 4, 1023, 1024, 1025, 2731])
def test_rows_are_cut_into_powers_of_four_and_none_is_lost(count):
    rows = [(i,) for i in range(count)]
    parts = list(_in_powers(rows))
    assert [row for part in parts for row in part] == rows
    assert {len(part) for part in parts} <= {1, 4, 16, 64, 256, 1024}
