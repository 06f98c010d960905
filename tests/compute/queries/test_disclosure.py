"""What a family declares must not leave: small cells, quantiles' tails, rounding, derived columns."""

from __future__ import annotations

import numpy as np
import pytest

from compute.queries import Answer, CohortData, PersonData, VariantTable, parse_query, run
from compute.queries.disclosure import disclose, is_dominated
from compute.queries.family import Cell, Disclosure
from compute.release import CohortFacts, release_gate
from compute.suppress import SMALL, suppress_cells


def answer(people=None, **columns):
    arrays = {
        name: np.array(v, dtype=object if isinstance(v[0], str) else None)
        for name, v in columns.items()
    }
    return Answer("x", 1, arrays, people or {"all": 100})


@pytest.mark.parametrize(
    ("count", "of", "hidden"),
    [(0, 100, False), (1, 100, True), (7, 100, True), (8, 100, False), (92, 100, False),
     (93, 100, True), (99, 100, True), (100, 100, False)],
)  # fmt: skip
def test_a_small_cell_or_a_small_rest_hides_what_it_determines(count, of, hidden):
    rules = Disclosure(cells=(Cell("k", ("k", "share"), of="n"),))
    told, notes = disclose(answer(k=[count], n=[of], share=[count / of]), rules, SMALL)
    assert (told.columns["k"][0] is None) == (told.columns["share"][0] is None) == hidden
    assert told.columns["n"][0] == of and bool(notes) == hidden


def test_what_is_hidden_in_one_stratum_is_hidden_in_all():
    rules = Disclosure(cells=(Cell("k", ("k",)),), spread=True)
    rows = answer({"a": 50, "b": 50}, stratum=["a", "a", "b", "b"], k=[3, 20, 30, 40])
    assert disclose(rows, rules, SMALL)[0].columns["k"].tolist() == [None, 20, None, 40]


def test_a_quantile_needs_ten_people_on_either_side():
    rules = Disclosure(tails={"q05": 0.05, "q50": 0.5})
    rows = answer(n=[19, 20, 199, 200], q05=[1.0] * 4, q50=[1.0] * 4)
    told = disclose(rows, rules, SMALL)[0].columns
    assert told["q05"].tolist() == [None, None, None, 1.0]
    assert told["q50"].tolist() == [None, 1.0, 1.0, 1.0]


def test_a_quantile_is_nobodys_own_value():
    rules = Disclosure(grid={"q50": "sd"})
    told = disclose(answer(q50=[3.14159], sd=[2.0]), rules, SMALL)[0]
    assert told.columns["q50"][0] == pytest.approx(3.1) and told.columns["sd"][0] == 2.0


def test_what_is_derived_is_derived_from_the_rounded_counts():
    rules = Disclosure(rounded=("k", "n"), remake=lambda c: {"share": c["k"] / c["n"]})
    told = disclose(answer(k=[33], n=[101], share=[33 / 101]), rules, SMALL)[0].columns
    assert (told["k"][0], told["n"][0], told["share"][0]) == (35, 100, 0.35)


def test_a_parent_term_and_its_child_do_not_give_away_the_few_between_them():
    """31 people with the parent and 29 with the child: the two between are not told."""
    columns = {
        "stratum": ["all", "all"], "term": ["HP:1", "HP:2"], "n": [100, 100],
        "with_term": [31, 29], "prevalence": [0.31, 0.29], "stated_absent": [0, 0],
    }  # fmt: skip
    rows = Answer("clinical_counts", 1, answer(**columns).columns, {"all": 100})
    told = suppress_cells(rows)[0].columns
    assert told["with_term"].tolist() == [30, 30] and told["prevalence"].tolist() == [0.3, 0.3]


def test_the_gate_applies_what_the_family_declares():
    columns = {
        "stratum": ["all"], "n": [60], "both": [3], "first_only": [20], "second_only": [17],
        "neither": [20], "odds_ratio": [1.0], "fisher_p": [0.5],
    }  # fmt: skip
    rows = Answer("clinical_crosstab", 1, answer(**columns).columns, {"all": 60})
    told, notes = suppress_cells(rows)
    for name in ("both", "first_only", "second_only", "neither", "odds_ratio", "fisher_p"):
        assert told.columns[name][0] is None, name
    assert told.columns["hidden"][0] == "small_cell" and notes[0]["code"] == "small_cell"


def dominated_by(strata, values):
    """A summary of one metric over strata of people, whose values are given by stratum."""
    people = [
        PersonData(f"{level}{at}", strata={"sex": level}, features={"F": value})
        for level in strata
        for at, value in enumerate(values[level])
    ]
    asked = {"features": ["F"], "namespace": "n", "unit": "u", "by": "sex"}
    query = parse_query({"v": 1, "family": "feature_summary", "build": "GRCh37", "params": asked})
    data = CohortData.of(VariantTable.of("GRCh37", []), people)
    return release_gate(run(query, data), CohortFacts(90, 0, 90), mode="trusted", rho=0)


def test_a_mean_that_one_person_makes_up_most_of_is_hidden_in_every_stratum():
    even = [1.0 + at / 100 for at in range(40)]
    fine = dominated_by(("female", "male"), {"female": even, "male": even})
    assert "dominated" not in fine.answer["columns"]
    assert None not in fine.answer["columns"]["mean"]
    found = dominated_by(("female", "male"), {"female": even, "male": [*even, 60.0]})
    columns = found.answer["columns"]
    assert columns["mean"] == columns["sd"] == columns["q50"] == [None, None]
    assert columns["hidden"] == ["one_person_dominates"] * 2
    assert {"path": "columns/hidden", "code": "one_person_dominates"} in found.suppressed
    assert columns["n"] == [40, 41]


def test_a_difference_that_one_person_makes_is_hidden():
    values = np.array([[30.0, 1.0], [0.1, 0.1]])
    assert is_dominated(values.max(axis=0), values.sum(axis=0)).tolist() == [True, True]
    assert not is_dominated([1.0], [2.0]).any()


def test_the_effect_behind_a_hwe_p_leaves_with_the_genotypes_or_not_at_all():
    """Variants of which one has three carriers of two copies, through the gate."""
    shares = np.array([[60, 30, 10], [70, 27, 3], [50, 50, 0]])
    dosage = np.array([np.repeat([0, 1, 2], row) for row in shares], np.int8)
    table = VariantTable.of("GRCh37", [(0, 1000 + at, "A", "G") for at in range(len(shares))])
    people = [PersonData(f"p{at}", dosage[:, at].copy()) for at in range(100)]
    query = parse_query({"v": 1, "family": "genotype_counts", "build": "GRCh37",
                         "params": {"variants": {"panel": "all"}}})  # fmt: skip
    cohort = CohortFacts(100, 0, 100)
    told = release_gate(run(query, CohortData.of(table, people)), cohort, mode="trusted", rho=0)
    columns = told.answer["columns"]
    for name in ("het", "hwe_p", "f", "f_low", "f_high"):
        assert [value is None for value in columns[name]] == [False, True, False], name
    assert columns["f"][0] == pytest.approx(1 - 30 / (200 * 0.25 * 0.75))
    assert columns["f_se"][1:] == [None, None]  # hidden, and at its bound
