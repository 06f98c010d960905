"""Match filters as values: one question one digest, refusals, words that exclude, and their text."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.parsed import Clinical, Demographics, Measurement, Term
from compute.queries import (
    Frame,
    PersonData,
    QueryError,
    VariantTable,
    canonical_query,
    catalogue,
    exclude_each_other,
    filters_of_text,
    holds,
    parse_query,
    query_digest,
    supports_match,
    text_of_filters,
    together,
)

SHA = "a" * 64
HEIGHT = {"kind": "covariate", "name": "height"}
GLUCOSE = {"kind": "measurement", "code": "LOINC:2339-0", "unit": "mg/dL", "statistic": "mean"}
GENE = {
    "kind": "feature", "modality": "expression", "namespace": "Ensembl", "unit": "log2 TPM", "id": "G"
}  # fmt: skip
TEXT = f"""has HP:0000001 {SHA}
lacks HP:0000002
sex female
population CEU 'North West'
number height 150..180
number height 150..
measurement LOINC:2339-0 mg/dL mean ..140.5
feature expression Ensembl 'log2 TPM' G -1..2
carries 1-1000-A-G
without 1-2000-C-T"""
FILTERS = [
    {"kind": "term", "term": "HP:0000001", "ontology": SHA, "present": True},
    {"kind": "term", "term": "HP:0000002", "present": False},
    {"kind": "group", "stratum": "sex", "levels": ["female"]},
    {"kind": "group", "stratum": "population", "levels": ["CEU", "North West"]},
    {"kind": "number", "of": HEIGHT, "least": "150", "most": "180"},
    {"kind": "number", "of": HEIGHT, "least": "150"},
    {"kind": "number", "of": GLUCOSE, "most": "140.5"},
    {"kind": "number", "of": GENE, "least": "-1", "most": "2"},
    {"kind": "carrier", "variant": "1-1000-A-G", "carries": True},
    {"kind": "carrier", "variant": "1-2000-C-T", "carries": False},
]


def asked(*match, **more):
    params = {"variants": {"panel": "all"}, **more}
    if match:
        params["match"] = list(match)
    return parse_query({"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": params})


def one(value):
    return asked(value).match[0]


def test_every_family_may_be_asked_of_those_whom_a_match_keeps():
    assert all(supports_match(name) for name in catalogue())


def test_a_question_without_a_match_is_what_it_was_before_there_were_any():
    assert b"match" not in canonical_query(asked())


def test_two_ways_of_writing_a_match_are_one_question():
    first = asked(FILTERS[0], {**FILTERS[4], "least": "150.0"}, FILTERS[2])
    again = asked(FILTERS[2], FILTERS[4], FILTERS[0], FILTERS[2])
    assert query_digest(first) == query_digest(again) != query_digest(asked(FILTERS[2]))


def test_what_a_match_is_judged_on_belongs_to_what_the_query_opens():
    found = asked(FILTERS[0], FILTERS[2], FILTERS[7])
    assert found.modalities == {"genotypes", "clinical", "participant", "expression"}
    assert found.needs.modalities == {"genotypes"}


def test_a_question_without_genotypes_names_a_build_for_its_carriers_only():
    params = {"terms": ["HP:0000001"]}
    value = {"v": 1, "family": "clinical_counts", "build": "GRCh38", "params": params}
    assert parse_query(value).build is None
    value["params"] = {**params, "match": [FILTERS[8]]}
    assert parse_query(value).build == "GRCh38"
    with pytest.raises(QueryError, match="build"):
        parse_query({**value, "build": None})


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [{"kind": "number", "of": HEIGHT}],
        [{"kind": "number", "of": HEIGHT, "least": "2", "most": "1"}],
        [{"kind": "number", "of": HEIGHT, "least": "1e5"}],
        [{"kind": "number", "of": {"kind": "term", "term": "HP:0000001"}, "least": "1"}],
        [{"kind": "group", "stratum": "age", "levels": ["old"]}],
        [{"kind": "group", "stratum": "sex", "levels": []}],
        [{"kind": "term", "term": "heart"}],
        [{"kind": "carrier", "variant": "rs12"}],
        [{"kind": "person", "id": "x"}],
        [FILTERS[2]] * 11,
    ],
)
def test_a_match_that_is_none_is_refused_and_its_place_named(wrong):
    params = {"variants": {"panel": "all"}, "match": wrong}
    with pytest.raises(QueryError, match=r"params\.match"):
        parse_query({"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": params})


def test_lines_stand_for_filters_and_filters_for_lines():
    assert filters_of_text(TEXT) == FILTERS
    assert filters_of_text(text_of_filters(FILTERS)) == FILTERS
    assert len(asked(*filters_of_text(TEXT)).match) == len(FILTERS)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("is tall", "must begin with has, lacks"),
        ("has", "has TERM"),
        ("has HP:1 a b", "has TERM"),
        ("sex", "sex LEVEL"),
        ("number height 5", "number NAME LEAST..MOST"),
        ("measurement LOINC:1-1 mean 1..2", "measurement CODE UNIT"),
        ("carries 1-1-A-G 1-2-A-G", "carries CHROM-POS-REF-ALT"),
        ("population 'CEU", "quotation mark"),
    ],
)
def test_a_line_that_cannot_be_read_is_answered_with_how_it_is_written(line, said):
    with pytest.raises(QueryError, match=said):
        filters_of_text(f"sex female\n{line}\n")


@pytest.mark.parametrize(
    ("verdicts", "all_hold"),
    [
        ([True, True], True),
        ([True, None], None),
        ([None, False], False),
        ([False, True], False),
    ],
)
def test_who_fails_one_filter_is_out_and_not_unknown(verdicts, all_hold):
    assert together(verdicts) is all_hold


TABLE = VariantTable.of("GRCh37", [(0, 1000, "A", "G")])


class Tree:
    def descendants(self, term):
        return frozenset({term, "HP:0000002"} if term == "HP:0000001" else {term})


FRAME = Frame(TABLE, references={SHA: Tree()})
terms = st.sets(st.sampled_from(["HP:0000001", "HP:0000002", "HP:0000003"]))
numbers = st.sampled_from([None, math.nan, 149.0, 150.0, 165.5, 180.0, 181.0])


@st.composite
def people(draw):
    height, value, gene = draw(numbers), draw(numbers), draw(numbers)
    stated = tuple(Term(name, "", excluded=draw(st.booleans())) for name in sorted(draw(terms)))
    readings = () if value is None else (Measurement("LOINC:2339-0", value, "mg/dL", 1),)
    record = Clinical("fhir", stated, readings, Demographics("female"))
    sex = draw(st.sampled_from([None, "female", "male"]))
    return PersonData(
        "p",
        np.array([draw(st.sampled_from([-2, -1, 0, 1, 2]))], np.int8),
        strata={} if sex is None else {"sex": sex},
        covariates={} if height is None else {"height": height},
        features={} if gene is None else {"G": gene},
        feature_kind=draw(st.sampled_from([("Ensembl", "log2 TPM"), ("Ensembl", "counts")])),
        clinical=draw(st.sampled_from([None, record])),
    )


bounds = st.sampled_from([None, "149", "150", "150.5", "180", "181"])


@st.composite
def filters(draw):
    kind = draw(st.sampled_from(["term", "group", "number", "carrier"]))
    if kind == "term":
        name = draw(st.sampled_from(["HP:0000001", "HP:0000002"]))
        found = {"kind": "term", "term": name, "present": draw(st.booleans())}
        return {**found, "ontology": SHA} if draw(st.booleans()) else found
    if kind == "group":
        levels = draw(st.sampled_from([["female"], ["male"], ["female", "male"], ["other"]]))
        return {"kind": "group", "stratum": "sex", "levels": levels}
    if kind == "carrier":
        return {"kind": "carrier", "variant": "1-1000-A-G", "carries": draw(st.booleans())}
    least, most = draw(bounds), draw(bounds)
    if (least is None and most is None) or (least and most and float(least) > float(most)):
        least, most = "150", None
    of = draw(st.sampled_from([HEIGHT, GLUCOSE, GENE]))
    given_bounds = {"least": least, "most": most}
    return {"kind": "number", "of": of, **{k: v for k, v in given_bounds.items() if v}}


def expected(value, person):
    """One filter of one person, from what is written about them."""
    if value["kind"] == "group":
        sex = person.strata.get("sex")
        return None if sex is None else sex in value["levels"]
    if value["kind"] == "carrier":
        copies = int(person.dosage[0])
        return None if copies < 0 else (copies > 0) == value["carries"]
    if value["kind"] == "term":
        if person.clinical is None:
            return None
        wanted = {value["term"]}
        if "ontology" in value and value["term"] == "HP:0000001":
            wanted.add("HP:0000002")
        has = any(t.curie in wanted and not t.excluded for t in person.clinical.terms)
        return has == value["present"]
    if value["of"] == HEIGHT:
        number = person.covariates.get("height")
    elif value["of"] == GLUCOSE:
        found = person.clinical.measurements if person.clinical else ()
        number = found[0].value if found else None
    else:
        number = person.features.get("G") if person.feature_kind[1] == "log2 TPM" else None
    if number is None or math.isnan(number):
        return None
    return float(value.get("least", "-inf")) <= number <= float(value.get("most", "inf"))


@settings(max_examples=400, deadline=None)
@given(filters(), people())
def test_a_filter_says_of_a_person_what_is_written_about_them(value, person):
    assert holds(one(value), person, FRAME) is expected(value, person)


@settings(max_examples=400, deadline=None)
@given(st.lists(filters(), min_size=1, max_size=2), st.lists(filters(), min_size=1, max_size=2),
       st.lists(people(), max_size=8))  # fmt: skip
def test_matches_that_exclude_each_other_keep_nobody_both(first, second, some):
    mine, other = asked(*first).match, asked(*second).match
    assert exclude_each_other(mine, other) is exclude_each_other(other, mine)
    if exclude_each_other(mine, other):
        for person in some:
            both = (together(holds(f, person, FRAME) for f in match) for match in (mine, other))
            assert not all(verdict is True for verdict in both)


@pytest.mark.parametrize(
    ("first", "second", "apart"),
    [
        ("sex female", "sex male", True),
        ("sex female", "sex female male", False),
        ("number height ..150", "number height 150..", False),
        ("number height ..149.9", "number height 150..", True),
        ("number height ..149", "number weight 150..", False),
        ("has HP:0000001", "lacks HP:0000001", True),
        ("has HP:0000001", f"lacks HP:0000001 {SHA}", False),
        ("carries 1-1000-A-G", "without 1-1000-A-G", True),
        ("sex female\nnumber height 160..", "sex male\nnumber height 150..", True),
    ],
)
def test_words_that_exclude_each_other(first, second, apart):
    mine, other = (asked(*filters_of_text(text)).match for text in (first, second))
    assert exclude_each_other(mine, other) is apart
