"""Family logistic_association: cases against controls on each variant, with covariates (GWAS).

test "score": one pass, the null model is fitted first from records alone; missing dosages take the
variant's mean. "wald": the full fit of every variant over people with a call, Firth's penalty where
the likelihood has no maximum ("fallback") or always. Both say which test they are: a score test's
beta is one Newton step, not the maximum. Haploid calls count as two copies (plink2's X model 2).

The full fit holds everybody's genotypes of a part of the variants in memory, part after part. Sums
and fits are those of `compute.kernels` (LogisticScore, LogisticFit).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compute.arrays import Arrays, Shapes
from compute.errors import QueryError
from compute.kernels import (
    Association,
    CodeCounter,
    LogisticFit,
    LogisticScore,
    NullModel,
    TraitError,
    Words,
    cores,
)
from compute.queries.blocks import GenotypeBlock, HaploidCounts, Layout, SummedPartial, runs
from compute.queries.data import Frame, PersonData
from compute.queries.design import Design, learn_design
from compute.queries.family import (
    Answer,
    Cell,
    Column,
    Defaults,
    Disclosure,
    Needs,
    Sensitivity,
    variant_columns,
)
from compute.queries.filters import FamilyParams
from compute.queries.params import Strict, Variants, select
from compute.queries.traits import (
    Covariates,
    CovariateTrait,
    TermTrait,
    model_terms,
    trait_needs,
    trait_value,
)
from compute.stats import frequency, independent

FAMILY: Final = "logistic_association"
MAX_HELD: Final = 1 << 30  # genotypes a part of a full fit holds, four a byte
MAX_FITTED: Final = 10_000_000_000  # people x variants of one full fit
EFFECTS: Final = ("ac", "af", "ac_cases", "af_cases", "beta", "se", "z", "p")
COUNTS: Final = ("ac", "an", "n", "ac_cases", "an_cases", "cases")
FITS: Final = ("beta", "se", "z")
_REASONS: Final = {"separated": "no_maximum", "not_converged": "no_maximum"}

Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]


class LogisticAssociationParams(FamilyParams):
    """A yes-or-no trait, which variants, covariates, and which test."""

    trait: CovariateTrait | TermTrait = Field(discriminator="kind")
    variants: Variants
    covariates: Covariates = Field(default_factory=list)
    test: Literal["score", "wald"] = "score"
    firth: Literal["fallback", "always", "never"] = "fallback"


class AlleleCounts:
    """People with a call, AC and AN, a row; a haploid call is one copy."""

    def __init__(self, width: int) -> None:
        self._codes, self._haploid = CodeCounter(width), HaploidCounts(width)

    def add(self, block: GenotypeBlock) -> None:
        """Add people."""
        self._codes.add(block.planes)
        self._haploid.add(block)

    def merge(self, other: Self) -> None:
        """Add another's people."""
        self._codes.merge(other._codes)
        self._haploid.merge(other._haploid)

    def counts(self) -> tuple[Int64, Int64, Int64]:
        """Return (AC, AN, people with a call), int64 (width,) each."""
        one, two, absent = self._codes.counts()
        called = self._codes.people - absent
        return one + 2 * two, 2 * called - self._haploid.counts()[0], called


class LogisticPart:
    """What one part of the table needs: counts in all and in cases; sums, or genotypes."""

    def __init__(self, design: Design, width: int, *, full: bool) -> None:
        self._design = design
        self._all, self._cases = AlleleCounts(width), AlleleCounts(width)
        self._score = None if full else LogisticScore(design.null, width)
        self._held: list[tuple[int, Words]] = []

    def add(self, block: GenotypeBlock) -> None:
        """Add people; those the design left out add nothing."""
        design = self._design
        for first, chosen in runs(design.place.get(p.participant) for p in block.people):
            part = block.taken(chosen)
            self._all.add(part)
            case = np.flatnonzero(design.y[first : first + len(chosen)] == 1.0)
            if len(case):
                self._cases.add(part.taken(case))
            planes = part.doubled()
            if self._score is not None:
                self._score.add(first, planes)
            else:
                self._held.append((first, planes.copy()))

    def merge(self, other: Self) -> None:
        """Add what another has summed over other people."""
        self._all.merge(other._all)
        self._cases.merge(other._cases)
        self._held += other._held
        if self._score is not None and other._score is not None:
            self._score.merge(other._score)

    def counts(self) -> tuple[Int64, ...]:
        """Return COUNTS, int64 (width,) each."""
        return *self._all.counts(), *self._cases.counts()

    def tested(self) -> Association | None:
        """Return the score tests, None where full fits are asked for."""
        return None if self._score is None else self._score.result()

    def planes(self) -> Words:
        """Return everybody's genotypes, in the design's order; forgets them here."""
        held, self._held = sorted(self._held, key=lambda pair: pair[0]), []
        return np.concatenate([planes for _, planes in held])


class LogisticPartial(SummedPartial):
    """Counts and tests of the rows asked for. frame.learned: the design with its null model."""

    def __init__(self, params: LogisticAssociationParams, frame: Frame) -> None:
        super().__init__(frame)
        if not isinstance(frame.learned, Design) or frame.learned.null is None:
            raise QueryError("the null model was not fitted first", code="learned")
        self.params, self.design = params, frame.learned
        self.rows = select(params.variants, frame.table)
        self.used = len(self.design.y)
        if params.test == "wald" and len(self.rows) * self.used > MAX_FITTED:
            raise QueryError(
                "a full fit of so many people and variants at once is not offered: ask for "
                'regions, or for the score test ("test": "score")',
                code="too_large",
            )
        size = len(frame.table)
        self.counts = {name: np.zeros(size, np.int64) for name in COUNTS}
        self._fits = {name: np.full(size, np.nan) for name in FITS}
        self._na = np.full(size, "no_people", dtype="<U16")
        self._firth = np.zeros(size, np.bool_)

    def most_rows(self) -> int | None:
        """Return how many rows may be held at once."""
        return None if self.params.test == "score" else MAX_HELD // max(self.used, 1)

    def part(self, layout: Layout) -> LogisticPart:
        """Return empty sums."""
        return LogisticPart(self.design, layout.width, full=self.params.test == "wald")

    def results(self, layout: Layout, part: LogisticPart) -> Arrays:
        """Test or fit every variant of a part."""
        counts = {
            name: values[layout.at] for name, values in zip(COUNTS, part.counts(), strict=True)
        }
        found, firth = part.tested(), np.zeros(layout.width, np.bool_)
        if found is None:
            wanted = np.zeros(layout.width, np.bool_)
            wanted[layout.at] = True
            cases, n = counts["cases"], counts["n"]
            wanted[layout.at[(cases == 0) | (cases == n)]] = False
            found, firth = _fitted(self.design, part, wanted, self.params.firth)
        fits = {"beta": found.beta, "se": found.se, "z": found.stat}
        return {
            **counts,
            **{name: values[layout.at] for name, values in fits.items()},
            "na": found.reason[layout.at].astype("<U16"),
            "firth": firth[layout.at],
        }

    def shapes(self, rows: int) -> Shapes:
        """Return one number a variant, of each kind."""
        return {
            **dict.fromkeys(COUNTS, ("<i8", (rows,))),
            **dict.fromkeys(FITS, ("<f8", (rows,))),
            "na": ("<U16", (rows,)),
            "firth": ("|b1", (rows,)),
        }

    def accept(self, layout: Layout, results: Arrays) -> None:
        """Take the tests or fits of a part's variants."""
        for name in COUNTS:
            self.counts[name][layout.rows] = results[name]
        for name in FITS:
            self._fits[name][layout.rows] = results[name]
        self._na[layout.rows] = results["na"]
        self._firth[layout.rows] = results["firth"]

    def effects(self) -> dict[str, Column]:
        """Return beta, SE, z, p, whether Firth's penalty was used, and why there is no fit."""
        rows = self.rows
        reason = np.array([_REASONS.get(r, r) for r in self._na[rows].tolist()], dtype="<U16")
        n, cases = self.counts["n"][rows], self.counts["cases"][rows]
        if self.params.test == "wald":
            reason[((cases == 0) | (cases == n)) & (reason == "no_people")] = "one_group_only"
        ac, an = self.counts["ac"][rows], self.counts["an"][rows]
        reason[(ac == 0) | (ac == an)] = "monomorphic"
        reason[n == 0] = "no_people"
        usable = reason == ""
        numbers = {name: values[rows] for name, values in self._fits.items()}
        numbers["p"] = normal_tail(numbers["z"])
        return {
            **{name: np.where(usable, column, np.nan) for name, column in numbers.items()},
            "firth": np.where(self._firth[rows] & usable, "yes", "no").astype(object),
            "na": reason,
        }


def _fitted(
    design: Design, part: LogisticPart, wanted: npt.NDArray[np.bool_], firth: str
) -> tuple[Association, npt.NDArray[np.bool_]]:
    """Return full fits of the rows wanted, and which are penalised."""
    fit, threads, nothing = LogisticFit(design.null), cores(), np.zeros_like(wanted)
    if not len(design.y) or not wanted.any():
        return LogisticScore(design.null, len(wanted)).result(), nothing
    planes = part.planes()

    def run(chosen: npt.NDArray[np.bool_], *, penalised: bool) -> Association:
        with ThreadPoolExecutor(threads) as pool:
            return fit.fit(
                planes, len(wanted), firth=penalised, chosen=chosen, pool=pool, parts=threads
            )

    if firth == "always":
        return run(wanted, penalised=True), wanted
    found = run(wanted, penalised=False)
    open_ = wanted & np.isin(found.reason, ("separated", "not_converged"))
    if firth == "never" or not open_.any():
        return found, nothing
    again = run(open_, penalised=True)
    merged = {
        name: np.where(open_, getattr(again, name), getattr(found, name))
        for name in ("beta", "se", "stat", "p", "reason")
    }
    return replace(found, **merged), open_


def normal_tail(z: Float64) -> Float64:
    """Return the two-sided p of a standard normal statistic."""
    # Loaded here: the marketplace reads the catalogue and never computes a statistic.
    from scipy.special import ndtr

    found: Float64 = 2.0 * ndtr(-np.abs(z))
    return found


class LogisticAssociation(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "GWAS of cases and controls: score test, full logistic fit, Firth"
    params: ClassVar[type[Strict]] = LogisticAssociationParams
    disclosure: ClassVar[Disclosure | None] = Disclosure(
        cells=(
            Cell("ac", EFFECTS, of="an"),
            Cell("ac_cases", EFFECTS, of="ac"),
            Cell("cases", ("cases", "an_cases", *EFFECTS), of="n"),
        )
    )
    limits: ClassVar[str] = (
        "score test genome-wide; full fit up to 10 billion people x variants; 30 covariates"
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
    ) -> Design:
        """Fit the model without any variant. Raises QueryError where it cannot be fitted."""

        def response(person: PersonData) -> float | str:
            case = trait_value(params.trait, person, frame.references)
            if case is None:
                return "no_trait"
            return case if case in (0.0, 1.0) else "trait_not_0_or_1"

        return with_null(learn_design(people, response, model_terms(params.covariates, frame)))

    def start(self, params: LogisticAssociationParams, frame: Frame) -> LogisticPartial:
        """Return empty sums. Raises QueryError ``too_large``."""
        return LogisticPartial(params, frame)

    def reduce(self, partial: LogisticPartial) -> Answer:
        """Return one row a variant: counts in all and in cases, beta, SE, z, p, or NA."""
        partial.finish()
        place = variant_columns(partial.frame.table, partial.rows)
        counts = {name: values[partial.rows] for name, values in partial.counts.items()}
        columns: dict[str, Column] = {
            **place,
            "a1": place["alt"],
            "ac": counts["ac"],
            "an": counts["an"],
            "af": frequency(counts["ac"], counts["an"]),
            "ac_cases": counts["ac_cases"],
            "an_cases": counts["an_cases"],
            "af_cases": frequency(counts["ac_cases"], counts["an_cases"]),
            "n": counts["n"],
            "cases": counts["cases"],
            **partial.effects(),
        }
        return Answer(self.name, self.version, columns, {"all": partial.used}, _facts(partial))


def with_null(design: Design) -> Design:
    """Return a design of independent covariates with its null model. Raises QueryError."""
    if not len(design.y) or design.y.min() == design.y.max():
        raise QueryError("the cohort has cases only, controls only, or neither", code="one_group")
    # Centred, so that large offsets cost no digits; the intercept takes the means.
    kept = independent(np.column_stack([np.ones(len(design.y)), design.x - design.x.mean(axis=0)]))
    chosen = [at - 1 for at in kept[1:]]
    try:
        null = NullModel(design.y, design.x[:, chosen])
    except TraitError:
        raise QueryError(
            "covariates alone separate cases from controls", code="separated"
        ) from None
    terms = tuple(design.terms[at] for at in chosen)
    twins = tuple(term for term in design.terms if term not in terms)
    return replace(
        design, x=design.x[:, chosen], terms=terms, dropped=(*design.dropped, *twins), null=null
    )


def _facts(partial: LogisticPartial) -> dict[str, Any]:
    params = partial.params
    named = {"score": "score test (not Wald)", "wald": "Wald test of the full fit"}
    return {
        "test": named[params.test],
        "firth": params.firth if params.test == "wald" else None,
        **partial.design.facts(len(partial.rows)),
    }
