from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.queries import Answer
from compute.release import (
    CohortFacts,
    Floors,
    WithheldError,
    check_floors,
    release_gate,
    row_people,
    suppress_rows,
    suppress_strata,
)

GOOD = CohortFacts(people=100, complement=50, owners=10)


def answer(people, rows=2, **columns):
    names = list(people)
    base = {
        "stratum": np.array([name for name in names for _ in range(rows)], dtype=object),
        "hom_ref": np.array([people[name] for name in names for _ in range(rows)], np.int64),
        "ac": np.arange(rows * len(names)),
    }
    return Answer("made_up", 1, {**base, **columns}, people, {"left_out": {"no_call": 3}})


def gate(one, facts=GOOD, mode="trusted", **more):
    return release_gate(one, facts, mode=mode, rho=Fraction(0), **more)


@pytest.mark.parametrize(
    ("people", "complement", "owners", "passes"),
    [
        (20, 0, 3, True),
        (19, 0, 3, False),
        (20, 20, 3, True),
        (20, 19, 3, False),
        (20, 1, 3, False),
        (1000, 0, 2, False),
        (0, 0, 0, False),
    ],
)
def test_floors(people, complement, owners, passes):
    facts = CohortFacts(people, complement, owners)
    if passes:
        check_floors(facts, Floors())
    else:
        with pytest.raises(WithheldError) as refused:
            check_floors(facts, Floors())
        assert refused.value.code == "below_floor"
        with pytest.raises(WithheldError):
            gate(answer({"all": people}), facts)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 10))
def test_no_small_cohort_or_complement_ever_passes(people, complement, owners):
    try:
        check_floors(CohortFacts(people, complement, owners), Floors())
    except WithheldError:
        return
    assert people >= 20
    assert complement == 0 or complement >= 20
    assert owners >= 3


@pytest.mark.parametrize("mode", ["private", "trusted"])
@pytest.mark.parametrize(("largest", "passes"), [(1, True), (100, True), (101, False)])
def test_no_owner_stands_for_more_than_half_of_a_cohort(mode, largest, passes):
    facts = CohortFacts(200, 0, 90, largest)
    if passes:
        check_floors(facts, Floors(), mode)
        return
    with pytest.raises(WithheldError) as refused:
        check_floors(facts, Floors(), mode)
    assert refused.value.code == "below_floor"


def test_floors_go_up_only():
    with pytest.raises(WithheldError):
        Floors(people=19)
    with pytest.raises(WithheldError):
        Floors(owners=2)
    with pytest.raises(WithheldError):
        gate(answer({"all": 100}), floors=Floors(people=101))


def test_private_mode_without_noise_is_refused():
    with pytest.raises(WithheldError) as refused:
        release_gate(answer({"all": 100}), GOOD, mode="private", rho=Fraction(1, 100))
    assert refused.value.code == "no_noise"


def test_an_unknown_mode_is_refused():
    with pytest.raises(WithheldError):
        gate(answer({"all": 100}), mode="open")


def test_exact_numbers_pass_unchanged_in_trusted_mode():
    found = gate(answer({"all": 100}))
    assert found.answer["columns"]["hom_ref"] == [100, 100]
    assert found.suppressed == ()
    assert found.answer["facts"]["left_out"] == {"no_call": "<20"}


def test_a_small_stratum_takes_the_smallest_other_with_it():
    kept, notes = suppress_strata(answer({"A": 50, "B": 30, "C": 19}), 20)
    assert set(kept.people) == {"A"}
    assert set(kept.columns["stratum"]) == {"A"}
    assert [note["path"] for note in notes] == ["stratum/B", "stratum/C"]


def test_two_small_strata_hide_each_other():
    kept, _ = suppress_strata(answer({"A": 50, "B": 5, "C": 19}), 20)
    assert set(kept.people) == {"A"}


def test_nothing_left_is_withheld_whole():
    for people in ({"A": 5}, {"A": 25, "B": 5}):
        with pytest.raises(WithheldError) as refused:
            gate(answer(people))
        assert refused.value.code == "nothing_releasable"


def test_rows_on_few_people_go_with_every_column():
    one = answer({"all": 100}, hom_ref=np.array([100, 7]))
    kept, notes = suppress_rows(one, 20)
    assert kept.columns["ac"].tolist() == [0]
    assert notes == [{"path": "rows", "code": "small_row", "rows": "<20"}]


def test_a_row_on_few_people_in_one_stratum_goes_in_all():
    one = answer({"A": 50, "B": 40}, hom_ref=np.array([50, 7, 40, 40]))
    kept, _ = suppress_rows(one, 20)
    assert kept.columns["ac"].tolist() == [0, 2]


def test_a_row_nobody_has_a_call_at_stays():
    one = answer({"all": 100}, hom_ref=np.array([100, 0]))
    assert len(suppress_rows(one, 20)[0]) == 2


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_no_released_number_rests_on_one_to_nineteen_people(sizes):
    people = {f"s{at}": size for at, size in enumerate(sizes)}
    try:
        found = gate(answer(people))
    except WithheldError:
        return
    columns = found.answer["columns"]
    assert all(size >= 20 for size in columns["hom_ref"])
    hidden = [size for name, size in people.items() if name not in set(columns["stratum"])]
    assert len(hidden) != 1


def test_row_people_reads_n_first():
    one = Answer("cis", 1, {"n": np.array([3, 4]), "beta": np.zeros(2)}, {"all": 90})
    assert row_people(one).tolist() == [3, 4]
