import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compute.copies import (
    SharedVariants,
    decode_features,
    decode_genotypes,
    decode_participant,
    encode_features,
    encode_genotypes,
    encode_participant,
)
from compute.heads import fresh_head
from compute.ingest import Features, Genotypes, Participant
from compute.planes import (
    CHUNK_ROWS,
    LAYOUT_VERSION,
    NOT_COVERED,
    Calls,
    LayoutError,
    chunks,
    pack_calls,
    unpack_calls,
    unpack_features,
)
from compute.sealing import LocalKms, StoreError, seal, unseal
from compute.store import CohortStore

KEK = bytes(range(32))


@pytest.fixture
def store(tmp_path):
    opened = CohortStore(tmp_path / "store.sqlite", LocalKms(KEK))
    yield opened
    opened.close()


def head(dataset, grant="g", key=b"wrapped-data-key-of-" + b"x" * 12):
    return fresh_head(dataset, grant, "genotypes", 7)._replace(
        wrapped_data_key=key + dataset.encode(),
        wrapped_activity_key=b"activity-" + dataset.encode(),
    )


def raw_bytes(folder):
    return b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())


# -- layout ----------------------------------------------------------------------------------------


@st.composite
def calls(draw):
    size = draw(st.integers(0, 300))
    ploidy = draw(hnp.arrays(np.int8, size, elements=st.integers(0, 2)))
    part = draw(hnp.arrays(np.int8, size, elements=st.integers(0, 2)))
    kind = draw(hnp.arrays(np.int8, size, elements=st.integers(0, 2)))
    dosage = np.where(kind == 0, NOT_COVERED, np.where(ploidy == 0, -1, np.minimum(part, ploidy)))
    return Calls(dosage.astype(np.int8), np.where(dosage < 0, 0, ploidy).astype(np.int8))


@given(calls())
@settings(deadline=None)
def test_calls_round_trip_and_keep_three_states_apart(one):
    back = unpack_calls(*pack_calls(one), len(one.dosage))
    assert np.array_equal(back.dosage, one.dosage)
    assert np.array_equal(back.ploidy, one.ploidy)


@given(st.binary(max_size=200))
def test_damaged_layout_is_our_error(data):
    with contextlib.suppress(LayoutError):
        unpack_features(data)
    for rows in (0, 3, 100):
        with contextlib.suppress(LayoutError):
            unpack_calls(data, b"", rows)
        with contextlib.suppress(LayoutError):
            unpack_calls(b"", data, rows)


def test_a_diploid_person_costs_two_bits_a_variant_and_a_rare_variant_one_byte():
    size = 8192
    one = Calls((np.arange(size) % 3).astype(np.int8), np.full(size, 2, np.int8))
    assert list(map(len, pack_calls(one))) == [2 * size // 8, 0]
    rare = np.zeros(size, np.int8)
    rare[::100] = 1
    planes, extras = pack_calls(Calls(rare, np.full(size, 2, np.int8)))
    assert len(planes) == 82 + 2 * 5
    assert extras == b""


def test_more_than_two_alleles_are_refused():
    with pytest.raises(LayoutError):
        pack_calls(Calls(np.array([1], np.int8), np.array([3], np.int8)))


def test_chunks_cover_the_table_once():
    assert [(a, b) for _, a, b in chunks(CHUNK_ROWS * 2 + 1)] == [
        (0, CHUNK_ROWS),
        (CHUNK_ROWS, 2 * CHUNK_ROWS),
        (2 * CHUNK_ROWS, 2 * CHUNK_ROWS + 1),
    ]


def genotypes(rows, callability="all-sites"):
    """rows: (pos, ref, alt, dosage, ploidy)."""
    return Genotypes(
        sample="S",
        build="GRCh37",
        callability=callability,
        contig=np.zeros(len(rows), np.int8),
        pos=np.array([row[0] for row in rows], np.int32),
        ref=tuple(row[1] for row in rows),
        alt=tuple(row[2] for row in rows),
        dosage=np.array([row[3] for row in rows], np.int8),
        ploidy=np.array([row[4] for row in rows], np.int8),
        records=len(rows),
    )


def test_rows_added_later_are_not_covered_for_the_earlier_person(store):
    table = SharedVariants(store)
    version, early = encode_genotypes(table, genotypes([(10, "A", "G", 1, 2)]))
    encode_genotypes(table, genotypes([(20, "C", "T", 2, 2)]))
    assert version == 1
    _, found = decode_genotypes(early, table.site_rows())
    assert found.dosage.tolist() == [1, NOT_COVERED]


def test_another_alt_of_a_stated_site_is_covered_without_it(store):
    table = SharedVariants(store)
    _, early = encode_genotypes(table, genotypes([(10, "A", "G", 1, 2), (11, "A", "C", -1, 0)]))
    later = [(10, "A", "T", 2, 2), (11, "A", "T", 0, 2), (10, "AC", "A", 1, 2)]
    encode_genotypes(table, genotypes(later))
    _, found = decode_genotypes(early, table.site_rows())
    assert found.dosage.tolist() == [1, -1, 0, -1, NOT_COVERED]
    assert found.ploidy.tolist() == [2, 0, 2, 0, 0]


def test_variant_only_files_cover_nothing(store):
    table = SharedVariants(store)
    _, stored = encode_genotypes(table, genotypes([(10, "A", "G", 1, 2)], "variant-only"))
    _, found = decode_genotypes(stored, table.site_rows())
    assert found.dosage.tolist() == [NOT_COVERED]


def appended(table, build, *variants):
    contig, pos, ref, alt = zip(*variants, strict=True)
    return table.rows_of(table.sites_of(build, contig, pos, ref, alt), append=True)


def test_two_writers_of_the_variant_table_agree(store):
    one, two = SharedVariants(store), SharedVariants(store)
    a = appended(one, "GRCh37", (0, 10, "A", "G"))
    b = appended(two, "GRCh37", (0, 20, "A", "G"), (0, 10, "A", "G"))
    one.refresh()
    assert (a.tolist(), b.tolist()) == ([0], [1, 0])
    assert [one.variant(0), one.variant(1)] == [two.variant(0), two.variant(1)]
    assert appended(one, "GRCh38", (0, 10, "A", "G")).tolist() == [2]


def test_features_and_record_round_trip():
    values = Features("Ensembl", "TPM", "RNA", ("G1", "G2"), np.array([1.5, np.nan]))
    back = decode_features(encode_features(values))
    assert back.ids == values.ids
    assert np.array_equal(back.values, values.values, equal_nan=True)
    record = Participant("own label", "female", "CEU", {"PC1": 0.25})
    stored = encode_participant(record)
    assert b"own label" not in stored[0]
    assert decode_participant(stored, "p").covariates == {"PC1": 0.25}


# -- encryption ------------------------------------------------------------------------------------


def test_a_sealed_chunk_opens_in_its_own_place_only():
    one = head("d1")
    sealed = seal(KEK, b"data", one.chunk_context(0))
    assert unseal(KEK, sealed, one.chunk_context(0)) == b"data"
    for wrong in (
        one.chunk_context(1),
        head("d2").chunk_context(0),
        head("d1", "h").chunk_context(0),
    ):
        with pytest.raises(StoreError):
            unseal(KEK, sealed, wrong)
    for damaged in (sealed[:-1], sealed[:5], bytes([sealed[0] ^ 1]) + sealed[1:]):
        with pytest.raises(StoreError):
            unseal(KEK, damaged, one.chunk_context(0))


def test_a_wrapped_key_opens_in_its_own_context_and_under_its_own_kek():
    wrapped = LocalKms(KEK).wrap(b"k" * 32, b"here")
    assert LocalKms(KEK).unwrap(wrapped, b"here") == b"k" * 32
    with pytest.raises(StoreError):
        LocalKms(KEK).unwrap(wrapped, b"there")
    with pytest.raises(StoreError):
        LocalKms(bytes(32)).unwrap(wrapped, b"here")


def test_destroying_one_person_leaves_no_byte_and_rewrites_nobody(store, tmp_path):
    for number in range(40):
        store.put(head(f"dataset{number:02}", f"grant{number:02}"), [b"c%02d" % number * 500])
    others = {h.dataset: (h, store.chunk(h.dataset, 0)) for h in store.heads()}
    key = others["dataset07"][0].wrapped_data_key
    assert key in raw_bytes(tmp_path)
    assert store.destroy_grants(["grant07"]) == 1
    raw = raw_bytes(tmp_path)
    assert key not in raw
    assert others["dataset07"][0].wrapped_activity_key not in raw
    assert b"c07" * 20 not in raw
    assert store.head("dataset07") is None
    with pytest.raises(StoreError):
        store.chunk("dataset07", 0)
    for name, (was, chunk) in others.items():
        if name != "dataset07":
            assert (store.head(name), store.chunk(name, 0)) == (was, chunk)
    assert store.destroy_grants(["grant07"]) == 0


def test_a_copy_stored_again_replaces_the_whole_of_the_earlier_one(store):
    store.put(head("d", "g1"), [b"a", b"b", b"c"])
    store.put(head("d", "g2"), [b"x"])
    assert len(store.copies(["d"])["d"].extent.sizes) == 1
    assert store.head("d").grant == "g2"


def test_kept_answers_are_encrypted_kept_once_and_forgotten_for_good(store, tmp_path):
    store.keep("order/1/result", b"a very secret answer")
    store.keep("order/1/result", b"another")
    assert store.kept("order/1/result") == b"a very secret answer"
    assert b"a very secret answer" not in raw_bytes(tmp_path)
    store.keep("order2/1/result", b"other")
    store.forget("order/")
    assert store.kept("order/1/result") is None
    assert store.kept("order2/1/result") == b"other"


def test_an_answer_is_kept_once_and_goes_with_the_first_member_who_ends(store, tmp_path):
    store.keep_answer("question", ["g1", "g2"], b"a noised answer nobody may read")
    store.keep_answer("question", ["g1", "g2"], b"another draw")
    store.keep_answer("other", ["g2", "g3"], b"other")
    assert store.answer("question") == b"a noised answer nobody may read"
    assert store.answer_grants() == {"g1", "g2", "g3"}
    assert b"a noised answer" not in raw_bytes(tmp_path)
    query = "SELECT wrapped_key FROM answer WHERE name='question'"
    (key,) = store._db.execute(query).fetchone()
    store.destroy_grants(["g1"])
    assert store.answer("question") is None
    assert key not in raw_bytes(tmp_path)
    assert store.answer("other") == b"other"
    assert store.answer_grants() == {"g2", "g3"}


def test_the_variant_table_is_not_readable_in_the_file(store, tmp_path):
    appended(SharedVariants(store), "GRCh37", (3, 123456789, "ACGTACGT", "TTTTTTTT"))
    assert b"123456789" not in raw_bytes(tmp_path)


def test_the_file_is_readable_by_its_owner_alone(store, tmp_path):
    assert (tmp_path / "store.sqlite").stat().st_mode & 0o077 == 0


def test_copies_of_an_older_layout_are_gone_to_be_made_again(tmp_path):
    store = CohortStore(tmp_path / "s.sqlite", LocalKms(KEK))
    older = head("d1")._replace(layout=LAYOUT_VERSION - 1)
    store.put_all([(older, [b"old"]), (head("d2"), [b"new"])])
    store.close()
    again = CohortStore(tmp_path / "s.sqlite", LocalKms(KEK))
    assert list(again.copies(["d1", "d2"])) == ["d2"]
    assert again.grants() == {"g"}
    again.close()
