"""Reference blocks stated of rows a person's own file does not list, and of no others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.copies import decode_clinical, encode_clinical
from compute.parsed import Clinical, Demographics, Intervals, Measurement, Term
from compute.planes import Calls, LayoutError
from compute.stretches import Places, fill_reference, pack_stretches, unpack_stretches

BLOCKS = Intervals(
    np.array([0, 0], np.int8), np.array([10, 40], np.int32), np.array([30, 50], np.int32),
    np.array([2, 1], np.int8),
)  # fmt: skip


def places(*rows):
    build, contig, pos, span = zip(*rows, strict=True)
    return Places(
        np.array(build, np.int8), np.array(contig, np.int8), np.array(pos, np.int32),
        np.array(span, np.int32),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "stated", "expected"),
    [
        ((0, 0, 10, 1), (-2, 0), (0, 2)),  # a block's first base
        ((0, 0, 30, 1), (-2, 0), (0, 2)),  # its last
        ((0, 0, 31, 1), (-2, 0), (-2, 0)),
        ((0, 0, 30, 2), (-2, 0), (-2, 0)),  # a REF that reaches beyond it
        ((0, 0, 45, 1), (-2, 0), (0, 1)),  # a haploid block
        ((1, 0, 20, 1), (-2, 0), (-2, 0)),  # another build
        ((0, 1, 20, 1), (-2, 0), (-2, 0)),  # another chromosome
        ((0, 0, 20, 1), (1, 2), (1, 2)),  # the file's own call stays
        ((0, 0, 20, 1), (-1, 0), (-1, 0)),  # a no call stays one
    ],
)
def test_one_row(row, stated, expected):
    calls = Calls(np.array([stated[0]], np.int8), np.array([stated[1]], np.int8))
    found = fill_reference(calls, BLOCKS, places(row), 0)
    assert (found.dosage[0], found.ploidy[0]) == expected


def test_another_variant_of_a_position_the_file_lists_is_not_taken_for_reference():
    calls = Calls(np.array([1, -2], np.int8), np.array([2, 0], np.int8))
    found = fill_reference(calls, BLOCKS, places((0, 0, 20, 1), (0, 0, 20, 3)), 0)
    assert found.dosage.tolist() == [1, -2]


def test_filling_twice_changes_nothing():
    where = places((0, 0, 20, 1), (0, 0, 20, 3), (0, 0, 60, 1))
    calls = Calls(np.full(3, -2, np.int8), np.zeros(3, np.int8))
    once = fill_reference(calls, BLOCKS, where, 0)
    twice = fill_reference(once, BLOCKS, where, 0)
    assert once.dosage.tolist() == twice.dosage.tolist() == [0, 0, -2]


def test_stretches_survive_packing_and_a_cut_is_refused():
    back = unpack_stretches(pack_stretches(BLOCKS))
    for name in ("contig", "start", "end", "ploidy"):
        assert np.array_equal(getattr(back, name), getattr(BLOCKS, name))
    with pytest.raises(LayoutError):
        unpack_stretches(pack_stretches(BLOCKS)[:-1])


@given(
    st.lists(
        st.tuples(st.sampled_from(["HP:0000001", "MONDO:0005148"]), st.booleans()), max_size=5
    ),
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.none() | st.integers(0, 2**40)), max_size=5),
)
def test_a_clinical_record_is_stored_whole_but_for_its_words(terms, numbers):
    record = Clinical(
        "fhir",
        tuple(Term(code, "a label", excluded, "P4Y") for code, excluded in terms),
        tuple(Measurement("LOINC:2339-0", value, "mg/dL", time) for value, time in numbers),
        Demographics("female", 1970, "GB", "P41Y"),
        {"free_text": 3},
    )
    opened = encode_clinical(record)
    back = decode_clinical(opened)
    assert b"a label" not in opened[0] and back.skipped == {}
    assert [(t.curie, t.excluded, t.onset) for t in back.terms] == [
        (t.curie, t.excluded, t.onset) for t in record.terms
    ]
    assert back.measurements == record.measurements and back.demographics == record.demographics
