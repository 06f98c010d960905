"""The query builder: every family's form stands for what its model takes, there and back."""

import pytest

from compute import made_up_answer
from compute.queries import catalogue, parse_query, query_digest
from marketplace.client.examples import PARAMS, example, filled
from marketplace.web.dry_run_form import FAMILIES, empty_form, form_of, request_of, wrong_in
from marketplace.web.query_fields import fields_of
from marketplace.web.query_words import GROUPS, about, short

MORE = {
    "linear_association": [
        {"trait": {"kind": "feature", "namespace": "Ensembl", "unit": "TPM", "id": "G,1"}},
        {"trait": {"kind": "measurement", "code": "LOINC:1-1", "unit": "mg", "statistic": "last"}},
        {"variants": {"region": "22:1-99"}},
    ],
    "genotype_counts": [
        {"variants": ["22-10-A-G", "22-11-A-G"], "by": "sex"},
        {"match": [
            {"kind": "term", "term": "HP:0000001", "ontology": "a" * 64, "present": False},
            {"kind": "group", "stratum": "population", "levels": ["North West", "YRI"]},
            {"kind": "number", "of": {"kind": "covariate", "name": "height"}, "least": "1.5"},
            {"kind": "carrier", "variant": "22-10-A-G", "carries": True},
        ]},
    ],
    "private_association": [
        {"covariates": {"age": "20..80", "PC1": "-3..3"}, "by": "sex", "levels": ["female", "male"]},
    ],
    "top_counts": [
        {"variants": None, "terms": ["HP:0001631", "HP:0001250"], "ontology": "a" * 64},
        {"variants": None, "features": ["A", "B"], "modality": "proteomics",
         "namespace": "Olink", "unit": "NPX", "least": "1.5"},
    ],
    "feature_summary": [{"features": ["A,1", "B"]}],
    "feature_differential": [{"groups": {"kind": "term", "term": "HP:0000001"}}],
    "cis_association": [{"chrom": None, "start": None, "end": None, "window_bp": None,
                         "variants": {"region": "1:5-9"}}],
}  # fmt: skip
CASES = [(family, {}) for family in FAMILIES]
CASES += [(family, one) for family, more in MORE.items() for one in more]


def test_every_family_has_a_form_and_words():
    assert sorted(FAMILIES) == sorted(catalogue())
    assert all(short(f) and about(f).endswith(".") for _title, fs in GROUPS for f in fs)


@pytest.mark.parametrize(
    ("family", "more"), CASES, ids=[f"{f}-{i}" for i, (f, _) in enumerate(CASES)]
)
def test_a_request_survives_its_form(family, more):
    asked = filled(example(family))
    asked["query"]["params"] = {
        name: value for name, value in {**asked["query"]["params"], **more}.items()
        if value is not None
    }  # fmt: skip
    form = form_of(asked)
    assert wrong_in(form) == {}
    again = request_of(form, "local")
    assert query_digest(parse_query(again["query"])) == query_digest(parse_query(asked["query"]))
    assert sorted(again["scope"]["modalities"]) == sorted(parse_query(asked["query"]).modalities)
    assert again["release"] == asked["release"]


def typed(family, **fields):
    form = empty_form(family)
    return type(form)({**form.fields, **fields}, {})


@pytest.mark.parametrize(
    ("family", "fields", "wrong"),
    [
        ("genotype_counts", {"q:variants": "region", "q:variants.region.region": "chr1:1-2"},
         "variants.region.region"),
        ("genotype_counts", {"q:variants": "list", "q:variants.list": "rs12"},
         "variants.list"),
        ("genotype_counts", {"q:variants": "list"}, "variants.list"),
        ("linear_association", {"q:trait": "feature", "q:trait.feature.unit": "TPM",
                                "q:trait.feature.namespace": "E"}, "trait.feature.id"),
        ("cis_association", {"q:gene": "G1", "q:start": "ten"}, "start"),
        ("score_distribution", {"q:low": "0", "q:high": "1", "q:weights": "22-1-A-G"}, "weights"),
        ("clinical_crosstab", {"q:first.term": "heart", "q:second.term": "HP:0000001"},
         "first.term"),
        ("time_in_range", {"q:code": "LOINC:1-1", "q:unit": "mg", "q:low": "1", "q:high": "2",
                           "q:min_readings": "1"}, "min_readings"),
        ("linkage", {"q:variants": "region", "q:variants.region.region": "1:1-2",
                     "q:match": "sex female\nis tall"}, "match"),
        ("private_association", {"q:feature": "F", "q:low": "0", "q:high": "1",
                                 "q:variants": "1-1-A-G", "q:covariates": "age 80..20"},
         "covariates"),
        ("feature_summary", {"q:namespace": "E", "q:unit": "TPM", "q:features": "G",
                             "q:match": "feature mood E TPM G 1..2"}, "match"),
    ],
    ids=["region", "variant", "no_variant", "trait", "whole", "weights", "term", "readings",
         "line", "covariates", "filter"],
)  # fmt: skip
def test_what_is_wrong_is_said_of_its_own_field(family, fields, wrong):
    found = wrong_in(typed(family, **fields))
    assert wrong in found, found
    assert len(found[wrong]) > 8
    assert "String should" not in found[wrong]


def test_fields_have_names_of_their_own():
    def names(fields):
        for field in fields:
            yield field.name
            for option in field.options:
                yield from names(option.fields)

    for family in FAMILIES:
        found = list(names(fields_of(family)))
        assert len(found) == len(set(found)), family


def test_a_match_is_the_last_thing_asked_of_every_family():
    assert all(fields_of(family)[-1].kind == "match" for family in FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_made_up_answers_have_the_real_columns_and_repeat(family):
    value = {"v": 1, "family": family, "build": "GRCh37", "params": dict(PARAMS[family])}
    query = parse_query(filled(value))
    columns = made_up_answer(query)
    assert columns == made_up_answer(query)
    assert len({len(values) for values in columns.values()}) == 1
    assert next(iter(columns.values()))
