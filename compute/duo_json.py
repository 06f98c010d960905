"""Terms as DUO-JSON, and back: the `duoDataUse` list that GA4GH Beacon v2 puts in a dataset.

What DUO cannot say (prices, our own flags, release) stands beside the list in a member of ours.
With that member terms come back exactly, and only if the list says the same; a list alone gives
strict terms that permit no more than it says.
Spec: ga4gh-beacon/beacon-v2 (dataUseConditions); EBISPOT/DUO.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from compute.duo import DS, DUO_TERMS, LEGACY, Kind, duo_term, modernise
from compute.errors import TermsError
from compute.terms import NEVER, Terms, parse_terms
from compute.values import PRICE_CLASSES, parse_value

DUO_VERSION = "2021-02-23"
WHOLE = "x-omic-terms"
_FREE_PURPOSES = ("non_profit_research", "methods")


def duo_list(terms: Terms) -> list[dict[str, Any]]:
    """Return the codes of terms with their parameters, as Beacon's `duoDataUse`."""
    found = [_code(code, {"diseases": list(terms.diseases)} if code == DS else {})
             for code in terms.permissions]  # fmt: skip
    return found + [
        _code(one.id, {name: _plain(value) for name, value in one.parameters.items()})
        for one in terms.modifiers
    ]


def _code(code: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    value: dict[str, Any] = {"id": code, "label": DUO_TERMS[code].label, "version": DUO_VERSION}
    if code == DS:
        value["modifiers"] = [{"id": disease} for disease in parameters["diseases"]]
    elif parameters:
        value["parameters"] = dict(parameters)
    return value


def _plain(value: object) -> Any:
    return list(value) if isinstance(value, tuple) else value


def to_duo_json(terms: Terms) -> dict[str, Any]:
    """Return terms as a dataset's `dataUseConditions`, complete."""
    return {"duoDataUse": duo_list(terms), WHOLE: terms.to_dict()}


def from_duo_json(value: Mapping[str, Any], *, valid_from: int) -> Terms:
    """Read `dataUseConditions` as terms; valid_from (Unix ms) is for a list alone.

    A list alone is free for non-profit research and methods, never anything else, with every
    strict flag. Raises TermsError for a code we do not know, or where the two parts disagree.
    """
    codes = value.get("duoDataUse")
    if not isinstance(codes, Sequence) or isinstance(codes, str) or not codes:
        raise TermsError("duoDataUse must be a list with at least one DUO code")
    if WHOLE in value:
        return agreeing(parse_terms(value[WHOLE]), codes)
    return terms_of_codes(codes, valid_from=valid_from)


def agreeing(terms: Terms, codes: Sequence[Mapping[str, Any]]) -> Terms:
    """Return terms whose codes are these. Raises TermsError when somebody changed one part only."""
    if _meaning(duo_list(terms)) != _meaning(codes):
        raise TermsError("the DUO codes and the complete terms say different things; state one")
    return terms


def _meaning(codes: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    try:
        return sorted(
            (str(one["id"]), repr(sorted(_parameters(one).items()))) for one in codes
        )  # fmt: skip
    except (KeyError, TypeError, AttributeError):
        raise TermsError("a DUO code is an object with an id, as in Beacon's duoDataUse") from None


def _parameters(one: Mapping[str, Any]) -> dict[str, Any]:
    if one["id"] == DS:
        return {"diseases": [disease["id"] for disease in one.get("modifiers", ())]}
    return dict(one.get("parameters") or {})


def terms_of_codes(codes: Sequence[Mapping[str, Any]], *, valid_from: int) -> Terms:
    """Make strict terms of codes with parameters, of any DUO release. Raises TermsError."""
    _meaning(codes)
    permissions: list[str] = []
    modifiers: list[dict[str, Any]] = []
    diseases: list[str] = []
    for one in codes:
        for code in modernise([str(one["id"])]):
            if duo_term(code).kind is Kind.PERMISSION:
                permissions.append(code)
                diseases += _parameters(one).get("diseases", [])
            else:
                parameters = {} if one["id"] in LEGACY else _parameters(one)
                modifiers.append({"id": code, "parameters": parameters})
    prices = {kind: 0 if kind in _FREE_PURPOSES else NEVER for kind in PRICE_CLASSES}
    return parse_value(
        Terms,
        {
            "permissions": permissions,
            "diseases": diseases,
            "modifiers": modifiers,
            "prices": prices,
            "valid_from": valid_from,
        },
    )
