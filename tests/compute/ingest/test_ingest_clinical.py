"""Phenopackets, FHIR bundles, openEHR compositions: coded terms and numbers, and nothing else."""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime

import pytest

from compute.ingest import (
    Clinical,
    Demographics,
    Limits,
    Measurement,
    ParserHost,
    Term,
    content_digest,
    inspect,
    parse,
    parse_clinical,
)
from marketplace.client.quality import lines_of
from tests.compute.ingest.real import real, refused
from tests.compute.ingest.vcf_text import gz

PHENO = json.loads(real("phenopacket.json"))
SYNTHEA = json.loads(real("fhir_synthea.json"))
LAB = json.loads(real("openehr_laboratory.json"))


def read(record):
    return parse_clinical(json.dumps(record).encode(), "c")


def test_a_real_phenopacket():
    c = parse_clinical(gz(real("phenopacket.json")), "p")
    assert c.source == "phenopacket"
    assert c.demographics == Demographics("female", None, None, "P9Y")
    features = PHENO["phenotypicFeatures"]
    assert [(t.curie, t.label, t.excluded) for t in c.terms[: len(features)]] == [
        (f["type"]["id"], f["type"]["label"], f.get("excluded", False)) for f in features
    ]
    assert "OMIM:142900" in {t.curie for t in c.terms}
    assert c.skipped["genomic_interpretation"] == 1
    summary = inspect(real("phenopacket.json"), "clinical", "p")
    assert (summary.terms, summary.excluded) == (len(c.terms), sum(t.excluded for t in c.terms))
    assert summary.by_terminology["HP"] == len(features)
    json.dumps(summary.as_dict())


def test_onset_age_class_and_year():
    record = {**PHENO, "phenotypicFeatures": [
        {"type": {"id": "HP:0001631", "label": "a"}, "onset": {"age": {"iso8601duration": "P9Y2M"}}},
        {"type": {"id": "HP:0001629"}, "onset": {"ontologyClass": {"id": "HP:0003577"}}},
        {"type": {"id": "HP:0001634"}, "onset": {"timestamp": "2011-05-06T00:00:00Z"}},
        {"type": {"id": "HP:0001635"}, "onset": {"gestationalAge": {"weeks": 9}}},
        {"type": {"id": "FB:cv1", "label": "not kept"}},
    ], "measurements": [{"assay": {"id": "LOINC:1668-3"}, "value": {"quantity": {
        "unit": {"id": "UCUM:ng/dL"}, "value": 217.0}}}]}  # fmt: skip
    c = read({**record, "subject": {"timeAtLastEncounter": {"timestamp": "2020-03-01T00:00:00Z"}}})
    assert c.demographics.last_seen == "2020"
    assert [t.onset for t in c.terms[:4]] == ["P9Y2M", "HP:0003577", "2011", None]
    assert c.measurements == (Measurement("LOINC:1668-3", 217.0, "ng/dL", None),)
    assert (c.skipped["onset_not_kept"], c.skipped["unknown_terminology"]) == (1, 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"id": ""}, "bad_phenopacket"),
        ({"metaData": {**PHENO["metaData"], "phenopacketSchemaVersion": "1.0"}}, "bad_phenopacket"),
        ({"subject": {"taxonomy": {"id": "NCBITaxon:10090"}}}, "bad_phenopacket"),
        ({"phenotypicFeatures": [{"type": {}}]}, "bad_json"),
        ({"phenotypicFeatures": {}}, "bad_json"),
        ({"phenotypicFeatures": [{"type": {"id": "HP:0001631"}, "excluded": "no"}]}, "bad_json"),
    ],
)
def test_bad_phenopackets(change, code):
    assert refused(json.dumps({**PHENO, **change}), "clinical").code == code


def test_the_phenopacket_published_as_invalid_is_refused():
    error = refused(real("phenopacket_missing_fields.json"), "clinical")
    assert (error.code, error.where) == ("bad_phenopacket", "field id")


def test_the_fhir_specifications_glucose():
    c = parse_clinical(real("fhir_glucose.json"), "o")
    assert c == Clinical(
        "fhir",
        (),
        (Measurement("LOINC:15074-8", 6.3, "mmol/L", 1364891410000),),
        Demographics(last_seen="2013"),
        {},
    )


def test_a_synthea_bundle_keeps_no_name_address_or_identifier():
    c = parse_clinical(real("fhir_synthea.json"), "s")
    assert c.demographics == Demographics("female", 2002, "US", "2019")
    assert Term("CIEL:112141", "Tuberculosis", False, "2019") in c.terms
    assert c.skipped["resource_Claim"] == 1
    kept = repr(c).casefold()
    patient = SYNTHEA["entry"][0]["resource"]
    private = {*patient["name"][0]["given"], patient["name"][0]["family"], patient["birthDate"],
               patient["address"][0]["city"], patient["address"][0]["line"][0], patient["id"],
               *(i["value"] for i in patient["identifier"]), *(t["value"] for t in patient["telecom"]),
               *re.findall(r"[A-Z][a-z]+\d{2,4}", json.dumps(SYNTHEA))}  # fmt: skip
    assert len(private) > 10
    assert [text for text in private if text.casefold() in kept] == []
    summary = json.dumps(inspect(real("fhir_synthea.json"), "clinical", "s").as_dict()).casefold()
    assert [text for text in private if text.casefold() in summary] == []


def test_codes_that_are_no_codes_leave_nothing_to_keep():
    error = refused(re.sub(rb"A{25,}", b"BB", real("fhir_synthea.json")), "clinical")
    assert error.code == "no_terms"
    assert "code_malformed" in error.reason


def read_slowly(bundle):
    """Terms and numbers of an export of OpenMRS, straight from its JSON."""
    terms, numbers = set(), []

    def concept(value):
        (coding,) = value["coding"]
        assert len(coding["code"]) == 36
        return "CIEL:" + coding["code"].rstrip("A"), coding["display"]

    for resource in (entry["resource"] for entry in bundle["entry"]):
        if resource["resourceType"] == "Condition":
            terms.add((*concept(resource["code"]), resource["onsetDateTime"][:4]))
        elif resource["resourceType"] == "Observation" and "valueQuantity" in resource:
            quantity = resource["valueQuantity"]
            when = datetime.fromisoformat(resource["effectiveDateTime"])
            code, _ = concept(resource["code"])
            numbers.append((code, quantity["value"], quantity.get("unit", ""), when.timestamp()))
        elif resource["resourceType"] == "Observation":
            terms.add((*concept(resource["valueCodeableConcept"]), None))
    return terms, numbers


@pytest.mark.parametrize(
    ("who", "conditions", "numbers"), [("bob", 0, 8), ("cecelia", 1, 14), ("jeremiah", 0, 8), ("levi", 1, 8)]
)  # fmt: skip
def test_an_export_of_openmrs_is_read_whole(who, conditions, numbers):
    data = real(f"fhir_openmrs_{who}.json.gz")
    bundle = json.loads(gzip.decompress(data))
    terms, measured = read_slowly(bundle)
    c = parse_clinical(data, who)
    assert {(t.curie, t.label, t.onset) for t in c.terms} == terms and len(c.terms) == len(terms)
    assert [(m.curie, m.value, m.unit, m.time_ms / 1000) for m in c.measurements] == measured
    assert (sum(t.onset is not None for t in c.terms), len(measured)) == (conditions, numbers)
    observations = sum(e["resource"]["resourceType"] == "Observation" for e in bundle["entry"])
    answered = observations - numbers
    assert c.mended == {"ciel_uuid": conditions + observations + answered}
    repeated = conditions + answered - len(terms)
    expected = {"resource_Encounter": 1, "resource_Immunization": 1, "repeated_term": repeated}
    assert c.skipped == {why: count for why, count in expected.items() if count}
    said = lines_of(inspect(data, "clinical", who).as_dict())
    assert said["kept, but mended: codes that are OpenMRS's own, read as CIEL's"] == sum(
        c.mended.values()
    )


def coding(system, code, label="x"):
    return {"system": system, "code": code, "display": label}


SNOMED_CT, LOINC_ORG = "http://snomed.info/sct", "http://loinc.org"


@pytest.mark.parametrize(
    ("codings", "kept", "mended", "skipped"),
    [
        ([coding(SNOMED_CT, " 73211009\n")], "SNOMED:73211009", {"code_trimmed": 1}, {}),
        ([coding(SNOMED_CT, "73211009")], "SNOMED:73211009", {}, {}),
        ([coding(SNOMED_CT, "7321 1009")], None, {}, {"code_malformed": 1}),
        ([coding(SNOMED_CT, "٧٣٢١١٠٠٩")], None, {}, {"code_malformed": 1}),
        ([coding("urn:own", " 73211009 ")], None, {}, {"unknown_terminology": 1}),
        ([coding("", "119481" + "A" * 30)], "CIEL:119481", {"ciel_uuid": 1}, {}),
        ([coding("", "119481" + "A" * 29)], None, {}, {"unknown_terminology": 1}),
        ([coding(SNOMED_CT, "0" + "A" * 35)], None, {}, {"code_malformed": 1}),
        # As OpenMRS writes a concept: its own first, then what it is mapped to.
        ([coding("", "119481" + "A" * 30), coding("https://cielterminology.org", "119481"),
          coding("http://snomed.info/sct/", "73211009")], "SNOMED:73211009", {}, {}),
        ([coding("https://CIELterminology.org", "119481")], "CIEL:119481", {}, {}),
        ([coding("http://purl.obolibrary.org/obo/mondo.owl", "0005015")], "MONDO:0005015", {}, {}),
        ([coding("mondo", "0005015 ")], "MONDO:0005015", {"code_trimmed": 1}, {}),
        ([coding("mondo", "MONDO:0005015")], None, {}, {"code_malformed": 1}),
    ],
)  # fmt: skip
def test_a_code_is_kept_mended_or_named_as_left_out(codings, kept, mended, skipped):
    other = {"resourceType": "Condition", "code": {"coding": [coding(LOINC_ORG, "2339-0")]}}
    c = read(bundle({"resourceType": "Condition", "code": {"coding": codings}}, other))
    assert [t.curie for t in c.terms] == ([kept] if kept else []) + ["LOINC:2339-0"]
    assert (c.mended, c.skipped) == (mended, skipped)
    with ParserHost() as host:
        there = host.parse(
            json.dumps(
                bundle({"resourceType": "Condition", "code": {"coding": codings}}, other)
            ).encode(),
            "clinical",
            "x",
        )
    assert there == c


LOINC = {"coding": [{"system": "http://loinc.org", "code": "2339-0", "display": "Glucose"}]}
SENSOR = {
    "resourceType": "Observation", "status": "final", "code": LOINC,
    "effectiveDateTime": "2024-01-01T00:00:00Z",
    "valueSampledData": {"origin": {"value": 1, "code": "mmol/L"}, "period": 300000, "factor": 0.1,
                         "dimensions": 1, "data": "50 51.5 E 53 U -5"},
}  # fmt: skip


def test_a_glucose_sensors_series():
    c = read(SENSOR)
    start = 1704067200000
    assert [(m.value, m.time_ms) for m in c.measurements] == [
        (6.0, start), (6.15, start + 300_000), (6.3, start + 900_000), (0.5, start + 1_500_000),
    ]  # fmt: skip
    assert {m.unit for m in c.measurements} == {"mmol/L"}
    assert dict(c.skipped) == {"series_gap": 2}
    limits = Limits(max_measurements=2)
    assert refused(json.dumps(SENSOR), "clinical", limits=limits).code == "too_many_records"


def bundle(*resources):
    return {"resourceType": "Bundle", "entry": [{"resource": r} for r in resources]}


def person(name, **more):
    return {"resourceType": "Patient", "id": name, "name": [{"family": "Featherstone"}], **more}


def about(name):
    return {**SENSOR, "subject": {"reference": f"Patient/{name}"}}


@pytest.mark.parametrize(
    "resources",
    [(person("a"), person("b"), about("a")), (about("a"), about("b")), (person("a"), about("b"))],
)
def test_two_people_are_refused(resources):
    assert refused(json.dumps(bundle(*resources)), "clinical").code == "several_people"


def test_conditions_and_components():
    icd = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "E11.9",
                       "display": "of Mrs Featherstone"}]}  # fmt: skip
    refuted = {"coding": [{"code": "refuted"}]}
    part = {"code": LOINC, "valueQuantity": {"value": 5, "unit": "mmol/L"}}
    over = {"code": LOINC, "valueQuantity": {"value": 5, "comparator": "<"}}
    c = read(bundle(
        person("a", gender="male", birthDate="1950-02-03", address=[{"country": "gb", "city": "X"}]),
        {"resourceType": "Condition", "code": icd, "verificationStatus": refuted,
         "onsetAge": {"value": 40, "code": "a"}},
        {"resourceType": "Condition", "code": {"text": "free words"}},
        {"resourceType": "Observation", "status": "entered-in-error", "code": LOINC},
        {"resourceType": "Observation", "status": "final", "code": LOINC, "component": [part, over]},
    ))  # fmt: skip
    assert c.demographics == Demographics("male", 1950, "GB")
    dead = person("a", birthDate="1950-02-03", deceasedDateTime="2020-01-01")
    seen = {"resourceType": "Observation", "status": "final", "code": LOINC,
            "valueQuantity": {"value": 5, "unit": "mmol/L"}, "effectiveDateTime": "2011-02-03"}  # fmt: skip
    assert read(bundle(dead, seen)).demographics.last_seen == "2020"
    assert read(bundle(person("a"), seen)).demographics.last_seen == "2011"
    assert c.terms == (Term("ICD10:E11.9", "", True, "P40Y"),)
    assert [m.value for m in c.measurements] == [5.0]
    assert dict(c.skipped) == {
        "label_with_a_name": 1, "uncoded": 1, "entered_in_error": 1, "value_beyond_range": 1,
    }  # fmt: skip


def test_openehr_compositions():
    lab = parse_clinical(real("openehr_laboratory.json"), "l")
    assert [t.curie for t in lab.terms] == ["LOINC:2093-3"]
    assert lab.measurements == (Measurement("LOINC:2093-3", 203.0, "mg/dL", 1391604894000),)
    vitals = parse_clinical(real("openehr_vitals.json"), "v")
    (one,) = vitals.measurements
    assert one.curie.startswith("OPENEHR:openEHR-EHR-OBSERVATION.body_temperature-zn.v1#at")
    assert (one.time_ms, vitals.demographics.region) == (1603723193668, "SI")
    assert "Jane" not in repr(vitals)
    assert "value_DV_TEXT" in vitals.skipped
    assert refused(real("openehr_invalid.json"), "clinical").code == "bad_openehr"


def test_another_persons_entry_is_left_out():
    mine = LAB["content"][0]
    for whose in ({"_type": "PARTY_RELATED", "name": "Aunt"}, {"_type": []}):
        c = read({**LAB, "content": [{**mine, "subject": whose}, mine]})
        assert len(c.measurements) == 1
        assert c.skipped["entry_of_somebody_else"] == 1
    assert (
        refused(json.dumps({**LAB, "content": [{"_type": "X"}]}), "clinical").code == "bad_openehr"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("null", "bad_json"),
        ("[]", "bad_json"),
        ("{}", "not_clinical"),
        ('{"resourceType": "Device"}', "bad_fhir"),
        ('{"resourceType": "Patient"}', "no_terms"),
        ('{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": []}}]}', "no_terms"),
        ('{"a": 1, "a": 2}', "bad_json"),
        ('{"a": NaN}', "bad_json"),
        ('{"a": -Infinity}', "bad_json"),
        ('{"a": 1e999}', "bad_json"),
        ('{"a": ' + "9" * 5000 + "}", "bad_json"),
        ('{"a": ' + "[" * 100_000, "bad_json"),
        ('{"a": "' + "[" * 500 + '"}', "not_clinical"),
        ('{"a": "\\"' + "{" * 500 + '"}', "not_clinical"),
        ("<Bundle/>", "not_json"),
        ('{"a": tru', "truncated"),
        ('{"a": "one', "truncated"),
        ('{"a": [{"b": 1}, ', "truncated"),
        ('{"a": "one" "b"}', "not_json"),
        ('{"a": 1}{"b": 2}', "not_json"),
    ],
)
def test_json_traps(text, code):
    assert refused(text, "clinical").code == code


def test_a_string_of_quotes_is_read_once():
    text = '{"a": "' + '\\"' * 400_000
    assert refused(text, "clinical").code in {"not_json", "truncated"}


def test_repeated_terms_and_limits():
    feature = {"type": {"id": "HP:0001631", "label": "a"}}
    c = read({**PHENO, "phenotypicFeatures": [feature, feature]})
    assert c.skipped["repeated_term"] == 1
    error = refused(real("phenopacket.json"), "clinical", limits=Limits(max_terms=3))
    assert error.code == "too_many_records"
    error = refused(real("phenopacket.json"), "clinical", limits=Limits(max_json=50))
    assert error.code == "too_large"


def test_refusals_never_repeat_a_value():
    secret = {**PHENO, "phenotypicFeatures": [{"type": {"id": "secret"}, "excluded": "secret"}]}
    assert "secret" not in str(refused(json.dumps(secret), "clinical"))


def test_the_confined_child_answers_the_same():
    with ParserHost() as host:
        for data in (real("phenopacket.json"), real("fhir_glucose.json"), real("fhir_synthea.json"),
                     real("openehr_laboratory.json"), json.dumps(SENSOR).encode()):  # fmt: skip
            here, there = parse(data, "clinical", "x"), host.parse(data, "clinical", "x")
            assert there == here
            assert content_digest(here) == content_digest(there)
