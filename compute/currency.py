"""Amounts of money in terms, written for people. Prices are integers in a currency's smallest unit.

Source: ISO 4217, with Stripe's exceptions; a test holds it to `marketplace.currencies`, which
compute may not import.
"""

from typing import Final

NO_DECIMALS: Final = frozenset((
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
))  # fmt: skip
THREE_DECIMALS: Final = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))


def amount_words(amount: int, currency: str) -> str:
    """Write an amount, at least 0, e.g. 250 gbp as 2.50 GBP."""
    places = decimals(currency)
    whole, part = divmod(amount, 10**places)
    text = f"{whole}.{part:0{places}d}" if places else str(whole)
    return f"{text} {currency.upper()}"


def decimals(currency: str) -> int:
    """Return how many decimals a currency is written with: 0, 2 or 3."""
    return 0 if currency in NO_DECIMALS else 3 if currency in THREE_DECIMALS else 2
