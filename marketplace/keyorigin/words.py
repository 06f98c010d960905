"""What the key origin says of terms: plain words by code, presets, and what each would allow.

Everything comes from compute's own tables and its one matcher, so the pages cannot drift from what
is decided later.
"""

from typing import Any

from compute import PRESETS, Terms, match_terms, plain_words, preset
from compute.queries import catalogue
from marketplace.keyorigin.examples import EXAMPLES, PURPOSE_TITLES, Example, claims_for

_SAMPLE_PRICE = 200
_FROM = 1


def words() -> dict[str, Any]:
    """Return the document served as words.json."""
    return {
        **plain_words(),
        "presets": {name: _preset(name) for name in PRESETS},
        "families": sorted(catalogue()),
        "purposes": PURPOSE_TITLES,
    }


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
    return [{"who": one.who, "what": one.what, "verdict": _verdict(terms, one)} for one in EXAMPLES]


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
