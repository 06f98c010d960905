"""Private mode at the gate: one draw of noise over the vector a family declares, and what is told.

Knows no statistics: a family's form (`compute.queries.private`) says which integers leave, how far
one person can move them, and what is told of them once noised. Everything a reader is told depends
on the noised integers and on public quantities alone. Spec: DESIGN section 4 (release control).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

from compute.noise import Int64, Noised, NoiseError, add_noise, pick_largest
from compute.queries import Answer, PrivateForm, Query, Shape, private_form

UNIT = "one person, added or removed"
FAMILIES = "families: k relatives in one cohort lose up to k squared times rho"


class Sampler(Protocol):
    """Adds noise worth rho to integers of a joint L2 sensitivity, given squared."""

    def __call__(self, values: Int64, sensitivity_squared: int, rho: Fraction) -> Noised: ...


class Picker(Protocol):
    """Names the places of a shape's largest scores, with noise worth rho."""

    def __call__(self, scores: Int64, shape: Shape, rho: Fraction) -> Noised: ...


def private_problem(query: Query) -> str | None:
    """Return why a query is not offered in private mode, or None."""
    form = private_form(query)
    if form is None:
        return f"{query.family} is not offered in private mode"
    return form.problem(query.params)


def form_of(query: Query) -> PrivateForm:
    """Return a query's private form. Raises NoiseError where private mode does not offer it."""
    form, problem = private_form(query), private_problem(query)
    if form is None or problem is not None:
        raise NoiseError(str(problem), code="not_private")
    return form


def asked_variants(query: Query) -> list[str]:
    """Return the variants a buyer listed, or nothing."""
    found = getattr(query.params, "variants", None)
    return list(found) if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class FormNoise:
    """The `Noise` port of release.py for one query. sampler and picker: OpenDP's, but in tests."""

    query: Query
    sampler: Sampler = add_noise
    picker: Picker = pick_largest

    def add(self, answer: Answer, rho: Fraction) -> Mapping[str, Any]:
        """Return the private answer. Raises NoiseError for what private mode does not offer."""
        form, params = form_of(self.query), self.query.params
        shape = form.shape(params)
        exact = _vector(form, params, answer, shape)
        if shape.picks:
            done = self.picker(exact, shape, rho)
        else:
            done = self.sampler(exact, shape.sensitivity_squared, rho)
        told = form.told(params, done.values, done.sd)
        return {
            "family": answer.family,
            "version": answer.version,
            "columns": dict(told.columns),
            "facts": dict(told.facts),
            "privacy": {**_privacy(shape, rho, done.sd), "released": told.released, **told.privacy},
            "suppressed": [dict(note) for note in (*told.suppressed, *_match_note(self.query))],
        }


def _match_note(query: Query) -> list[Mapping[str, str]]:
    """Say that how many people a match kept is told by the noised numbers alone."""
    return [{"path": "facts/match", "code": "not_noised"}] if query.match else []


def _vector(form: PrivateForm, params: Any, answer: Answer, shape: Shape) -> Int64:
    """Return the form's integers. A length that depends on data would be an oracle: refused."""
    found = form.vector(params, answer)
    if found.dtype != np.int64 or found.shape != (shape.values,):
        raise NoiseError("the vector to be noised is not the declared one", code="not_private")
    return found


def _privacy(shape: Shape, rho: Fraction, sd: float) -> dict[str, Any]:
    how, norm = ("report noisy top-k", "linf") if shape.picks else ("discrete Gaussian", "l2")
    return {
        "rho": str(rho),
        "mechanism": f"{how}, zero-concentrated differential privacy",
        "unit": UNIT,
        "statistics": shape.values,
        f"{norm}_sensitivity_squared": shape.sensitivity_squared,
        "count_sd": sd,
        "confidence": 0.95,
        "counts_may_be_negative": True,
        "not_protected": FAMILIES,
    }
