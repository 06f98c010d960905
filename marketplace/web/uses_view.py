"""View-models of what an owner's data was used for and earned, from the owner's own shares. Pure.

Times are Unix ms; amounts are minor units of their currency.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ledger import State
from marketplace.tables import Share
from marketplace.web.job_view import JobRow, job_row, organisation_of
from marketplace.web.text import month

PAGE = 25
CHART_WIDTH, CHART_MONTHS = 210, 12


@dataclass(frozen=True, slots=True)
class Use:
    """One use of the owner's data; at: Unix ms; job: None for an unknown order.

    given: the owner asked nothing for it, so the amount is 0. access: the leaf index of the entry
    written before the data was opened, the last where the job ran more than once; None for none.
    """

    order: str
    amount: int
    currency: str
    at: int
    job: JobRow | None
    given: bool
    access: int | None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which uses to show: of an organisation, of a year ("" for all), and which page (from 1)."""

    who: str = ""
    year: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class UsesPage:
    """A page of uses, newest first; found: how many there are, earned: their sum by currency.

    organisations, years: what there is to choose among, of all uses.
    """

    uses: tuple[Use, ...]
    found: int
    last: int
    earned: tuple[tuple[str, int], ...]
    organisations: tuple[str, ...]
    years: tuple[str, ...]


def uses_page(state: State, shares: Sequence[Share], asked: Asked, now: int) -> UsesPage:
    """Return the page asked for of an owner's shares, which come newest first."""
    names: dict[str, str] = {}
    told = [(share, _who(state, share, now, names), _year(share.created_at)) for share in shares]
    fits = [
        share for share, who, year in told
        if asked.who in ("", who) and asked.year in ("", year)
    ]  # fmt: skip
    start = (asked.page - 1) * PAGE
    return UsesPage(
        tuple(use_of(state, share, now) for share in fits[start : start + PAGE]),
        len(fits),
        max(1, -(-len(fits) // PAGE)),
        sums_of(fits),
        tuple(sorted({who for _share, who, _at in told if who})),
        tuple(sorted({year for _share, _who, year in told}, reverse=True)),
    )


def sums_of(shares: Iterable[Share]) -> tuple[tuple[str, int], ...]:
    """Return what shares come to by currency."""
    earned: Counter[str] = Counter()
    for share in shares:
        earned[share.currency] += share.amount
    return tuple(sorted(earned.items()))


def _who(state: State, share: Share, now: int, names: dict[str, str]) -> str:
    """Return who asked an order, "" for an unknown order; names: what was looked up so far."""
    order = state.orders.get(share.order_id)
    if order is None:
        return ""
    party = str(order.payload["researcher"])
    if party not in names:
        names[party] = organisation_of(state, party, now)
    return names[party]


def _year(at: int) -> str:
    return f"{datetime.fromtimestamp(at / 1000, UTC):%Y}"


def use_of(state: State, share: Share, now: int) -> Use:
    order = state.orders.get(share.order_id)
    job = None if order is None else job_row(state, order, now)
    opened = [state.accesses[name].index for name in (order.accesses if order else ())]
    return Use(
        share.order_id, share.amount, share.currency, share.created_at, job, share.given,
        max(opened, default=None),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Month:
    """What was earned in a month; amount: minor units, width: of its bar, 0 for nothing."""

    name: str
    amount: int
    width: int


def earned_by_month(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[Month]]:
    """Return an owner's last months, oldest first, by currency.

    lines: {kind, at, currency, amount} each, as a statement has them.
    From the first month with earnings (at most a year back from the last) none is left out.
    """
    sums: dict[str, Counter[str]] = {}
    for line in lines:
        if line["kind"] == "earned":
            at = f"{datetime.fromtimestamp(line['at'] / 1000, UTC):%Y-%m}"
            sums.setdefault(line["currency"], Counter())[at] += line["amount"]
    return {currency: _bars(found) for currency, found in sorted(sums.items())}


def chart_of(shares: Iterable[Share]) -> dict[str, list[Month]]:
    """Return the same for shares; what was given earned nothing."""
    return earned_by_month(
        {"kind": "earned", "at": s.created_at, "currency": s.currency, "amount": s.amount}
        for s in shares
        if s.amount
    )


def _bars(sums: Mapping[str, int]) -> list[Month]:
    last = _months(min(sums), max(sums))[-CHART_MONTHS:]
    most = max((sums.get(name, 0) for name in last), default=0) or 1
    return [Month(month(n), sums.get(n, 0), _width(sums.get(n, 0), most)) for n in last]


def _width(amount: int, most: int) -> int:
    return max(2, CHART_WIDTH * amount // most) if amount > 0 else 0


def _months(first: str, last: str) -> list[str]:
    """Return every month from one to another, such as 2027-01."""
    start, end = (int(one[:4]) * 12 + int(one[5:]) - 1 for one in (first, last))
    return [f"{at // 12}-{at % 12 + 1:02d}" for at in range(start, end + 1)]
