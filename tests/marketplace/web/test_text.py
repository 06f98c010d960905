"""How values look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute import bucket
from marketplace.web import text


@pytest.mark.parametrize(("amount", "currency", "shown"), [
    (0, "gbp", "£0.00"), (1250, "gbp", "£12.50"), (123456789, "eur", "€1,234,567.89"),
    (-5, "usd", "−$0.05"), (700, "chf", "7.00 CHF"), (500, "jpy", "¥500"), (1250, "kwd", "1.250 KWD"),
])  # fmt: skip
def test_money(amount, currency, shown):
    assert text.money(amount, currency) == shown


@given(st.integers(0, 10**7))
def test_every_bucket_has_words(n):
    words = text.people(bucket(n))
    assert words == "nobody yet" if n == 0 else ("fewer than" in words or " to " in words)


@pytest.mark.parametrize(("ms", "shown"), [
    (0, "0 s ago"), (59_000, "59 s ago"), (60_000, "1 minute ago"), (7_200_000, "2 hours ago"),
    (-5, "0 s ago"),
])  # fmt: skip
def test_ago(ms, shown):
    assert text.ago(1_000_000_000, 1_000_000_000 + ms) == shown


def test_sizes_and_ids():
    assert [text.size(n) for n in (999, 1000, 2_418_000, 3 * 10**9)] == [
        "999 B", "1.0 kB", "2.4 MB", "3.0 GB"]  # fmt: skip
    assert text.short("<" + "a" * 40).startswith('<code title="&lt;a')
    assert text.short("<b>") == "<code>&lt;b&gt;</code>"
