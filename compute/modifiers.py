"""How each DUO modifier is checked: one small rule for each of the eighteen codes.

Automatic codes look at the purpose, the query and attested claims; promises look at what the
researcher signed; codes only people can judge ask the owner, as does a code whose parameter the
terms leave out. No rule here ever widens: CC is read by the permission table.
Spec: GA4GH DUO.
"""

import calendar
from collections.abc import Callable
from datetime import UTC, date, datetime

from compute.duo import BY_SHORTHAND, duo_term
from compute.terms import Modifier, Terms
from compute.verdict import Reason, Request, ask, forbidden, permitted

Rule = Callable[[Modifier, Terms, Request], Reason]


def check_modifier(modifier: Modifier, terms: Terms, request: Request) -> Reason:
    """Judge one modifier of the terms; a missing parameter asks the owner."""
    term = duo_term(modifier.id)
    if term.parameter is not None and modifier.parameter is None:
        return ask(modifier.id, f"the owner has not said for whom or what: {term.plain}")
    return _RULES[term.shorthand](modifier, terms, request)


def attested(
    code: str, name: str, need: str, request: Request, wanted: tuple[bool | str, ...]
) -> Reason:
    """Judge a required attribute of the buyer; one that nobody attests asks the owner."""
    value = request.claim(name)
    if value is None:
        return ask(code, f"needs {need}; nobody we trust has confirmed it for this buyer")
    if value in wanted and type(value) is type(wanted[0]):
        return permitted(code, f"{need}: attested", "buyer")
    return forbidden(code, f"needs {need}; this buyer is attested as something else", "buyer")


def _names(modifier: Modifier) -> tuple[str, ...]:
    value = modifier.parameter
    return value if isinstance(value, tuple) else ()


def _topics(modifier: Modifier, _terms: Terms, _request: Request) -> Reason:
    return ask(modifier.id, "only certain kinds of study: the owner must say whether this is one")


def _no_methods(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    if request.purpose.primary == "MDS":
        return forbidden(modifier.id, "developing methods or software is not allowed")
    return permitted(modifier.id, "the purpose is not to develop methods")


def _genetic(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    if "genotypes" in request.modalities:
        return permitted(modifier.id, "the query uses genotypes")
    return forbidden(modifier.id, "only genetic studies are allowed; this query uses none", "query")


def _non_profit(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    return attested(modifier.id, "non_profit", "a not-for-profit organisation", request, (True,))


def _non_commercial(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    if request.purpose.commercial:
        return forbidden(modifier.id, "commercial use is not allowed")
    return permitted(modifier.id, "the use is declared non-commercial")


def _non_profit_non_commercial(modifier: Modifier, terms: Terms, request: Request) -> Reason:
    use = _non_commercial(modifier, terms, request)
    organisation = _non_profit(modifier, terms, request)
    return use if use.verdict != "permitted" else organisation


def _promise(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    plain = duo_term(modifier.id).plain
    if modifier.id in request.purpose.undertakings:
        return permitted(modifier.id, f"promised in the signed order: {plain}")
    return forbidden(modifier.id, f"the researcher has not promised: {plain}")


def _moratorium(modifier: Modifier, terms: Terms, request: Request) -> Reason:
    given, bound = request.purpose.publish_from, modifier.parameter
    if given is None or not isinstance(bound, str) or given < bound:
        return forbidden(modifier.id, "the planned publication is not after the owner's date")
    return _promise(modifier, terms, request)


def _collaboration(modifier: Modifier, _terms: Terms, _request: Request) -> Reason:
    return ask(modifier.id, "only together with people the owner names: the owner must confirm it")


def _ethics(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    if request.claim("ethics_approval") in (None, False, ""):
        return ask(modifier.id, "needs an ethics approval; nobody we trust has confirmed one")
    return permitted(modifier.id, "ethics approval: attested", "buyer")


def _countries(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    countries = _names(modifier)
    if request.region.split("-")[0] not in countries:
        return forbidden(modifier.id, "it would run outside the countries named", "place")
    return attested(modifier.id, "country", "a buyer in the countries named", request, countries)


def _months(modifier: Modifier, terms: Terms, request: Request) -> Reason:
    months = modifier.parameter
    if isinstance(months, int) and request.now_ms < months_after(terms.valid_from, months):
        return permitted(modifier.id, f"within {months} months of the consent", "time")
    return forbidden(modifier.id, "the months the owner allowed are over", "time")


def _users(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    if request.claims.party in _names(modifier):
        return permitted(modifier.id, "this researcher is named", "buyer")
    return forbidden(modifier.id, "only researchers the owner names", "buyer")


def _projects(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    if request.purpose.project_id is not None and request.purpose.project_id in _names(modifier):
        return permitted(modifier.id, "this project is named")
    return forbidden(modifier.id, "only projects the owner names")


def _institutions(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    need = "an institution the owner names"
    return attested(modifier.id, "organisation", need, request, _names(modifier))


def _widens(modifier: Modifier, _terms: Terms, _request: Request) -> Reason:
    return permitted(modifier.id, "clinical care is allowed as well")


def _no_ancestry(modifier: Modifier, _terms: Terms, request: Request) -> Reason:
    if request.purpose.primary == "POA":
        return forbidden(modifier.id, "the study of ancestry is not allowed")
    return permitted(modifier.id, "the purpose is not the study of ancestry")


_RULES: dict[str, Rule] = {
    "RS": _topics,
    "NMDS": _no_methods,
    "GSO": _genetic,
    "NPUNCU": _non_profit_non_commercial,
    "PUB": _promise,
    "COL": _collaboration,
    "IRB": _ethics,
    "GS": _countries,
    "MOR": _moratorium,
    "TS": _months,
    "US": _users,
    "PS": _projects,
    "IS": _institutions,
    "RTN": _promise,
    "CC": _widens,
    "NPOA": _no_ancestry,
    "NPU": _non_profit,
    "NCU": _non_commercial,
}
MODIFIERS_WITH_A_RULE = frozenset(BY_SHORTHAND[shorthand] for shorthand in _RULES)


def months_after(start_ms: int, months: int) -> int:
    """Return start (Unix ms) plus calendar months, in UTC; a day too late in its month is clipped.

    Beyond the year 9999 the result is the last millisecond of that year.
    """
    start = datetime.fromtimestamp(start_ms // 1000, UTC)
    years, month = divmod(start.month - 1 + months, 12)
    year = start.year + years
    if year > date.max.year:
        return int(datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()) * 1000 + 999
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    end = start.replace(year=year, month=month + 1, day=day)
    return int(end.timestamp()) * 1000 + start_ms % 1000
