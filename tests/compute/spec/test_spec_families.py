"""Every family of the catalogue on random cohorts: the engine against the slow reference."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from compute.intervals import with_intervals
from compute.queries import PersonData, catalogue, reduce, run, start
from compute.queries.catalogue import learned_frame
from compute.queries.loadings import parse_loadings
from compute.queries.scorefile import parse_scorefile
from tests.compute.spec import families_world as w
from tests.compute.spec import slow
from tests.compute.spec.test_family_tables import engine_and_reference_agree, without_zeros

PANEL = {"variants": {"panel": "all"}}
HEIGHT = {"kind": "covariate", "name": "height"}
CASE = {"kind": "covariate", "name": "case"}
TERM = {"kind": "term", "term": "HP:0000001", "ontology": w.ONTOLOGY}
REFERENCES = {w.ONTOLOGY: w.Tree()}
DIGEST, PANEL_DIGEST = "b" * 64, "c" * 64
FEATURES = {"features": ["G2", "G1"], "namespace": "Ensembl", "unit": "TPM"}
LEVELS = {"feature": "G1", "namespace": "Ensembl", "unit": "TPM", "variant": "1-1000-A-G"}
ONSETS = {"terms": ["HP:0000002"], "ontology": w.ONTOLOGY, "width": 10, "oldest": 60}
RANGE = {"low": "0", "high": "4"}
LISTED = ["1-1000-A-G", "X-9000000-A-G", "1-1010-A-G", "1-9999-A-G"]
SEXES = {"by": "sex", "levels": ["female", "male"]}

SCORE = b"""#pgs_id=PGS000999
#genome_build=GRCh37
rsID	chr_name	chr_position	effect_allele	other_allele	effect_weight	is_recessive	is_dominant
rs1	1	1000	G	A	0.5	False	False
rs2	1	1010	A	G	-0.25	False	False
rs3	1	1020	C	T	1.5	False	False
rs4	1	1030	G		0.75	False	False
rs5	1	1040	G	A	2	True	False
rs6	1	1050	G	A	3	False	True
rs7	1	1060	T	C	1	False	False
rs8	1	9999	G	A	1	False	False
rs9	1	1070	G	C	4	False	False
rs10	X		G	A	4	False	False
"""
LOADINGS = b"""##build=GRCh37
variant	af	PC1	PC2
1-1000-A-G	0.3	0.5	-0.1
1-1010-A-G	0.4	-0.2	0.7
1-1020-A-G	0.25	0.1	0.3
1-77-C-T	0.5	1	1
"""

TEXTS = {**REFERENCES, DIGEST: SCORE.decode(), PANEL_DIGEST: LOADINGS.decode()}
FILES = {**REFERENCES, DIGEST: parse_scorefile(SCORE), PANEL_DIGEST: parse_loadings(LOADINGS)}


@pytest.fixture(scope="module")
def cohort():
    return w.cohort(w.people(), w.VARIANTS, FILES)


@pytest.fixture(scope="module")
def mixed():
    """The same people with four variants more, on X, where men have one copy."""
    return w.cohort(w.with_x(w.people()), [*w.VARIANTS, *w.ON_X], FILES)


def close(mine, expected, tight=1e-7):
    return mine == pytest.approx(expected, rel=tight, abs=1e-9)


def asked(*cases):
    return [{**base, **more} for base, mores in cases for more in mores]


NO_AND_ALL = ({}, {"covariates": ["PC1"]}, {"covariates": ["PC1", "population", "sex"]})
TRAITS = (
    HEIGHT,
    {"kind": "feature", "namespace": "Ensembl", "unit": "TPM", "id": "G1"},
    TERM,
    *({"kind": "measurement", "code": w.GLUCOSE, "unit": w.UNIT, "statistic": statistic}
      for statistic in ("mean", "first", "last", "lowest", "highest")),
)  # fmt: skip
SPLIT = ({}, {"by": "population"}, {"by": "sex"})
SPECS = {
    "genotype_counts": asked((PANEL, SPLIT), ({"variants": {"region": "1:1010-1050"}}, ({},))),
    "cis_association": asked(
        ({**PANEL, "gene": "G1"}, NO_AND_ALL),
        ({"gene": "G2", "chrom": "1", "start": 1040, "end": 1060, "window_bp": 20, "unit": "TPM"},
         ({}, {"transform": "inverse_normal"}))),
    "linear_association": asked(
        *(({**PANEL, "trait": trait, "transform": transform}, NO_AND_ALL)
          for trait in TRAITS for transform in ("none", "inverse_normal"))),
    "logistic_association": asked(
        *(({**PANEL, "trait": trait, **test}, NO_AND_ALL) for trait in (CASE, TERM) for test in (
            {}, *({"test": "wald", "firth": how} for how in ("never", "fallback", "always"))))),
    "polygenic_score": asked(
        *(({"score": DIGEST, "min_match_percent": 60, "missing": missing, "palindromic": how}, SPLIT)
          for missing in ("mean", "nothing") for how in ("drop", "as_written"))),
    "feature_summary": asked(
        *(({**FEATURES, "scale": scale}, SPLIT) for scale in ("as_measured", "log2_plus_1"))),
    "feature_differential": asked(
        ({**FEATURES, "groups": {"kind": "stratum", "stratum": "population", "a": "CEU", "b": "YRI"}},
         ({}, {"scale": "log2_plus_1"})),
        ({**FEATURES, "groups": TERM}, ({},))),
    "feature_by_genotype": asked(
        (LEVELS, ({}, {"scale": "log2_plus_1"}, {"variant": "X-9000000-A-G"}))),
    "clinical_counts": asked(
        ({"terms": ["HP:0000003", "HP:0000001"]}, SPLIT),
        ({"terms": ["HP:0000003", "HP:0000001"], "ontology": w.ONTOLOGY}, SPLIT)),
    "clinical_crosstab": asked(
        ({"first": {"kind": "term", "term": "HP:0000002"},
          "second": {"kind": "term", "term": "HP:0000003"}}, SPLIT),
        ({"first": TERM, "second": {"kind": "term", "term": "HP:0000003"}}, SPLIT)),
    "time_in_range": asked(
        ({"code": w.GLUCOSE, "unit": w.UNIT, "low": "70", "high": "180"},
         (*SPLIT, {"min_readings": 35}))),
    "age_at_onset": asked((ONSETS, SPLIT), ({**ONSETS, "width": 5, "oldest": 90}, ({},))),
    "linkage": asked(
        ({"variants": {"region": "1:1000-1060"}}, ({},)), ({"variants": LISTED}, ({},))),
    "ancestry_projection": asked(({"loadings": PANEL_DIGEST}, SPLIT)),
    "cohort_quality": asked((PANEL, SPLIT)),
    "feature_distribution": asked(
        ({"feature": "G1", "unit": "TPM", **RANGE}, ({}, {"bins": 3, **SEXES}))),
    "score_distribution": asked(
        ({"weights": dict.fromkeys(LISTED[:3], "0.5"), **RANGE}, ({}, {"bins": 4, **SEXES}))),
    "private_association": asked(
        ({"feature": "G1", "variants": LISTED, **RANGE},
         ({}, SEXES, {"covariates": {"PC1": "-1..1", "population": "CEU|YRI"}}))),
    "top_counts": asked(
        ({"k": 1, "variants": LISTED}, ({},)),
        ({"k": 1, "terms": ["HP:0000001", "HP:0000002"], "ontology": w.ONTOLOGY}, ({},)),
        ({"k": 1, "features": ["G1", "G2"], "modality": "expression", "namespace": "Ensembl",
          "unit": "TPM", "least": "1.5"}, ({},))),
    "top_association": asked(
        ({"k": 1, "features": ["G1", "G2"], "namespace": "Ensembl", "unit": "TPM",
          "variants": LISTED, **RANGE}, ({},))),
}  # fmt: skip
# Those of pairs and components need more variants: below, and in queries/test_cohort_pca.py.
LARGER = {"relatedness", "cohort_pca"}


def test_every_family_is_asked():
    assert {*SPECS, *LARGER} == set(catalogue())


@pytest.mark.parametrize("world", ["cohort", "mixed"])
@pytest.mark.parametrize("family", sorted(SPECS))
def test_engine_equals_the_slow_reference(family, world, request):
    data = request.getfixturevalue(world)
    for params in SPECS[family]:
        query = w.ask(family, params)
        answer = run(query, data)
        rows, facts = slow.answer(query, data, TEXTS)
        assert len(rows) == len(answer), params
        engine_and_reference_agree(answer.rows(), rows)
        for name, told in facts.items():
            assert without_zeros(answer.facts[name]) == without_zeros(told), (params, name)


def test_relatedness_counts_planted_relatives():
    rng = np.random.default_rng(5)
    v = 2000
    af = rng.uniform(0.1, 0.9, v)
    haplotypes = [rng.random(v) < af for _ in range(20)]
    dosages = [(haplotypes[2 * i].astype(np.int8) + haplotypes[2 * i + 1]) for i in range(10)]
    dosages.append(dosages[0].copy())  # a twin
    pick = rng.random(v) < 0.5
    child = np.where(pick, haplotypes[2], haplotypes[3]).astype(np.int8)
    dosages.append(child + (rng.random(v) < af))  # a child of the second
    variants = [(0, 1000 + k, "A", "G") for k in range(v)]
    members = [PersonData(f"p{i}", d.astype(np.int8)) for i, d in enumerate(dosages)]
    members[4].dosage[:50] = -1
    data, query = w.cohort(members, variants), w.ask("relatedness", PANEL)
    answer, (rows, _) = run(query, data), slow.answer(query, data)
    engine_and_reference_agree(answer.rows(), rows)
    pairs = {row["degree"]: row["pairs"] for row in rows}
    assert pairs["duplicate_or_twin"] == 1 and pairs["first"] == 1


# -- independent programs --------------------------------------------------------------------------


def test_the_line_through_the_genotypes_means_is_the_line_through_everybody(cohort):
    people = [p for p in cohort.people
              if p.feature_kind == w.KIND and p.dosage[0] >= 0 and math.isfinite(p.features["G1"])]  # fmt: skip
    slope, start = np.polyfit(
        [float(p.dosage[0]) for p in people], [p.features["G1"] for p in people], 1
    )
    found = with_intervals(run(w.ask("feature_by_genotype", LEVELS), cohort))
    assert found.columns["fit"] == pytest.approx([start, start + slope, start + 2 * slope])


@pytest.mark.parametrize("by", [None, "population"])
def test_age_at_onset_is_scipys_estimate(cohort, by):
    """Against scipy's own estimator, over ages rounded down to their band."""
    answer = run(
        w.ask("age_at_onset", {**ONSETS, **({"by": by} if by else {})}, build=None), cohort
    )
    left_out = Counter()
    for stratum in answer.people:
        events, censored = [], []
        for p in cohort.people:
            if by is not None and p.strata[by] != stratum:
                continue
            age, affected = w.onset_of(p.clinical, {"HP:0000002"})
            if age is None:
                left_out["no_onset_age" if affected else "no_age"] += 1
            elif affected and age < 60:
                events.append(10 * (age // 10))
            else:
                censored.append(min(50, 10 * (age // 10)))
        rows = [row for row in answer.rows() if row["stratum"] == stratum]
        assert answer.people[stratum] == len(events) + len(censored)
        found = stats.ecdf(stats.CensoredData(uncensored=events, right=censored)).sf
        ends = found.confidence_interval(0.95, method="log-log")
        for row in rows:
            assert row["events"] == events.count(row["age_from"])
            assert row["at_risk"] == sum(age >= row["age_from"] for age in [*events, *censored])
            if not row["at_risk"]:
                assert row["survival"] is None
                continue
            assert close(row["survival"], float(found.evaluate(row["age_from"])))
            if row["survival_low"] is not None:
                assert close(row["survival_low"], float(ends.low.evaluate(row["age_from"])))
                assert close(row["survival_high"], float(ends.high.evaluate(row["age_from"])))
        assert any(row["survival_low"] is not None for row in rows)
    assert answer.facts["left_out"] == {"no_age": 0, "no_onset_age": 0, **left_out}
    assert all(answer.facts["left_out"].values())


# -- algebra: partial sums of two halves are those of the whole -----------------------------------

QUERIES = {
    "linear_association": {**PANEL, "trait": HEIGHT, "covariates": ["PC1"]},
    "logistic_association": {**PANEL, "trait": CASE, "test": "wald"},
    "polygenic_score": {"score": DIGEST, "min_match_percent": 50, "by": "population"},
    "feature_summary": {**FEATURES, "by": "sex"},
    "feature_differential": {**FEATURES, "groups": TERM},
    "clinical_counts": {"terms": ["HP:0000002"]},
    "clinical_crosstab": {"first": TERM, "second": {"kind": "term", "term": "HP:0000003"}},
    "time_in_range": {"code": w.GLUCOSE, "unit": w.UNIT, "low": "70", "high": "180"},
    "feature_by_genotype": LEVELS,
    "age_at_onset": {**ONSETS, "by": "population"},
    "linkage": {"variants": {"region": "1:1000-1060"}},
    "ancestry_projection": {"loadings": PANEL_DIGEST},
    "cohort_quality": PANEL,
    "genotype_counts": {**PANEL, "by": "sex"},
    "cis_association": {**PANEL, "gene": "G1", "unit": "TPM", "transform": "inverse_normal"},
}


def test_every_family_is_in_the_table():
    trusted = {name for name, family in catalogue().items() if "trusted" in family.modes}
    # These two need more variants: cohort_pca has its table in queries/test_cohort_pca.py.
    assert {*QUERIES, "relatedness", "cohort_pca"} == trusted


@pytest.mark.parametrize("family", sorted(QUERIES))
def test_merged_halves_equal_the_whole(cohort, family):
    query = w.ask(family, QUERIES[family])
    frame = learned_frame(query, cohort)
    left, right = start(query, frame), start(query, frame)
    for at, person in enumerate(cohort.people):
        (left if at % 3 else right).add(person)
    left.merge(right)
    assert left.people == len(cohort.people)
    merged, whole = reduce(query, left), run(query, cohort)
    assert merged.people == whole.people
    for name, column in whole.columns.items():
        if column.dtype.kind != "f":
            assert merged.columns[name].tolist() == column.tolist(), name
        else:
            assert merged.columns[name] == pytest.approx(column, rel=1e-7, nan_ok=True), name


def test_a_declared_column_exists(cohort):
    for family, params in QUERIES.items():
        answer, rules = run(w.ask(family, params), cohort), catalogue()[family].disclosure
        if rules is None:
            assert catalogue()[family].modes == {"private"}, family
            continue
        named = {*rules.tails, *rules.grid, *rules.grid.values(), *rules.rounded, *rules.decimals}
        for cell in rules.cells:
            named |= {cell.count, *cell.hides, *([cell.of] if cell.of else [])}
        assert named <= set(answer.columns), family
        assert set(catalogue()[family].sensitivity.each) <= set(answer.columns), family
