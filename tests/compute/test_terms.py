"""Terms, purposes and claims: one complete form, exact, and nothing unknown gets in."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute import (
    PRESETS,
    TRUSTED_WARNING,
    Purpose,
    Terms,
    TermsError,
    canonical_terms,
    claims_from_attestations,
    describe,
    parse_purpose,
    parse_release,
    parse_terms,
    preset,
    terms_sha256,
)
from compute.duo import DUO_TERMS

TERMS = preset("my_condition_free", valid_from=1, diseases=["MONDO:0005148"])


def presets():
    yield preset("my_condition_free", valid_from=0, diseases=["MONDO:0005148"])
    yield preset("non_profit_research", valid_from=0, valid_until=9)
    yield preset("everything_at_a_price", valid_from=0, price=250, regions=["GB"])
    yield preset("non_profit_research", valid_from=0, release_mode="trusted")


@pytest.mark.parametrize("terms", list(presets()))
def test_terms_survive_json_and_hold_no_float(terms):
    text = json.dumps(terms.to_dict())
    assert parse_terms(json.loads(text, parse_float=pytest.fail)) == terms
    assert canonical_terms(terms) == canonical_terms(json.loads(text))
    assert len(terms_sha256(terms)) == 64


def paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*path, key))


@pytest.mark.parametrize("path", [p for p in paths(TERMS.to_dict()) if p], ids=str)
def test_terms_that_leave_a_field_out_are_refused(path):
    value = copy.deepcopy(TERMS.to_dict())
    place = value
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    if path[:1] == ("prices",) and len(path) == 2:
        assert parse_terms(value).prices.get(path[1]) is None  # a price left out means never
        return
    with pytest.raises(TermsError):
        parse_terms(value)


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"v": 2},
        {"permissions": []},
        {"permissions": ["DUO:0000042", "DUO:0000042"], "diseases": []},
        {"diseases": []},
        {"diseases": ["diabetes"]},
        {"diseases": ["MONDO:0005148", "MONDO:0005148"]},
        {"permissions": ["DUO:0000042"]},
        {"modifiers": [{"id": "DUO:0000045", "parameters": {"x": ["y"]}}]},
        {"modifiers": [{"id": "DUO:0000025", "parameters": {"months": 0}}]},
        {"modifiers": [{"id": "DUO:0000025", "parameters": {"months": True}}]},
        {"modifiers": [{"id": "DUO:0000025", "parameters": {"months": "12"}}]},
        {"modifiers": [{"id": "DUO:0000022", "parameters": {"countries": ["Britain"]}}]},
        {"modifiers": [{"id": "DUO:0000022", "parameters": {"countries": []}}]},
        {"modifiers": [{"id": "DUO:0000024", "parameters": {"date": "2030-02-30"}}]},
        {"modifiers": [{"id": "DUO:0000045", "parameters": {}}] * 2},
        {"flags": {"no_reidentification": False}},
        {"flags": {"no_insurers": 1}},
        {"prices": {"unheard-of": 1}},
        {"prices": {"methods": 1.5}},
        {"prices": {"methods": -1}},
        {"prices": {"methods": "ten"}},
        {"currency": "GBP"},
        {"query_families": []},
        {"query_families": ["*", "freq"]},
        {"regions": []},
        {"release": {"mode": "exact"}},
        {"release": {"lifetime_rho": 0.1}},
        {"release": {"lifetime_rho": "2/20"}},
        {"release": {"lifetime_rho": "1/0"}},
        {"release": {"order_share": "3/2"}},
        {"valid_from": -1},
        {"valid_from": 1.0},
        {"valid_until": 0},
    ],
    ids=str,
)
def test_terms_that_say_something_else_are_refused(change):
    with pytest.raises(TermsError):
        parse_terms({**TERMS.to_dict(), **change})


@pytest.mark.parametrize("value", [None, [], "terms", 3, {}])
def test_what_is_no_document_is_refused(value):
    with pytest.raises(TermsError):
        parse_terms(value)
    with pytest.raises(TermsError):
        parse_purpose(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(TERMS.to_dict())), json_values)
def test_any_value_in_any_field_parses_or_is_our_error(field, value):
    document = {**TERMS.to_dict(), field: value}
    try:
        assert parse_terms(document).to_dict() == document
    except TermsError as error:
        assert error.code == "terms"


def test_an_error_names_the_field_and_not_what_it_held():
    with pytest.raises(TermsError) as refused:
        parse_terms({**TERMS.to_dict(), "diseases": ["a very private condition"]})
    assert "diseases" in str(refused.value)
    assert "private" not in str(refused.value)


def test_terms_do_not_change():
    with pytest.raises(ValueError):
        TERMS.currency = "usd"


@pytest.mark.parametrize(
    "value",
    [
        {"primary": "DS", "commercial": False},
        {"primary": "ANY", "commercial": False},
        {"primary": "HMB"},
        {"primary": "HMB", "commercial": "no"},
        {"primary": "HMB", "commercial": False, "controls": ["unheard-of"]},
        {"primary": "HMB", "commercial": False, "undertakings": ["DUO:0000042"]},
        {"primary": "HMB", "commercial": False, "project": "x" * 201},
        {"primary": "HMB", "commercial": False, "project": "two\nlines"},
        {"primary": "HMB", "commercial": False, "more": 1},
    ],
)
def test_purposes_that_say_too_little_or_too_much_are_refused(value):
    with pytest.raises(TermsError):
        parse_purpose(value)


def test_a_purpose_survives_json():
    purpose = Purpose(primary="DS", diseases=("MONDO:0005148",), commercial=False, project="é")
    assert parse_purpose(json.loads(json.dumps(purpose.to_dict()))) == purpose


def test_a_claim_counts_until_it_expires_and_not_at_that_moment():
    claims = claims_from_attestations(
        "p", {"country": {"value": "GB", "attester": "a", "expires_at": 100}}
    )
    assert claims.value("country", 99) == "GB"
    assert claims.value("country", 100) is None
    assert claims.value("sector", 0) is None
    with pytest.raises(TermsError):
        claims_from_attestations("p", {"country": "GB"})


def test_presets_are_what_their_names_say():
    mine, research, priced, trusted = presets()
    assert list(PRESETS) == [
        "my_condition_free",
        "non_profit_research",
        "everything_at_a_price",
    ]
    assert mine.diseases == ("MONDO:0005148",)
    assert mine.prices["non_profit_research"] == 0
    assert mine.prices["commercial_research"] == research.prices["commercial_research"] == "never"
    assert set(priced.prices.values()) == {250}
    assert priced.flags.no_insurers
    assert not priced.flags.no_ai_training
    assert all(
        t.flags.no_insurers and t.release.mode == "private" for t in (mine, research, priced)
    )
    assert trusted.release.mode == "trusted"


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("my_condition_free", {}),
        ("everything_at_a_price", {}),
        ("everything_at_a_price", {"price": -1}),
        ("x", {}),
    ],
)
def test_presets_that_lack_what_they_need_are_refused(name, more):
    with pytest.raises(TermsError):
        preset(name, valid_from=0, **more)


@pytest.mark.parametrize("terms", list(presets()))
def test_plain_words_say_everything_without_a_code(terms):
    text = " ".join(describe(terms))
    assert "DUO:" not in text
    assert "insurers" in text
    assert ("Warning" in text) == (terms.release.mode == "trusted")
    assert all(DUO_TERMS[m.id].plain in text for m in terms.modifiers)


def test_trusted_release_is_warned_of_first():
    assert (
        describe(preset("non_profit_research", valid_from=0, release_mode="trusted"))[0]
        == TRUSTED_WARNING
    )


def test_every_modifier_is_said_in_words():
    for term in DUO_TERMS.values():
        if term.kind == "modifier":
            value = {"permissions": ["DUO:0000042"], "modifiers": [{"id": term.id}], "prices": {}}
            assert any(
                term.plain in line
                for line in describe(Terms.model_validate({**value, "valid_from": 0}))
            )


def test_a_trusted_release_has_no_budget_and_a_private_one_must_state_its_own():
    assert parse_release({"mode": "trusted", "rho": None}).rho == "0"
    for value in (
        {"mode": "private", "rho": None},
        {"mode": "private", "rho": 0.1},
        {},
        {"mode": "x"},
    ):
        with pytest.raises(TermsError):
            parse_release(value)


@pytest.mark.parametrize(("rho", "fine"), [("1/2", True), ("501/1000", False), ("3", False)])
def test_a_lifetime_budget_is_at_most_one_half(rho, fine):
    made = {**TERMS.to_dict(), "release": {**TERMS.release.to_dict(), "lifetime_rho": rho}}
    if fine:
        assert parse_terms(made).release.lifetime_rho == rho
        return
    with pytest.raises(TermsError, match="at most 1/2"):
        parse_terms(made)


@pytest.mark.parametrize("count", [-1, "5", 1.5, True, 10**12 + 1])
def test_a_cap_on_exact_statistics_is_a_whole_number(count):
    release = {**TERMS.release.to_dict(), "exact_statistics": count}
    with pytest.raises(TermsError):
        parse_terms({**TERMS.to_dict(), "release": release})
