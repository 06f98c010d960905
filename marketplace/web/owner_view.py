"""View-models of an owner's dashboard, from the folded ledger and the owner's own shares. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from compute import ComputeError, describe, parse_terms, risk_picture, risk_words
from ledger import Dataset, Grant, State
from marketplace.tables import Share
from marketplace.texts import say
from marketplace.web.job_view import JobRow, job_row
from marketplace.web.text import drawn, month
from marketplace.web.words import MODALITY_MORE, Word, modality_words, taken_in

IN_FORCE = Word("In force", "good", "It can be used under these terms.")
PAUSED = Word("Paused", "wait", "Nothing uses it until you resume.")
STOPPED = Word("Withdrawn", "stop", "Nothing can use it any more.")
ENDED = Word("Ended", "stop", "Its time is over; nothing uses it.")
OBJECTED = Word("Opted out", "stop", "You opted out of everything.")


@dataclass(frozen=True, slots=True)
class ConsentCard:
    """One consent; terms: the exact terms in plain sentences; given_by: "" for its owner."""

    grant: str
    index: int
    modality: str
    state: Word
    live: bool
    paused: bool
    facets: tuple[tuple[str, str], ...]
    terms: tuple[str, ...]
    per_order: bool
    given_by: str = ""
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """One dataset; size in bytes; compute: how taking it in went, code: compute's own word."""

    dataset: str
    modality: str
    more: str
    size: int
    build: str
    index: int
    state: Word
    erased: bool
    consents: int
    compute: Word
    code: str


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
class Dashboard:
    """What is on the page; earned: minor units by currency.

    held, given, used: how many datasets, consents and uses there are; of each, some are shown.
    live: how many consents are in force.
    """

    datasets: tuple[DatasetCard, ...]
    consents: tuple[ConsentCard, ...]
    uses: tuple[Use, ...]
    earned: tuple[tuple[str, int], ...]
    objected: bool
    held: int
    given: int
    used: int
    live: int


def dashboard(
    state: State, owner: str, shares: Sequence[Share], now: int, said: Mapping[str, str], *,
    cards: int, uses: int,
) -> Dashboard:  # fmt: skip
    """Return an owner's page; now: Unix ms; said: dataset -> what compute reported of it.

    cards, uses: at most so many datasets, consents and uses are shown. What still counts comes
    before what ended; consents and uses newest first.
    """
    party = state.parties.get(owner)
    datasets = [state.datasets[name] for name in (party.datasets if party else ())]
    grants = [grant for grant in state.grants.values() if grant.owner == owner]
    grants.sort(key=lambda grant: (grant.stopped_at is not None, -grant.index))
    in_force = Counter(grant.dataset for grant in grants if state.in_force(grant))
    earned: Counter[str] = Counter()
    for share in shares:
        earned[share.currency] += share.amount
    return Dashboard(
        tuple(_dataset(d, in_force[d.id], said.get(d.id)) for d in _most(datasets, cards)),
        tuple(_consent(state, grant, now) for grant in grants[:cards]),
        tuple(_use(state, share, now) for share in shares[:uses]),
        tuple(sorted(earned.items())),
        owner in state.objections,
        len(datasets), len(grants), len(shares),
        sum(state.in_force(grant) and not _ended(grant, now) for grant in grants),
    )  # fmt: skip


def _most(datasets: Sequence[Dataset], most: int) -> list[Dataset]:
    """Return the newest datasets in use, then as many of the others as there is room for."""
    gone = [one for one in datasets if one.erased or one.replaced]
    mine = [one for one in datasets if not (one.erased or one.replaced)][-most:]
    return [*mine, *gone[: most - len(mine)]]


def _ended(grant: Grant, now: int) -> bool:
    until = grant.terms.get("valid_until")
    return isinstance(until, int) and now >= until


@dataclass(frozen=True, slots=True)
class Budget:
    """An owner's lifetime privacy budget, what the paid uses took of it, and the risk it bounds."""

    lifetime: Fraction
    spent: Fraction

    @property
    def left(self) -> Fraction:
        """Return what is left; it is never refilled."""
        return max(Fraction(0), self.lifetime - self.spent)

    @property
    def percent_left(self) -> int:
        """Return what is left as whole percent, rounded down: never more than there is."""
        return int(100 * self.left / self.lifetime) if self.lifetime else 0

    @property
    def words(self) -> str:
        """Say the risk in a sentence."""
        return risk_words(self.lifetime)

    @property
    def picture(self) -> str:
        """Return the risk as SVG."""
        return drawn(risk_picture(self.lifetime, self.spent))


def budget_of(state: State, owner: str, shares: Iterable[Share]) -> Budget | None:
    """Return an owner's budget as the public ledger shows it, None without a consent in force.

    Counts every access of the orders that paid this owner: at most what compute charged.
    """
    party = state.parties.get(owner)
    held = [state.datasets[name] for name in (party.datasets if party else ())]
    live = [grant for dataset in held for grant in dataset.live() if state.in_force(grant)]
    try:
        limits = [Fraction(parse_terms(grant.terms).release.lifetime_rho) for grant in live]
    except ComputeError:
        return None
    if not limits:
        return None
    orders = [state.orders[name] for name in {s.order_id for s in shares} if name in state.orders]
    releases = [state.accesses[a].payload["release"] for o in orders for a in o.accesses]
    spent = sum((Fraction((release or {}).get("rho") or 0) for release in releases), Fraction(0))
    return Budget(min(limits), spent)


def _dataset(dataset: Dataset, live: int, code: str | None) -> DatasetCard:
    if dataset.erased:
        word = Word("Erased", "stop", "Only an empty commitment is left.")
    elif dataset.replaced:
        word = Word("Replaced", "calm", "A newer file took its place.")
    elif live:
        word = Word("Consented", "good", "It can be used under your terms.")
    else:
        word = Word("Private", "calm", "Nobody but you can open it.")
    return DatasetCard(
        dataset.id,
        modality_words(dataset.modality),
        MODALITY_MORE.get(dataset.modality, ""),
        dataset.size,
        str(dataset.format.get("build") or ""),
        dataset.index,
        word,
        dataset.erased,
        live,
        taken_in(code),
        code or "",
    )


def _consent(state: State, grant: Grant, now: int) -> ConsentCard:
    dataset, ended = state.datasets.get(grant.dataset), _ended(grant, now)
    if grant.stopped_at is not None:
        word = STOPPED
    elif ended:
        word = ENDED
    elif grant.owner in state.objections:
        word = OBJECTED
    else:
        word = IN_FORCE if grant.paused_at is None else PAUSED
    return ConsentCard(
        grant.id,
        grant.index,
        modality_words(dataset.modality) if dataset else say("Erased dataset"),
        word,
        state.in_force(grant) and not ended,
        word is PAUSED,
        tuple(sorted((str(k), str(v)) for k, v in grant.facets.items())),
        terms_words(grant),
        grant.order is not None,
        "" if grant.basis == "self" else grant.basis,
        grant.dataset,
    )


def terms_words(grant: Grant) -> tuple[str, ...]:
    """Return a grant's terms in sentences; terms that cannot be read allow nothing, and say so."""
    try:
        return tuple(describe(parse_terms(grant.terms), say))
    except ComputeError:
        return (say("These terms cannot be read, so they allow nothing."),)


def _use(state: State, share: Share, now: int) -> Use:
    order = state.orders.get(share.order_id)
    job = None if order is None else job_row(state, order, now)
    opened = [state.accesses[name].index for name in (order.accesses if order else ())]
    return Use(
        share.order_id, share.amount, share.currency, share.created_at, job, share.given,
        max(opened, default=None),
    )  # fmt: skip


CHART_WIDTH, CHART_MONTHS = 210, 12


@dataclass(frozen=True, slots=True)
class Month:
    """What was earned in a month; amount: minor units, width: of its bar."""

    name: str
    amount: int
    width: int


def earned_by_month(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[Month]]:
    """Return an owner's last months with earnings, oldest first, by currency."""
    sums: dict[str, Counter[str]] = {}
    for line in lines:
        if line["kind"] == "earned":
            at = f"{datetime.fromtimestamp(line['at'] / 1000, UTC):%Y-%m}"
            sums.setdefault(line["currency"], Counter())[at] += line["amount"]
    return {currency: _bars(found) for currency, found in sorted(sums.items())}


def _bars(sums: Mapping[str, int]) -> list[Month]:
    last = sorted(sums)[-CHART_MONTHS:]
    most = max((sums[name] for name in last), default=0) or 1
    return [Month(month(n), sums[n], max(2, CHART_WIDTH * sums[n] // most)) for n in last]
