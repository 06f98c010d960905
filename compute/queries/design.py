"""The people, trait and covariates of an association, known before a genotype is opened.

People without the trait or a covariate are left out of the whole query and counted. A covariate
that does not vary among the people used is dropped and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.queries.data import PersonData
from compute.queries.traits import inverse_normal, term_value

Float64: TypeAlias = npt.NDArray[np.float64]
Response: TypeAlias = Callable[[PersonData], float | str]
"""A person's response, or why there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """y (people,), x (people, terms) of those used, in cohort order; place: participant -> row."""

    y: Float64
    x: Float64
    place: Mapping[str, int]
    terms: tuple[str, ...]
    dropped: tuple[str, ...]
    left_out: Mapping[str, int]
    null: Any = field(default=None)  # a case/control trait's model without any variant

    def facts(self, variants: int) -> dict[str, Any]:
        """Return the model as fitted, and who was left out of it."""
        return {
            "variants": variants,
            "model": ["intercept", "dosage", *self.terms],
            "dropped_terms": list(self.dropped),
            "left_out": dict(sorted(self.left_out.items())),
            "effect_allele": "alt",
        }


def learn_design(
    people: Iterable[PersonData],
    response: Response,
    terms: Sequence[str],
    *,
    normal_scores: bool = False,
) -> Design:
    """Read everybody's response and covariates. normal_scores: ranks of the responses instead."""
    left_out: Counter[str] = Counter()
    responses: dict[str, float] = {}
    covariates: dict[str, list[float]] = {}
    for person in people:
        found = response(person)
        if isinstance(found, str):
            left_out[found] += 1
            continue
        responses[person.participant] = found
        values = [value for term in terms if (value := term_value(term, person)) is not None]
        if len(values) < len(terms):
            left_out["no_covariate"] += 1
        else:
            covariates[person.participant] = values
    if normal_scores:
        responses = inverse_normal(responses)
    x = np.array(list(covariates.values()), np.float64).reshape(len(covariates), len(terms))
    kept = [at for at in range(len(terms)) if _varies(x[:, at])]
    return Design(
        np.array([responses[name] for name in covariates], np.float64),
        x[:, kept],
        {name: at for at, name in enumerate(covariates)},
        tuple(terms[at] for at in kept),
        tuple(term for at, term in enumerate(terms) if at not in kept),
        left_out,
    )


def _varies(column: Float64) -> bool:
    return len(column) > 0 and bool(np.ptp(column) > 1e-12 * np.abs(column).max())
