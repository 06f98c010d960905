"""Feature files and participant records."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.ingest import (
    IngestError,
    Limits,
    content_digest,
    inspect,
    parse_features,
    parse_participant,
)
from tests.compute.ingest.vcf_text import gz

HEAD = "##namespace=Ensembl\n##unit=TPM\n##assay=RNA-seq\nfeature_id\tvalue\n"
GOOD = (HEAD + "ENSG1\t1.5\nENSG2\t-2e-3\nENSG3\tNA\nENSG4\t\n").encode()
RECORD = {
    "schema": "omic.participant/1",
    "participant": "NA1",
    "sex": "female",
    "population": "CEU",
    "covariates": {"PC1": 0.5},
}


def refused(parse, data, **more):
    with pytest.raises(IngestError) as caught:
        parse(data.encode() if isinstance(data, str) else data, "my.tsv", **more)
    assert str(caught.value).startswith("my.tsv")
    return caught.value


def test_features_are_read_and_missing_is_nan():
    f = parse_features(gz(GOOD), "f")
    assert (f.namespace, f.unit, f.assay, f.ids) == (
        "Ensembl",
        "TPM",
        "RNA-seq",
        ("ENSG1", "ENSG2", "ENSG3", "ENSG4"),
    )
    assert f.values[:2].tolist() == [1.5, -0.002]
    assert all(map(math.isnan, f.values[2:]))
    assert (
        inspect(GOOD, "expression", "f").features,
        inspect(GOOD, "expression", "f").missing,
    ) == (4, 2)


@pytest.mark.parametrize(
    "value", ["nan", "NaN", "inf", "-Infinity", "1e999", "1_0", "0x1", "１", "1,5", "1\t2", " 1"]
)
def test_values_that_are_no_finite_number(value):
    error = refused(parse_features, HEAD + f"A\t1\nB\t{value}\n")
    assert error.where == "line 6"
    assert error.code in {"bad_value", "bad_record"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD, "no_features"),
        (HEAD + "A\t1\nA\t2\n", "duplicate_feature"),
        (HEAD + "A\t1\nB", "truncated"),
        (HEAD + "A 1\n", "bad_record"),
        (HEAD + "\t1\n", "bad_record"),
        (HEAD.replace("##unit=TPM\n", "") + "A\t1\n", "bad_header"),
        (HEAD.replace("TPM", "") + "A\t1\n", "bad_header"),
        ("a\tb\n", "not_features"),
        ("##x", "not_features"),
    ],
)
def test_bad_feature_files(text, code):
    assert refused(parse_features, text).code == code


def test_feature_limits():
    assert refused(parse_features, GOOD, limits=Limits(max_features=2)).code == "too_many_records"


def test_feature_order_does_not_change_the_digest():
    moved = (HEAD + "ENSG4\tNA\nENSG2\t-0.002\nENSG3\t.\nENSG1\t1.50\n").encode()
    assert content_digest(parse_features(moved, "f")) == content_digest(parse_features(GOOD, "f"))


def test_a_participant_record_is_read():
    p = parse_participant(json.dumps(RECORD).encode(), "r")
    assert (p.participant, p.sex, p.population, dict(p.covariates)) == (
        "NA1",
        "female",
        "CEU",
        {"PC1": 0.5},
    )
    assert inspect(json.dumps(RECORD).encode(), "participant", "r").covariates == ("PC1",)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"schema": "x"}, "schema"),
        ({"sex": "F"}, "sex"),
        ({"sex": []}, "sex"),
        ({"participant": ""}, "participant"),
        ({"participant": None}, "participant"),
        ({"population": "a\nb"}, "population"),
        ({"covariates": []}, "covariates"),
        ({"covariates": {"PC1": True}}, "covariates"),
        ({"covariates": {"PC1": "secret"}}, "covariates"),
        ({"covariates": {"PC1": 1e300}}, "covariates"),
        ({"covariates": {"": 1}}, "covariates"),
        ({"diagnosis": "secret"}, "record"),
    ],
)
def test_bad_records_name_the_field_and_never_the_value(change, where):
    error = refused(parse_participant, json.dumps({**RECORD, **change}))
    assert error.where == f"field {where}"
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "1", '{"sex":"male","sex":"female"}', '{"covariates":{"a":NaN}}', "[" * 100_000, "9" * 10_000,
     '{"covariates": {"a": 1e999}, "schema": "omic.participant/1", "participant": "a"}'],
)  # fmt: skip
def test_json_traps(text):
    refused(parse_participant, text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    for parse in (parse_features, parse_participant):
        try:
            parse(data, "f")
        except IngestError as error:
            assert error.name == "f"
