"""Terms a person understands: three presets to start from, and terms said back in plain words.

A preset is only a first value of `Terms`; the owner may change every part of it.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Literal

from compute.currency import NO_DECIMALS, THREE_DECIMALS, amount_words
from compute.duo import DS, DUO_TERMS, GRU, NRES
from compute.errors import TermsError
from compute.ontology import TEST_SUBSET, current_ontology
from compute.risk import TRUSTED_RIGHT_OF_100, risk_of, risk_picture, risk_words
from compute.said import Say, as_it_is
from compute.terms import EXACT_STATISTICS, NEVER, Flags, Modifier, Terms
from compute.values import PRICE_CLASSES, parse_value

PRESETS = ("my_condition_free", "non_profit_research", "everything_at_a_price")
TRUSTED_WARNING = (
    "Warning: trusted release. Accredited researchers may get exact figures without added noise, "
    "after two people have reviewed them. Exact figures can show that you took part, to somebody "
    "who already has your genome: measured with as many variants as people, such a one was right "
    f"in {TRUSTED_RIGHT_OF_100} of 100 cases (50 of 100 is guessing), and with many more in "
    "nearly all. What holds them back is a promise and a review, not mathematics. Choose private "
    "release to be protected from that."
)
_NPUNCU = "DUO:0000018"
# Conditions that name somebody or something: where the terms name nobody, the owner is asked.
ASKING = tuple(code for code, term in DUO_TERMS.items() if term.parameter and code != DS)
OFFERED_BUDGETS = ("1/100", "1/50", "1/20", "1/10", "1/5", "1/2")


def preset(
    name: str,
    *,
    valid_from: int,
    diseases: Sequence[str] = (),
    price: int | None = None,
    currency: str = "gbp",
    valid_until: int | None = None,
    regions: Sequence[str] = ("*",),
    query_families: Sequence[str] = ("*",),
    release_mode: Literal["private", "trusted"] = "private",
    lifetime_rho: str = "1/10",
    order_share: str = "1/5",
    exact_statistics: int = EXACT_STATISTICS,
) -> Terms:
    """Make the terms of a preset (PRESETS). Times: Unix ms; price: minor units for every use.

    my_condition_free needs diseases; everything_at_a_price needs price. Raises TermsError.
    """
    value = {
        **_preset(name, diseases, price),
        "currency": currency,
        "regions": list(regions),
        "query_families": list(query_families),
        "release": {
            "mode": release_mode,
            "lifetime_rho": lifetime_rho,
            "order_share": order_share,
            "exact_statistics": exact_statistics,
        },
        "valid_from": valid_from,
        "valid_until": valid_until,
    }
    return parse_value(Terms, value)


def _preset(name: str, diseases: Sequence[str], price: int | None) -> dict[str, object]:
    prices: dict[str, int | str] = dict.fromkeys(PRICE_CLASSES, NEVER)
    prices |= {"non_profit_research": 0, "methods": 0}
    if name == "my_condition_free":
        return {
            "permissions": [DS],
            "diseases": list(diseases),
            "modifiers": [{"id": _NPUNCU}],
            "prices": prices,
        }
    if name == "non_profit_research":
        return {
            "permissions": [GRU],
            "modifiers": [{"id": _NPUNCU}],
            "prices": prices,
        }
    if name == "everything_at_a_price":
        if price is None:
            raise TermsError("everything_at_a_price needs a price in minor units")
        return {
            "permissions": [NRES],
            "flags": {"no_ai_training": False},
            "prices": dict.fromkeys(PRICE_CLASSES, price),
        }
    raise TermsError(f"there is no preset of that name; choose one of {', '.join(PRESETS)}")


def describe(terms: Terms, say: Say = as_it_is) -> list[str]:
    """Say terms in plain sentences, the warning about trusted release first.

    say: puts a message and its values into another language (the pages').
    """
    lines = [say(TRUSTED_WARNING)] if terms.release.mode == "trusted" else []
    allowed = "; or ".join(_permission(code, terms, say) for code in terms.permissions)
    lines.append(say("You allow: %(1)s.", allowed))
    lines.extend(_modifier(modifier, say) for modifier in terms.modifiers)
    lines.extend(_flags(terms.flags, say))
    lines.extend(_prices(terms, say))
    lines.extend(_limits(terms, say))
    return lines


def plain_words() -> dict[str, Any]:
    """Return what `describe` is made of, for pages that say the same without a server's word."""
    return {
        "duo": {code: term.plain for code, term in DUO_TERMS.items()},
        "asking": list(ASKING),
        "diseases": TEST_SUBSET.labels(),
        "price_classes": list(PRICE_CLASSES),
        "trusted_warning": TRUSTED_WARNING,
        "risk": {rho: risk_words(Fraction(rho)) for rho in OFFERED_BUDGETS},
        "right_of_100": {rho: risk_of(Fraction(rho)).right_of_100 for rho in OFFERED_BUDGETS},
        "risk_pictures": {rho: risk_picture(Fraction(rho)) for rho in OFFERED_BUDGETS},
        "decimals": {**dict.fromkeys(NO_DECIMALS, 0), **dict.fromkeys(THREE_DECIMALS, 3)},
    }


def _permission(code: str, terms: Terms, say: Say) -> str:
    plain = say(DUO_TERMS[code].plain)
    if code != DS:
        return plain
    labels = ", ".join(say(current_ontology().label(d)) for d in terms.diseases)
    return say("research on %(1)s", labels)


def _modifier(modifier: Modifier, say: Say) -> str:
    plain = say(DUO_TERMS[modifier.id].plain)
    value = modifier.parameter
    if value is None and modifier.id in ASKING:
        return say("Condition: %(1)s. You are asked each time.", plain)
    if value is None:
        return say("Condition: %(1)s.", plain)
    given = ", ".join(value) if isinstance(value, tuple) else value
    return say("Condition: %(1)s (%(2)s).", plain, given)


def _flags(flags: Flags, say: Say) -> Iterator[str]:
    if flags.no_insurers:
        yield say("Never for insurers.")
    if flags.no_employers:
        yield say("Never for employers.")
    never, allowed = say("Training AI models: never."), say("Training AI models: allowed.")
    yield never if flags.no_ai_training else allowed
    yield say("Nobody may try to find out who you are.")


def _prices(terms: Terms, say: Say) -> Iterator[str]:
    for kind in PRICE_CLASSES:
        price = terms.prices.get(kind, NEVER)
        plain = kind.replace("_", " ")
        if not isinstance(price, int):
            yield say("Price for %(1)s: never.", plain)
        elif price == 0:
            yield say("Price for %(1)s: free.", plain)
        else:
            amount = amount_words(price, terms.currency)
            yield say("Price for %(1)s: %(2)s a use.", plain, amount)


def _limits(terms: Terms, say: Say) -> Iterator[str]:
    families, regions = ", ".join(terms.query_families), ", ".join(terms.regions)
    yield (
        say("Any approved query.")
        if families == "*"
        else say("Only these queries: %(1)s.", families)
    )
    yield say("Computed anywhere.") if regions == "*" else say("Computed only in: %(1)s.", regions)
    release = terms.release
    if release.mode == "trusted":
        most = release.exact_statistics
        yield say("At most %(1)s exact figures may ever count you.", most)
    if release.mode == "private":
        yield say("Every answer has noise added, which bounds what it can show of you.")
        yield risk_words(Fraction(release.lifetime_rho), say)
    yield say(
        "Privacy budget for your lifetime: %(1)s, of which one order may use at most %(2)s.",
        release.lifetime_rho, release.order_share,
    )  # fmt: skip
    until = terms.valid_until
    yield say("Until you withdraw.") if until is None else say("Until %(1)s UTC.", _moment(until))


def _moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
