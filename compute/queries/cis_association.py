"""Family cis_association: one feature regressed on each nearby variant, with covariates.

Model, per variant, over people with a value and a call: feature ~ 1 + dosage + covariates, by
least squares; the effect allele A1 is always ALT. A haploid call counts as two copies (plink2's
X-chromosome model 2); a no call leaves its person out at that variant only. People without the
feature or a covariate are left out of the whole query and counted.

Sums are taken about the first person's values, so that large offsets cost no digits.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, model_validator

from compute.errors import QueryError
from compute.parsed import Modality
from compute.queries.data import Frame, PersonData, level_of
from compute.queries.family import (
    Answer,
    Needs,
    ReleaseMode,
    Sensitivity,
    dosages,
    variant_columns,
)
from compute.queries.params import CHROM, Selected, Strict, Variants, select, select_span
from compute.stats import Products, least_squares

FAMILY: Final = "cis_association"
CATEGORICAL: Final = ("population", "sex")
MAX_WINDOW: Final = 5_000_000

Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]

Covariate = Annotated[str, Field(pattern=r"^(population|sex|PC[1-9][0-9]?)$")]
Covariates = Annotated[
    list[Covariate], Field(max_length=30), AfterValidator(lambda names: sorted(set(names)))
]
Base = Annotated[int, Field(ge=1, le=300_000_000)]


class CisAssociationParams(Strict):
    """A feature, either its gene's place with a window or chosen variants, and covariates."""

    gene: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
    chrom: Annotated[str, Field(pattern=rf"^{CHROM}$")] | None = None
    start: Base | None = None
    end: Base | None = None
    window_bp: Annotated[int, Field(ge=0, le=MAX_WINDOW)] | None = None
    variants: Variants | None = None
    covariates: Covariates = Field(default_factory=list)
    test: Literal["additive"] = "additive"

    @model_validator(mode="after")
    def _one_choice(self) -> Self:
        place = (self.chrom, self.start, self.end, self.window_bp)
        given = [value is not None for value in place]
        if all(given) == (self.variants is not None) or any(given) != all(given):
            raise ValueError("give either chrom, start, end and window_bp, or variants")
        if self.start is not None and self.end is not None and self.start > self.end:
            raise ValueError("start must not be after end")
        return self


class CisAssociationPartial:
    """Cross-products over people. Axis order of x: 1, feature, covariates."""

    def __init__(self, params: CisAssociationParams, frame: Frame) -> None:
        self.params = params
        self.frame = frame
        self.rows = _rows(params, frame)
        self.terms = _terms(params, frame)
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
        feature = person.features.get(self.params.gene, math.nan)
        if not math.isfinite(feature):
            self.left_out["no_feature"] += 1
            return None
        values = [term_value(term, person) for term in self.terms]
        if any(value is None or not math.isfinite(value) for value in values):
            self.left_out["no_covariate"] += 1
            return None
        return np.array([1.0, feature, *values], np.float64)

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


class CisAssociation:
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Association of a gene's expression with nearby variants"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    params: ClassVar[type[Strict]] = CisAssociationParams
    modules: ClassVar[tuple[str, ...]] = ("compute.queries.cis_association", "compute.stats")
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "The feature has no bounds of its own, so neither have beta, SE, t and p: exact numbers "
        "only, in trusted mode. One person changes n by at most 1, AC and AN by at most 2.",
        {"n": 1, "ac": 2, "an": 2},
    )

    def needs(self, params: CisAssociationParams) -> Needs:
        """Genotypes, expression of one gene, and the record where covariates are asked for."""
        strata = tuple(name for name in params.covariates if name in CATEGORICAL)
        numbers = tuple(name for name in params.covariates if name not in CATEGORICAL)
        modalities: set[Modality] = {"genotypes", "expression"}
        if params.covariates:
            modalities.add("participant")
        return Needs(
            frozenset(modalities),
            features=(params.gene,),
            strata=strata,
            covariates=numbers,
        )

    def cost(self, params: CisAssociationParams, variants: int, people: int) -> int:
        """Return units growing with the square of the model's size."""
        return variants * people * (len(params.covariates) + 2) ** 2

    def start(self, params: CisAssociationParams, frame: Frame) -> CisAssociationPartial:
        """Return empty sums."""
        return CisAssociationPartial(params, frame)

    def reduce(self, partial: CisAssociationPartial) -> Answer:
        """Return one row a variant: A1, AC, AN, n, beta, SE, t, p, or NA with its reason."""
        kept = _varying(partial)
        products = _products(partial, kept)
        fit = least_squares(products)
        place = variant_columns(partial.frame.table, partial.rows)
        columns = {
            **place,
            "a1": place["alt"],
            "ac": partial.ac,
            "an": partial.an,
            "n": products.n,
            "beta": fit.beta,
            "se": fit.se,
            "t": fit.t,
            "p": fit.p,
            "na": fit.reason,
        }
        return Answer(
            self.name, self.version, columns, {"all": partial.used}, _facts(partial, kept)
        )


def _rows(params: CisAssociationParams, frame: Frame) -> Selected:
    if params.variants is not None:
        return select(params.variants, frame.table)
    if params.chrom is None or params.start is None or params.end is None:
        raise QueryError("the gene's place is incomplete", code="params")
    reach = params.window_bp or 0
    return select_span(frame.table, params.chrom, params.start - reach, params.end + reach)


def _terms(params: CisAssociationParams, frame: Frame) -> tuple[str, ...]:
    """Return model terms: numbers by name, categories as name=level without the first level."""
    terms: list[str] = []
    for name in params.covariates:
        if name in CATEGORICAL:
            levels = [level for level in frame.levels.get(name, ()) if level != "unknown"]
            terms += [f"{name}={level}" for level in levels[1:]]
        else:
            terms.append(name)
    return tuple(terms)


def term_value(term: str, person: PersonData) -> float | None:
    """Return a person's value of a model term, None where the record does not say."""
    name, is_level, level = term.partition("=")
    if not is_level:
        return person.covariates.get(name)
    own = level_of(person, name)
    return None if own == "unknown" else float(own == level)


def _varying(partial: CisAssociationPartial) -> list[int]:
    """Return indexes of the covariates that vary among the people used; the rest say nothing."""
    used = max(partial.used, 1)
    sums = partial.total[0]
    spread = np.diag(partial.total) - sums * sums / used
    size = np.abs(np.diag(partial.total)).clip(min=1e-300)
    return [i for i in range(len(partial.terms)) if spread[i + 2] > 1e-12 * size[i + 2]]


def _products(partial: CisAssociationPartial, kept: list[int]) -> Products:
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


def _facts(partial: CisAssociationPartial, kept: list[int]) -> dict[str, Any]:
    terms = [partial.terms[i] for i in kept]
    return {
        "gene": partial.params.gene,
        "variants": len(partial.rows),
        "model": ["intercept", "dosage", *terms],
        "dropped_terms": [term for term in partial.terms if term not in terms],
        "left_out": dict(sorted(partial.left_out.items())),
        "effect_allele": "alt",
    }
