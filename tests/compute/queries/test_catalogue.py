"""Queries as values: refusals, canonical form, digests, selection, alignment."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.ingest import Genotypes
from compute.queries import (
    QueryError,
    VariantTable,
    align,
    canonical_query,
    catalogue,
    code_digest,
    parse_query,
    query_digest,
)

COUNTS = {
    "v": 1,
    "family": "genotype_counts",
    "build": "GRCh37",
    "params": {"variants": {"panel": "all"}},
}


def changed(**fields):
    return {**COUNTS, **fields}


def params(**fields):
    return changed(params=fields)


def cis(**fields):
    return {
        "v": 1,
        "family": "cis_association",
        "build": "GRCh37",
        "params": {"gene": "G1", **fields},
    }


@pytest.mark.parametrize(
    "bad",
    [
        changed(v=2),
        changed(v=True),
        changed(family="sql"),
        changed(version=9),
        changed(build="hg19"),
        changed(extra=1),
        changed(params=None),
        params(variants={"panel": "mine"}),
        params(variants={"panel": "all", "x": 1}),
        params(variants={"region": "1:200-100"}),
        params(variants={"region": "chr1:1-2"}),
        params(variants={"region": "1:1-2; drop"}),
        params(variants=[]),
        params(variants=["1-0-A-C"]),
        params(variants=["1-5-A-<DEL>"]),
        params(variants={"panel": "all"}, by="participant"),
        params(),
        cis(),
        cis(variants={"panel": "all"}, chrom="1", start=1, end=2, window_bp=3),
        cis(chrom="1", start=1, end=2),
        cis(chrom="1", start=9, end=2, window_bp=3),
        cis(chrom="1", start=1.5, end=2, window_bp=3),
        cis(chrom="1", start=1, end=2, window_bp=10**9),
        cis(variants={"panel": "all"}, covariates=["a b"]),
        cis(variants={"panel": "all"}, gene="a b"),
        "not json",
        b"\xff",
        "[]",
        "[" * 100_000,
    ],
)
def test_refused(bad):
    with pytest.raises(QueryError):
        parse_query(bad)


def test_a_refusal_names_the_field_and_not_the_value():
    with pytest.raises(QueryError, match=r"params\.by") as error:
        parse_query(params(variants={"panel": "all"}, by="secret-thing"))
    assert "secret-thing" not in str(error.value)


@given(st.permutations(["1-5-A-C", "2-7-G-T", "X-1-C-CA"]), st.booleans())
def test_equal_questions_have_one_digest(names, twice):
    asked = names + names[:1] if twice else names
    query = parse_query(json.dumps(params(variants=asked)))
    assert query_digest(query) == query_digest(parse_query(params(variants=sorted(names))))
    assert query.picks_variants


def test_defaults_are_written_out():
    text = canonical_query(parse_query(cis(chrom="1", start=1, end=2, window_bp=3)))
    assert text == (
        b'{"build":"GRCh37","family":"cis_association","params":{"chrom":"1","covariates":[],"end":2,'
        b'"gene":"G1","modality":"expression","start":1,"test":"additive","transform":"none",'
        b'"window_bp":3},"v":1,"version":2}'
    )
    assert canonical_query(parse_query(text)) == text


def test_digests_tell_families_and_questions_apart():
    one, two = parse_query(COUNTS), parse_query(cis(variants={"panel": "all"}))
    assert code_digest(one) != code_digest(two)
    assert len(code_digest(one)) == 64
    assert query_digest(one) != query_digest(parse_query(changed(build="GRCh38")))


def test_every_family_states_what_it_is():
    for name, family in catalogue().items():
        assert family.name == name
        assert family.modes <= {"trusted", "private"}
        assert family.sensitivity.statement
        assert re.search(r"[a-z]{3}", family.limits), name
        assert set(family.sensitivity.each.values()) <= {1, 2, 4}


def test_needs_open_no_more_than_asked():
    assert parse_query(COUNTS).needs.modalities == {"genotypes"}
    needs = parse_query(cis(variants={"panel": "all"}, covariates=["sex", "PC1"])).needs
    assert needs.modalities == {"genotypes", "expression", "participant"}
    assert (needs.features, needs.strata, needs.covariates) == (("G1",), ("sex",), ("PC1",))


def person(rows, callability="all-sites", build="GRCh37"):
    rows = sorted(rows)
    return Genotypes(
        "s", build, callability,
        np.array([r[0] for r in rows], np.int8), np.array([r[1] for r in rows], np.int32),
        tuple(r[2] for r in rows), tuple(r[3] for r in rows),
        np.array([r[4] for r in rows], np.int8), np.array([r[5] for r in rows], np.int8), len(rows),
    )  # fmt: skip


TABLE = VariantTable.of(
    "GRCh37", [(0, 10, "A", "C"), (0, 10, "A", "G"), (0, 20, "T", "C"), (1, 5, "G", "GA")]
)


def test_alignment_keeps_covered_and_not_covered_apart():
    one = person([(0, 10, "A", "G", 1, 2), (0, 20, "T", ".", 0, 2), (1, 6, "G", "GA", 2, 2)])
    dosage, ploidy = align(one, TABLE)
    assert dosage.tolist() == [0, 1, 0, -2]
    assert ploidy is None


def test_alignment_of_no_calls_and_haploids():
    one = person([(0, 10, "A", "G", -1, 0), (0, 20, "T", "C", 1, 1)])
    dosage, ploidy = align(one, TABLE)
    assert dosage.tolist() == [-1, -1, 1, -2]
    assert ploidy.tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("callability", ["variant-only", "gvcf-blocks"])
def test_who_does_not_state_coverage_enters_nothing(callability):
    one = person([(0, 10, "A", "G", 1, 2)], callability)
    assert align(one, TABLE)[0].tolist() == [-2] * 4


def test_builds_are_never_mixed():
    with pytest.raises(QueryError):
        align(person([], build="GRCh38"), TABLE)
    with pytest.raises(QueryError):
        VariantTable.union([person([]), person([], build="GRCh38")])


def test_union_is_sorted_and_has_no_dot():
    table = VariantTable.union(
        [person([(1, 5, "G", "A", 0, 2)]), person([(0, 9, "A", ".", 0, 2), (0, 8, "C", "T", 1, 2)])]
    )
    assert list(table.names()) == ["1-8-C-T", "2-5-G-A"]


def test_counting_never_loads_pysam():
    """A program that only counts or verifies must not pull in a file parser."""
    code = "import compute.queries, sys; sys.exit('pysam' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ({"region": "22:1-2x"}, r"params\.variants\.region"),
        ({"panel": "mine"}, r"params\.variants\.panel: Input should be 'all'"),
        (["1-2-A"], r"params\.variants\.0: String"),
        ({"list": "1-2-A-C"}, r"params\.variants: it has none of the forms"),
        ("all", r"params\.variants: it has none of the forms"),
    ],
)
def test_a_value_of_several_forms_is_judged_as_the_one_that_was_meant(variants, said):
    with pytest.raises(QueryError, match=said):
        parse_query({"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": {"variants": variants}})  # fmt: skip
