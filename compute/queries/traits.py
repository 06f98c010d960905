"""What is measured or stated of a person, as one number: traits, covariates, model terms.

A trait is a number of the participant record, a feature in a stated namespace and unit, a coded
term (1 where the record has it or a descendant, 0 where it does not), or a summary of coded
measurements. None where the person's data do not say: never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
from pydantic import Field

from compute.parsed import Clinical, Modality
from compute.queries.data import Frame, PersonData, level_of
from compute.queries.family import Needs
from compute.queries.params import AsSet, Strict

CATEGORICAL: Final = ("population", "sex")
CURIE: Final = r"^[A-Z][A-Z0-9]{1,9}:[A-Za-z0-9._#-]{1,80}$"
NAME: Final = r"^[A-Za-z][A-Za-z0-9_.:+-]{0,63}$"

Curie = Annotated[str, Field(pattern=CURIE)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FeatureId = Annotated[str, Field(pattern=r"^[!-~]{1,400}$")]
Label = Annotated[str, Field(pattern=r"^[ -~µ°²³]{1,80}$")]
Covariate = Annotated[str, Field(pattern=NAME)]
Covariates = Annotated[list[Covariate], Field(max_length=30), AsSet]
Measured = Literal["expression", "methylation", "proteomics", "metabolomics", "microbiome"]


class CovariateTrait(Strict):
    """A number of the participant record."""

    kind: Literal["covariate"]
    name: Covariate


class FeatureTrait(Strict):
    """One feature of a modality, in the namespace and unit stated; others are left out."""

    kind: Literal["feature"]
    modality: Measured = "expression"
    namespace: Label
    unit: Label
    id: FeatureId


class TermTrait(Strict):
    """A coded term: 1 where present (or a descendant by the ontology named), else 0."""

    kind: Literal["term"]
    term: Curie
    ontology: Sha256 | None = None


class MeasurementTrait(Strict):
    """A summary of a person's measurements of one code in one unit."""

    kind: Literal["measurement"]
    code: Curie
    unit: Label
    statistic: Literal["mean", "first", "last", "lowest", "highest"] = "mean"


Trait: TypeAlias = Annotated[
    CovariateTrait | FeatureTrait | TermTrait | MeasurementTrait, Field(discriminator="kind")
]


def trait_needs(
    trait: Trait | None,
    covariates: Sequence[str] = (),
    *,
    strata: Sequence[str] = (),
    genotypes: bool = False,
    learns: bool = False,
) -> Needs:
    """Return what a trait with covariates opens of each person."""
    levels = {*strata, *(name for name in covariates if name in CATEGORICAL)}
    modalities: set[Modality] = {"genotypes"} if genotypes else set()
    if covariates or levels or isinstance(trait, CovariateTrait):
        modalities.add("participant")
    if isinstance(trait, FeatureTrait):
        modalities.add(trait.modality)
    if isinstance(trait, TermTrait | MeasurementTrait):
        modalities.add("clinical")
    named = isinstance(trait, TermTrait) and trait.ontology
    return Needs(
        frozenset(modalities),
        features=(trait.id,) if isinstance(trait, FeatureTrait) else (),
        strata=tuple(sorted(levels)),
        covariates=tuple(name for name in covariates if name not in CATEGORICAL),
        feature_modality=trait.modality if isinstance(trait, FeatureTrait) else "expression",
        learns=learns,
        references=(str(named),) if named else (),
    )


def trait_value(trait: Trait, person: PersonData, references: Mapping[str, Any]) -> float | None:
    """Return a person's value of a trait, None where the data do not say."""
    if isinstance(trait, CovariateTrait):
        return _finite(person.covariates.get(trait.name))
    if isinstance(trait, FeatureTrait):
        fits = person.feature_kind in (None, (trait.namespace, trait.unit))
        return _finite(person.features.get(trait.id)) if fits else None
    if person.clinical is None:
        return None
    if isinstance(trait, TermTrait):
        return float(
            has_term(person.clinical, wanted_terms(trait.term, trait.ontology, references))
        )
    return _measured(trait, person.clinical)


def wanted_terms(term: str, ontology: str | None, references: Mapping[str, Any]) -> frozenset[str]:
    """Return a term and, by the ontology named, its descendants."""
    if ontology is None:
        return frozenset({term})
    found: frozenset[str] = references[ontology].descendants(term)
    return found


def has_term(record: Clinical, wanted: frozenset[str]) -> bool:
    """Tell whether a record states one of the terms as present."""
    return any(term.curie in wanted and not term.excluded for term in record.terms)


def readings(record: Clinical, code: str, unit: str) -> list[float]:
    """Return the values of a code in a unit, in time order (those without a time first)."""
    kept = [m for m in record.measurements if m.curie == code and m.unit == unit]
    kept.sort(key=lambda m: -math.inf if m.time_ms is None else m.time_ms)
    return [m.value for m in kept]


def _measured(trait: MeasurementTrait, record: Clinical) -> float | None:
    values = readings(record, trait.code, trait.unit)
    if not values:
        return None
    statistics = {
        "mean": lambda: math.fsum(values) / len(values),
        "first": lambda: values[0],
        "last": lambda: values[-1],
        "lowest": lambda: min(values),
        "highest": lambda: max(values),
    }
    return float(statistics[trait.statistic]())


def model_terms(covariates: Sequence[str], frame: Frame) -> tuple[str, ...]:
    """Return model terms: numbers by name, categories as name=level without the first level."""
    terms: list[str] = []
    for name in covariates:
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
        return _finite(person.covariates.get(name))
    own = level_of(person, name)
    return None if own == "unknown" else float(own == level)


def inverse_normal(values: Mapping[str, float]) -> dict[str, float]:
    """Return rank-based inverse normal values (Blom offset 3/8; ties share their mean rank)."""
    # Loaded here: the marketplace reads the catalogue and never computes a statistic.
    from scipy.special import ndtri
    from scipy.stats import rankdata

    if not values:
        return {}
    ranks = rankdata(np.array(list(values.values())))
    scores = ndtri((ranks - 0.375) / (len(ranks) + 0.25))
    return dict(zip(values, scores.tolist(), strict=True))


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
