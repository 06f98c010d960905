"""Family logistic_association: cases against controls on each variant, with covariates (GWAS).

test "score": one pass, the null model is fitted first from records alone; missing dosages take the
variant's mean. "wald": the full fit of every variant over people with a call, Firth's penalty where
the likelihood has no maximum ("fallback") or always. Both say which test they are: a score test's
beta is one Newton step, not the maximum. Haploid calls count as two copies (plink2's X model 2).

The full fit holds the dosages of the variants asked for, of everybody, in memory until it ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compute.errors import QueryError
from compute.logistic import (
    NullFit,
    ScoreSums,
    fit_each,
    fit_null,
    independent,
    normal_tail,
    score_test,
)
from compute.queries.data import Frame, PersonData
from compute.queries.family import (
    Answer,
    Cell,
    Column,
    Defaults,
    Disclosure,
    Needs,
    ReleaseMode,
    Sensitivity,
    dosages,
    variant_columns,
)
from compute.queries.params import Strict, Variants, select
from compute.queries.traits import (
    Covariates,
    CovariateTrait,
    TermTrait,
    model_terms,
    term_value,
    trait_needs,
    trait_value,
)
from compute.stats import frequency

FAMILY: Final = "logistic_association"
MAX_HELD: Final = 400_000_000  # dosages (bytes) a full fit may hold
EFFECTS: Final = ("ac", "af", "ac_cases", "af_cases", "beta", "se", "z", "p")

Float64: TypeAlias = npt.NDArray[np.float64]


class LogisticAssociationParams(Strict):
    """A yes-or-no trait, which variants, covariates, and which test."""

    trait: CovariateTrait | TermTrait = Field(discriminator="kind")
    variants: Variants
    covariates: Covariates = Field(default_factory=list)
    test: Literal["score", "wald"] = "score"
    firth: Literal["fallback", "always", "never"] = "fallback"


@dataclass(frozen=True, slots=True, eq=False)
class Null:
    """The null model and where each person used stands in it."""

    fit: NullFit
    place: dict[str, int]
    terms: tuple[str, ...]
    dropped: tuple[str, ...]
    left_out: dict[str, int]


class LogisticPartial:
    """Sums of the score test, and dosages where a full fit is asked for."""

    def __init__(self, params: LogisticAssociationParams, frame: Frame) -> None:
        if not isinstance(frame.learned, Null):
            raise QueryError("the null model was not fitted first", code="learned")
        self.params, self.frame, self.null = params, frame, frame.learned
        self.rows = select(params.variants, frame.table)
        v, k = len(self.rows), self.null.fit.x.shape[1]
        people = len(self.null.place)
        if params.test == "wald" and v * people > MAX_HELD:
            raise QueryError(
                "a full fit of so many people and variants at once is not offered: ask for "
                'regions, or for the score test ("test": "score")',
                code="too_large",
            )
        self.ac, self.an, self.n, self.ac_cases, self.an_cases, self.cases = (
            np.zeros(v, np.int64) for _ in range(6)
        )
        self.g, self.gr, self.ggw, self.absent_r, self.absent_w = (np.zeros(v) for _ in range(5))
        self.gxw, self.absent_xw = np.zeros((v, k)), np.zeros((v, k))
        self.held: dict[int, npt.NDArray[np.int8]] = {}
        self.used = 0
        self._unused = 0

    @property
    def people(self) -> int:
        """Return how many people were added, used or left out."""
        return self.used + self._unused

    def add(self, person: PersonData) -> None:
        """Add one person's products."""
        copies = dosages(person, self.frame.table)[self.rows]
        at = self.null.place.get(person.participant)
        if at is None:
            self._unused += 1
            return
        fit = self.null.fit
        ploidy = np.full(len(copies), 2) if person.ploidy is None else person.ploidy[self.rows]
        called = copies >= 0
        self._count(copies, ploidy, called, case=bool(fit.y[at]))
        dosage = np.where(called & (ploidy == 1), 2 * copies, copies)
        g = np.where(called, dosage, 0).astype(np.float64)
        r, w, x = fit.y[at] - fit.mu[at], fit.weight[at], fit.x[at]
        self.g += g
        self.gr += g * r
        self.ggw += g * g * w
        self.gxw += (g * w)[:, None] * x
        self.absent_r[~called] += r
        self.absent_w[~called] += w
        self.absent_xw[~called] += w * x
        if self.params.test == "wald":
            self.held[at] = np.where(called, dosage, -1).astype(np.int8)
        self.used += 1

    def _count(
        self, copies: npt.NDArray[Any], ploidy: npt.NDArray[Any], called: npt.NDArray[np.bool_],
        *, case: bool,
    ) -> None:  # fmt: skip
        ac, an = np.where(called, copies, 0), np.where(called, ploidy, 0)
        self.ac += ac
        self.an += an
        self.n += called
        if case:
            self.ac_cases += ac
            self.an_cases += an
            self.cases += called

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.null is not other.null or not np.array_equal(self.rows, other.rows):
            raise QueryError("partial sums of different queries cannot be added", code="merge")
        for name in (
            "ac", "an", "n", "ac_cases", "an_cases", "cases", "g", "gr", "ggw", "gxw",
            "absent_r", "absent_w", "absent_xw",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.held |= other.held
        self.used += other.used
        self._unused += other._unused


class LogisticAssociation(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "GWAS of cases and controls: score test, full logistic fit, Firth"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    params: ClassVar[type[Strict]] = LogisticAssociationParams
    modules: ClassVar[tuple[str, ...]] = (
        "compute.queries.logistic_association",
        "compute.queries.traits",
        "compute.logistic",
        "compute.stats",
    )
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=(
            Cell("ac", EFFECTS, of="an"),
            Cell("ac_cases", EFFECTS, of="ac"),
            Cell("cases", ("cases", "an_cases", *EFFECTS), of="n"),
        )
    )
    limits: ClassVar[str] = (
        "score test genome-wide; full fit up to 400 million people x variants; 30 covariates"
    )
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Effects have no bounds where cases and controls nearly separate: exact numbers only, in "
        "trusted mode. One person changes n and cases by at most 1, AC and AN by at most 2.",
        {"n": 1, "cases": 1, "ac": 2, "an": 2, "ac_cases": 2, "an_cases": 2},
    )

    def needs(self, params: LogisticAssociationParams) -> Needs:
        """Genotypes, the trait's modality, and the record where covariates are asked for."""
        return trait_needs(params.trait, params.covariates, genotypes=True, learns=True)

    def cost(self, params: LogisticAssociationParams, variants: int, people: int) -> int:
        """Return units growing with the square of the model's size, ten steps for a full fit."""
        steps = 1 if params.test == "score" else 10
        return steps * variants * people * (len(params.covariates) + 2) ** 2

    def learn(
        self, params: LogisticAssociationParams, people: Iterable[PersonData], frame: Frame
    ) -> Null:
        """Fit the model without any variant. Raises QueryError where it cannot be fitted."""
        terms = model_terms(params.covariates, frame)
        rows: dict[str, list[float]] = {}
        left_out: Counter[str] = Counter()
        for person in people:
            found = _numbers(params, terms, person, frame)
            if isinstance(found, str):
                left_out[found] += 1
            else:
                rows[person.participant] = found
        return _null(rows, terms, left_out)

    def start(self, params: LogisticAssociationParams, frame: Frame) -> LogisticPartial:
        """Return empty sums."""
        return LogisticPartial(params, frame)

    def reduce(self, partial: LogisticPartial) -> Answer:
        """Return one row a variant: counts in all and in cases, beta, SE, z, p, or NA."""
        place = variant_columns(partial.frame.table, partial.rows)
        columns: dict[str, Column] = {
            **place,
            "a1": place["alt"],
            "ac": partial.ac,
            "an": partial.an,
            "af": frequency(partial.ac, partial.an),
            "ac_cases": partial.ac_cases,
            "an_cases": partial.an_cases,
            "af_cases": frequency(partial.ac_cases, partial.an_cases),
            "n": partial.n,
            "cases": partial.cases,
            **(_score(partial) if partial.params.test == "score" else _wald(partial)),
        }
        return Answer(self.name, self.version, columns, {"all": partial.used}, _facts(partial))


def _numbers(
    params: LogisticAssociationParams, terms: tuple[str, ...], person: PersonData, frame: Frame
) -> list[float] | str:
    case = trait_value(params.trait, person, frame.references)
    if case is None:
        return "no_trait"
    if case not in (0.0, 1.0):
        return "trait_not_0_or_1"
    values = [term_value(term, person) for term in terms]
    if any(value is None for value in values):
        return "no_covariate"
    return [case, 1.0, *(float(value) for value in values if value is not None)]


def _null(rows: dict[str, list[float]], terms: tuple[str, ...], left_out: Counter[str]) -> Null:
    table = np.array(list(rows.values()), np.float64).reshape(len(rows), len(terms) + 2)
    y, x = table[:, 0], table[:, 1:]
    if not len(y) or y.min() == y.max():
        raise QueryError("the cohort has cases only, controls only, or neither", code="one_group")
    # Centred, so that large offsets cost no digits; the intercept takes the means.
    x[:, 1:] -= x[:, 1:].mean(axis=0)
    kept = independent(x)
    fit = fit_null(x[:, kept], y)
    if not fit.converged:
        raise QueryError("covariates alone separate cases from controls", code="separated")
    names = ("intercept", *terms)
    return Null(
        fit,
        {name: at for at, name in enumerate(rows)},
        tuple(names[i] for i in kept),
        tuple(name for i, name in enumerate(names) if i not in kept),
        dict(sorted(left_out.items())),
    )


def _score(partial: LogisticPartial) -> dict[str, Column]:
    fit = partial.null.fit
    sums = ScoreSums(
        partial.n.astype(np.float64), partial.g, partial.gr, partial.ggw, partial.gxw,
        partial.absent_r, partial.absent_w, partial.absent_xw,
        fit.x.T @ (fit.x * fit.weight[:, None]),
    )  # fmt: skip
    with np.errstate(divide="ignore", invalid="ignore"):
        test = score_test(sums)
        z = test.u / np.sqrt(test.v)
    reason = np.full(len(z), "", dtype="<U16")
    reason[np.isnan(test.v)] = "collinear"
    reason[(partial.ac == 0) | (partial.ac == partial.an)] = "monomorphic"
    reason[partial.n == 0] = "no_people"
    return _effects(test.beta, test.se, z, reason, np.zeros(len(z), np.bool_))


def _wald(partial: LogisticPartial) -> dict[str, Column]:
    fit = partial.null.fit
    order = sorted(partial.held)
    g = np.array([partial.held[at] for at in order], np.int8).reshape(len(order), -1)
    found = fit_each(g, fit.x[order], fit.y[order], firth=partial.params.firth)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = found.beta / found.se
    return _effects(found.beta, found.se, z, found.reason, found.firth)


def _effects(
    beta: Float64, se: Float64, z: Float64, reason: npt.NDArray[np.str_], firth: Column
) -> dict[str, Column]:
    usable = reason == ""
    numbers = {"beta": beta, "se": se, "z": z, "p": normal_tail(z)}
    return {
        **{name: np.where(usable, column, np.nan) for name, column in numbers.items()},
        "firth": np.where(firth & usable, "yes", "no").astype(object),
        "na": reason,
    }


def _facts(partial: LogisticPartial) -> dict[str, Any]:
    null, params = partial.null, partial.params
    named = {"score": "score test (not Wald)", "wald": "Wald test of the full fit"}
    return {
        "variants": len(partial.rows),
        "test": named[params.test],
        "firth": params.firth if params.test == "wald" else None,
        "model": [null.terms[0], "dosage", *null.terms[1:]],
        "dropped_terms": list(null.dropped),
        "left_out": null.left_out,
        "effect_allele": "alt",
    }
