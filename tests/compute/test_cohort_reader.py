"""Blocks, picked rows and counts say what decoding each person whole says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import cohort_reader
from compute.cohort_reader import CohortReader
from compute.copies import SharedVariants, decode_genotypes, encode_genotypes
from compute.copy_reader import OpenedBatch
from compute.genome_counts import STATES, StateSums
from compute.heads import copy_context, fresh_head, seal_messages
from compute.ingest import Genotypes
from compute.parsed import Intervals
from compute.picked_rows import PickedRows
from compute.planes import NOT_COVERED
from compute.sealing import LocalKms, StoreError
from compute.store import CohortStore

KEY, KMS = b"d" * 32, LocalKms(b"k" * 32)
SITES = [(pos, ref, alt) for pos in range(1, 40) for ref in ("A", "AC") for alt in ("G", "T", "AT")]


def person_of(rows, callability="all-sites", covered=None):
    """rows: {(pos, ref, alt): (dosage, ploidy)}."""
    keys = sorted(rows)
    return Genotypes(
        sample="S", build="GRCh38", callability=callability,
        contig=np.zeros(len(keys), np.int8), pos=np.array([k[0] for k in keys], np.int32),
        ref=tuple(k[1] for k in keys), alt=tuple(k[2] for k in keys),
        dosage=np.array([rows[k][0] for k in keys], np.int8),
        ploidy=np.array([rows[k][1] for k in keys], np.int8), records=len(keys), covered=covered,
    )  # fmt: skip


def keep(store, table, number, person):
    version, messages = encode_genotypes(table, person)
    head = fresh_head(f"d{number}", "g", "genotypes", version)
    wrapped = KMS.wrap(KEY, b"data" + copy_context(head.dataset, head.grant))
    head = head._replace(wrapped_data_key=wrapped)
    store.put(head, seal_messages(head, KEY, messages))
    return messages


def opener(store, count):
    def opened(first, last):
        copies = store.columns([f"d{n}" for n in range(count)][first:last])
        return OpenedBatch(store, KMS, copies)

    return opened


CALLS = st.sampled_from([(0, 2), (1, 2), (2, 2), (-1, 0), (0, 1), (1, 1)])
PEOPLE = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(SITES), CALLS, max_size=25),
        st.sampled_from(["all-sites", "array-manifest", "variant-only", "gvcf-blocks"]),
        st.integers(1, 39),
    ),
    min_size=1,
    max_size=7,
)


def alone(calls):
    """Return (7, rows) with a 1 where the person is in that state."""
    dosage, ploidy = calls.dosage, calls.ploidy
    two, one = ploidy == 2, ploidy == 1
    masks = [dosage == NOT_COVERED, dosage == -1, two & (dosage == 0), two & (dosage == 1),
             two & (dosage == 2), one & (dosage == 0), one & (dosage == 1)]  # fmt: skip
    return np.array(masks, np.int64)


@given(PEOPLE, st.sampled_from([512, 1024]), st.sampled_from([1, 2]), st.sampled_from([2, 4]))
@settings(deadline=None, max_examples=40)
def test_counts_blocks_and_picked_rows_agree_with_decoding(
    tmp_path_factory, people, chunk, batch, opened
):
    with pytest.MonkeyPatch.context() as patch:
        for module in ("planes", "cohort_reader", "copy_reader", "genome_counts"):
            patch.setattr(f"compute.{module}.CHUNK_ROWS", chunk)
        patch.setattr(cohort_reader, "BATCH", batch)
        patch.setattr(cohort_reader, "OPENED", opened)
        store = CohortStore(tmp_path_factory.mktemp("s") / "s.sqlite", LocalKms(b"k" * 32))
        table, kept = SharedVariants(store), []
        filler = {(pos, "C", "T"): (pos % 3, 2) for pos in range(1000, 1700)}
        for number, (rows, callability, end) in enumerate(people):
            lone = np.zeros(1, np.int32)
            stretch = Intervals(lone.astype(np.int8), lone + 1, lone + end,
                                np.array([2], np.int8))  # fmt: skip
            covered = stretch if callability == "gvcf-blocks" else None
            person = person_of({**filler, **rows} if number % 2 else rows, callability, covered)
            kept.append(keep(store, table, number, person))
        reader = CohortReader(len(people), opener(store, len(people)), table)
        decoded = [
            decode_genotypes(messages, table.site_rows(), table.places())[1] for messages in kept
        ]
        levels = [n % 2 for n in range(len(people))]
        for threads in (1, 2):
            found = count_states(reader, levels, 2, threads=threads).counts
            for level in range(2):
                mine = [alone(c) for n, c in enumerate(decoded) if levels[n] == level]
                assert np.array_equal(found[level], sum(mine, np.zeros((7, len(table)), int)))
        for leave in (lambda n: n % 3 == 0, lambda n: n < 2, lambda _: True):
            some = [n for n in range(len(people)) if not leave(n)]
            reader.kept = np.array([not leave(n) for n in range(len(people))])
            ticks = []
            found = count_states(
                reader, [levels[n] for n in some], 2, threads=2, tick=lambda t=ticks: t.append(1)
            )
            for level in range(2):
                mine = [alone(decoded[n]) for n in some if levels[n] == level]
                kept_sum = sum(mine, np.zeros((7, len(table)), int))
                assert np.array_equal(found.counts[level], kept_sum)
            assert len(ticks) == len(people) * len(reader.chunks())
        reader.kept = None
        keys = [(0, *site) for site in SITES]
        rows = [table.row_of("GRCh38", key) for key in keys]
        picked = PickedRows.named(table, "GRCh38", keys)
        whole = PickedRows.of(table, np.arange(len(table)))
        for number, calls in enumerate(decoded):
            one = opener(store, len(people))(number, number + 1).person(0)
            got, all_rows = picked.calls(one), whole.calls(one)
            assert np.array_equal(all_rows.dosage, calls.dosage)
            assert np.array_equal(all_rows.ploidy, calls.ploidy)
            for at, row in enumerate(rows):
                if row is not None:
                    assert (got.dosage[at], got.ploidy[at]) == (
                        calls.dosage[row],
                        calls.ploidy[row],
                    )
        store.close()


def count_states(reader, levels, count, **how):
    sums = StateSums(reader, levels, count, **how)
    sums.add(reader.chunks())
    return sums.found


def test_a_stretch_covers_rows_the_file_does_not_list(tmp_path):
    store = CohortStore(tmp_path / "s.sqlite", LocalKms(b"k" * 32))
    table = SharedVariants(store)
    keep(store, table, 0, person_of({(5, "A", "G"): (1, 2), (50, "A", "G"): (1, 2)}))
    stretch = Intervals(*(np.array([n], t) for n, t in zip((0, 1, 9, 2), "bili", strict=True)))
    person = person_of({(7, "A", "C"): (2, 2)}, "gvcf-blocks", stretch)
    _, calls = decode_genotypes(keep(store, table, 1, person), table.site_rows())
    assert calls.dosage.tolist() == [0, NOT_COVERED, 2]
    store.close()


def test_changed_ciphertext_and_missing_extras_do_not_open(tmp_path):
    store = CohortStore(tmp_path / "s.sqlite", LocalKms(b"k" * 32))
    table = SharedVariants(store)
    keep(store, table, 0, person_of({(5, "A", "G"): (1, 1)}))  # haploid: extras follow
    with pytest.raises(StoreError):
        store.chunk("d0", 9)
    query = "SELECT segment, start, sizes FROM copy"
    segment, start, sizes = store._db.execute(query).fetchone()
    cut = sizes[:8] + bytes(4)
    store._db.execute("UPDATE copy SET sizes=?", (cut,))
    reader = CohortReader(1, opener(store, 1), table)
    with pytest.raises(StoreError, match="does not open"):
        count_states(reader, [0], 1)
    store._db.execute("UPDATE copy SET sizes=?", (sizes,))
    path = tmp_path / "s.segments" / f"{segment}.seg"
    data = bytearray(path.read_bytes())
    data[start + sum(np.frombuffer(sizes, "<u4")[:1]) + 14] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="does not open"):
        count_states(CohortReader(1, opener(store, 1), table), [0], 1)
    store.close()


def test_memory_is_a_batch_whatever_the_cohort(tmp_path):
    store = CohortStore(tmp_path / "s.sqlite", LocalKms(b"k" * 32))
    table = SharedVariants(store)
    for number in range(3):
        keep(store, table, number, person_of({(5, "A", "G"): (number, 2)}))
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cohort_reader, "BATCH", 2)
        reader = CohortReader(3, opener(store, 3), table)
        reader.each(0, lambda _thread, block: seen.append((block.first, block.planes)))
    assert [first for first, _ in seen] == [0, 2]
    assert np.shares_memory(seen[0][1], seen[1][1])
    assert len(STATES) == 7
    assert copy_context("d", "g") != copy_context("dg", "")
    store.close()


def test_people_who_are_alike_are_counted_without_a_block(tmp_path, monkeypatch):
    store = CohortStore(tmp_path / "s.sqlite", LocalKms(b"k" * 32))
    table, random = SharedVariants(store), np.random.default_rng(4)
    sites = [(pos, "A", "G") for pos in range(1, 901)]
    drawn = random.integers(-1, 3, (37, len(sites)))  # more than two sixteens
    kept = []
    for number, row in enumerate(drawn.tolist()):
        calls = {site: (d, 2 if d >= 0 else 0) for site, d in zip(sites, row, strict=True)}
        kept.append(keep(store, table, number, person_of(calls)))
    decoded = [decode_genotypes(one, table.site_rows(), table.places())[1] for one in kept]
    reader = CohortReader(37, opener(store, 37), table)
    blocks = []
    real = CohortReader._block
    monkeypatch.setattr(CohortReader, "_block", lambda *a: blocks.append(a[-1]) or real(*a))
    found = count_states(reader, [1] * 37, 2, threads=2)
    assert not blocks
    assert np.array_equal(found.counts[1], sum(map(alone, decoded)))
    assert not found.counts[0].any()
    assert found.stated.all()
    mixed = count_states(reader, [0] * 36 + [1], 2).counts
    assert blocks == [0]
    assert np.array_equal(mixed.sum(axis=0), found.counts[1])
    wrong = CohortReader(37, lambda a, b: _other_keys(opener(store, 37)(a, b)), table)
    with pytest.raises(StoreError, match="does not open"):
        count_states(wrong, [0] * 37, 1)
    store.close()


def _other_keys(opened):
    opened._keys = [bytes(32)] * len(opened)
    return opened
