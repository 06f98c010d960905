"""The closed catalogue, and queries as values: parse, canonical bytes, digests.

    {"v": 1, "family": "genotype_counts", "build": "GRCh37", "params": {"variants": {"panel": "all"}}}

Any family's params may hold a match (`compute.queries.filters`). Canonical form is RFC 8785 with defaults written out and lists sorted, so that two ways of asking
the same question have one digest.
"""  # noqa: E501

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, cast, get_args

import numpy as np
import rfc8785
from pydantic import ValidationError

from compute.builds import Build
from compute.errors import QueryError
from compute.parsed import Modality
from compute.queries.age_at_onset import AgeAtOnset
from compute.queries.ancestry_projection import AncestryProjection
from compute.queries.blocks import BlockPartial
from compute.queries.cis_association import CisAssociation
from compute.queries.clinical_counts import ClinicalCounts
from compute.queries.clinical_crosstab import ClinicalCrosstab
from compute.queries.code import source_digest
from compute.queries.cohort_pca import CohortPca
from compute.queries.cohort_quality import CohortQuality
from compute.queries.data import CohortData, Frame, PersonData, level_of
from compute.queries.distribution import FeatureDistribution, ScoreDistribution
from compute.queries.family import Answer, Family, Needs, Partial
from compute.queries.feature_by_genotype import FeatureByGenotype
from compute.queries.feature_differential import FeatureDifferential
from compute.queries.feature_summary import FeatureSummary
from compute.queries.filters import Filter, filter_needs, holds, together
from compute.queries.genotype_counts import (
    FAMILY,
    STATES,
    GenotypeCountParams,
    GenotypeCounts,
)
from compute.queries.linear_association import LinearAssociation
from compute.queries.linkage import Linkage
from compute.queries.logistic_association import LogisticAssociation
from compute.queries.params import Panel, Strict, picked_by_buyer
from compute.queries.polygenic_score import PolygenicScore
from compute.queries.private import PrivateForm
from compute.queries.private_association import PrivateAssociation
from compute.queries.relatedness import Relatedness
from compute.queries.time_in_range import TimeInRange
from compute.queries.top_association import TopAssociation
from compute.queries.top_counts import TopCounts

_FIELDS: Final = {"v", "family", "version", "build", "params"}
_EVERYTHING: Final = GenotypeCountParams(variants=Panel(panel="all"))
_CATALOGUE: Final[Mapping[str, Family]] = MappingProxyType(
    {
        family.name: family
        for family in (
            GenotypeCounts(),
            CisAssociation(),
            FeatureDistribution(),
            ScoreDistribution(),
            PrivateAssociation(),
            TopCounts(),
            TopAssociation(),
            LinearAssociation(),
            LogisticAssociation(),
            PolygenicScore(),
            FeatureSummary(),
            FeatureDifferential(),
            FeatureByGenotype(),
            ClinicalCounts(),
            ClinicalCrosstab(),
            TimeInRange(),
            AgeAtOnset(),
            Linkage(),
            AncestryProjection(),
            CohortPca(),
            Relatedness(),
            CohortQuality(),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed question: which family, at which version, on which build, with what."""

    family: str
    version: int
    build: Build | None  # None only where no genotypes are read
    params: Strict

    @property
    def needs(self) -> Needs:
        """Return what the query opens of each person."""
        return _CATALOGUE[self.family].needs(self.params)

    @property
    def match(self) -> Sequence[Filter]:
        """Return the filters over encrypted data, all of which must hold; none: everybody."""
        return getattr(self.params, "match", None) or ()

    @property
    def modalities(self) -> frozenset[Modality]:
        """Return every kind of data it opens: the family's, and what its match is judged on."""
        return _modalities(_CATALOGUE[self.family], self.params)

    @property
    def least_people(self) -> int:
        """Return how few people the family may be asked about, above any cohort's floor."""
        return _CATALOGUE[self.family].least_people

    @property
    def picks_variants(self) -> bool:
        """Tell whether the buyer chose variants one by one."""
        return picked_by_buyer(getattr(self.params, "variants", None))


def catalogue() -> Mapping[str, Family]:
    """Return every family by name."""
    return _CATALOGUE


def supports_match(family: str) -> bool:
    """Tell whether a family's question may be asked of those of a scope whom a match keeps."""
    return "match" in _CATALOGUE[family].params.model_fields


def parse_query(value: Mapping[str, Any] | str | bytes) -> Query:
    """Parse a query (JSON text or a mapping). Raises QueryError naming the field."""
    fields = _mapping(value)
    unknown = sorted(set(map(str, fields)) - _FIELDS)
    if unknown:
        raise QueryError(f"unknown field(s) in the query: {len(unknown)}", code="query")
    if fields.get("v") != 1 or isinstance(fields.get("v"), bool):
        raise QueryError('the query must say "v": 1', code="query")
    family = _CATALOGUE.get(str(fields.get("family")))
    if family is None:
        raise QueryError(f"family must be one of {', '.join(sorted(_CATALOGUE))}", code="family")
    if fields.get("version", family.version) != family.version:
        raise QueryError(f"{family.name} is at version {family.version}", code="version")
    params = _params(family, fields.get("params"))
    build = fields.get("build")
    # What reads no genotypes has no build: written out, one question would have two digests.
    if "genotypes" not in _modalities(family, params):
        build = None
    elif build not in get_args(Build):
        raise QueryError(f"build must be one of {', '.join(get_args(Build))}", code="build")
    return Query(family.name, family.version, cast("Build | None", build), params)


_CLASS = re.compile(r"[A-Z][a-z]+[A-Za-z]*")


def _modalities(family: Family, params: Any) -> frozenset[Modality]:
    judged = [filter_needs(one).modalities for one in params.match or ()]
    return family.needs(params).modalities.union(*judged)


def _mapping(value: Mapping[str, Any] | str | bytes) -> Mapping[str, Any]:
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise QueryError("the query is not JSON", code="query") from error
    if not isinstance(value, Mapping):
        raise QueryError("the query must be a JSON object", code="query")
    return value


def _params(family: Family, value: object) -> Strict:
    try:
        return family.params.model_validate(value)
    except ValidationError as error:
        raise QueryError(_what_is_wrong(error), code="params") from None
    except RecursionError as error:
        raise QueryError("params nests too deeply", code="params") from error


def _what_is_wrong(error: ValidationError) -> str:
    """Say where params are wrong: of a value that has several forms, in the one that was meant."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    meant = [one for one in found if not _of_another_form(one["type"])]
    first = (meant or found)[0]
    if not meant and len({one["loc"][1] for one in found if len(one["loc"]) > 1}) > 1:
        return (
            f"params.{first['loc'][0]}: it has none of the forms it may have; "
            "`omic order template` shows one"
        )
    place = ".".join(["params", *(str(one) for one in first["loc"] if not _names_a_form(one))])
    return f"{place}: {first['msg']}"


def _names_a_form(part: str | int) -> bool:
    """Tell whether a step of the place is a type of ours, which nobody wrote."""
    return isinstance(part, str) and ("[" in part or _CLASS.fullmatch(part) is not None)


def _of_another_form(kind: str) -> bool:
    return kind in ("missing", "extra_forbidden") or kind.endswith("_type")


def query_value(query: Query) -> dict[str, Any]:
    """Return the query as JSON-able content with defaults written out."""
    value = {
        "v": 1,
        "family": query.family,
        "version": query.version,
        "build": query.build,
        "params": query.params.model_dump(mode="json", exclude_none=True),
    }
    return {name: part for name, part in value.items() if part is not None}


def canonical_query(query: Query) -> bytes:
    """Return the query's canonical bytes (RFC 8785)."""
    return rfc8785.dumps(query_value(query))


def query_digest(query: Query) -> str:
    """Return the SHA-256 (hex) of the canonical query."""
    return hashlib.sha256(canonical_query(query)).hexdigest()


def code_digest(query: Query) -> str:
    """Return the SHA-256 (hex) of the code that would answer the query."""
    return family_digest(query.family)


def family_digest(family: str) -> str:
    """Return the SHA-256 (hex) of the code a family's answers come from."""
    return source_digest(type(_CATALOGUE[family]).__module__)


def private_form(query: Query) -> PrivateForm | None:
    """Return the form a query's family declares for private mode, or None."""
    found: PrivateForm | None = getattr(_CATALOGUE[query.family], "private", None)
    return found


def learn(query: Query, people: Iterable[PersonData], frame: Frame) -> Any:
    """Return what a family must know of everybody's records before the sums."""
    return _CATALOGUE[query.family].learn(query.params, people, frame)


def start(query: Query, frame: Frame) -> Partial:
    """Return an empty partial. Raises QueryError where the frame is on another build."""
    if query.build is not None and frame.table.build != query.build:
        raise QueryError(
            f"the query names {query.build}, the cohort's table is {frame.table.build}",
            code="build",
        )
    return cast("Partial", _CATALOGUE[query.family].start(query.params, frame))


def learned_frame(query: Query, cohort: CohortData) -> Frame:
    """Return a cohort's frame with what the query's family must know first."""
    frame = cohort.frame
    if query.needs.learns:
        frame = replace(frame, learned=learn(query, cohort.people, frame))
    if states_first(query):
        counted = run(replace(query, family=FAMILY, params=_EVERYTHING), cohort)
        frame = replace(frame, states=np.stack([counted.columns[name] for name in STATES]))
    return frame


def states_first(query: Query) -> bool:
    """Tell whether a query's family needs `Frame.states`."""
    return _CATALOGUE[query.family].states_first


def reduce(query: Query, partial: Partial) -> Answer:
    """Turn a query's sums into its exact answer (before release control)."""
    return _CATALOGUE[query.family].reduce(partial)


def matched(query: Query, cohort: CohortData) -> CohortData:
    """Return a cohort in memory with the people a query's match keeps, as if there were no others.

    Carriers of a variant that the cohort's table lacks are nobody.
    """
    if not query.match:
        return cohort
    frame = cohort.frame
    kept = tuple(
        person
        for person in cohort.people
        if together(holds(one, person, frame) for one in query.match)
    )
    levels = {
        name: tuple(sorted({level_of(person, name) for person in kept})) for name in frame.levels
    }
    return CohortData(replace(frame, levels=levels), kept)


def unmatched(query: Query) -> Query:
    """Return the same question of everybody in scope."""
    return replace(query, params=query.params.model_copy(update={"match": None}))


def run(query: Query, cohort: CohortData) -> Answer:
    """Answer a query over a cohort in memory, in the cohort's order."""
    cohort = matched(query, cohort)
    partial = start(query, learned_frame(query, cohort))
    if isinstance(partial, BlockPartial):
        partial.add_people(cohort.people)
        return reduce(query, partial)
    for person in cohort.people:
        partial.add(person)
    return reduce(query, partial)
