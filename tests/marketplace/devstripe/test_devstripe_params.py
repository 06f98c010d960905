"""Form parameters: what the SDK's own encoder writes is read back; anything else is a Stripe fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from marketplace.currencies import digits
from marketplace.devstripe.errors import StripeFault
from marketplace.devstripe.money import CURRENCIES, show
from marketplace.devstripe.params import Params, is_web_url, merged_metadata, parse_form

names = st.text("abcxyz_", min_size=1, max_size=6)
values = st.recursive(
    st.text(min_size=1, max_size=8),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(names, inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


def depth(value):
    if isinstance(value, dict):
        return 1 + max(depth(part) for part in value.values())
    if isinstance(value, list):
        return 1 + max(depth(part) for part in value)
    return 0


@given(st.dictionaries(names, values.filter(lambda value: depth(value) <= 4), max_size=4))
def test_what_the_sdk_encodes_is_read_back(params):
    assert parse_form(_api_encode(params)) == params


@given(st.lists(st.tuples(st.text("ab[]01", max_size=8), st.text(max_size=4)), max_size=6))
def test_any_form_is_read_or_refused_as_a_fault(pairs):
    try:
        parse_form(pairs)
    except StripeFault as fault:
        assert fault.status == 400


@given(
    st.sampled_from(
        ["integer", "boolean", "texts", "sub", "subs", "metadata", "url", "text", "currency"]
    ),
    values,
)
def test_any_value_is_read_or_refused_as_a_fault(kind, value):
    try:
        getattr(Params({"a": value}), kind)("a")
    except StripeFault as fault:
        assert fault.error["param"].startswith("a")


def test_integers_beyond_nine_places_and_deep_nesting_are_refused():
    with pytest.raises(StripeFault):
        Params({"a": "9" * 13}).integer("a")
    with pytest.raises(StripeFault):
        parse_form([("a" + "[b]" * 6, "x")])


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://x.example/a?b", True),
        ("http://127.0.0.1:8080", True),
        ("javascript:alert(1)", False),
        ("//x.example", False),
        ("ftp://x.example", False),
        ("http://", False),
        ("http://[", False),
    ],
)
def test_only_web_addresses_are_redirected_to(url, good):
    assert is_web_url(url) is good


def test_metadata_merges_and_an_empty_value_removes():
    assert merged_metadata({"a": "1", "b": "2"}, {"a": "", "c": "3"}) == {"b": "2", "c": "3"}


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (125050, "usd", "1,250.50 USD"),
        (500, "jpy", "500 JPY"),
        (5120, "kwd", "5.120 KWD"),
        (-5, "gbp", "-0.05 GBP"),
        (0, "eur", "0.00 EUR"),
    ],
)
def test_amounts_are_shown_exactly(amount, currency, text):
    assert show(amount, currency) == text


def test_every_currency_has_a_known_number_of_places():
    assert {digits(currency) for currency in CURRENCIES} == {0, 2, 3}
    assert len(CURRENCIES) > 120
