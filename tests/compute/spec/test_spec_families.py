"""Every family of the catalogue on small cohorts: engine against the slow reference."""

from __future__ import annotations

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from compute.intervals import with_intervals
from compute.queries import CohortData, PersonData, QueryError, catalogue, reduce, run, start
from compute.queries.catalogue import learned_frame
from compute.queries.loadings import parse_loadings
from compute.queries.scorefile import parse_scorefile
from tests.compute.spec import families_world as w

PANEL = {"variants": {"panel": "all"}}
HEIGHT = {"kind": "covariate", "name": "height"}
CASE = {"kind": "covariate", "name": "case"}
TERM = {"kind": "term", "term": "HP:0000001", "ontology": w.ONTOLOGY}
REFERENCES = {w.ONTOLOGY: w.Tree()}


@pytest.fixture(scope="module")
def cohort():
    return w.cohort(w.people(), w.VARIANTS, REFERENCES)


def close(mine, expected, tight=1e-7):
    return mine == pytest.approx(expected, rel=tight, abs=1e-9)


# -- association -----------------------------------------------------------------------------------


@pytest.mark.parametrize("covariates", [[], ["PC1"], ["PC1", "population", "sex"]])
def test_linear_association(cohort, covariates):
    params = {**PANEL, "trait": HEIGHT, "covariates": covariates}
    answer = run(w.ask("linear_association", params), cohort)
    terms = answer.facts["model"][2:]
    for at, row in enumerate(answer.rows()):
        expected = w.ols(cohort.people, at, lambda p: p.covariates.get("height"), terms)
        assert all(close(row[name], value) for name, value in expected.items()), row
        called = [int(p.dosage[at]) for p, *_ in w.usable(
            cohort.people, lambda p: p.covariates.get("height"), terms) if p.dosage[at] >= 0]  # fmt: skip
        assert (row["ac"], row["an"], row["af"]) == (
            sum(called), 2 * len(called), sum(called) / (2 * len(called)))  # fmt: skip


def test_linear_association_of_ranks_and_of_each_kind_of_trait(cohort):
    traits = {
        "feature": {"kind": "feature", "namespace": "Ensembl", "unit": "TPM", "id": "G1"},
        "measurement": {"kind": "measurement", "code": w.GLUCOSE, "unit": w.UNIT,
                        "statistic": "highest"},
    }  # fmt: skip
    own = {
        "feature": lambda p: p.features["G1"] if p.feature_kind == w.KIND else None,
        "measurement": lambda p: max(m.value for m in p.clinical.measurements if m.unit == w.UNIT),
    }
    for name, trait in traits.items():
        raw = {p.participant: own[name](p) for p in cohort.people}
        raw = {k: v for k, v in raw.items() if v is not None and not math.isnan(v)}
        ranks = dict(zip(raw, stats.rankdata(list(raw.values())), strict=True))
        normal = {k: stats.norm.ppf((r - 0.375) / (len(raw) + 0.25)) for k, r in ranks.items()}
        for transform, values in (("none", raw), ("inverse_normal", normal)):
            params = {**PANEL, "trait": trait, "transform": transform}
            answer = run(w.ask("linear_association", params), cohort)
            assert answer.people["all"] == len(raw)
            for at, row in enumerate(answer.rows()):
                expected = w.ols(cohort.people, at, lambda p: values.get(p.participant), [])
                assert close(row["beta"], expected["beta"]) and close(row["p"], expected["p"])


@pytest.mark.parametrize("covariates", [[], ["PC1", "population"]])
def test_logistic_score_test(cohort, covariates):
    params = {**PANEL, "trait": CASE, "covariates": covariates}
    answer = run(w.ask("logistic_association", params), cohort)
    assert "score" in answer.facts["test"]
    for at, row in enumerate(answer.rows()):
        expected = w.score(cohort.people, at, answer.facts["model"][2:])
        assert close(row["beta"], expected["beta"], 1e-5)
        assert close(row["se"], expected["se"], 1e-6)
        assert close(row["p"], expected["p"], 1e-5)


@pytest.mark.parametrize("firth", ["never", "always"])
@pytest.mark.parametrize("covariates", [[], ["PC1"]])
def test_logistic_full_fit(cohort, covariates, firth):
    params = {**PANEL, "trait": CASE, "covariates": covariates, "test": "wald", "firth": firth}
    answer = run(w.ask("logistic_association", params), cohort)
    for at, row in list(enumerate(answer.rows()))[:6]:
        expected = w.wald(cohort.people, at, answer.facts["model"][2:], firth=firth == "always")
        assert row["n"] == expected["n"] and row["firth"] == ("yes" if firth == "always" else "no")
        assert close(row["beta"], expected["beta"], 1e-5), row
        assert close(row["se"], expected["se"], 1e-5)


def test_firth_takes_over_where_cases_and_controls_separate():
    members = [
        PersonData(
            f"p{i}", np.array([2 * (i >= 10), i % 3], np.int8), None, {}, {"case": float(i >= 10)}
        )
        for i in range(20)
    ]
    data = w.cohort(members, w.VARIANTS[:2])
    base = {**PANEL, "trait": CASE, "test": "wald"}
    first, second = run(w.ask("logistic_association", base), data).rows()
    assert (first["firth"], first["na"], second["firth"]) == ("yes", "", "no")
    expected = w.wald(members, 0, [], firth=True)
    assert close(first["beta"], expected["beta"], 1e-5) and close(first["se"], expected["se"], 1e-5)
    never = run(w.ask("logistic_association", {**base, "firth": "never"}), data).rows()[0]
    assert (never["na"], never["beta"]) == ("no_maximum", None)


def test_logistic_counts_in_cases_and_who_is_left_out(cohort):
    answer = run(
        w.ask("logistic_association", {**PANEL, "trait": CASE, "covariates": ["PC1"]}), cohort
    )
    assert answer.facts["left_out"] == {"no_covariate": 1, "no_trait": 1}
    for at, row in enumerate(answer.rows()):
        cases = [
            p for p, y, _ in w.logistic_rows(cohort.people, ["PC1"]) if y and p.dosage[at] >= 0
        ]
        assert row["cases"] == len(cases)
        assert row["ac_cases"] == sum(int(p.dosage[at]) for p in cases)


def test_a_trait_that_is_not_yes_or_no_is_no_case_control_trait(cohort):
    with pytest.raises(QueryError, match="cases only"):
        run(w.ask("logistic_association", {**PANEL, "trait": HEIGHT}), cohort)


# -- scores ----------------------------------------------------------------------------------------

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
OTHER_STRAND = {2: "G", 6: "A"}  # C/T and T/C of rs3 and rs7 are G/A and A/G on the other strand
DIGEST = "b" * 64


def score_of(person, mean):
    """One person's score by the file, row by row; mean: a missing call's copies, or None."""
    total = 0.0
    for at, effect, weight, model in (
        (0, "G", 0.5, ""), (1, "A", -0.25, ""), (2, "G", 1.5, ""), (3, "G", 0.75, ""),
        (4, "G", 2, "rec"), (5, "G", 3, "dom"), (6, "A", 1, ""),
    ):  # fmt: skip
        dosage = int(person.dosage[at])
        if dosage < 0:
            total += weight * (mean[at] if mean else 0)
            continue
        copies = dosage if effect == "G" else 2 - dosage
        total += weight * {"": copies, "rec": copies == 2, "dom": copies >= 1}[model]
    return total


def means(members):
    found = {}
    for at in range(7):
        calls = [int(p.dosage[at]) for p in members if p.dosage[at] >= 0]
        copies = [2 - d if at in (1, 6) else d for d in calls]
        value = {4: [c == 2 for c in copies], 5: [c >= 1 for c in copies]}.get(at, copies)
        found[at] = sum(value) / len(value)
    return found


@pytest.mark.parametrize("missing", ["mean", "nothing"])
@pytest.mark.parametrize("by", [None, "population"])
def test_polygenic_score(missing, by):
    members = w.people()
    data = w.cohort(members, w.VARIANTS, {DIGEST: parse_scorefile(SCORE)})
    params = {
        "score": DIGEST,
        "missing": missing,
        "min_match_percent": 60,
        **({"by": by} if by else {}),
    }
    answer = run(w.ask("polygenic_score", params), data)
    assert answer.facts["matching"] == {
        "no_position": 1, "not_in_cohort": 1, "other_strand": 2, "palindromic": 1,
    }  # fmt: skip
    assert (answer.facts["matched"], answer.facts["rows"]) == (7, 10)
    mean = means(members) if missing == "mean" else None
    for row in answer.rows():
        if row["metric"] != "score":
            continue
        own = [p for p in members if by is None or p.strata[by] == row["stratum"]]
        expected = w.described([score_of(p, mean) for p in own])
        assert all(close(row[name], value) for name, value in expected.items())


def test_a_score_that_does_not_match_the_cohort_is_refused():
    data = w.cohort(w.people(), w.VARIANTS, {DIGEST: parse_scorefile(SCORE)})
    with pytest.raises(QueryError, match=r"70\.0 %"):
        run(w.ask("polygenic_score", {"score": DIGEST}), data)


# -- measured features -----------------------------------------------------------------------------

FEATURES = {"features": ["G2", "G1"], "namespace": "Ensembl", "unit": "TPM"}


@pytest.mark.parametrize("by", [None, "sex"])
@pytest.mark.parametrize("scale", ["as_measured", "log2_plus_1"])
def test_feature_summary(cohort, by, scale):
    params = {**FEATURES, "scale": scale, **({"by": by} if by else {})}
    answer = run(w.ask("feature_summary", params), cohort)
    assert answer.facts["left_out"] == {"other_unit": 1}
    for row in answer.rows():
        own = [p for p in cohort.people if p.feature_kind == w.KIND
               and (by is None or p.strata[by] == row["stratum"])]  # fmt: skip
        raw = [p.features[row["metric"]] for p in own]
        if scale == "log2_plus_1":
            raw = [math.log2(v + 1) if v > -1 else math.nan for v in raw]
        assert all(close(row[name], value) for name, value in w.described(raw).items())


LEVELS = {"feature": "G1", "namespace": "Ensembl", "unit": "TPM", "variant": "1-1000-A-G"}


@pytest.mark.parametrize("scale", ["as_measured", "log2_plus_1"])
def test_feature_by_genotype(cohort, scale):
    answer = run(w.ask("feature_by_genotype", {**LEVELS, "scale": scale}), cohort)
    for copies, row in enumerate(answer.rows()):
        raw = [p.features["G1"] for p in cohort.people
               if p.feature_kind == w.KIND and p.dosage[0] == copies]  # fmt: skip
        if scale == "log2_plus_1":
            raw = [math.log2(v + 1) for v in raw]
        assert row["genotype"] == ("A/A", "A/G", "G/G")[copies]
        assert all(close(row[name], value) for name, value in w.described(raw).items())
    no_call = sum(p.dosage[0] < 0 for p in cohort.people)
    assert answer.facts["left_out"] == {"no_call": no_call, "no_feature": 1, "other_unit": 1}


def test_the_line_through_the_genotypes_means_is_the_line_through_everybody(cohort):
    people = [p for p in cohort.people
              if p.feature_kind == w.KIND and p.dosage[0] >= 0 and math.isfinite(p.features["G1"])]  # fmt: skip
    slope, start = np.polyfit(
        [float(p.dosage[0]) for p in people], [p.features["G1"] for p in people], 1
    )
    found = with_intervals(run(w.ask("feature_by_genotype", LEVELS), cohort))
    assert found.columns["fit"] == pytest.approx([start, start + slope, start + 2 * slope])


def test_a_haploid_call_of_alt_is_a_carrier_of_two():
    man = PersonData(
        "m", np.array([1], np.int8), np.array([1], np.int8), features={"G1": 4.0},
        feature_kind=w.KIND,
    )  # fmt: skip
    answer = run(w.ask("feature_by_genotype", LEVELS), w.cohort([man], w.VARIANTS[:1]))
    assert answer.columns["n"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "groups", [{"kind": "stratum", "stratum": "population", "a": "CEU", "b": "YRI"}, TERM]
)
def test_feature_differential(cohort, groups):
    answer = run(w.ask("feature_differential", {**FEATURES, "groups": groups}), cohort)
    kin = {"HP:0000001", "HP:0000002", "HP:0000003"}

    def in_a(p):
        if groups is TERM:
            return any(t.curie in kin and not t.excluded for t in p.clinical.terms)
        return p.strata["population"] == "CEU"

    ps = []
    for row in answer.rows():
        used = [p for p in cohort.people if p.feature_kind == w.KIND
                and not math.isnan(p.features[row["feature"]])]  # fmt: skip
        a = [p.features[row["feature"]] for p in used if in_a(p)]
        b = [p.features[row["feature"]] for p in used if not in_a(p)]
        test = stats.ttest_ind(a, b, equal_var=False)
        assert (row["n_a"], row["n_b"], row["n"]) == (len(a), len(b), len(a) + len(b))
        assert close(row["t"], test.statistic) and close(row["p"], test.pvalue)
        assert close(row["df"], test.df) and close(row["difference"], np.mean(a) - np.mean(b))
        ps.append(test.pvalue)
    assert [row["q"] for row in answer.rows()] == pytest.approx(
        stats.false_discovery_control(ps).tolist()
    )


# -- clinical --------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", [None, "population"])
def test_clinical_counts(cohort, by):
    terms = ["HP:0000003", "HP:0000001"]
    params = {"terms": terms, "ontology": w.ONTOLOGY, **({"by": by} if by else {})}
    answer = run(w.ask("clinical_counts", params, build=None), cohort)
    kin = {"HP:0000001": {"HP:0000001", "HP:0000002", "HP:0000003"}, "HP:0000003": {"HP:0000003"}}
    assert len(answer) == 2 * (2 if by else 1)
    for row in answer.rows():
        own = [p for p in cohort.people if by is None or p.strata[by] == row["stratum"]]
        has = [p for p in own if any(
            t.curie in kin[row["term"]] and not t.excluded for t in p.clinical.terms)]  # fmt: skip
        absent = [p for p in own if p not in has and any(
            t.curie == row["term"] and t.excluded for t in p.clinical.terms)]  # fmt: skip
        assert (row["n"], row["with_term"], row["stated_absent"]) == (
            len(own),
            len(has),
            len(absent),
        )
        assert row["prevalence"] == len(has) / len(own)


@pytest.mark.parametrize("by", [None, "population"])
def test_clinical_crosstab(cohort, by):
    params = {"first": {"kind": "term", "term": "HP:0000002"},
              "second": {"kind": "term", "term": "HP:0000003"}, **({"by": by} if by else {})}  # fmt: skip
    for row in run(w.ask("clinical_crosstab", params, build=None), cohort).rows():
        cells = Counter()
        for p in cohort.people:
            if by is None or p.strata[by] == row["stratum"]:
                codes = {t.curie for t in p.clinical.terms if not t.excluded}
                cells["HP:0000002" in codes, "HP:0000003" in codes] += 1
        table = [[cells[True, True], cells[True, False]], [cells[False, True], cells[False, False]]]
        mine = [[row["both"], row["first_only"]], [row["second_only"], row["neither"]]]
        assert mine == table
        assert close(row["fisher_p"], stats.fisher_exact(table).pvalue)
        assert close(row["odds_ratio"], stats.fisher_exact(table).statistic)


def test_time_in_range(cohort):
    params = {"code": w.GLUCOSE, "unit": w.UNIT, "low": "70", "high": "180"}
    answer = run(w.ask("time_in_range", params, build=None), cohort)
    own = [[m.value for m in p.clinical.measurements if m.unit == w.UNIT] for p in cohort.people]
    enough = [values for values in own if len(values) >= 24]
    assert answer.facts["left_out"] == {"too_few_readings": len(own) - len(enough)}
    rows = {row["metric"]: row for row in answer.rows()}
    shares = [sum(70 <= v <= 180 for v in values) / len(values) for values in enough]
    spread = [np.std(values, ddof=1) / np.mean(values) for values in enough]
    for metric, values in (("in_range", shares), ("cv", spread), ("readings", map(len, enough))):
        assert all(close(rows[metric][k], v) for k, v in w.described(values).items()), metric


ONSETS = {"terms": ["HP:0000002"], "ontology": w.ONTOLOGY, "width": 10, "oldest": 60}


@pytest.mark.parametrize("by", [None, "population"])
def test_age_at_onset(cohort, by):
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


# -- structure -------------------------------------------------------------------------------------


def test_linkage(cohort):
    answer = run(w.ask("linkage", {"variants": {"region": "1:1000-1060"}}), cohort)
    names = [f"1-{pos}-A-G" for _, pos, _, _ in w.VARIANTS]
    assert len(answer) == 21
    for row in answer.rows():
        a, b = names.index(row["variant_a"]), names.index(row["variant_b"])
        both = [p for p in cohort.people if p.dosage[a] >= 0 and p.dosage[b] >= 0]
        g, h = ([float(p.dosage[at]) for p in both] for at in (a, b))
        assert row["n"] == len(both) and close(row["r"], np.corrcoef(g, h)[0, 1])
        assert (row["ac_a"], row["ac_b"]) == (sum(g), sum(h))


def test_linkage_counts_a_single_copy_once():
    calls = [
        ((1, 2), (1, 2)),
        ((1, 1), (1, 1)),
        ((0, 1), (2, 2)),
        ((2, 0), (2, 2)),
        ((1, -1), (1, 0)),
    ]
    people = [
        PersonData(f"p{at}", np.array(dosage, np.int8), np.array(ploidy, np.int8))
        for at, (dosage, ploidy) in enumerate(calls)
    ]
    data = w.cohort(people, [(22, 1000, "A", "G"), (22, 1010, "A", "G")])
    (row,) = run(w.ask("linkage", {"variants": {"region": "X:1000-1060"}}), data).rows()
    assert (row["n"], row["ac_a"], row["an_a"], row["ac_b"], row["an_b"]) == (4, 4, 6, 4, 7)


LOADINGS = b"""##build=GRCh37
variant	af	PC1	PC2
1-1000-A-G	0.3	0.5	-0.1
1-1010-A-G	0.4	-0.2	0.7
1-1020-A-G	0.25	0.1	0.3
1-77-C-T	0.5	1	1
"""


def test_ancestry_projection(cohort):
    panel = parse_loadings(LOADINGS)
    data = w.cohort(cohort.people, w.VARIANTS, {DIGEST: panel})
    answer = run(w.ask("ancestry_projection", {"loadings": DIGEST, "by": "population"}), data)
    for row in answer.rows():
        k, values = int(row["metric"][2:]) - 1, []
        for p in cohort.people:
            if p.strata["population"] == row["stratum"]:
                called = [at for at in range(3) if p.dosage[at] >= 0]
                if called:
                    sums = [(p.dosage[at] - 2 * panel.af[at]) * panel.loadings[at, k]
                            / math.sqrt(2 * panel.af[at] * (1 - panel.af[at])) for at in called]  # fmt: skip
                    values.append(sum(sums) * 3 / len(called))
        assert all(close(row[name], value) for name, value in w.described(values).items())


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
    answer = run(w.ask("relatedness", PANEL), w.cohort(members, variants))
    expected = Counter()
    for one, other in combinations(members, 2):
        phi = w.kinship(one.dosage, other.dosage)
        names = ("duplicate_or_twin", "first", "second", "third")
        bounds = (0.354, 0.177, 0.0884, 0.0442)
        expected[next((n for n, b in zip(names, bounds, strict=True) if phi > b), "unrelated")] += 1
    assert dict(zip(answer.columns["degree"], answer.columns["pairs"], strict=True)) == {
        **dict.fromkeys(answer.columns["degree"], 0), **expected,
    }  # fmt: skip
    assert expected["duplicate_or_twin"] == 1 and expected["first"] == 1


def test_cohort_quality(cohort):
    rows = {r["metric"]: r for r in run(w.ask("cohort_quality", PANEL), cohort).rows()}
    covered = [float((p.dosage != -2).mean()) for p in cohort.people]
    rate = [float((p.dosage >= 0).sum() / (p.dosage != -2).sum()) for p in cohort.people]
    het = [(p.dosage == 1).sum() / (p.dosage >= 0).sum() for p in cohort.people]
    for metric, values in (("covered", covered), ("call_rate", rate), ("heterozygosity", het)):
        assert all(close(rows[metric][k], v) for k, v in w.described(values).items()), metric
    assert rows["ti_tv"]["n"] == 0  # A>G only: no transversion to divide by


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
    "ancestry_projection": {"loadings": "c" * 64},
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
    references = {**REFERENCES, DIGEST: parse_scorefile(SCORE), "c" * 64: parse_loadings(LOADINGS)}
    data = w.cohort(cohort.people, w.VARIANTS, references)
    query = w.ask(family, QUERIES[family])
    frame = learned_frame(query, data)
    left, right = start(query, frame), start(query, frame)
    for at, person in enumerate(data.people):
        (left if at % 3 else right).add(person)
    left.merge(right)
    assert left.people == len(data.people)
    merged, whole = reduce(query, left), run(query, data)
    assert merged.people == whole.people
    for name, column in whole.columns.items():
        if column.dtype.kind != "f":
            assert merged.columns[name].tolist() == column.tolist(), name
        else:
            assert merged.columns[name] == pytest.approx(column, rel=1e-7, nan_ok=True), name


def test_a_declared_column_exists(cohort):
    references = {**REFERENCES, DIGEST: parse_scorefile(SCORE), "c" * 64: parse_loadings(LOADINGS)}
    data = CohortData(w.cohort(cohort.people, w.VARIANTS, references).frame, cohort.people)
    for family, params in QUERIES.items():
        answer, rules = run(w.ask(family, params), data), catalogue()[family].disclosure
        if rules is None:
            continue
        named = {*rules.tails, *rules.grid, *rules.grid.values(), *rules.rounded, *rules.decimals}
        for cell in rules.cells:
            named |= {cell.count, *cell.hides, *([cell.of] if cell.of else [])}
        assert named <= set(answer.columns), family
        assert set(catalogue()[family].sensitivity.each) <= set(answer.columns), family
