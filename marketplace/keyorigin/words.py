"""What the key origin says of terms: plain words by code, presets, and what each would allow.

Everything comes from compute's own tables and its one matcher, so the pages cannot drift from what
is decided later.
"""

import tomllib
from pathlib import Path
from typing import Any

from compute import PRESETS, Terms, match_terms, plain_words, preset
from compute.queries import catalogue
from marketplace.keyorigin.examples import EXAMPLES, PURPOSE_TITLES, Example, claims_for
from marketplace.texts import say

QUESTIONS = Path(__file__).parents[1] / "web" / "query_words.toml"
_SAMPLE_PRICE = 200
_FROM = 1


def words() -> dict[str, Any]:
    """Return the document served as words.json."""
    told = {name: _said(value) for name, value in _texts().items()}
    return {
        **plain_words(),
        **told,
        "presets": {name: _preset(name) for name in PRESETS},
        "families": sorted(catalogue()),
        "titles": {name: say(title) for name, (title, _about) in _questions().items()},
    }


def _questions() -> dict[str, tuple[str, str]]:
    """Return what the query builder calls each kind of question, and what it answers."""
    found: dict[str, tuple[str, str]] = tomllib.loads(QUESTIONS.read_text("utf-8"))["families"]
    return found


def spoken_words() -> list[str]:
    """Return every message of the document, for the catalogue of texts."""
    tables = (value.values() if isinstance(value, dict) else [value] for value in _texts().values())
    asked = [text for one in EXAMPLES for text in (one.who, one.what)]
    return [*(text for table in tables for text in table), *asked]


def _texts() -> dict[str, Any]:
    plain = plain_words()
    return {
        **{name: plain[name] for name in ("duo", "diseases", "trusted_warning", "risk")},
        "purposes": PURPOSE_TITLES,
    }


def _said(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: say(text) for name, text in value.items()}
    return say(value)


def _preset(name: str) -> dict[str, Any]:
    by_mode = {mode: _terms(name, mode) for mode in ("private", "trusted")}
    return {
        "terms": by_mode["private"].to_dict(),
        "would_allow": {mode: _judged(terms) for mode, terms in by_mode.items()},
    }


def _terms(name: str, mode: Any) -> Terms:
    diseases = ["MONDO:0005015"] if name == "my_condition_free" else []
    price = _SAMPLE_PRICE if name == "everything_at_a_price" else None
    return preset(name, valid_from=_FROM, diseases=diseases, price=price, release_mode=mode)


def would_allow(terms: Terms) -> list[dict[str, str]]:
    """Return what terms would say to each example, by the one matcher."""
    return _judged(terms)


def _judged(terms: Terms) -> list[dict[str, str]]:
    return [
        {"who": say(one.who), "what": say(one.what), "verdict": _verdict(terms, one)}
        for one in EXAMPLES
    ]


def _verdict(terms: Terms, example: Example) -> str:
    """Judge one example as a count of genotypes, released as the terms ask."""
    mode = terms.release.mode
    found = match_terms(
        terms,
        example.purpose,
        claims_for(example),
        family="genotype_counts",
        release={"mode": mode, "rho": "1/100" if mode == "private" else "0"},
        region="local",
        now_ms=terms.valid_from + 1,
        modalities=("genotypes",),
    )
    return str(found.verdict)
