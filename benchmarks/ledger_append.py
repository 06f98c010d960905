"""Appending: the limits, the bare pipeline, and the whole log on SQLite and PostgreSQL.

The bare pipeline is what any such log must do: check the signatures (two threads), hash the
leaf, write leaf and unique key durably (SQLite, synchronous=FULL), grow the tree.
"""

import itertools
import os
import secrets
import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from nacl.bindings import crypto_sign_open

from benchmarks.harness import Figure, rate
from benchmarks.workload import Signers, notes, submissions
from ledger import Submission, collector, entry_bytes, make_leaf, pae
from ledger.leaf import format_leaf
from ledger.log import Log
from ledger.merkle import Frontier, leaf_hash, tree_root
from ledger.note import Ed25519Signer
from ledger.publish import Publisher
from ledger.state import State
from ledger.store_sql import SqlStore

REQUEST = 498  # whole people: a grant must come after its dataset
BATCH = 4096
WRITERS = 16  # as many as the clients of the HTTP figure
FULL, QUICK = 200_000, 10_000
Row = tuple[int, bytes, bytes]


def limits(place: Path, quick: bool) -> list[Figure]:
    """Measure what the machine can do at most: one kind of work at a time."""
    made = list(itertools.islice(notes(), 4_000 if quick else 20_000))
    signed = [one for entry in made for one in _signed(entry)]
    leaves = [_leaf(entry) for entry in made]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    size = sum(map(len, leaves)) / len(leaves)
    rows = [(i, leaf, os.urandom(32)) for i, leaf in enumerate(leaves)]
    counter = itertools.count()

    def durable() -> None:
        bare = _Bare(place / f"limit{next(counter)}.db")
        for at in range(0, len(rows), BATCH):
            bare.write(rows[at : at + BATCH])
        bare.close()

    return [
        Figure("Ed25519 verify, 1 thread", rate(len(signed), lambda: _verify(signed)), "/s"),
        Figure("Ed25519 verify, 2 threads", rate(len(signed), lambda: _verify2(signed)), "/s"),
        Figure(
            f"leaf hash of {size:.0f} B",
            rate(len(leaves), lambda: [leaf_hash(leaf) for leaf in leaves]),
            "/s",
        ),
        Figure("tree over leaf hashes", rate(len(hashes), lambda: tree_root(hashes)), "/s"),
        Figure(f"bare SQLite FULL, batches of {BATCH}", rate(len(rows), durable), "/s"),
    ]


def append(place: Path, quick: bool) -> list[Figure]:
    """Measure the whole log on SQLite with public entries, beside the bare pipeline over them."""
    count = QUICK if quick else FULL
    return _append(place, "public entries", list(notes(count)))


def append_personal(place: Path, quick: bool) -> list[Figure]:
    """The same with personal entries: four signatures for three entries, and sealed grants."""
    return _append(place, "enrol+dataset+grant", submissions(QUICK if quick else FULL))


def _append(place: Path, name: str, entries: list[Submission]) -> list[Figure]:
    count = len(entries)
    bare = bare_pipeline(entries, place / f"bare {name}.db")
    value = through_log(entries, f"sqlite:///{place}/{name}.db")
    return [
        Figure(f"bare pipeline, {name}", bare, "/s", note=f"{count:,} entries"),
        Figure(
            f"verified append, {name}",
            value,
            "/s",
            18_000,
            limit=bare,
            limit_name="bare pipeline",
        ),
        Figure(f"part of the bare pipeline, {name}", value / bare, "", 0.5),
        *_sizes(place / f"{name}.db", count, name),
    ]


def postgres(place: Path, quick: bool) -> list[Figure]:
    """Measure the whole log on PostgreSQL beside the same on SQLite; nothing without a server."""
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import OperationalError

    base = os.environ.get("OMIC_TEST_POSTGRES", "postgresql+psycopg://postgres@127.0.0.1:5432")
    admin = create_engine(f"{base}/postgres", isolation_level="AUTOCOMMIT")
    name = f"omic_bench_{secrets.token_hex(6)}"
    try:
        with admin.connect() as db:
            db.execute(text(f"CREATE DATABASE {name}"))
    except OperationalError:
        return []
    try:
        entries = list(notes(QUICK if quick else FULL // 2))
        sqlite = through_log(entries, f"sqlite:///{place}/compare.db")
        value = through_log(entries, f"{base}/{name}")
    finally:
        with admin.connect() as db:
            db.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()
    return [
        Figure(
            "verified append, PostgreSQL",
            value,
            "/s",
            0.8 * sqlite,
            limit=sqlite,
            limit_name="the same on SQLite",
        )
    ]


def _sizes(path: Path, count: int, name: str) -> list[Figure]:
    size = sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*"))
    return [Figure(f"bytes on disk an entry, {name}", size / count, "B", at_least=False)]


def through_log(entries: Sequence[Submission], url: str) -> float:
    """Append through `Log.submit` from some threads; return entries per second."""
    store = SqlStore(url)
    signer = Ed25519Signer("bench/log", b"k" * 32)
    log = Log(store, Publisher(store, signer), lambda: State(Signers().pins()))
    log.start()
    collector.settle()  # as the server does once it is loaded
    log.submit(entries[:1])  # the compute key of the rest
    requests = iter([entries[at : at + REQUEST] for at in range(1, len(entries), REQUEST)])
    turn = threading.Lock()

    def write() -> None:
        while True:
            with turn:
                request = next(requests, None)
            if request is None:
                return
            log.submit(request)

    start = perf_counter()
    threads = [threading.Thread(target=write) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = perf_counter() - start
    if log.head.size != len(entries):
        raise RuntimeError(f"{log.head.size} of {len(entries)} entries are in the log")
    log.stop()
    store.close()
    return len(entries) / seconds


class _Bare:
    """Leaves and a unique key in SQLite, as durable as the log's own store."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        for statement in (
            "PRAGMA journal_mode=WAL",
            "PRAGMA synchronous=FULL",
            "CREATE TABLE leaves (at INTEGER PRIMARY KEY, data BLOB NOT NULL)",
            "CREATE TABLE names (name BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
        ):
            self._db.execute(statement)

    def write(self, rows: Sequence[Row]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany("INSERT INTO leaves VALUES (?, ?)", [(r[0], r[1]) for r in rows])
        self._db.executemany("INSERT INTO names VALUES (?, ?)", [(r[2], r[0]) for r in rows])
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()


def bare_pipeline(entries: Sequence[Submission], path: Path) -> float:
    """Verify, hash, write durably, grow the tree, with everything parsed before."""
    work = [(_signed(entry), _leaf(entry)) for entry in entries]
    bare, frontier = _Bare(path), Frontier()
    start = perf_counter()
    with ThreadPoolExecutor(2) as pool:
        halves = iter(work[at : at + BATCH // 2] for at in range(0, len(work), BATCH // 2))
        verified = pool.map(_verify_all, halves)
        index = 0
        for part in verified:
            hashes = [leaf_hash(leaf) for leaf in part]
            frontier = frontier.extend(hashes)
            rows = [
                (index + i, leaf, one)
                for i, (leaf, one) in enumerate(zip(part, hashes, strict=True))
            ]
            bare.write(rows)
            index += len(part)
    seconds = perf_counter() - start
    bare.close()
    return len(entries) / seconds


Signed = tuple[bytes, bytes]


def _signed(entry: Submission) -> list[Signed]:
    one = entry.entry
    message = pae(one.type, one.version, one.payload_bytes)
    return [(s.parts[0] + message, s.public_key) for s in one.signatures]


def _leaf(entry: Submission) -> bytes:
    return format_leaf(make_leaf(entry.entry, entry.salt, 1_700_000_000_000)) or entry_bytes(
        entry.entry
    )


def _verify(items: Sequence[Signed]) -> None:
    for signed, key in items:
        crypto_sign_open(signed, key)


def _verify2(items: Sequence[Signed]) -> None:
    half = len(items) // 2
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_verify, (items[:half], items[half:])))


def _verify_all(work: Sequence[tuple[list[Signed], bytes]]) -> list[bytes]:
    for signed, _ in work:
        _verify(signed)
    return [leaf for _, leaf in work]
