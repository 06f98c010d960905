"""Hypothesis: engine against reference on any small cohort; algebra of partial sums."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.queries import learned_frame, reduce, run, start
from tests.compute import reference
from tests.compute.reference import NO_CALL, NOT_COVERED, Someone
from tests.compute.spec.test_spec_tables import VALUES, ask, check_counts, engine, same

VARIANTS = ["1-100-A-G", "1-200-C-T", "7-5-AT-A"]
calls = st.sampled_from([(0, 2), (1, 2), (2, 2), (0, 1), (1, 1), NO_CALL, NOT_COVERED])
numbers = st.integers(-400, 400).map(lambda n: n / 64)


@st.composite
def someone(draw):
    return Someone(
        name="x",
        genotypes={name: draw(calls) for name in VARIANTS},
        population=draw(st.sampled_from(["CEU", "YRI"])),
        sex=draw(st.sampled_from(["female", "male", "unknown"])),
        covariates={"PC1": draw(numbers)},
        features={"GENE": draw(st.one_of(numbers, st.just(math.nan)))},
    )


groups = st.lists(someone(), min_size=1, max_size=14)


@settings(max_examples=60, deadline=None)
@given(groups, st.sampled_from([None, "population", "sex"]))
def test_counts_equal_the_reference(people, by):
    check_counts(people, by)


@settings(max_examples=80, deadline=None)
@given(groups, st.sampled_from([[], ["PC1"], ["PC1", "population"]]))
def test_association_equals_the_reference(people, covariates):
    query = ask("cis_association", gene="GENE", variants={"panel": "all"}, covariates=covariates)
    answer = run(query, engine(people))
    terms = answer.facts["model"][2:]
    for row in answer.rows():
        name = f"{row['contig']}-{row['pos']}-{row['ref']}-{row['alt']}"
        expected = reference.regression(people, name, "GENE", {t: VALUES[t] for t in terms})
        assert row["n"] == expected["n"]
        if expected["n"] == 0 or expected["na"] in {"monomorphic", "too_few_people"}:
            assert row["na"] == expected["na"]
        if row["na"] == "" and expected["se"] > 1e-6:
            for column in ("beta", "se", "t", "p"):
                assert same(row[column], expected[column]), (column, row[column], expected[column])


@settings(max_examples=60, deadline=None)
@given(
    groups,
    groups,
    st.sampled_from(["genotype_counts", "cis_association"]),
    st.sampled_from([0.0, 1e6]),
)
def test_adding_in_parts_equals_adding_at_once(one, two, family, offset):
    for person in two:
        person.features["GENE"] += offset
    params = {"variants": {"panel": "all"}}
    if family == "cis_association":
        params |= {"gene": "GENE", "covariates": ["PC1"]}
    cohort = engine([*one, *two])
    query = ask(family, **params)
    frame = learned_frame(query, cohort)
    left, right = start(query, frame), start(query, frame)
    for person in cohort.people[: len(one)]:
        left.add(person)
    for person in cohort.people[len(one) :]:
        right.add(person)
    left.merge(right)
    assert left.people == len(cohort.people)
    merged, whole = reduce(query, left), run(query, cohort)
    for name, column in whole.columns.items():
        other = merged.columns[name]
        if column.dtype.kind != "f":
            assert name == "na" or other.tolist() == column.tolist()
            continue
        both = ~np.isnan(column) & ~np.isnan(other) & (np.abs(column) > 1e-6)
        if family == "cis_association":
            # An SE comes from sums of squares: a millionth of the values' spread is lost to
            # rounding, and with it t and p.
            both &= whole.columns["se"] > 1e-6 * max(1.0, offset)
        assert other[both] == pytest.approx(column[both], rel=1e-6)
