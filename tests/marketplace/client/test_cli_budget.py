"""`omic budget` and the choice of a lifetime budget."""

from fractions import Fraction

import pytest

from marketplace.client.cli_budget import budget, lifetime_budget
from marketplace.client.errors import ClientError


@pytest.mark.parametrize("text", ["1/10", "0.25", "1/2"])
def test_a_budget_up_to_a_half_is_the_owners_choice(text):
    assert lifetime_budget(text) == Fraction(text)


@pytest.mark.parametrize("text", ["0", "-1/10", "51/100", "much", "1/0"])
def test_more_than_a_half_nothing_and_nonsense_are_refused_with_a_reason(text):
    with pytest.raises(ClientError, match="budget"):
        lifetime_budget(text)


def test_what_is_left_is_exact_and_never_negative():
    found = budget(Fraction(1, 10), Fraction(1, 30))
    assert (found["left"], found["right_of_100"]) == ("1/15", 63)
    assert budget(Fraction(1, 10), Fraction(1))["left"] == "0"
