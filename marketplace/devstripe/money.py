"""Amounts and currencies as Stripe accepts them, and its limits. Pure.

Spec: https://docs.stripe.com/currencies.
"""

from marketplace.currencies import THREE_DECIMAL, ZERO_DECIMAL, decimal
from marketplace.devstripe.errors import StripeFault, invalid

TWO_DECIMAL = frozenset((
    "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd", "bdt",
    "bgn", "bmd", "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad", "cdf", "chf", "cny",
    "cop", "crc", "cve", "czk", "dkk", "dop", "dzd", "egp", "etb", "eur", "fjd", "fkp", "gbp",
    "gel", "gip", "gmd", "gtq", "gyd", "hkd", "hnl", "htg", "huf", "idr", "ils", "inr", "isk",
    "jmd", "kes", "kgs", "khr", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl", "mad", "mdl",
    "mkd", "mmk", "mnt", "mop", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio",
    "nok", "npr", "nzd", "pab", "pen", "pgk", "php", "pkr", "pln", "qar", "ron", "rsd", "rub",
    "sar", "sbd", "scr", "sek", "sgd", "shp", "sle", "sos", "srd", "std", "szl", "thb", "tjs",
    "top", "try", "ttd", "twd", "tzs", "uah", "usd", "uyu", "uzs", "wst", "xcd", "yer", "zar",
    "zmw",
))  # fmt: skip
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | TWO_DECIMAL
MINIMUM = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50, "chf": 50, "cad": 50, "aud": 50}
MAXIMUM = 99_999_999


def check_currency(value: str, param: str = "currency") -> str:
    """Return the lower-case code or refuse it."""
    if value.lower() not in CURRENCIES:
        raise invalid(param, f"{value[:10]} is not a supported currency.")
    return value.lower()


def check_amount(value: int, currency: str, param: str = "amount") -> int:
    """Return a positive amount in smallest units or refuse it."""
    if value < 1:
        raise invalid(param, "must be greater than or equal to 1.", "parameter_invalid_integer")
    if value > MAXIMUM:
        raise invalid(param, "must be no more than 99999999.", "amount_too_large")
    if currency in THREE_DECIMAL and value % 10:
        raise invalid(param, "the last digit must be 0 in a three-decimal currency.")
    return value


def check_minimum(value: int, currency: str) -> int:
    """Refuse a charge below the smallest amount of its currency."""
    if value < MINIMUM.get(currency, 1):
        least = show(MINIMUM[currency], currency)
        raise StripeFault(
            f"Amount must be at least {least}.", code="amount_too_small", param="amount"
        )
    return value


def show(amount: int, currency: str) -> str:
    """Write an amount for people, exactly: 125050 usd is `1,250.50 USD`."""
    sign = "-" if amount < 0 else ""
    whole, dot, part = decimal(abs(amount), currency).partition(".")
    return f"{sign}{int(whole):,}{dot}{part} {currency.upper()}"
