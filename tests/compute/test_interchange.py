"""Terms as DUO-JSON and FHIR: every code comes back, other systems' open nothing by mistake."""

import copy
import json

import pytest
from fhir.resources.consent import Consent as ConsentR5
from fhir.resources.R4B.consent import Consent as ConsentR4
from hypothesis import given, settings
from hypothesis import strategies as st

from compute import DUO_TERMS, NEVER, Terms, TermsError, parse_value, preset
from compute.duo_json import WHOLE, from_duo_json, to_duo_json
from compute.fhir_consent import ConsentRecord, from_fhir, to_fhir

NOW = 1_800_000_000_000
VALUES = {
    "topics": ["heart"], "investigators": ["a"], "countries": ["GB", "DE"], "date": "2027-01-31",
    "months": 12, "users": ["0" * 32], "projects": ["p"], "institutions": ["i"],
}  # fmt: skip
PERMISSIONS = [code for code, term in DUO_TERMS.items() if term.kind == "permission"]
MODIFIERS = [code for code, term in DUO_TERMS.items() if term.kind == "modifier"]


def modifier(code):
    named = DUO_TERMS[code].parameter
    return {"id": code, "parameters": {} if named is None else {named[0]: VALUES[named[0]]}}


def terms_with(permissions, modifiers=(), until=None):
    whole = preset("everything_at_a_price", valid_from=NOW, price=5).to_dict()
    diseases = ["MONDO:0005148"] if "DUO:0000007" in permissions else []
    return parse_value(
        Terms,
        {
            **whole,
            "permissions": list(permissions),
            "diseases": diseases,
            "modifiers": [modifier(code) for code in modifiers],
            "valid_until": until,
        },
    )


all_terms = st.builds(
    terms_with,
    st.lists(st.sampled_from(PERMISSIONS), min_size=1, unique=True),
    st.lists(st.sampled_from(MODIFIERS), unique=True),
    st.sampled_from([None, NOW + 86_400_000]),
)


def record(state="live", holder=None):
    return ConsentRecord("1" * 32, "2" * 32, "3" * 32, "4" * 32, state, NOW, holder)


@given(all_terms)
@settings(max_examples=80)
def test_every_terms_come_back_exactly(terms):
    duo = json.loads(json.dumps(to_duo_json(terms)))
    assert from_duo_json(duo, valid_from=0) == terms
    for release, model in (("R4", ConsentR4), ("R5", ConsentR5)):
        resource = json.loads(json.dumps(to_fhir(terms, record(), release)))
        model.model_validate(resource)
        assert from_fhir(resource, now_ms=NOW) == terms


@pytest.mark.parametrize("code", [*PERMISSIONS, *MODIFIERS])
def test_every_code_alone_comes_back_with_its_parameter(code):
    terms = terms_with([code]) if code in PERMISSIONS else terms_with(["DUO:0000042"], [code])
    codes = to_duo_json(terms)["duoDataUse"]
    strict = from_duo_json({"duoDataUse": codes}, valid_from=NOW)
    assert (strict.permissions, strict.diseases) == (terms.permissions, terms.diseases)
    assert strict.modifiers == terms.modifiers
    assert strict.flags == Terms.model_fields["flags"].default
    assert strict.prices["commercial_research"] == NEVER


def test_an_older_code_is_read_and_never_written():
    terms = from_duo_json({"duoDataUse": [{"id": "DUO:0000005"}]}, valid_from=0)
    assert terms.permissions == ("DUO:0000042",)
    assert [one.id for one in terms.modifiers] == ["DUO:0000043"]
    with pytest.raises(TermsError, match="successor"):
        from_duo_json({"duoDataUse": [{"id": "DUO:0000014"}]}, valid_from=0)


def edited(value, path, new):
    value = copy.deepcopy(value)
    at = value
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = new
    return value


def test_a_resource_edited_in_one_place_is_refused():
    terms = terms_with(["DUO:0000007"], ["DUO:0000025"])
    duo = to_duo_json(terms)
    with pytest.raises(TermsError, match="different things"):
        from_duo_json(edited(duo, ["duoDataUse", 0, "modifiers", 0, "id"], "MONDO:1"), valid_from=0)
    with pytest.raises(TermsError, match="different things"):
        from_duo_json(edited(duo, [WHOLE, "modifiers"], []), valid_from=0)
    resource = to_fhir(terms, record(), "R4")
    with pytest.raises(TermsError, match="different things"):
        from_fhir(edited(resource, ["provision", "purpose", 0, "code"], "DUO:0000004"), now_ms=0)


@pytest.mark.parametrize(
    ("path", "new", "says"),
    [
        (["status"], "inactive", "not active"),
        (["provision", "type"], "deny", "permits"),
        (["provision", "purpose"], [], "no DUO code"),
        (["provision", "provision"], [{"type": "deny"}], "exceptions"),
        (["provision", "actor"], [{}], "exceptions"),
        (["provision"], None, "permits"),
        (["provision", "purpose"], "all", "list of objects"),
        (["extension", 0, "valueString"], "[", "no JSON"),
        (["resourceType"], "Patient", "not a FHIR Consent"),
    ],
    ids=str,
)
def test_what_does_not_plainly_permit_is_refused(path, new, says):
    resource = to_fhir(terms_with(["DUO:0000042"]), record(), "R4")
    with pytest.raises(TermsError, match=says):
        from_fhir(edited(resource, path, new), now_ms=0)


def test_another_systems_consent_gives_strict_terms_and_its_period():
    foreign = {
        "resourceType": "Consent", "status": "active", "decision": "permit",
        "provision": [{
            "period": {"start": "2026-01-01", "end": "2027-01-01T00:00:00Z"},
            "purpose": [{"system": "http://purl.obolibrary.org/obo/duo.owl", "code": "DUO:0000006"}],
        }],
    }  # fmt: skip
    terms = from_fhir(foreign, now_ms=NOW)
    assert (terms.valid_from, terms.valid_until) == (1_767_225_600_000, 1_798_761_600_000)
    assert terms.flags.no_insurers
    assert terms.prices["clinical_care"] == NEVER


def test_a_consent_given_for_somebody_says_who_gave_it():
    resource = to_fhir(terms_with(["DUO:0000042"]), record(holder="9" * 32), "R5")
    assert resource["grantor"][0]["identifier"]["value"] == "9" * 32
    assert to_fhir(terms_with(["DUO:0000042"]), record("withdrawn"), "R5")["status"] == "inactive"
