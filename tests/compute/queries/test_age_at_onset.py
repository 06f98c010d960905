"""Ages a record tells, what is pooled before it leaves, and the private form."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from compute.parsed import Clinical, Demographics, Measurement, Term
from compute.private import FormNoise, private_problem
from compute.queries import CohortData, PersonData, VariantTable, parse_query, private_form, run
from compute.queries.ages import age_in_years, last_known_age
from compute.release import CohortFacts, release_gate
from compute.utility import expected_error
from compute.verdict import Release
from tests.compute.noises import seeded

CODE = "MONDO:0004975"


@pytest.mark.parametrize(
    ("stated", "born", "age"),
    [
        ("P9Y2M", None, 9 + 2 / 12),
        ("P26W", None, 26 * 7 / 365.25),
        ("P40Y", 1990, 40.0),
        ("2011", 1950, 61.0),
        ("2011", None, None),
        ("1949", 1950, None),
        ("HP:0003577", 1950, None),
        (None, 1950, None),
        ("", 1950, None),
    ],
)
def test_an_age_is_a_duration_or_a_year_since_birth(stated, born, age):
    assert age_in_years(stated, born) == (age if age is None else pytest.approx(age))


def test_a_record_last_speaks_at_its_latest_sight_onset_or_measurement():
    def record(seen=None, onset=None, time_ms=None, born=1950, excluded=False):
        terms = (Term("HP:0000001", "", excluded, onset),)
        read = () if time_ms is None else (Measurement("LOINC:2339-0", 1.0, "1", time_ms),)
        return Clinical("fhir", terms, read, Demographics("female", born, None, seen))

    moment = 1_300_000_000_000  # March 2011
    assert last_known_age(record(seen="P70Y", onset="P12Y", time_ms=moment)) == 70.0
    assert last_known_age(record(seen="P9Y", onset="P12Y", time_ms=moment)) == 61.0
    assert last_known_age(record(onset="P72Y", time_ms=moment)) == 72.0
    assert last_known_age(record(onset="P72Y", excluded=True)) is None
    assert last_known_age(record(time_ms=moment, born=None)) is None


def patient(name, onset=None, last=None, sex="female"):
    terms = () if onset is None else (Term(CODE, "", onset=onset),)
    seen = None if last is None else f"P{last}Y"
    clinical = Clinical("fhir", terms, (), Demographics(last_seen=seen))
    return PersonData(name, np.zeros(0, np.int8), strata={"sex": sex}, clinical=clinical)


def asked(**more):
    params = {"terms": [CODE], "width": 10, "oldest": 90, **more}
    return parse_query({"v": 1, "family": "age_at_onset", "params": params})


def exact(people, **more):
    query = asked(**more)
    return query, run(query, CohortData.of(VariantTable.of("GRCh37", []), people))


def gated(people, **more):
    _, answer = exact(people, **more)
    count = len(people)
    return release_gate(answer, CohortFacts(count, 0, count), mode="trusted", rho=Fraction(0))


def cohort(count, seed=1, share=0.3):
    rng = np.random.default_rng(seed)
    return [
        patient(
            str(at),
            f"P{int(np.clip(rng.normal(60, 12), 0, 95))}Y" if rng.random() < share else None,
            int(rng.uniform(20, 95)),
            ("female", "male")[at % 2],
        )
        for at in range(count)
    ]


@pytest.mark.parametrize("by", [None, "sex"])
@pytest.mark.parametrize("seed", range(4))
def test_no_count_that_leaves_stands_for_few_people(by, seed):
    people = cohort(400, seed)
    _, raw = exact(people, **({"by": by} if by else {}))
    answer = gated(people, **({"by": by} if by else {})).answer
    columns = answer["columns"]
    strata = 2 if by else 1
    assert len(columns["events"]) < len(raw) and len(columns["events"]) % strata == 0
    for name in ("at_risk", "events", "censored"):
        assert all(count % 5 == 0 and count != 5 for count in columns[name]), name
    rows = zip(*(columns[n] for n in ("stratum", "age_from", "age_to", "events")), strict=True)
    for stratum, start, end, told in rows:
        inside = (raw.columns["age_from"] >= start) & (raw.columns["age_to"] <= end)
        true = int(raw.columns["events"][inside & (raw.columns["stratum"] == stratum)].sum())
        assert (true == 0 or true > 7) and abs(true - told) <= 2.5
    for first, second in itertools.pairwise(
        columns["age_from"][: len(columns["events"]) // strata]
    ):
        assert second in columns["age_to"] and first < second


def test_the_curve_that_leaves_is_made_of_the_rounded_counts():
    columns = gated(cohort(900)).answer["columns"]
    share = 1.0
    for at, (n, d) in enumerate(zip(columns["at_risk"], columns["events"], strict=True)):
        share *= 1 - d / n
        assert columns["survival"][at] == pytest.approx(share)
    assert columns["survival"][-1] < 0.9
    assert columns["survival_low"][-1] < columns["survival"][-1] < columns["survival_high"][-1]


def test_a_condition_of_three_people_tells_nothing():
    people = [patient(str(at), "P50Y" if at < 3 else None, 70) for at in range(100)]
    found = gated(people)
    assert found.answer["columns"]["events"] == [None]
    assert found.answer["columns"]["survival"] == [None]
    assert {"path": "rows", "code": "pooled"} in found.suppressed


def test_the_oldest_age_is_a_whole_number_of_bands():
    with pytest.raises(Exception, match="multiple of the width"):
        asked(width=7, oldest=90)


@pytest.mark.parametrize("more", [{}, {"by": "sex", "levels": ["female", "x"]}])
def test_one_patient_moves_one_count_by_one(more):
    form = private_form(asked(**more))
    query, answer = exact([patient("a", "P50Y"), patient("b", None, 40)], **more)
    before, worst = form.vector(query.params, answer), 0
    kinds = [("P0Y", 3), ("P55Y", 70), ("P93Y", 95), ("HP:0003577", 50), (None, 61), (None, None)]
    for (onset, last), sex in itertools.product(kinds, ("female", "male")):
        third = patient("c", onset, last, sex)
        _, answer = exact([patient("a", "P50Y"), patient("b", None, 40), third], **more)
        moved = form.vector(query.params, answer) - before
        assert not more or sex == "female" or not moved.any()
        worst = max(worst, int((moved**2).sum()))
    assert worst == form.shape(query.params).sensitivity_squared == 1
    assert len(before) == form.shape(query.params).values


def test_a_private_curve_is_near_the_truth_and_says_how_near():
    query, answer = exact(cohort(3000))
    told = FormNoise(query, seeded(4)).add(answer, Fraction(1, 10))
    columns = told["columns"]
    for at, truth in enumerate(answer.columns["survival"].tolist()[:8]):
        low, high = columns["survival_low"][at], columns["survival_high"][at]
        assert abs(columns["survival"][at] - truth) < 0.05
        assert low is None or low <= columns["survival"][at] <= high
    assert columns["survival_se"][7] > answer.columns["survival_se"][7]
    assert private_problem(asked(by="sex")) is not None
    split, answer = exact(cohort(3000), by="sex", levels=["male", "female"])
    told = FormNoise(split, seeded(4)).add(answer, Fraction(1, 10))["columns"]
    assert told["stratum"] == ["female"] * 9 + ["male"] * 9
    for at, truth in enumerate(answer.columns["survival"].tolist()):
        assert told["survival"][at] is None or abs(told["survival"][at] - truth) < 0.07
    expected = expected_error(query, Release(mode="private", rho="1/10"), 3000)
    assert expected["useful"] and expected["statistic"].startswith("share affected")


def test_a_private_curve_ends_where_noise_would_drown_it():
    query, answer = exact(cohort(120))
    columns = FormNoise(query, seeded(4)).add(answer, Fraction(1, 500))["columns"]
    assert columns["na"][-1] == "too_few_people_for_the_noise"
    assert columns["survival"][-1] is None
