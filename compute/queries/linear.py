"""Sums of a linear regression of a response on each variant's dosage, with covariates. Shared.

Model, per variant, over people with a response and a call: response ~ 1 + dosage + covariates, by
least squares; the effect allele is always ALT. A haploid call counts as two copies (plink2's
X-chromosome model 2); a no call leaves its person out at that variant only. People without the
response or a covariate are left out of the whole query and counted.

Sums are taken about the first person's values, so that large offsets cost no digits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.errors import QueryError
from compute.queries.data import Frame, PersonData
from compute.queries.family import Column, dosages, variant_columns
from compute.queries.params import Selected
from compute.queries.traits import term_value
from compute.stats import Products, least_squares

Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]
Response: TypeAlias = Callable[[PersonData], float | None]


class LinearPartial:
    """Cross-products over people. Axis order of x: 1, response, covariates."""

    def __init__(
        self,
        frame: Frame,
        rows: Selected,
        terms: Sequence[str],
        response: Response,
        *,
        params: Any = None,
        missing: str = "no_trait",
    ) -> None:
        self.params, self.frame, self.rows = params, frame, rows
        self.terms = tuple(terms)
        self._response, self._missing = response, missing
        p, v = len(self.terms) + 2, len(self.rows)
        self.origin: Float64 | None = None
        self.total = np.zeros((p, p))  # sum of x x'
        self.absent = np.zeros((v, p, p))  # the same, over people without a call
        self.gx = np.zeros((v, p))  # sum of dosage * x
        self.gg = np.zeros(v)  # sum of dosage^2
        self.ac: Int64 = np.zeros(v, np.int64)
        self.an: Int64 = np.zeros(v, np.int64)
        self.left_out: Counter[str] = Counter()
        self.used = 0

    @property
    def people(self) -> int:
        """Return how many people were added, used or left out."""
        return self.used + self.left_out.total()

    def add(self, person: PersonData) -> None:
        """Add one person's products."""
        copies = dosages(person, self.frame.table)[self.rows]
        x = self._x(person)
        if x is None:
            return
        if self.origin is None:
            self.origin = np.concatenate([[0.0], x[1:]])
        x = x - self.origin
        products = np.outer(x, x)
        called = copies >= 0
        ploidy = np.full(len(copies), 2) if person.ploidy is None else person.ploidy[self.rows]
        g = np.where(called, copies * (2.0 / np.where(ploidy == 1, 1, 2)), 0.0)
        self.total += products
        self.absent[~called] += products
        self.gx += g[:, None] * x
        self.gg += g * g
        self.ac += np.where(called, copies, 0)
        self.an += np.where(called, ploidy, 0)
        self.used += 1

    def _x(self, person: PersonData) -> Float64 | None:
        response = self._response(person)
        if response is None or not np.isfinite(response):
            self.left_out[self._missing] += 1
            return None
        values = [term_value(term, person) for term in self.terms]
        if any(value is None for value in values):
            self.left_out["no_covariate"] += 1
            return None
        return np.array([1.0, response, *values], np.float64)

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame, about this one's origin."""
        if self.terms != other.terms or not np.array_equal(self.rows, other.rows):
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        self.left_out.update(other.left_out)
        if other.origin is None:
            return
        if self.origin is None:
            self.origin = other.origin.copy()
        move = np.eye(len(self.origin))
        move[:, 0] += other.origin - self.origin
        self.total += move @ other.total @ move.T
        self.absent += move @ other.absent @ move.T
        self.gx += other.gx @ move.T
        self.gg += other.gg
        self.ac += other.ac
        self.an += other.an
        self.used += other.used

    def varying(self) -> list[int]:
        """Return indexes of the covariates that vary among the people used; others are dropped."""
        used = max(self.used, 1)
        sums = self.total[0]
        spread = np.diag(self.total) - sums * sums / used
        size = np.abs(np.diag(self.total)).clip(min=1e-300)
        return [i for i in range(len(self.terms)) if spread[i + 2] > 1e-12 * size[i + 2]]

    def columns(self, kept: list[int]) -> dict[str, Column]:
        """Return one row a variant: place, A1, AC, AN, n, beta, SE, t, p, or NA with its reason."""
        products = _products(self, kept)
        fit = least_squares(products)
        place = variant_columns(self.frame.table, self.rows)
        return {
            **place,
            "a1": place["alt"],
            "ac": self.ac,
            "an": self.an,
            "n": products.n,
            "beta": fit.beta,
            "se": fit.se,
            "t": fit.t,
            "p": fit.p,
            "na": fit.reason,
        }

    def facts(self, kept: list[int]) -> dict[str, Any]:
        """Return the model as fitted, and who was left out of it."""
        terms = [self.terms[i] for i in kept]
        return {
            "variants": len(self.rows),
            "model": ["intercept", "dosage", *terms],
            "dropped_terms": [term for term in self.terms if term not in terms],
            "left_out": dict(sorted(self.left_out.items())),
            "effect_allele": "alt",
        }


def _products(partial: LinearPartial, kept: list[int]) -> Products:
    sums = partial.total - partial.absent
    n = np.rint(sums[:, 0, 0]).astype(np.int64)
    people = np.maximum(n, 1).astype(np.float64)
    axes = [1, *(i + 2 for i in kept)]
    mean = sums[:, 0, axes] / people[:, None]
    inner = sums[:, axes][:, :, axes] - people[:, None, None] * mean[:, :, None] * mean[:, None, :]
    g = partial.gx[:, 0]
    cross = partial.gx[:, axes] - g[:, None] * mean
    v, q = len(n), len(axes)
    xx = np.empty((v, q, q))
    xx[:, 0, 0] = partial.gg - g * g / people
    xx[:, 0, 1:] = xx[:, 1:, 0] = cross[:, 1:]
    xx[:, 1:, 1:] = inner[:, 1:, 1:]
    xy = np.concatenate([cross[:, :1], inner[:, 0, 1:]], axis=1)
    # Sums of whole numbers: exact, so "does not vary" is a fact and not a tolerance.
    constant = n * np.rint(partial.gg).astype(np.int64) == np.rint(g).astype(np.int64) ** 2
    return Products(n, xx, xy, inner[:, 0, 0], constant)
