"""What a budget means for its owner, in numbers and as a picture."""

from fractions import Fraction
from xml.etree import ElementTree

import pytest

from compute import (
    TRUSTED_WARNING,
    Release,
    describe,
    error_picture,
    expected_error,
    plain_words,
    preset,
    private_counts_request,
    risk_of,
    risk_picture,
)


@pytest.mark.parametrize(
    ("rho", "right", "found"), [("0", 50, 5), ("1/10", 63, 12), ("1/2", 77, 26), ("1", 85, 41)]
)
def test_the_bounds_are_those_of_the_gaussian_mechanism(rho, right, found):
    risk = risk_of(Fraction(rho))
    assert (risk.right_of_100, risk.found_of_100) == (right, found)


def test_a_negative_budget_is_no_budget():
    with pytest.raises(ValueError, match="negative"):
        risk_of(Fraction(-1))


@pytest.mark.parametrize("rho", ["1/10", "1/2", "3"])
def test_the_picture_is_svg_without_scripts_and_says_the_risk(rho):
    text = risk_picture(Fraction(rho), Fraction(1, 20))
    root = ElementTree.fromstring(text)
    kinds = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert kinds <= {"svg", "title", "line", "text", "polyline", "circle"}
    assert f"{risk_of(Fraction(rho)).right_of_100} of 100" in text


def test_the_dry_runs_error_is_a_picture_too():
    query = private_counts_request(["1-1000-A-G"], rho="1/20")["query"]
    expected = expected_error(query, Release(mode="private", rho="1/20"), 200)
    root = ElementTree.fromstring(error_picture(expected))
    assert str(expected["se"]) in "".join(root.itertext())


def test_every_budget_an_owner_may_choose_is_pictured_where_it_is_chosen():
    words = plain_words()
    assert list(words["risk_pictures"]) == list(words["risk"])
    for rho, text in words["risk_pictures"].items():
        assert f"yours: {risk_of(Fraction(rho)).right_of_100} of 100" in text
        assert not [one for one in ElementTree.fromstring(text).iter() if "script" in one.tag]


def test_consent_texts_say_what_the_choice_means():
    private = " ".join(
        describe(preset("non_profit_research", valid_from=1, release_mode="private"))
    )
    assert "63 of 100" in private
    assert "close relatives" in private
    trusted = describe(preset("non_profit_research", valid_from=1, release_mode="trusted"))
    assert trusted[0] == TRUSTED_WARNING
    assert "of 100" in TRUSTED_WARNING
