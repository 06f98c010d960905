"""View-models of an owner's files and who may use them, from the folded ledger. Pure.

A card is a file with the consent that counts for it, so that what may be done with a file and who
may use it are read in one place. Times are Unix ms.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from compute import NEVER, ComputeError, Terms, describe, parse_terms
from ledger import Dataset, Grant, State
from marketplace import currencies
from marketplace.texts import Texts, say
from marketplace.web.words import MODALITY_MORE, Word, modality_words, taken_in

PAGE = 12
OTHERS = 30
IN_FORCE = Word("In use", "good", "It can be used under your terms.")
PAUSED = Word("Paused", "wait", "Nothing uses it until you resume.")
STOPPED = Word("Withdrawn", "stop", "Nothing can use it any more.")
ENDED = Word("Ended", "stop", "Its time is over; nothing uses it.")
OBJECTED = Word("Opted out", "stop", "You opted out of everything.")
PRIVATE = Word("Private", "calm", "Nobody but you can open it.")
REPLACED = Word("Replaced", "calm", "A newer file took its place.")
ERASED = Word("Erased", "stop", "Only an empty commitment is left.")
STATES = {
    "used": IN_FORCE, "paused": PAUSED, "ended": ENDED, "private": PRIVATE, "gone": ERASED,
}  # fmt: skip
PRICE_KINDS = Texts(
    {
        "non_profit_research": "non-profit research",
        "commercial_research": "commercial research",
        "methods": "developing methods",
        "clinical_care": "clinical care",
    }
)


@dataclass(frozen=True, slots=True)
class ConsentCard:
    """One consent; terms: the exact terms in plain sentences; given_by: "" for its owner.

    prices: what a use costs in words, each with the kinds of use it is asked for, dearest last.
    """

    grant: str
    index: int
    modality: str
    state: Word
    live: bool
    paused: bool
    facets: tuple[tuple[str, str], ...]
    terms: tuple[str, ...]
    allows: str
    prices: tuple[tuple[str, str], ...]
    per_order: bool
    given_by: str = ""
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class DatasetCard:
    """One file; size in bytes; kept: one of STATES; consent: the standing one that counts for it.

    compute: how taking it in went, code: compute's own word.
    """

    dataset: str
    modality: str
    more: str
    size: int
    build: str
    index: int
    kept: str
    state: Word
    erased: bool
    consent: ConsentCard | None
    compute: Word
    code: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which files to show: of a modality, in one of STATES ("" for all); page: from 1."""

    kind: str = ""
    state: str = ""
    page: int = 1


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page of files. held, live: how many files there are, and how many may be used now.

    found, last: how many fit what was chosen, and on how many pages. kinds: modalities to choose.
    others: consents for one order and those that ended, newest first, others_held: how many.
    """

    datasets: tuple[DatasetCard, ...]
    others: tuple[ConsentCard, ...]
    objected: bool
    held: int
    live: int
    found: int
    last: int
    others_held: int
    kinds: tuple[tuple[str, str], ...]


def dashboard(
    state: State, owner: str, chosen: Chosen, now: int, said: Mapping[str, str]
) -> Dashboard:
    """Return an owner's files as chosen, those in use first and the newest of them on top.

    said: dataset -> what compute reported of it.
    """
    party = state.parties.get(owner)
    held = [state.datasets[name] for name in (party.datasets if party else ())]
    kept = {one.id: _kept(state, one, now) for one in held}
    fits = [
        one for one in held
        if chosen.kind in ("", one.modality) and chosen.state in ("", kept[one.id])
    ]  # fmt: skip
    order = list(STATES)
    fits.sort(key=lambda one: (order.index(kept[one.id]), -one.index))
    start = (chosen.page - 1) * PAGE
    standing = {one.standing.id for one in held if one.standing is not None}
    # A consent that moved to another key stands at several entries, under one id.
    given = {g.id for one in held for at in one.entries if (g := state.grant_at.get(at))}
    others = [state.grants[name] for name in given - standing if name in state.grants]
    others.sort(key=lambda grant: (grant.stopped_at is not None, -grant.index))
    return Dashboard(
        tuple(
            _dataset(state, one, kept[one.id], now, said.get(one.id))
            for one in fits[start : start + PAGE]
        ),
        tuple(_consent(state, grant, now) for grant in others[:OTHERS]),
        owner in state.objections,
        len(held),
        Counter(kept.values())["used"],
        len(fits),
        max(1, -(-len(fits) // PAGE)),
        len(others),
        tuple(sorted((one, modality_words(one)) for one in {d.modality for d in held})),
    )


def _kept(state: State, dataset: Dataset, now: int) -> str:
    grant = dataset.standing
    if dataset.erased or dataset.replaced:
        return "gone"
    if grant is None:
        return "private"
    if _ended(grant, now) or grant.owner in state.objections:
        return "ended"
    return "paused" if grant.paused_at is not None else "used"


def _ended(grant: Grant, now: int) -> bool:
    until = grant.terms.get("valid_until")
    return isinstance(until, int) and now >= until


def _dataset(state: State, dataset: Dataset, kept: str, now: int, code: str | None) -> DatasetCard:
    consent = None if dataset.standing is None else _consent(state, dataset.standing, now)
    if kept == "gone":
        word = ERASED if dataset.erased else REPLACED
    else:
        word = PRIVATE if consent is None else consent.state
    return DatasetCard(
        dataset.id,
        modality_words(dataset.modality),
        MODALITY_MORE.get(dataset.modality, ""),
        dataset.size,
        str(dataset.format.get("build") or ""),
        dataset.index,
        kept,
        word,
        dataset.erased,
        None if kept == "gone" else consent,
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
    terms = _terms(grant)
    return ConsentCard(
        grant.id,
        grant.index,
        modality_words(dataset.modality) if dataset else say("Erased dataset"),
        word,
        state.in_force(grant) and not ended,
        word is PAUSED,
        tuple(sorted((str(k), str(v)) for k, v in grant.facets.items())),
        terms_words(grant),
        "" if terms is None else describe(_private(terms), say)[0],
        () if terms is None else prices_in_words(terms),
        grant.order is not None,
        "" if grant.basis == "self" else grant.basis,
        grant.dataset,
    )


def _terms(grant: Grant) -> Terms | None:
    try:
        return parse_terms(grant.terms)
    except ComputeError:
        return None


def _private(terms: Terms) -> Terms:
    """Return terms without the warning that comes before what they allow."""
    return terms.model_copy(
        update={"release": terms.release.model_copy(update={"mode": "private"})}
    )


def terms_words(grant: Grant) -> tuple[str, ...]:
    """Return a grant's terms in sentences; terms that cannot be read allow nothing, and say so."""
    terms = _terms(grant)
    if terms is None:
        return (say("These terms cannot be read, so they allow nothing."),)
    return tuple(describe(terms, say))


def prices_in_words(terms: Terms) -> tuple[tuple[str, str], ...]:
    """Return each price of one use with the kinds of use it is asked for; never comes last."""
    kinds: dict[int, list[str]] = {}
    asked = {str(kind): price for kind, price in terms.prices.items()}
    for kind in PRICE_KINDS:
        price = asked.get(kind, NEVER)
        kinds.setdefault(price if isinstance(price, int) else -1, []).append(PRICE_KINDS[kind])
    found = sorted(kinds.items(), key=lambda one: (one[0] < 0, one[0]))
    every = say("every kind of use") if len(found) == 1 else ""
    return tuple(
        (_price(price, terms.currency), every or ", ".join(names)) for price, names in found
    )


def _price(price: int, currency: str) -> str:
    if price < 0:
        return say("Never")
    return currencies.words(price, currency) if price else say("Free")
