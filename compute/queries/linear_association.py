"""Family linear_association: a quantitative trait on each variant, with covariates (GWAS).

The model is that of `compute.queries.linear`. Beta, SE, t and p are those of the full fit of every
variant, not of a residual. Lambda GC, Manhattan and QQ data are made of what was released, by
whoever reads the answer (`marketplace.client.gwas`), so that hidden rows tell nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import ClassVar, Final, Literal

from pydantic import Field

from compute.queries.assumed import Sampled, of_slope
from compute.queries.data import Frame, PersonData
from compute.queries.design import Design, learn_design
from compute.queries.family import (
    Answer,
    Cell,
    Defaults,
    Disclosure,
    Needs,
    Sensitivity,
)
from compute.queries.filters import FamilyParams
from compute.queries.linear import LinearPartial
from compute.queries.params import Strict, Variants, select
from compute.queries.traits import (
    Covariates,
    TermTrait,
    Trait,
    model_terms,
    trait_needs,
    trait_value,
)
from compute.stats import frequency

FAMILY: Final = "linear_association"
EFFECTS: Final = ("ac", "af", "beta", "se", "t", "p")


class LinearAssociationParams(FamilyParams):
    """A trait, which variants, covariates, and what is done to the trait first."""

    trait: Trait
    variants: Variants
    covariates: Covariates = Field(default_factory=list)
    transform: Literal["none", "inverse_normal"] = "none"


def _most_sd(params: LinearAssociationParams) -> Fraction | None:
    """Return half of what a trait of 0 and 1 reaches; other traits have no bounds."""
    return Fraction(1, 2) if isinstance(params.trait, TermTrait) else None


class LinearAssociation(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "GWAS of a quantitative trait: linear regression with covariates"
    params: ClassVar[type[Strict]] = LinearAssociationParams
    sampled: ClassVar[Sampled | None] = Sampled("beta", of_slope, _most_sd)
    disclosure: ClassVar[Disclosure | None] = Disclosure(cells=(Cell("ac", EFFECTS, of="an"),))
    limits: ClassVar[str] = "genome-wide or a region; 30 covariates"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "A trait has no bounds of its own, so neither have beta, SE, t and p: exact numbers only, "
        "in trusted mode. One person changes n by at most 1, AC and AN by at most 2.",
        {"n": 1, "ac": 2, "an": 2},
    )

    def needs(self, params: LinearAssociationParams) -> Needs:
        """Genotypes, the trait's modality, and the record where covariates are asked for."""
        return trait_needs(params.trait, params.covariates, genotypes=True, learns=True)

    def cost(self, params: LinearAssociationParams, variants: int, people: int) -> int:
        """Return units growing with the square of the model's size."""
        return variants * people * (len(params.covariates) + 2) ** 2

    def learn(
        self, params: LinearAssociationParams, people: Iterable[PersonData], frame: Frame
    ) -> Design:
        """Return everybody's trait and covariates."""

        def response(person: PersonData) -> float | str:
            found = trait_value(params.trait, person, frame.references)
            return "no_trait" if found is None else found

        terms = model_terms(params.covariates, frame)
        ranks = params.transform == "inverse_normal"
        return learn_design(people, response, terms, normal_scores=ranks)

    def start(self, params: LinearAssociationParams, frame: Frame) -> LinearPartial:
        """Return empty sums."""
        return LinearPartial(frame, select(params.variants, frame.table), params=params)

    def reduce(self, partial: LinearPartial) -> Answer:
        """Return one row a variant: A1, AC, AN, AF, n, beta, SE, t, p, or NA with its reason."""
        columns = partial.columns()
        columns["af"] = frequency(columns["ac"], columns["an"])
        facts = {"transform": partial.params.transform, **partial.facts()}
        return Answer(self.name, self.version, columns, {"all": partial.used}, facts)
