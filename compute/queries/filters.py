"""Match filters: whom of a scope a question counts, judged on encrypted data inside compute alone.

A family's parameters may hold a list of filters, all of which must hold. A filter judges one person
by that person's own data and nobody else's, so counting whom it keeps is the same as filtering
before, and one person more or less moves an answer no further than without it. Data that do not
say (no record, no value, no call) do not match; whom filters leave out for that alone is unknown.
Spec: DESIGN section 4.1 (scope and match).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

import rfc8785
from pydantic import AfterValidator, Field, model_validator

from compute.queries.data import Frame, PersonData
from compute.queries.family import Needs
from compute.queries.params import AsSet, Decimal, Strict, VariantName
from compute.queries.traits import (
    CovariateTrait,
    Curie,
    FeatureTrait,
    MeasurementTrait,
    Sha256,
    TermTrait,
    trait_needs,
    trait_value,
)

MOST_FILTERS: Final = 10


def _plain(text: str) -> str:
    """Write a decimal without zeros that say nothing, so that one bound has one text."""
    short = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if short == "-0" else short


Bound = Annotated[Decimal, AfterValidator(_plain)]
Level = Annotated[str, Field(pattern=r"^[!-~]([ -~]{0,62}[!-~])?$")]
Levels = Annotated[
    list[Level],
    Field(min_length=1, max_length=50),
    AsSet,
]


class TermFilter(Strict):
    """A coded term, or a descendant by the ontology named, stated as present; or none of them."""

    kind: Literal["term"]
    term: Curie
    ontology: Sha256 | None = None
    present: bool = True


class NumberFilter(Strict):
    """A number of a person between two bounds, both included; one of them may be left out."""

    kind: Literal["number"]
    of: Annotated[CovariateTrait | FeatureTrait | MeasurementTrait, Field(discriminator="kind")]
    least: Bound | None = None
    most: Bound | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.least is None and self.most is None:
            raise ValueError("a number needs least, most or both")
        if self.least and self.most and Fraction(self.least) > Fraction(self.most):
            raise ValueError("least must not lie above most")
        return self


class GroupFilter(Strict):
    """One of some levels of the participant record."""

    kind: Literal["group"]
    stratum: Literal["population", "sex"]
    levels: Levels


class CarrierFilter(Strict):
    """Called with a copy of a variant; or called without one."""

    kind: Literal["carrier"]
    variant: VariantName
    carries: bool = True


Filter: TypeAlias = TermFilter | NumberFilter | GroupFilter | CarrierFilter


def _in_order(filters: list[Filter]) -> list[Filter]:
    texts = {rfc8785.dumps(one.model_dump(mode="json", exclude_none=True)): one for one in filters}
    return [texts[text] for text in sorted(texts)]


Match = Annotated[
    list[Annotated[Filter, Field(discriminator="kind")]],
    Field(min_length=1, max_length=MOST_FILTERS),
    AfterValidator(_in_order),
]


class FamilyParams(Strict):
    """Base of every family's parameters. match: whom of the scope it counts; everybody without."""

    match: Match | None = None


def filter_needs(one: Filter) -> Needs:
    """Return what a filter opens of each person."""
    if isinstance(one, TermFilter):
        return trait_needs(_term(one))
    if isinstance(one, NumberFilter):
        return trait_needs(one.of)
    if isinstance(one, GroupFilter):
        return Needs(frozenset({"participant"}), strata=(one.stratum,))
    return Needs(frozenset({"genotypes"}))


def named_variants(filters: Iterable[Filter]) -> list[str]:
    """Return the variants that filters name, each once."""
    return sorted({one.variant for one in filters if isinstance(one, CarrierFilter)})


def holds(one: Filter, person: PersonData, frame: Frame) -> bool | None:
    """Tell whether a filter holds of a person, None where the data do not say.

    frame: the references, and the table the person's dosages are over.
    """
    if isinstance(one, GroupFilter):
        own = person.strata.get(one.stratum, "unknown")
        return None if own == "unknown" else own in one.levels
    if isinstance(one, CarrierFilter):
        return _carries(one, person, frame)
    trait = one.of if isinstance(one, NumberFilter) else _term(one)
    value = trait_value(trait, person, frame.references)
    if value is None or not math.isfinite(value):
        return None
    if isinstance(one, TermFilter):
        return bool(value) is one.present
    above = one.least is None or value >= Fraction(one.least)
    return above and (one.most is None or value <= Fraction(one.most))


def together(verdicts: Iterable[bool | None]) -> bool | None:
    """Return whether all hold: False as soon as one does not, else None where one is unknown."""
    found = set(verdicts)
    if False in found:
        return False
    return None if None in found else True


def exclude_each_other(one: Sequence[Filter], other: Sequence[Filter]) -> bool:
    """Tell whether two matches can keep nobody both, by their words alone; no data is looked at."""
    return any(_exclude(a, b) for a in one for b in other)


def _term(one: TermFilter) -> TermTrait:
    return TermTrait(kind="term", term=one.term, ontology=one.ontology)


def _carries(one: CarrierFilter, person: PersonData, frame: Frame) -> bool | None:
    rows = [row for row, name in enumerate(frame.table.names()) if name == one.variant]
    copies = int(person.dosage[rows[0]]) if rows else -1
    return None if copies < 0 else (copies > 0) is one.carries


def _exclude(one: Any, other: Any) -> bool:
    if one.kind != other.kind:
        return False
    if isinstance(one, TermFilter):
        same = (one.term, one.ontology) == (other.term, other.ontology)
        return same and one.present is not other.present
    if isinstance(one, CarrierFilter):
        return one.variant == other.variant and one.carries is not other.carries
    if isinstance(one, GroupFilter):
        return one.stratum == other.stratum and not set(one.levels) & set(other.levels)
    return one.of == other.of and (_below(one, other) or _below(other, one))


def _below(one: NumberFilter, other: NumberFilter) -> bool:
    return bool(one.most and other.least and Fraction(one.most) < Fraction(other.least))
