"""Currencies as Stripe counts them: integers in the smallest unit, 0, 2 or 3 decimals. Pure.

Spec: https://docs.stripe.com/currencies (zero-decimal and three-decimal currencies).
"""

ZERO_DECIMAL = frozenset((
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv",
    "xaf", "xof", "xpf",
))  # fmt: skip
THREE_DECIMAL = frozenset(("bhd", "jod", "kwd", "omr", "tnd"))
SIGNS = {"gbp": "£", "eur": "€", "usd": "$", "jpy": "¥"}
MINUS = "\N{MINUS SIGN}"


def digits(currency: str) -> int:
    """Return the number of decimals of a currency's smallest unit (0, 2 or 3)."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def minor(major: int, currency: str) -> int:
    """Return whole units as smallest units: 20 gbp is 2000, 20 jpy is 20."""
    return int(major * 10 ** digits(currency))


def decimal(amount: int, currency: str) -> str:
    """Write an amount exactly and plainly: 125050 usd is 1250.50, 500 jpy is 500."""
    places = digits(currency)
    sign, units = ("-" if amount < 0 else ""), abs(amount)
    if places == 0:
        return f"{sign}{units}"
    return f"{sign}{units // 10**places}.{units % 10**places:0{places}d}"


def words(amount: int, currency: str) -> str:
    """Write an amount for people: £12.50, ¥500, 1,250.50 CHF, with a real minus sign."""
    whole, dot, part = decimal(abs(amount), currency).partition(".")
    text = f"{int(whole):,}{dot}{part}"
    minus, sign = (MINUS if amount < 0 else ""), SIGNS.get(currency)
    return f"{minus}{sign}{text}" if sign else f"{minus}{text} {currency.upper()}"
