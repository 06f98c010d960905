"""Amounts in terms, and that compute and the market count a currency's decimals alike."""

import pytest

from compute.currency import NO_DECIMALS, THREE_DECIMALS, amount_words, decimals
from marketplace import currencies


@pytest.mark.parametrize(("amount", "currency", "shown"), [
    (250, "gbp", "2.50 GBP"), (5, "usd", "0.05 USD"), (0, "eur", "0.00 EUR"), (500, "jpy", "500 JPY"),
    (1250, "kwd", "1.250 KWD"),
])  # fmt: skip
def test_an_amount_is_written_in_whole_units(amount, currency, shown):
    assert amount_words(amount, currency) == shown


def test_compute_and_the_market_agree_on_decimals():
    assert (NO_DECIMALS, THREE_DECIMALS) == (currencies.ZERO_DECIMAL, currencies.THREE_DECIMAL)
    assert all(decimals(c) == currencies.digits(c) for c in ("gbp", "jpy", "kwd", "chf"))
