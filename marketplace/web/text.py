"""How values look on a page: money, times, sizes, ids. Pure; times are Unix ms, shown in UTC."""

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from markupsafe import Markup, escape

from marketplace import currencies
from marketplace.money_words import moved
from marketplace.texts import LANGUAGE, mark, say, say_made

_STEPS = (
    (86_400, mark("1 day ago"), mark("%(1)s days ago")),
    (3_600, mark("1 hour ago"), mark("%(1)s hours ago")),
    (60, mark("1 minute ago"), mark("%(1)s minutes ago")),
)
_COUNTRY = re.compile("[A-Z]{2}")
# What CLDR has beside countries: unions, outlying places, and codes for tests and the unknown.
_NO_COUNTRY = frozenset(
    ("AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ")
)
_MONTHS = (
    mark("Jan"), mark("Feb"), mark("Mar"), mark("Apr"), mark("May"), mark("Jun"), mark("Jul"),
    mark("Aug"), mark("Sep"), mark("Oct"), mark("Nov"), mark("Dec"),
)  # fmt: skip


def money(amount: int, currency: str) -> str:
    """Format minor units, e.g. £12.50 or 12.50 CHF."""
    return currencies.words(amount, currency)


def when(ms: int) -> Markup:
    """Format a moment as a <time> element, e.g. 23 Nov 2026, 14:36 UTC."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    text = f"{moment.day} {say(_MONTHS[moment.month - 1])} {moment:%Y, %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(moment.isoformat(), text)


def ago(ms: int, now: int) -> str:
    """Say how long ago a moment was, coarsely."""
    seconds = max(0, (now - ms) // 1000)
    if seconds < 60:
        return say("%(1)s s ago", seconds)
    length, one, many = next(step for step in _STEPS if seconds >= step[0])
    n = seconds // length
    return say(one) if n == 1 else say(many, n)


def size(n: int) -> str:
    """Format a number of bytes with decimal units."""
    value = float(n)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{n} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def month(code: str) -> str:
    """Write a month such as 2027-01 in words."""
    year, _, number = code.partition("-")
    return f"{say(_MONTHS[int(number) - 1])} {year}"


@cache
def countries() -> tuple[tuple[str, str], ...]:
    """Return every country's code (ISO 3166-1) and its name in the language spoken, by name."""
    from babel import Locale  # not before a page needs it: it is slow to load

    names = Locale.parse(LANGUAGE).territories
    found = [(code, name) for code, name in names.items() if _COUNTRY.fullmatch(code)]
    return tuple(
        sorted((one for one in found if one[0] not in _NO_COUNTRY), key=lambda one: one[1])
    )


def number(n: int) -> str:
    """Format a whole number with thousands separated."""
    return f"{n:,}"


def people(bucket: str) -> str:
    """Say a public bucket in words: <20 is "fewer than 20", 50-99 is "50 to 99"."""
    if bucket.startswith("<"):
        return say("fewer than %(1)s", bucket[1:])
    low, dash, high = bucket.partition("-")
    if dash:
        return say("%(1)s to %(2)s", number(int(low)), number(int(high)))
    return say("nobody yet") if low == "0" else low


def short(value: str) -> Markup:
    """Shorten an id or digest for a line of text; the whole of it stays on hover."""
    if len(value) <= 14:
        return Markup("<code>{}</code>").format(value)
    return Markup('<code title="{}">{}</code>').format(value, brief(value))


def brief(value: str) -> str:
    """Shorten a digest for a picture."""
    return value if len(value) <= 14 else f"{value[:8]}…{value[-4:]}"


def mono(value: str) -> Markup:
    """Show an id or digest whole, letting it break anywhere."""
    return Markup('<code class="whole">{}</code>').format(escape(value))


def drawn(svg: str) -> Markup:
    """Mark a picture as drawn by us from numbers alone; never call it with anybody's text."""
    return Markup(svg)  # noqa: S704


def cell(value: Any) -> str:
    """Show one cell of an answer: a dash for nothing, numbers with six digits."""
    if value is None or value == "":
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


FILTERS: dict[str, Any] = {
    "money": money,
    "when": when,
    "ago": ago,
    "bytes": size,
    "number": number,
    "people": people,
    "short": short,
    "brief": brief,
    "mono": mono,
    "moved": moved,
    "cell": cell,
    "said": say_made,
}
