"""Family cis_association: one feature regressed on each nearby variant, with covariates (cis-QTL).

The model is that of `compute.queries.linear`. The feature may be of any measured modality; where
the query states namespace and unit, values stated in others are left out and counted, and values
may be replaced by their rank-based inverse normal scores, as cis-QTL programs do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from compute.errors import QueryError
from compute.parsed import Modality
from compute.queries.assumed import Sampled, of_slope
from compute.queries.data import Frame, PersonData
from compute.queries.design import Design, learn_design
from compute.queries.family import Answer, Cell, Defaults, Disclosure, Needs, Sensitivity
from compute.queries.filters import FamilyParams
from compute.queries.linear import LinearPartial
from compute.queries.params import CHROM, Selected, Strict, Variants, select, select_span
from compute.queries.traits import (
    CATEGORICAL,
    Covariates,
    Label,
    Measured,
    model_terms,
)

FAMILY: Final = "cis_association"
EFFECTS: Final = ("ac", "beta", "se", "t", "p")
MAX_WINDOW: Final = 5_000_000

Base = Annotated[int, Field(ge=1, le=300_000_000)]


class CisAssociationParams(FamilyParams):
    """A feature, either its gene's place with a window or chosen variants, and covariates."""

    gene: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
    modality: Measured = "expression"
    namespace: Label | None = None
    unit: Label | None = None
    transform: Literal["none", "inverse_normal"] = "none"
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


class CisAssociation(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 2
    title: ClassVar[str] = "cis-QTL: a gene's feature on nearby variants, with covariates"
    params: ClassVar[type[Strict]] = CisAssociationParams
    sampled: ClassVar[Sampled | None] = Sampled("beta", of_slope)
    disclosure: ClassVar[Disclosure | None] = Disclosure(cells=(Cell("ac", EFFECTS, of="an"),))
    limits: ClassVar[str] = "a window of at most 5 Mb either side, or a region; 30 covariates"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "The feature has no bounds of its own, so neither have beta, SE, t and p: exact numbers "
        "only, in trusted mode. One person changes n by at most 1, AC and AN by at most 2.",
        {"n": 1, "ac": 2, "an": 2},
    )

    def needs(self, params: CisAssociationParams) -> Needs:
        """Genotypes, one feature, and the record where covariates are asked for."""
        modalities: set[Modality] = {"genotypes", params.modality}
        if params.covariates:
            modalities.add("participant")
        return Needs(
            frozenset(modalities),
            features=(params.gene,),
            strata=tuple(name for name in params.covariates if name in CATEGORICAL),
            covariates=tuple(name for name in params.covariates if name not in CATEGORICAL),
            feature_modality=params.modality,
            learns=True,
        )

    def cost(self, params: CisAssociationParams, variants: int, people: int) -> int:
        """Return units growing with the square of the model's size."""
        return variants * people * (len(params.covariates) + 2) ** 2

    def learn(
        self, params: CisAssociationParams, people: Iterable[PersonData], frame: Frame
    ) -> Design:
        """Return everybody's feature and covariates."""

        def response(person: PersonData) -> float | str:
            found = _feature(params, person)
            return "no_feature" if found is None else found

        terms = model_terms(params.covariates, frame)
        ranks = params.transform == "inverse_normal"
        return learn_design(people, response, terms, normal_scores=ranks)

    def start(self, params: CisAssociationParams, frame: Frame) -> LinearPartial:
        """Return empty sums."""
        return LinearPartial(frame, _rows(params, frame), params=params)

    def reduce(self, partial: LinearPartial) -> Answer:
        """Return one row a variant: A1, AC, AN, n, beta, SE, t, p, or NA with its reason."""
        facts = {"gene": partial.params.gene, **partial.facts()}
        return Answer(self.name, self.version, partial.columns(), {"all": partial.used}, facts)


def _feature(params: CisAssociationParams, person: PersonData) -> float | None:
    if person.feature_kind is not None:
        stated = zip((params.namespace, params.unit), person.feature_kind, strict=True)
        if any(asked not in (None, own) for asked, own in stated):
            return None
    value = person.features.get(params.gene, math.nan)
    return value if math.isfinite(value) else None


def _rows(params: CisAssociationParams, frame: Frame) -> Selected:
    if params.variants is not None:
        return select(params.variants, frame.table)
    if params.chrom is None or params.start is None or params.end is None:
        raise QueryError("the gene's place is incomplete", code="params")
    reach = params.window_bp or 0
    return select_span(frame.table, params.chrom, params.start - reach, params.end + reach)
