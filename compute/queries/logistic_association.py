"""Family logistic_association: cases against controls on each variant, with covariates (GWAS).

test "score": one pass, the null model is fitted first from records alone. "wald": the full fit of
every variant over people with a call, Firth's penalty where the likelihood has no maximum
("fallback") or always. Both say which test they are: a score test's beta is one Newton step, not
the maximum. The model is that of `compute.queries.logistic`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final

from pydantic import Field

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
from compute.queries.logistic import Firth, LogisticPartial, Test, with_null
from compute.queries.params import Strict, Variants, select
from compute.queries.traits import (
    Covariates,
    CovariateTrait,
    TermTrait,
    model_terms,
    trait_needs,
    trait_value,
)
from compute.stats import frequency

FAMILY: Final = "logistic_association"
EFFECTS: Final = ("ac", "af", "ac_cases", "af_cases", "beta", "se", "z", "p")


class LogisticAssociationParams(FamilyParams):
    """A yes-or-no trait, which variants, covariates, and which test."""

    trait: CovariateTrait | TermTrait = Field(discriminator="kind")
    variants: Variants
    covariates: Covariates = Field(default_factory=list)
    test: Test = "score"
    firth: Firth = "fallback"


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
        rows = select(params.variants, frame.table)
        return LogisticPartial(frame, rows, test=params.test, firth=params.firth)

    def reduce(self, partial: LogisticPartial) -> Answer:
        """Return one row a variant: counts in all and in cases, beta, SE, z, p, or NA."""
        partial.finish()
        place = variant_columns(partial.frame.table, partial.rows)
        counts = partial.counts()
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
        return Answer(self.name, self.version, columns, {"all": partial.used}, partial.facts())
