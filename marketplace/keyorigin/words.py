"""What the key origin says of terms: plain words by code, presets, and what each would allow.

Everything comes from compute's own tables and its one matcher, so the pages cannot drift from what
is decided later.
"""

import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

from compute import (
    DUO_TERMS,
    PRESETS,
    Match,
    Terms,
    Verdict,
    contig_lengths,
    match_terms,
    plain_words,
    preset,
    price_of,
    risk_picture,
    risk_words,
)
from compute.queries import catalogue
from marketplace import currencies
from marketplace.keyorigin.examples import EXAMPLES, PURPOSE_TITLES, Example, claims_for
from marketplace.texts import mark, say

# Words the key pages explain where they appear; not those that are plain verbs there as often.
EXPLAINED = frozenset({
    "attester", "checkpoint", "cohort", "commitment", "consent", "dataset", "expression-table",
    "genome-build", "ledger", "noise", "passkey", "phenopacket", "printed-code", "privacy-budget",
    "raw-data", "receipt", "settlement", "vcf", "witness",
})  # fmt: skip
WEB = Path(__file__).parents[1] / "web"
QUESTIONS = WEB / "query_words.toml"
GLOSSARY = WEB / "glossary.toml"
# What stands in the way, said to the owner whose terms they are.
OTHER_USE = mark("it is not among the uses you allow")
NEVER_ALLOWED = "no_reidentification"
WHY = {
    NEVER_ALLOWED: mark("nobody may ever do that"),
    "no_insurers": mark("it is an insurer, or nobody vouches that it is none"),
    "no_employers": mark("it is an employer, or nobody vouches that it is none"),
    "no_ai_training": mark("you allow no training of AI models"),
    "price": mark("your price for this kind of use is never"),
    "query_family": mark("you do not allow this kind of question"),
    "region": mark("it would be computed where you do not allow"),
    "release": mark("exact figures are for accredited researchers only"),
    "valid": mark("the time of your terms is over"),
}
_SAMPLE_PRICE = 200
_FROM = 1


def words() -> dict[str, Any]:
    """Return the document served as words.json."""
    plain = plain_words()
    return {
        **plain,
        **{name: _said(value) for name, value in _texts().items()},
        "risk": {rho: risk_words(Fraction(rho), say) for rho in plain["risk"]},
        "risk_pictures": {rho: risk_picture(Fraction(rho), say=say) for rho in plain["risk"]},
        "presets": {name: _preset(name) for name in PRESETS},
        "families": sorted(catalogue()),
        "builds": {build: contig_lengths(build) for build in ("GRCh37", "GRCh38")},
        "glossary": _glossary(),
        "titles": {name: say(title) for name, (title, _about) in _questions().items()},
    }


def _glossary() -> dict[str, dict[str, str]]:
    """Return what the words mean that the key pages explain, by the word in small letters."""
    known = tomllib.loads(GLOSSARY.read_text("utf-8"))["meaning"]
    return {
        say(one["word"]).lower(): {"slug": one["slug"], "text": say(one["text"])}
        for one in known
        if one["slug"] in EXPLAINED
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
        **{name: plain[name] for name in ("duo", "diseases", "trusted_warning")},
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
        "would_allow": {mode: would_allow(terms) for mode, terms in by_mode.items()},
    }


def _terms(name: str, mode: Any) -> Terms:
    diseases = ["MONDO:0005015"] if name == "my_condition_free" else []
    price = _SAMPLE_PRICE if name == "everything_at_a_price" else None
    return preset(name, valid_from=_FROM, diseases=diseases, price=price, release_mode=mode)


def would_allow(terms: Terms) -> list[dict[str, str]]:
    """Return what terms would say to each example, by the one matcher.

    why: what stands in the way, "" where nothing does. price: of one use, "" where none is asked.
    """
    return [_judged(terms, one) for one in EXAMPLES]


def _judged(terms: Terms, example: Example) -> dict[str, str]:
    """Judge one example as a count of genotypes, released as the terms ask."""
    mode, claims, now = terms.release.mode, claims_for(example), terms.valid_from + 1
    found = match_terms(
        terms,
        example.purpose,
        claims,
        family=_family(terms),
        release={"mode": mode, "rho": str(terms.release.order_rho) if mode == "private" else "0"},
        region=terms.regions[0] if terms.regions != ("*",) else "local",
        now_ms=now,
        modalities=("genotypes",),
    )
    allowed = found.verdict is not Verdict.FORBIDDEN
    price = price_of(terms, example.purpose, claims, now) if allowed else None
    return {
        "who": say(example.who),
        "what": say(example.what),
        "verdict": str(found.verdict),
        "why": "" if found.verdict is Verdict.PERMITTED else _why(found),
        "price": currencies.words(price, terms.currency) if price else "",
    }


def _why(found: Match) -> str:
    """Say to the owner what stands in the way, by the code of the first such reason."""
    codes = [one.code for one in found.reasons if one.verdict is found.verdict]
    code = NEVER_ALLOWED if NEVER_ALLOWED in codes else codes[0]
    if code in WHY:
        return say(WHY[code])
    term = DUO_TERMS.get(code)
    if term is None or term.kind == "permission":
        return say(OTHER_USE)
    return say("you said: %(1)s", say(term.plain))


def _family(terms: Terms) -> str:
    """Return a kind of question the terms allow, so that the examples differ by who asks why."""
    return "genotype_counts" if terms.query_families == ("*",) else terms.query_families[0]
