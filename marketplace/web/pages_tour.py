"""The guided tour: one made-up person's data from file to payment, in six steps, with real rules.

Nothing is stored and nobody's data is shown: verdicts come from the one matcher, the answer from
the real code over made-up people, money from the real split.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from flask import Blueprint, render_template

from compute import describe, made_up_answer, preset, risk_picture, risk_words
from compute.queries import parse_query
from marketplace.errors import NotFoundError
from marketplace.keyorigin import would_allow
from marketplace.texts import mark, say
from marketplace.web.text import drawn

STEPS = (
    mark("Your file stays yours"),
    mark("You say who and what for"),
    mark("You consent"),
    mark("Somebody asks"),
    mark("You see the use, and your share"),
    mark("You take it back"),
)
QUERY = {
    "v": 1, "family": "genotype_counts", "build": "GRCh37",
    "params": {"variants": {"region": "22:17000000-17500000"}, "by": "population"},
}  # fmt: skip
LIFETIME, SPENT = Fraction(1, 10), Fraction(1, 50)


@dataclass(frozen=True, slots=True)
class Sample:
    """The made-up person's terms in words, what they would allow, the answer, and the budget."""

    terms: tuple[str, ...]
    allowed: tuple[Mapping[str, str], ...]
    answer: Mapping[str, list[Any]]
    budget: str
    risk: str


def add_tour(made: Blueprint) -> None:
    """Add /tour and its steps."""
    made.add_url_rule("/tour", "tour", tour, defaults={"step": 1})
    made.add_url_rule("/tour/<int:step>", "tour", tour)


def tour(step: int) -> str:
    """Show one step. Raises NotFoundError beyond the last."""
    if not 1 <= step <= len(STEPS):
        raise NotFoundError(say("the tour has %(1)s steps", len(STEPS)))
    return render_template(
        "web/tour.html", step=step, steps=[say(one) for one in STEPS], sample=sample()
    )


@cache
def sample() -> Sample:
    """Return the made-up data, made once."""
    terms = preset("non_profit_research", valid_from=1)
    columns = made_up_answer(parse_query(QUERY))
    kept = {name: columns[name] for name in ("stratum", "af")}
    return Sample(
        tuple(describe(terms, say)), tuple(would_allow(terms)), kept,
        drawn(risk_picture(LIFETIME, SPENT, say)), risk_words(LIFETIME, say),
    )  # fmt: skip
