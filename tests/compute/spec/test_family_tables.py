"""Every family of the catalogue on its written table: the engine and the slow reference alike."""

from __future__ import annotations

import pytest

from compute.queries import QueryError, catalogue, run
from tests.compute.spec import slow, table_files

CASES = [case for family in table_files.families() for case in table_files.cases(family)]


def test_every_family_of_the_catalogue_has_a_table_and_a_slow_reference():
    assert table_files.families() == sorted(catalogue())
    assert all(callable(slow.family(name)) for name in catalogue())
    assert {case.family for case in CASES} == set(catalogue())


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.family}: {case.title}")
def test_a_written_case(case):
    assert case.how or case.refused, "say where the expected numbers come from"
    if case.refused:
        with pytest.raises(QueryError) as refusal:
            run(case.query(), case.cohort())
        assert refusal.value.code == case.refused
        return
    assert case.expect, "nothing is expected"
    query, cohort = case.query(), case.cohort()
    answer = run(query, cohort)
    slow_rows, slow_facts = slow.answer(query, cohort, case.references())
    held_to_the_table(case, answer.rows(), "engine")
    held_to_the_table(case, slow_rows, "slow reference")
    for name, value in case.facts.items():
        assert answer.facts[name] == value, name
        assert name not in slow_facts or without_zeros(slow_facts[name]) == without_zeros(value)
    engine_and_reference_agree(answer.rows(), slow_rows)


def held_to_the_table(case, rows, who):
    expected = case.rows()
    assert len(rows) == len(expected), (who, rows)
    for at, (row, cells) in enumerate(zip(rows, expected, strict=True), 1):
        for column, cell in cells.items():
            assert table_files.agrees(row[column], cell), (
                f"{who}, row {at}, {column}: {row[column]!r}, the table says {cell}")  # fmt: skip


def engine_and_reference_agree(rows, slow_rows):
    """In every column the reference knows, written or not."""
    for row, other in zip(rows, slow_rows, strict=True):
        for column, value in other.items():
            found = row[column]
            if isinstance(value, float) and found is not None:
                assert found == pytest.approx(value, rel=1e-7, abs=1e-10), (column, row, other)
            else:
                assert found == value, (column, row, other)


def without_zeros(told):
    return {k: v for k, v in told.items() if v} if isinstance(told, dict) else told
