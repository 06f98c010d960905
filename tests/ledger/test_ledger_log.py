"""The sequencer: what is admitted, in what order, how durable, and what survives a failure."""

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from ledger.admission import Draft, EntryError, leaf_at, prepare
from ledger.envelope import Signature, Submission
from ledger.errors import FormatError, RefusedError, StaleError, StoreError, VerificationError
from ledger.growth import grow_tiles, load_edge
from ledger.leaf import format_leaf, parse_leaf
from ledger.log import MAX_REQUEST_ENTRIES, Log
from ledger.merkle import Frontier, leaf_hash, root_from_reader, tree_root
from ledger.note import Ed25519Signer
from ledger.publish import Publisher, reader_for
from ledger.state import State
from ledger.store_sql import SqlStore
from tests.ledger.ledger_world import Keys, Owner, eventually
from tests.ledger.plain_tiles import changed_tiles


class Setup:
    """A log without witnesses on its own store, with a clock the test moves."""

    def __init__(self, path):
        self.keys = Keys()
        self.url = f"sqlite:///{path}/ledger.db"
        self.now = 1_700_000_000_000
        self.open()

    def open(self):
        self.store = SqlStore(self.url)
        publisher = Publisher(self.store, Ed25519Signer("t/log", b"1" * 32))
        self.log = Log(
            self.store, publisher, lambda: State(self.keys.pins()), clock=lambda: self.now
        )
        self.log.start()

    def close(self):
        self.log.stop()
        self.store.close()

    def submit(self, *submissions):
        return self.log.submit(submissions)


@pytest.fixture
def setup(tmp_path):
    setup = Setup(tmp_path)
    yield setup
    setup.close()


def refused(setup, *submissions):
    with pytest.raises(EntryError) as caught:
        setup.submit(*submissions)
    return caught.value


def test_entries_get_places_in_order_and_leaves_are_stored(setup):
    places = setup.submit(*[setup.keys.note() for _ in range(5)])
    assert [place.index for place in places] == [0, 1, 2, 3, 4]
    assert setup.store.leaves(0, 5) == [place.leaf for place in places]
    assert setup.log.head.root == tree_root(leaf_hash(place.leaf) for place in places)
    assert root_from_reader(reader_for(setup.store, 5), 5) == setup.log.head.root


def test_time_never_goes_back(setup):
    (first,) = setup.submit(setup.keys.note())
    setup.now -= 60_000
    (second,) = setup.submit(setup.keys.note())
    setup.now += 120_000
    (third,) = setup.submit(setup.keys.note())
    assert second.time == first.time
    assert third.time == first.time + 60_000
    assert [parse_leaf(p.leaf).time for p in (first, second, third)] == [
        first.time, second.time, third.time,
    ]  # fmt: skip


def test_time_never_goes_back_over_a_restart(setup):
    (first,) = setup.submit(setup.keys.note())
    setup.close()
    setup.now -= 60_000
    setup.open()
    (second,) = setup.submit(setup.keys.note())
    assert (second.index, second.time) == (1, first.time)


def test_spliced_leaf_is_the_canonical_one(setup):
    owner = Owner(setup.keys)
    for submission in (owner.register(), setup.keys.note(), setup.keys.compute_key()):
        prepared = prepare(submission, None)
        for time in (0, 1_700_000_000_000, 2**53 - 1):
            draft = Draft(0, time)
            draft.add(prepared, leaf_at(prepared, time))
            assert draft.rows[0].leaf == format_leaf(leaf_at(prepared, time))


def test_repeat_keeps_its_place_in_one_request_and_over_a_restart(setup):
    one, two = setup.keys.note(), Owner(setup.keys).register()
    places = setup.submit(one, two, one, two)
    assert [place.index for place in places] == [0, 1, 0, 1]
    setup.close()
    setup.now += 5000
    setup.open()
    assert setup.submit(two, one) == [places[1], places[0]]
    assert setup.log.head.size == 2


def test_an_id_can_be_used_once(setup):
    first = setup.keys.note()
    again = setup.keys.note(id=first.entry.payload["id"])
    setup.submit(first)
    assert isinstance(refused(setup, again).error, RefusedError)
    assert setup.log.head.size == 1


def test_the_same_entry_under_another_salt_is_no_second_leaf(setup):
    one = Owner(setup.keys).register()
    setup.submit(one)
    error = refused(setup, Submission(one.entry, os.urandom(32)))
    assert isinstance(error.error, RefusedError)


def test_all_or_none_and_the_bad_one_is_named(setup):
    good, owner, stranger = setup.keys.note(), Owner(setup.keys), Owner(setup.keys)
    error = refused(setup, good, owner.register(), stranger.register_dataset())
    assert error.number == 2
    assert setup.log.head.size == 0
    # Nothing of the refused request stayed in the state either.
    places = setup.submit(owner.register(), owner.register_dataset(), good)
    assert [place.index for place in places] == [0, 1, 2]
    assert refused(setup, owner.register_dataset()).number == 0


def test_bad_signature_is_refused_before_it_is_sequenced(setup):
    note = setup.keys.note()
    key = note.entry.signatures[0]
    forged = Signature(key.kind, key.public_key, (bytes(64),))
    entry = type(note.entry)(note.entry.type, 1, note.entry.payload_bytes, (forged,))
    assert isinstance(refused(setup, Submission(entry)).error, VerificationError)
    assert setup.log.head.size == 0


def test_unknown_type_wrong_signer_missing_salt_and_attachment(setup):
    note, owner = setup.keys.note(), Owner(setup.keys)
    unknown = type(note.entry)("no.such", 1, note.entry.payload_bytes, note.entry.signatures)
    assert isinstance(refused(setup, Submission(unknown)).error, FormatError)
    setup.submit(setup.keys.compute_key(), owner.register(), owner.register_dataset())
    assert isinstance(refused(setup, Submission(owner.register().entry)).error, RefusedError)
    grant = owner.grant(b"sealed")
    assert isinstance(refused(setup, Submission(grant.entry, grant.salt)).error, RefusedError)
    other = Submission(grant.entry, grant.salt, {"sealed_grant": b"something else"})
    assert isinstance(refused(setup, other).error, RefusedError)
    foreign = Owner(setup.keys)
    foreign.id, foreign.dataset = owner.id, owner.dataset
    assert isinstance(refused(setup, foreign.grant(b"sealed")).error, RefusedError)
    assert setup.log.head.size == 3


def test_request_sizes(setup):
    with pytest.raises(RefusedError):
        setup.submit()
    with pytest.raises(RefusedError):
        setup.submit(*[setup.keys.note()] * (MAX_REQUEST_ENTRIES + 1))


def granted(setup, sealed=b"SEALED-CANARY"):
    owner = Owner(setup.keys)
    grant = owner.grant(sealed)
    places = setup.submit(
        setup.keys.compute_key(), owner.register(), owner.register_dataset(), grant
    )
    return owner, grant, [place.index for place in places]


def raw(tmp_path):
    return b"".join(file.read_bytes() for file in tmp_path.glob("ledger.db*"))


def test_a_withdrawal_deletes_the_sealed_grant_from_the_files(setup, tmp_path):
    owner, grant, places = granted(setup)
    assert setup.store.attachments([places[3]], "sealed_grant") == {places[3]: b"SEALED-CANARY"}
    assert b"SEALED-CANARY" in raw(tmp_path)
    setup.submit(owner.withdraw(grant, places[3]))
    assert setup.store.attachments([places[3]], "sealed_grant") == {}
    assert b"SEALED-CANARY" not in raw(tmp_path)
    assert places[3] in setup.store.envelopes(places)  # a withdrawal is no erasure


def test_a_pause_keeps_the_sealed_grant(setup):
    owner, grant, places = granted(setup)
    setup.submit(owner.pause(grant, places[3]))
    assert setup.store.attachments([places[3]], "sealed_grant") == {places[3]: b"SEALED-CANARY"}


def test_an_erasure_reaches_the_files_and_survives_a_restart(setup, tmp_path):
    owner, grant, places = granted(setup)
    needles = [grant.entry.payload_bytes, grant.salt, b"SEALED-CANARY", owner.dataset.encode()]
    assert all(needle in raw(tmp_path) for needle in needles)
    setup.submit(owner.erase(stops=[places[3]], erases=places[2:]))
    # The erasure itself names the dataset in its own envelope; nothing else may remain.
    left = [needle for needle in needles[:3] if needle in raw(tmp_path)]
    assert left == []
    assert setup.store.envelopes(places).keys() == {places[1]}
    root = setup.log.head.root
    setup.close()
    setup.open()
    assert setup.log.head.root == root
    assert isinstance(refused(setup, owner.grant(b"again")).error, RefusedError)


def test_nobody_can_erase_for_an_unknown_owner(setup):
    owner, _, places = granted(setup)
    stranger = Owner(setup.keys)
    refused(setup, stranger.erase(stops=[places[3]], erases=places[1:]))
    stranger.id, stranger.dataset = owner.id, owner.dataset
    refused(setup, stranger.erase(stops=[places[3]], erases=places[2:]))
    assert setup.store.envelopes(places).keys() == set(places[1:])


def test_an_erased_entry_cannot_come_back(setup):
    owner, grant, places = granted(setup)
    setup.submit(owner.erase(stops=[places[3]], erases=places[2:]))
    # It is known by its commitment, so it gets its old place and is not stored again.
    assert setup.submit(grant)[0].index == places[3]
    assert places[3] not in setup.store.envelopes(places)
    assert setup.store.attachments(places, "sealed_grant") == {}


def test_access_tree_is_public_and_stays(setup):
    tags = sorted(os.urandom(32) for _ in range(5))
    setup.submit(setup.keys.note())
    record = setup.keys.access(tags)
    setup.submit(record)
    root = bytes.fromhex(record.entry.payload["cohort_root"])
    assert setup.store.access_tree(root) == b"".join(tags)


def test_sixteen_threads(setup):
    results, each = [], 20

    def work():
        for _ in range(each):
            note = setup.keys.note()
            results.append((note.entry, setup.submit(note)[0]))

    threads = [threading.Thread(target=work) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(place.index for _, place in results) == list(range(16 * each))
    setup.close()
    setup.open()
    assert setup.log.head.size == 16 * each
    stored = setup.store.leaves(0, 16 * each)
    assert all(parse_leaf(stored[place.index]).entry == entry for entry, place in results)


def test_a_store_that_fails_acknowledges_nothing_and_the_state_goes_back(setup):
    owner = Owner(setup.keys)
    setup.submit(setup.keys.note())
    limit = {"pages": 1}
    event.listen(
        setup.store.engine,
        "checkout",
        lambda db, _r, _p: db.execute(f"PRAGMA max_page_count={limit['pages']}"),
    )
    notes = [setup.keys.note() for _ in range(200)]
    with pytest.raises(StoreError):
        setup.submit(owner.register(), *notes)
    assert setup.log.head.size == 1
    limit["pages"] = 1 << 30
    places = setup.submit(owner.register(), *notes)
    assert [place.index for place in places] == list(range(1, 202))


def test_a_commit_whose_answer_is_lost_is_found_again(setup):
    """The store wrote everything and then failed: the log must read it again, not fork."""
    real = setup.store.append

    def lossy(old, new, batch):
        real(old, new, batch)
        setup.store.append = real
        raise StoreError("connection lost at commit")

    setup.store.append = lossy
    note, other = setup.keys.note(), setup.keys.note()
    with pytest.raises(StoreError):
        setup.submit(note)
    assert [place.index for place in setup.submit(other, note)] == [1, 0]


def test_a_damaged_store_is_named_at_start(setup):
    _, _, places = granted(setup)
    setup.submit(setup.keys.note())
    setup.close()

    def start_with(statement):
        store = SqlStore(setup.url)
        before = store.leaves(0, 5)
        with store.engine.begin() as db:
            db.exec_driver_sql(statement)
        publisher = Publisher(store, Ed25519Signer("t/log", b"1" * 32))
        log = Log(store, publisher, lambda: State(setup.keys.pins()))
        try:
            log.start()
        finally:
            publisher.close()
            with store.engine.begin() as db:
                db.exec_driver_sql(
                    "INSERT INTO leaves VALUES (4, ?) "
                    "ON CONFLICT (leaf_index) DO UPDATE SET data = excluded.data",
                    (before[4],),
                )
            store.close()

    with pytest.raises(StoreError, match="leaf 4 is damaged"):
        start_with("UPDATE leaves SET data = x'7b7d' WHERE leaf_index = 4")
    with pytest.raises(Exception, match="leaf 4"):
        start_with("DELETE FROM leaves WHERE leaf_index = 4")
    with pytest.raises(StoreError, match="do not hash"):
        start_with(
            "UPDATE leaves SET data = CAST(replace(CAST(data AS TEXT), '\"time\":1', "
            "'\"time\":2') AS BLOB) WHERE leaf_index = 4"
        )
    swap = (
        f"UPDATE envelopes SET salt = (SELECT salt FROM envelopes WHERE leaf_index = {places[2]}) "
        f"WHERE leaf_index = {places[1]}"
    )
    with pytest.raises(StoreError, match=f"envelope of leaf {places[1]}"):
        start_with(swap)
    setup.now += 1
    with pytest.raises(StoreError):
        setup.open()
    setup.store.close()
    setup.store = SqlStore(f"{setup.url}2")  # for the fixture's close
    setup.log = Log(
        setup.store,
        Publisher(setup.store, Ed25519Signer("t/log", b"1" * 32)),
        lambda: State(setup.keys.pins()),
    )


def test_publishing_follows_and_is_signed(setup):
    setup.submit(*[setup.keys.note() for _ in range(3)])
    published = setup.log.wait_published(3, 10)
    assert (published.size, published.root) == (3, setup.log.head.root)
    assert published.note.startswith(b"t/log\n3\n")
    with pytest.raises(StaleError):
        setup.log.wait_published(4, 0.05)


def test_after_stop_nothing_is_taken_but_everything_waiting_is_finished(setup):
    threads, places = [], []
    for _ in range(4):
        note = setup.keys.note()
        threads.append(threading.Thread(target=lambda n=note: places.append(setup.submit(n))))
    [thread.start() for thread in threads]
    eventually(lambda: setup.log.head.size == 4)
    [thread.join() for thread in threads]
    setup.log.stop()
    with pytest.raises(StoreError, match="stopping"):
        setup.submit(setup.keys.note())
    assert len(places) == 4
    setup.store.close()
    setup.open()


@given(st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_tiles_grown_in_batches_are_those_of_the_whole_tree(counts):
    tiles, edge, frontier = {}, {}, Frontier()
    for count in counts:
        hashes = [leaf_hash(b"%d" % (frontier.size + i)) for i in range(count)]
        old = frontier.size
        frontier, made = frontier.grow(hashes)
        changed, edge = grow_tiles(edge, old, made)
        tiles.update(changed)
        assert {(t.level, t.index): t.width * 32 for t in changed_tiles(old, frontier.size)} == {
            place: len(data) for place, data in changed.items()
        }
    size = frontier.size
    all_hashes = [leaf_hash(b"%d" % i) for i in range(size)]
    for (level, index), data in tiles.items():
        span = 256**level
        for at in range(0, len(data), 32):
            first = (index * 256 + at // 32) * span
            assert data[at : at + 32] == tree_root(all_hashes[first : first + span])
    assert load_edge(size, lambda level, index: tiles[level, index]) == edge
