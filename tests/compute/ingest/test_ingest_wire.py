"""The wire between child and parent: round trips, and a parent that trusts nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.ingest import (
    Features,
    Genotypes,
    IngestError,
    ParserDiedError,
    Participant,
    content_digest,
    parse,
)
from compute.ingest.wire import decode, encode, encode_error
from tests.compute.ingest.vcf_text import vcf

GENOTYPES = parse(
    vcf(("1", 5, "A", "G,CT", "1/2"), ("X", 9, "T", ".", "0"), ("1", 7, "A", "C", "./.")),
    "genotypes",
    "x",
)
names = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=8)


@st.composite
def genotypes(draw):
    pos = sorted(draw(st.lists(st.integers(1, 1000), max_size=20)))
    n = len(pos)
    pairs = draw(
        st.lists(
            st.sampled_from([(-1, 0), (0, 2), (1, 2), (2, 2), (0, 1), (1, 1)]),
            min_size=n,
            max_size=n,
        )
    )
    bases = st.lists(st.sampled_from(["A", "CGT", "N"]), min_size=n, max_size=n).map(tuple)
    return Genotypes(
        draw(names), "GRCh38", "all-sites", np.zeros(n, np.int8), np.array(pos, np.int32), draw(bases), draw(bases),
        np.array([d for d, _ in pairs], np.int8), np.array([p for _, p in pairs], np.int8), n, {"a": 1}, {},
    )  # fmt: skip


@given(genotypes())
def test_genotypes_round_trip(g):
    back = decode(encode(g))
    assert content_digest(back) == content_digest(g)
    assert (back.sample, back.records, back.skipped, back.ref, back.alt) == (
        g.sample,
        g.records,
        g.skipped,
        g.ref,
        g.alt,
    )


@given(st.dictionaries(names, st.floats(allow_nan=True, allow_infinity=False), max_size=9))
def test_features_round_trip(values):
    f = Features("Ensembl", "TPM", "x", tuple(values), np.array(list(values.values()), np.float64))
    back = decode(encode(f))
    assert back.ids == f.ids
    assert np.array_equal(back.values, f.values, equal_nan=True)


def test_participant_and_refusal_round_trip():
    p = Participant("NA1", "male", None, {"PC1": 0.1})
    assert decode(encode(p)) == p
    with pytest.raises(IngestError) as caught:
        decode(encode_error(IngestError("bad", code="bad_gt", where="line 3", name="a.vcf")))
    assert (str(caught.value), caught.value.code) == ("a.vcf, line 3: bad", "bad_gt")


@settings(max_examples=300)
@given(st.data())
def test_a_subverted_child_gets_no_further_than_a_refusal(data):
    frame = bytearray(encode(GENOTYPES))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    for body in (bytes(frame), cut):
        try:
            back = decode(body)
        except IngestError:
            continue
        assert np.all((back.dosage >= -1) & (back.dosage <= back.ploidy) & (back.contig >= 0))


@pytest.mark.parametrize(
    "change",
    [
        {"dosage": np.array([3, 1, 0, 0], np.int8)},
        {"ploidy": np.array([9, 2, 0, 1], np.int8)},
        {"contig": np.array([0, 0, 0, 99], np.int8)},
        {"pos": np.array([9, 5, 7, 9], np.int32)},
        {"pos": np.array([5, 5, 7, 9], np.int64)},
        {"dosage": np.array([1, 1], np.int8)},
        {"build": "hg19"},
        {"callability": "magic"},
        {"skipped": {"a": -1}},
    ],
)
def test_values_out_of_range_are_refused(change):
    fields = {name: getattr(GENOTYPES, name) for name in Genotypes.__slots__}
    with pytest.raises(ParserDiedError):
        decode(encode(Genotypes(**{**fields, **change})))


def test_junk_is_refused():
    for junk in (
        b"",
        b"OMICWIR1",
        b"OMICWIR1\xff\xff\xff\xff",
        b"x" * 50,
        b"OMICWIR1\x02\0\0\0{}",
        b"OMICWIR1\x02\0\0\0[]",
    ):
        with pytest.raises(ParserDiedError):
            decode(junk)
