"""Reading: proofs in a large tree, the fold, following and auditing a log, and memory."""

import gc
import hashlib
import json
import random
import sqlite3
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import perf_counter

from benchmarks.harness import Figure, percentile
from benchmarks.ledger_append import _signed, _verify2, through_log
from benchmarks.workload import (
    ENTRIES_OF_PERSON,
    START,
    TERMS,
    TERMS_SHA256,
    Signers,
    compute_key,
    ident,
    notes,
    submissions,
)
from ledger import (
    Entry,
    Follower,
    Record,
    State,
    Submission,
    audit_ledger,
    b64,
    canonical,
    collector,
    complete_payload,
    entry_bytes,
    fingerprint,
    format_leaf,
    make_leaf,
    parse_entry_bytes,
    parse_leaf,
    public_key,
)
from ledger.admission import identities
from ledger.envelope import Signature
from ledger.growth import grow_tiles, load_edge
from ledger.log import Published
from ledger.merkle import Frontier, leaf_hash, verify_inclusion
from ledger.reader import Reader
from ledger.snapshot import Snapshot, Snapshots
from ledger.store import Batch, Head, Row
from ledger.store_sql import SqlStore
from ledger.tiles import TILE_HEIGHT
from tests.ledger.ledger_world import World, eventually, memory_kib, now_ms

OWNERS_PLANNED = 65_000_000


def proofs(place: Path, quick: bool) -> list[Figure]:
    """Time inclusion proofs, read from a tiled store; synthetic: leaf hashes without their leaves.

    The tiles are made by the store's own append, as the log makes them.
    """
    size = 1_000_000 if quick else 10_000_000
    store = SqlStore(f"sqlite:///{place}/tiles.db")
    tenth = _tree(store, Head(), size // 10)
    before = memory_kib("self")
    head = _tree(store, tenth, size)
    grown = (memory_kib("self") - before) / 1024
    reader = Reader(store, lambda: Published(size, head.root, b""))
    draw = random.Random(1)
    wanted = [draw.randrange(size) for _ in range(300 if quick else 2000)]
    times = []
    for index in wanted:
        start = perf_counter()
        proof = reader.inclusion(index, size)
        times.append(perf_counter() - start)
        verify_inclusion(index, size, leaf_hash(b"%d" % index), proof, head.root)
    store.close()
    path = place / "tiles.db"
    limit = statistics.median(_bare_reads(path, wanted, size)) * 1000
    middle, slow = statistics.median(times) * 1000, percentile(times, 0.99) * 1000
    bare = "its tiles by plain SQLite"
    levels, planned = _levels(size), OWNERS_PLANNED * ENTRIES_OF_PERSON
    return [
        Figure(f"inclusion proof at {size:,}, median", middle, "ms", 2.0, at_least=False,
               limit=limit, limit_name=bare),
        Figure(f"inclusion proof at {size:,}, p99", slow, "ms", 2.0, at_least=False),
        Figure(f"memory from {size // 10:,} to {size:,} entries", grown, "MiB", 0,
               at_least=False, note="resident; SQLite fills a page cache of 8 MiB"),
        Figure("bytes of tiles an entry", path.stat().st_size / size, "B", at_least=False,
               note=f"at {size:,}"),
        Figure("inclusion proof for 65 million owners", middle * _levels(planned) / levels, "ms",
               at_least=False,
               note=f"extrapolated: {_levels(planned)} tiles instead of {levels}"),
    ]  # fmt: skip


def _levels(size: int) -> int:
    """Return how many levels of tiles a tree has, which is how many a proof reads at most."""
    return -(-(size - 1).bit_length() // TILE_HEIGHT)


def _bare_reads(path: Path, wanted: Sequence[int], size: int) -> list[float]:
    """Time reading the tiles above each leaf and nothing else."""
    times = []
    with closing(sqlite3.connect(path)) as db:
        for index in wanted:
            start = perf_counter()
            for level in range(_levels(size)):
                at = (level, index >> TILE_HEIGHT * (level + 1))
                db.execute("SELECT data FROM tiles WHERE level=? AND tile_index=?", at).fetchone()
            times.append(perf_counter() - start)
    return times


def _tree(store: SqlStore, head: Head, size: int) -> Head:
    """Grow a tree to `size` leaf hashes."""
    edge = load_edge(head.size, lambda level, at: store.tile(level, at) or b"")
    for start in range(head.size, size, 1 << 16):
        hashes = [leaf_hash(b"%d" % i) for i in range(start, min(size, start + (1 << 16)))]
        frontier, made = head.frontier.grow(hashes)
        tiles, edge = grow_tiles(edge, start, made)
        new = Head(frontier, 1)
        store.append(head, new, Batch([], tiles))
        head = new
    return head


def plan(place: Path, quick: bool) -> list[Figure]:
    """Measure what an owner and a change of consent take on disk, and what 65 million would.

    Real entries with envelopes and sealed grants, written by the store's append. Linear: the
    trees that find them grow by less than a hundredth from here to 65 million owners.
    """
    made = submissions(3_001 if quick else 60_001)[1:]
    owner = _disk(place / "owners.db", made) * ENTRIES_OF_PERSON
    change = _disk(place / "grants.db", made[2::ENTRIES_OF_PERSON])
    note = f"measured over {len(made):,} entries"
    return [
        Figure("bytes on disk an owner", owner, "B", at_least=False,
               note=f"enrolment, dataset, grant with its seal; {note}"),
        Figure("bytes on disk a consent change", change, "B", at_least=False,
               note="a new or rekeyed grant with its seal; a withdrawal is smaller"),
        Figure("disk for 65 million owners", owner * OWNERS_PLANNED / 1e12, "TB", at_least=False,
               note="extrapolated"),
    ]  # fmt: skip


def _disk(path: Path, entries: Sequence[Submission]) -> float:
    """Return the bytes of a store an entry, once its write-ahead log is copied back."""
    store, head, edge = SqlStore(f"sqlite:///{path}"), Head(), dict[int, bytes]()
    for at in range(0, len(entries), 4096):
        rows = [_row(i, one) for i, one in enumerate(entries[at : at + 4096], at)]
        frontier, grown = head.frontier.grow(leaf_hash(row.leaf) for row in rows)
        tiles, edge = grow_tiles(edge, at, grown)
        new = Head(frontier, 1)
        store.append(head, new, Batch(rows, tiles))
        head = new
    store.scrub()
    store.close()
    return path.stat().st_size / len(entries)


def _row(index: int, one: Submission) -> Row:
    data = entry_bytes(one.entry)
    leaf = make_leaf(one.entry, one.salt, START)
    names = identities(leaf, data, one.entry.payload["id"])
    return Row(index, format_leaf(leaf), names, (data, one.salt or b""), one.attachments)


def fold(place: Path, quick: bool) -> list[Figure]:
    """Fold consents: parsing and folding, without signatures, which are measured elsewhere."""
    count = 60_000 if quick else 1_000_000
    state = State(Signers().pins())
    first = compute_key().entry
    state.apply(Record(0, make_leaf(first, None, START), first))
    seconds, parsing, made = 0.0, 0.0, _raw(count)
    with collector.paused():  # as log, follower and audit do
        while part := list(islice(made, 6_000)):
            start = perf_counter()
            for leaf, entry, salt in part:
                state.apply(Record(state.size, parse_leaf(leaf), parse_entry_bytes(entry), salt))
            seconds += perf_counter() - start
            payloads = [parse_entry_bytes(entry).payload_bytes for _, entry, _ in part]
            start = perf_counter()
            for payload in payloads:
                json.loads(payload)
            parsing += perf_counter() - start
    if state.violations or len(state.live_grants()) != state.size // 3:
        raise RuntimeError("the fold did not take every entry")
    done, start = state.size, perf_counter()
    state.live_grants()
    live = perf_counter() - start
    note = f"measured over {done:,}; enrol, dataset and grant of each person"
    return [
        Figure("fold of 1,000,000 consent entries", seconds / done * 1e6, "s", 60,
               at_least=False, limit=parsing / done * 1e6,
               limit_name="json.loads of the same payloads", note=note),
        Figure("live grants of one person", live / (done // 3) * 1e6, "us", at_least=False),
        Figure("memory of the fold a person", memory_kib("self") * 1024 / (done // 3), "B",
               at_least=False, note="whole process"),
    ]  # fmt: skip


def resume(place: Path, quick: bool) -> list[Figure]:
    """Keep a fold and go on from it: what a restart costs instead of folding from the start."""
    count = 60_000 if quick else 300_000
    state = State(Signers().pins())
    first = compute_key().entry
    state.apply(Record(0, make_leaf(first, None, START), first))
    for leaf, entry, salt in _raw(count):
        state.apply(Record(state.size, parse_leaf(leaf), parse_entry_bytes(entry), salt))
    snapshots = Snapshots(place / "fold", b"k" * 32)
    start = perf_counter()
    snapshots.save(Snapshot(state, Frontier(), [], [], ""))
    saved = perf_counter() - start
    start = perf_counter()
    found = snapshots.load(Signers().pins(), personal=True)
    loaded = perf_counter() - start
    if found is None or len(found.state.live_grants()) != len(state.live_grants()):
        raise RuntimeError("the fold did not come back")
    size, note = (place / "fold").stat().st_size, f"measured over {count:,}"
    million = 1e6 / count
    return [
        Figure("keep a fold of 1,000,000", saved * million, "s", at_least=False, note=note),
        Figure("resume a fold of 1,000,000", loaded * million, "s", at_least=False, note=note),
        Figure("bytes of a kept fold an entry", size / count, "B", at_least=False),
    ]


def _raw(count: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield (leaf, entry bytes, salt) of consents with signatures nobody checks."""
    attester = public_key(Signers().attester)
    for number in range(count // 3):
        own = hashlib.sha256(b"key %d" % number).digest()
        owner, dataset = ident("o", number), ident("d", number)
        key = {"public_key": b64(own), "kind": "ed25519", "use": "sign"}
        enrol = {"party": owner, "role": "owner", "keys": [key]}
        register = {
            "dataset": dataset,
            "owner": owner,
            "participant": ident("p", number),
            "modality": "genotypes",
            "signing_key": b64(own),
            "ciphertext": {"sha256": "11" * 32, "size": 70_000, "header_size": 124},
            "format": {},
            "region": "local",
            "controller": None,
            "custodian": None,
        }
        grant = {
            "grant": ident("g", number),
            "owner": owner,
            "dataset": dataset,
            "offer": None,
            "terms": TERMS,
            "terms_sha256": TERMS_SHA256,
            "facets": {"population": "CEU"},
            "recipient": {"key_id": "epoch-1", "region": "local"},
            "sealed_grant_sha256": own.hex(),
            "activity_commitment": own.hex(),
            "order": None,
        }
        for type_, fields, keys in (
            ("party.registered", enrol, (own, attester)),
            ("dataset.registered", register, (own,)),
            ("consent.granted", grant, (own,)),
        ):
            common = {"id": ident(type_, number), "time": START}
            value = complete_payload(type_, {**common, **fields}, fingerprint(own))
            signatures = tuple(Signature("ed25519", one, (bytes(64),)) for one in keys)
            entry = Entry(type_, 1, canonical(value), signatures)
            salt = own
            yield format_leaf(make_leaf(entry, salt, START)), entry_bytes(entry), salt


def bench_world(place: Path) -> World:
    """A ledger with three witnesses whose trust file pins this benchmark's keys."""
    world = World(place)
    pins = replace(Signers().pins(), operator=world.trust.pins.operator)
    world.trust = replace(world.trust, pins=pins)
    world.trust_path.write_bytes(world.trust.format())
    return world


def follow(place: Path, quick: bool) -> list[Figure]:
    """Follow and audit a log with all its envelopes, over HTTP from another process."""
    count = 6_001 if quick else 60_001
    figures = _follow(place, submissions(count), (("with envelopes", True), ("public part", False)))
    days = OWNERS_PLANNED * ENTRIES_OF_PERSON / figures[0].value / 86_400
    return [
        *figures,
        Figure("days to rebuild 65 million owners", days, "d", at_least=False, note="extrapolated"),
    ]


def follow_public(place: Path, quick: bool) -> list[Figure]:
    """The same on a log of public entries, each with one signature, which anybody can follow."""
    count = 6_000 if quick else 60_000
    return _follow(place, list(notes(count)), (("public entries", False),))


def _follow(
    place: Path, entries: list[Submission], kinds: Sequence[tuple[str, bool]]
) -> list[Figure]:
    count = len(entries)
    world = bench_world(place)
    signed = [one for entry in entries for one in _signed(entry)]
    start = perf_counter()
    _verify2(signed)
    limit = count / (perf_counter() - start)
    through_log(entries, f"sqlite:///{world.ledger_dir}/ledger.db")
    figures = []
    try:
        for directory in world.witness_dirs:
            world.spawn(directory=directory, module="ledger.witness")
        for port in world.witness_ports:
            world.wait_healthy(world.url_of(port))
        world.spawn()
        world.wait_healthy()
        client = world.client(world.tokens.envelopes)
        eventually(lambda: client.checkpoint().startswith(f"{world.trust.origin}\n{count}\n"))
        for name, personal in kinds:
            follower = Follower(client, world.trust, personal=personal)
            start = perf_counter()
            follower.sync()
            value = count / (perf_counter() - start)
            if personal and len(follower.state.live_grants()) != (count - 1) // 3:
                raise RuntimeError("the follower did not fold every grant")
            figures.append(_read_figure(f"follower catch-up, {name}", value, 20_000, limit))
            start = perf_counter()
            report = audit_ledger(
                client, world.trust, envelopes=client if personal else None, now=now_ms()
            )
            value = count / (perf_counter() - start)
            if not report.ok:
                raise RuntimeError(report.words())
            figures.append(_read_figure(f"audit, {name}", value, 15_000, limit))
    finally:
        world.close()
    return figures


def _read_figure(name: str, value: float, target: float, limit: float) -> Figure:
    return Figure(name, value, "/s", target, limit=limit, limit_name="signatures, 2 threads")


def memory(place: Path, quick: bool) -> list[Figure]:
    """Measure how a log's memory grows with public entries, in a process of its own."""
    count = 20_000 if quick else 200_000
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from benchmarks.ledger_read import grow\n"
        "if __name__ == '__main__':\n"
        "    grow(Path(sys.argv[1]), int(sys.argv[2]))\n"
    )
    script = place / "grow.py"
    script.write_text(code)
    out = subprocess.run(
        [sys.executable, str(script), str(place), str(count)],
        env={"PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = map(int, out.stdout.split())
    growth = (after - before) * 1024 / (count * 3 // 4)
    return [Figure("memory of the log a public entry", growth, "B", 0, at_least=False)]


def grow(place: Path, count: int) -> None:
    """Print resident memory after a quarter of the entries, and after all."""
    from benchmarks.workload import notes
    from ledger.log import Log
    from ledger.note import Ed25519Signer
    from ledger.publish import Publisher

    store = SqlStore(f"sqlite:///{place}/grow.db")
    log = Log(
        store, Publisher(store, Ed25519Signer("b/l", b"k" * 32)), lambda: State(Signers().pins())
    )
    log.start()
    made = notes(count)
    for at in range(0, count, 500):
        log.submit(list(islice(made, 500)))
        if at == count // 4 - 500:
            gc.collect()
            print(memory_kib("self"))
    gc.collect()
    print(memory_kib("self"))
    log.stop()
    store.close()
