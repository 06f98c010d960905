"""Counting whom a match keeps is counting a cohort that never held the others, in every family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.queries import catalogue, parse_query, run
from tests.compute import reference
from tests.compute.spec import families_world as w
from tests.compute.spec.test_spec_families import LEVELS, ONSETS, REFERENCES
from tests.compute.spec.test_spec_properties import VARIANTS, groups
from tests.compute.spec.test_spec_tables import engine, read

TABLE = """
who   1-100-A-G 1-200-C-T population sex    PC1 GENE
ann   0/1       0/0       CEU        female 1   5
bob   1/1       ./.       CEU        male   2   6
cat   0/0       0/1       YRI        female 3   NA
dan   0/1       -         YRI        male   NA  7
eve   ./.       0/1       CEU        female 5   8
"""
PC1 = {"kind": "number", "of": {"kind": "covariate", "name": "PC1"}}
CASES = {
    "women": ([{"kind": "group", "stratum": "sex", "levels": ["female"]}], "ann cat eve"),
    "between, ends included": ([{**PC1, "least": "2", "most": "5"}], "bob cat eve"),
    "below, unknown left out": ([{**PC1, "most": "10"}], "ann bob cat eve"),
    "carriers": ([{"kind": "carrier", "variant": "1-100-A-G"}], "ann bob dan"),
    "called without": (
        [{"kind": "carrier", "variant": "1-200-C-T", "carries": False}], "ann"),
    "a variant nobody states": ([{"kind": "carrier", "variant": "2-9-A-G"}], ""),
    "both": (
        [{"kind": "group", "stratum": "population", "levels": ["CEU", "FIN"]}, {**PC1, "least": "2"}],
        "bob eve"),
    "nobody has a clinical record": (
        [{"kind": "term", "term": "HP:0000001", "present": False}], ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_match_keeps_whom_its_words_say(case):
    match, names = CASES[case]
    people = read(TABLE)
    kept = [person for person in people if person.name in names.split()]
    params = {"variants": {"panel": "all"}, "match": match}
    query = parse_query({"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": params})
    answer = run(query, engine(people))
    assert answer.people == {"all": len(kept)}
    for row in answer.rows():
        counted = reference.counts(kept, f"{row['contig']}-{row['pos']}-{row['ref']}-{row['alt']}")
        assert (row["ac"], row["an"], row["no_call"]) == (
            counted["ac"], counted["an"], counted["no_call"])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(groups, st.sampled_from(["female", "male"]), st.sampled_from([None, "population", "sex"]))
def test_counts_of_a_match_are_the_references_of_the_people_it_keeps(people, sex, by):
    match = [
        {"kind": "group", "stratum": "sex", "levels": [sex]},
        {**PC1, "least": "-2"},
        {"kind": "carrier", "variant": VARIANTS[1]},
    ]
    params = {"variants": {"panel": "all"}, "match": match, **({"by": by} if by else {})}
    query = parse_query({"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": params})
    kept = [
        one
        for one in people
        if one.sex == sex
        and one.covariates["PC1"] >= -2
        and one.genotypes[VARIANTS[1]] not in (reference.NO_CALL, reference.NOT_COVERED)
        and one.genotypes[VARIANTS[1]][0] > 0
    ]
    answer = run(query, engine(people))
    assert sum(answer.people.values()) == len(kept)
    for row in answer.rows():
        stratum = [
            one for one in kept if not by or (getattr(one, by) or "unknown") == row["stratum"]
        ]
        name = f"{row['contig']}-{row['pos']}-{row['ref']}-{row['alt']}"
        counted = reference.counts(stratum, name)
        assert all(row[column] == counted[column] for column in ("ac", "an", "het", "hom_alt"))


PANEL = {"variants": {"panel": "all"}}
TERM = {"kind": "term", "term": "HP:0000001", "ontology": w.ONTOLOGY}
RANGE = {"low": "0", "high": "10"}
LISTED = ["1-1000-A-G", "1-1010-A-G"]
QUERIES = {
    "genotype_counts": {**PANEL, "by": "sex"},
    "cis_association": {**PANEL, "gene": "G1", "transform": "inverse_normal"},
    "linear_association": {
        **PANEL, "trait": {"kind": "covariate", "name": "height"}, "covariates": ["PC1", "sex"]},
    "logistic_association": {**PANEL, "trait": {"kind": "covariate", "name": "case"}},
    "feature_summary": {
        "namespace": "Ensembl", "unit": "TPM", "features": ["G1", "G2"], "by": "population"},
    "feature_differential": {
        "namespace": "Ensembl", "unit": "TPM", "features": ["G1"],
        "groups": {"kind": "stratum", "stratum": "population", "a": "CEU", "b": "YRI"}},
    "clinical_counts": {"terms": ["HP:0000001"], "ontology": w.ONTOLOGY, "by": "sex"},
    "clinical_crosstab": {"first": TERM, "second": {"kind": "term", "term": "HP:0000003"}},
    "feature_by_genotype": LEVELS,
    "age_at_onset": {**ONSETS, "by": "population"},
    "time_in_range": {"code": w.GLUCOSE, "unit": w.UNIT, "low": "70", "high": "180"},
    "linkage": {"variants": {"region": "1:1000-1060"}},
    "cohort_quality": {**PANEL, "by": "population"},
    "feature_distribution": {"feature": "G1", "bins": 4, **RANGE},
    "score_distribution": {"weights": dict.fromkeys(LISTED, "1"), "bins": 3, **RANGE},
    "private_association": {
        "feature": "G1", "variants": LISTED, **RANGE, "covariates": {"PC1": "-3..3"},
        "by": "sex", "levels": ["female", "male"]},
    "top_counts": {"k": 1, "variants": LISTED},
    "top_association": {
        "k": 1, "features": ["G1"], "namespace": "Ensembl", "unit": "TPM",
        "variants": LISTED, **RANGE},
}  # fmt: skip
# These need files or more variants: tests of their own below, and the worker's tests.
ELSEWHERE = {"polygenic_score", "ancestry_projection", "relatedness", "cohort_pca"}
MATCH = [
    TERM,
    {"kind": "number", "of": {"kind": "covariate", "name": "height"}, "least": "998"},
    {"kind": "number", "most": "150", "of": {
        "kind": "measurement", "code": w.GLUCOSE, "unit": w.UNIT, "statistic": "mean"}},
]  # fmt: skip


def is_kept(person):
    has = any(t.curie in {"HP:0000001", "HP:0000002", "HP:0000003"} and not t.excluded
              for t in person.clinical.terms)  # fmt: skip
    readings = [m.value for m in person.clinical.measurements if m.unit == w.UNIT]
    return has and person.covariates.get("height", 0) >= 998 and np.mean(readings) <= 150


@pytest.mark.parametrize("family", ["relatedness", "cohort_pca"])
def test_a_match_of_pairs_and_components_is_the_cohort_without_the_others(family):
    """A twin of somebody kept and one of somebody left out: only the first is a pair."""
    people = w.people(n=90, variants=300, missing=0.02)
    kept, others = ([p for p in people if bool(is_kept(p)) is own] for own in (True, False))
    twins = [replace(person, participant=f"twin of {person.participant}")
             for person in (*kept[:3], *others[:5])]  # fmt: skip
    places = [(0, 1000 + 10 * at, "A", "G") for at in range(300)]
    everybody = [*people, *twins]
    plain, matched = (w.ask(family, {"variants": {"panel": "all"}, **more})
                      for more in ({}, {"match": MATCH}))  # fmt: skip
    expected = run(plain, w.cohort([*kept, *twins[:3]], places, REFERENCES))
    found = run(matched, w.cohort(everybody, places, REFERENCES))
    assert found.people == expected.people == {"all": len(kept) + 3}
    for name, column in expected.columns.items():
        assert found.columns[name].tolist() == pytest.approx(column.tolist(), nan_ok=True), name
    if family == "relatedness":
        assert found.columns["pairs"][0] == 3
        assert run(plain, w.cohort(everybody, places, REFERENCES)).columns["pairs"][0] == 8


def test_every_family_is_asked_here_or_of_the_worker():
    assert {*QUERIES, *ELSEWHERE} == set(catalogue())


@pytest.mark.parametrize("family", sorted(QUERIES))
def test_a_match_is_the_cohort_without_the_others(family):
    people = w.people(n=90)
    kept = [person for person in people if is_kept(person)]
    assert 30 < len(kept) < 70
    plain = w.ask(family, QUERIES[family])
    matched = w.ask(family, {**QUERIES[family], "match": MATCH})
    before = run(plain, w.cohort(kept, w.VARIANTS, REFERENCES))
    after = run(matched, w.cohort(people, w.VARIANTS, REFERENCES))
    assert after.people == before.people
    assert after.as_json() == before.as_json()
    assert after.as_json() != run(plain, w.cohort(people, w.VARIANTS, REFERENCES)).as_json()
