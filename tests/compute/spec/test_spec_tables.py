"""Small readable tables, run on the engine and on the slow reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from compute.ingest import CONTIGS
from compute.queries import CohortData, PersonData, VariantTable, parse_query, run
from tests.compute import reference
from tests.compute.reference import NO_CALL, NOT_COVERED, Someone

CELLS = {
    "0/0": (0, 2),
    "0/1": (1, 2),
    "1/1": (2, 2),
    "0": (0, 1),
    "1": (1, 1),
    "./.": NO_CALL,
    "-": NOT_COVERED,
}
RECORDS = ("population", "sex", "PC1", "PC2", "GENE")


def read(table):
    """Parse a table: first column the person, columns with dashes are variants."""
    lines = [line.split() for line in table.strip().splitlines()]
    head, people = lines[0][1:], []
    for name, *cells in lines[1:]:
        values = dict(zip(head, cells, strict=True))
        covariates = {k: float(values[k]) for k in ("PC1", "PC2") if values.get(k, "NA") != "NA"}
        features = {"GENE": float(values["GENE"])} if values.get("GENE", "NA") != "NA" else {}
        people.append(
            Someone(
                name,
                {v: CELLS[c] for v, c in values.items() if v not in RECORDS},
                values.get("population"),
                values.get("sex"),
                covariates,
                features,
            )
        )
    return people


def engine(people):
    """The same people as the engine's cohort."""
    names = list(people[0].genotypes)
    keys = [(CONTIGS.index(c), int(p), r, a) for c, p, r, a in (name.split("-") for name in names)]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    table = VariantTable.of("GRCh37", [keys[i] for i in order])
    members = []
    for number, person in enumerate(people):
        calls = [person.genotypes[names[i]] for i in order]
        code = {NO_CALL: (-1, 0), NOT_COVERED: (-2, 0)}
        pairs = [code.get(call, call) for call in calls]
        strata = {"population": person.population, "sex": person.sex}
        members.append(
            PersonData(
                f"{person.name}-{number}",
                np.array([d for d, _ in pairs], np.int8),
                np.array([p for _, p in pairs], np.int8),
                {k: v for k, v in strata.items() if v},
                person.covariates,
                person.features,
            )
        )
    return CohortData.of(table, members)


def ask(family, **params):
    return parse_query({"v": 1, "family": family, "build": "GRCh37", "params": params})


def same(mine, expected):
    if expected is None or (isinstance(expected, float) and math.isnan(expected)):
        return mine is None
    if isinstance(expected, float | np.floating):
        return mine == pytest.approx(float(expected), rel=1e-9, abs=1e-12)
    return mine == expected


def check_counts(people, by=None):
    answer = run(
        ask("genotype_counts", variants={"panel": "all"}, **({"by": by} if by else {})),
        engine(people),
    )
    for row in answer.rows():
        members = [
            p for p in people if by is None or (getattr(p, by) or "unknown") == row["stratum"]
        ]
        name = f"{row['contig']}-{row['pos']}-{row['ref']}-{row['alt']}"
        expected = reference.counts(members, name)
        for column, value in expected.items():
            if column == "hwe_p" and row["contig"] not in CONTIGS[:23]:
                assert (row["hwe_p"], row["hwe_na"]) == (None, "not_diploid")
                continue
            assert same(row[column], value), (name, row["stratum"], column, row[column], value)
    return answer


COUNTS = """
person  population sex    1-100-A-G 1-100-A-T 2-5-C-CT X-9-G-A
ann     CEU        female 0/0       0/0       0/1      0/1
bob     CEU        male   0/1       0/1       ./.      1
cat     CEU        female 1/1       0/0       0/0      0/0
dan     YRI        male   -         -         0/1      0
eve     YRI        female 0/0       1/1       1/1      ./.
fay     YRI        unknown 0/1      ./.       0/0      -
"""


@pytest.mark.parametrize("by", [None, "population", "sex"])
def test_counts_by_stratum(by):
    answer = check_counts(read(COUNTS), by)
    assert len(answer) == 4 * {None: 1, "population": 2, "sex": 3}[by]


def test_hom_ref_no_call_and_not_covered_are_three_things():
    row = check_counts(read(COUNTS)).rows()[0]
    assert (row["hom_ref"], row["no_call"], row["not_covered"]) == (2, 0, 1)
    assert (row["ac"], row["an"], row["call_rate"]) == (4, 10, 1.0)


def test_a_variant_is_present_where_somebody_is_called_with_it():
    table = "p 1-1-A-C 1-2-A-C 1-3-A-C X-9-G-A\na 0/0 0/1 ./. 1\nb 0/0 0/0 - 0\n"
    assert [row["present"] for row in check_counts(read(table)).rows()] == [
        False,
        True,
        False,
        True,
    ]


def test_the_other_alt_of_a_split_site_keeps_its_place_in_an():
    rows = check_counts(read(COUNTS)).rows()
    assert [(r["alt"], r["an"]) for r in rows[:2]] == [("G", 10), ("T", 8)]


def test_a_variant_nobody_is_called_at_is_na_with_a_reason():
    row = check_counts(read("p 1-1-A-C\na ./.\nb -\n")).rows()[0]
    assert (row["af"], row["af_na"], row["hwe_p"], row["hwe_na"]) == (
        None,
        "no_calls",
        None,
        "no_diploid_calls",
    )


ASSOCIATION = """
person population sex    PC1   PC2  GENE  1-100-A-G 1-200-C-T 1-300-G-A X-9-G-A
a      CEU        female 0.1   1.0  1.20  0/0       0/0       0/0       0/0
b      CEU        male   -0.2  0.7  0.30  0/1       0/0       0/1       1
c      CEU        female 0.3   -0.1 -0.50 1/1       0/0       ./.       0/1
d      CEU        male   0.05  0.2  0.10  0/0       0/0       0/0       0
e      YRI        female -0.4  0.3  0.90  0/1       0/0       ./.       1/1
f      YRI        male   0.6   0.4  2.10  0/1       0/0       ./.       1
g      YRI        female 0.15  -0.6 NA    1/1       0/1       0/1       0/0
h      YRI        male   NA    0.9  -0.30 1/1       0/0       0/0       0
i      YRI        female -0.25 0.1  0.77  0/0       ./.       -         0/1
j      CEU        unknown 0.35 0.5  -1.10 1/1       0/0       0/1       0/0
"""
VALUES = {
    "PC1": lambda p: p.covariates.get("PC1"),
    "PC2": lambda p: p.covariates.get("PC2"),
    "population=YRI": lambda p: float(p.population == "YRI"),
    "sex=male": lambda p: None if p.sex == "unknown" else float(p.sex == "male"),
}


@pytest.mark.parametrize(
    "covariates",
    [[], ["PC1"], ["PC1", "PC2"], ["population"], ["PC1", "PC2", "population"], ["sex", "PC2"]],
)
def test_association(covariates):
    people = read(ASSOCIATION)
    answer = run(
        ask("cis_association", gene="GENE", variants={"panel": "all"}, covariates=covariates),
        engine(people),
    )
    terms = answer.facts["model"][2:]
    assert len(terms) == len(covariates)
    for row in answer.rows():
        name = f"{row['contig']}-{row['pos']}-{row['ref']}-{row['alt']}"
        expected = reference.regression(people, name, "GENE", {t: VALUES[t] for t in terms})
        assert (row["n"], row["na"]) == (expected["n"], expected["na"]), name
        for column in ("beta", "se", "t", "p"):
            assert same(row[column], expected.get(column)), (name, column)


def test_a_covariate_that_does_not_vary_is_dropped_and_said():
    people = [p for p in read(ASSOCIATION) if p.population == "CEU"]
    for person in people:
        person.covariates["PC2"] = 3.5
    answer = run(
        ask(
            "cis_association",
            gene="GENE",
            variants={"panel": "all"},
            covariates=["PC2", "population"],
        ),
        engine(people),
    )
    assert answer.facts["model"] == ["intercept", "dosage"]
    assert answer.facts["dropped_terms"] == ["PC2"]


def test_people_without_feature_or_covariate_are_left_out_and_counted():
    answer = run(
        ask("cis_association", gene="GENE", variants={"panel": "all"}, covariates=["PC1", "sex"]),
        engine(read(ASSOCIATION)),
    )
    assert answer.facts["left_out"] == {"no_covariate": 2, "no_feature": 1}
    assert answer.people == {"all": 7}


def test_a_gene_nobody_has_is_na_everywhere():
    answer = run(
        ask("cis_association", gene="NONE", variants={"panel": "all"}), engine(read(ASSOCIATION))
    )
    assert {row["na"] for row in answer.rows()} == {"no_people"}


def test_window_selects_by_the_genes_place():
    answer = run(
        ask("cis_association", gene="GENE", chrom="1", start=150, end=160, window_bp=50),
        engine(read(ASSOCIATION)),
    )
    assert [row["pos"] for row in answer.rows()] == [100, 200]
