"""Match filters as a person writes them, one a line; a word with spaces stands in quotes.

``has HP:0000118``, ``lacks HP:0000118`` (with an ontology's SHA-256 after it: descendants as well),
``sex female``, ``population CEU YRI``, ``number height 150..180`` (or ``150..``, ``..180``),
``measurement LOINC:2339-0 mg/dL mean ..140``, ``feature expression Ensembl TPM ENSG00000189339 1..5``,
``carries 1-1000-A-G``, ``without 1-1000-A-G``.
"""  # noqa: E501

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from compute.errors import QueryError

HOW: Final = {
    "has": "has TERM [ONTOLOGY]",
    "lacks": "lacks TERM [ONTOLOGY]",
    "sex": "sex LEVEL ...",
    "population": "population LEVEL ...",
    "number": "number NAME LEAST..MOST",
    "measurement": "measurement CODE UNIT mean|first|last|lowest|highest LEAST..MOST",
    "feature": "feature MODALITY NAMESPACE UNIT ID LEAST..MOST",
    "carries": "carries CHROM-POS-REF-ALT",
    "without": "without CHROM-POS-REF-ALT",
}


def filters_of_text(text: str) -> list[dict[str, Any]]:
    """Return filters as a query's params hold them; empty lines say nothing.

    Whether terms, names and bounds are valid is decided when the query is parsed. Raises QueryError
    ``match`` with the line and how it is written.
    """
    lines = [line.strip() for line in text.splitlines()]
    return [_filter(line) for line in lines if line]


def text_of_filters(filters: Iterable[Mapping[str, Any]]) -> str:
    """Return the lines that `filters_of_text` reads as these filters of a query's params."""
    return "\n".join(shlex.join(_words(one)) for one in filters)


def _words(one: Mapping[str, Any]) -> list[str]:
    kind = one["kind"]
    if kind == "group":
        return [one["stratum"], *one["levels"]]
    if kind == "carrier":
        return ["carries" if one.get("carries", True) else "without", one["variant"]]
    if kind == "term":
        word = "has" if one.get("present", True) else "lacks"
        return [word, one["term"], *filter(None, [one.get("ontology")])]
    of = {"statistic": "mean", "modality": "expression", **one["of"]}
    word = next(word for word, names in _TRAITS.items() if names[0] == of["kind"])
    bounds = f"{one.get('least') or ''}..{one.get('most') or ''}"
    return [word, *(str(of[name]) for name in _TRAITS[word][1:]), bounds]


def _filter(line: str) -> dict[str, Any]:
    try:
        word, *rest = shlex.split(line)
    except ValueError:
        raise QueryError(f'a quotation mark is not closed in "{line[:80]}"', code="match") from None
    if word not in HOW:
        raise QueryError(f'"{line[:80]}" must begin with {", ".join(HOW)}', code="match")
    try:
        return _READERS[word](word, rest)
    except ValueError:
        raise QueryError(f'"{line[:80]}" is written {HOW[word]}', code="match") from None


def _term(word: str, rest: Sequence[str]) -> dict[str, Any]:
    term, *ontology = rest
    if len(ontology) > 1:
        raise ValueError
    named = {"ontology": ontology[0]} if ontology else {}
    return {"kind": "term", "term": term, **named, "present": word == "has"}


def _group(word: str, rest: Sequence[str]) -> dict[str, Any]:
    if not rest:
        raise ValueError
    return {"kind": "group", "stratum": word, "levels": list(rest)}


def _number(word: str, rest: Sequence[str]) -> dict[str, Any]:
    *words, bounds = rest
    least, dots, most = bounds.partition("..")
    if not dots:
        raise ValueError
    kind, *names = _TRAITS[word]
    of = {"kind": kind, **dict(zip(names, words, strict=True))}
    found = {"least": least, "most": most}
    return {"kind": "number", "of": of, **{name: text for name, text in found.items() if text}}


def _carrier(word: str, rest: Sequence[str]) -> dict[str, Any]:
    (variant,) = rest
    return {"kind": "carrier", "variant": variant, "carries": word == "carries"}


_TRAITS: Final = {
    "number": ("covariate", "name"),
    "measurement": ("measurement", "code", "unit", "statistic"),
    "feature": ("feature", "modality", "namespace", "unit", "id"),
}
_READERS: Final[Mapping[str, Callable[[str, Sequence[str]], dict[str, Any]]]] = {
    "has": _term,
    "lacks": _term,
    "sex": _group,
    "population": _group,
    "number": _number,
    "measurement": _number,
    "feature": _number,
    "carries": _carrier,
    "without": _carrier,
}
