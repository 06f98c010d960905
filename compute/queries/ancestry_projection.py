"""Family ancestry_projection: a cohort on a reference panel's principal components, as aggregates.

The loadings are the operator's file. A person's coordinate is the sum over called variants of
(dosage - 2 af) / sqrt(2 af (1 - af)) * loading, divided by the share of variants called; a variant
nobody's file has counts as missing. Only the distribution of coordinates leaves, never a person's.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

import numpy as np
from pydantic import Field

from compute.errors import QueryError
from compute.parsed import Modality
from compute.queries.data import Frame, PersonData
from compute.queries.family import (
    Answer,
    Defaults,
    Disclosure,
    Needs,
    ReleaseMode,
    Sensitivity,
    dosages,
)
from compute.queries.loadings import Loadings
from compute.queries.params import Strict
from compute.queries.summaries import DISCLOSURE, SummaryPartial, answer_of
from compute.queries.traits import Sha256

FAMILY: Final = "ancestry_projection"


class AncestryProjectionParams(Strict):
    """Which loadings, by which stratum, and how many of their variants must be there."""

    loadings: Sha256
    by: Literal["population", "sex"] | None = None
    min_match_percent: Annotated[int, Field(ge=1, le=100)] = 75


class AncestryProjection(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Ancestry: a cohort's distribution on a reference panel's components"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    params: ClassVar[type[Strict]] = AncestryProjectionParams
    modules: ClassVar[tuple[str, ...]] = (
        "compute.queries.ancestry_projection",
        "compute.queries.loadings",
        "compute.queries.summaries",
        "compute.queries.disclosure",
    )
    disclosure: ClassVar[Disclosure | None] = DISCLOSURE
    limits: ClassVar[str] = "loadings on the operator's shelf, at most 40 components"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Coordinates have no useful bound: trusted mode only, quantiles rounded to sd/20. One "
        "person changes n by at most 1.",
        {"n": 1},
    )

    def needs(self, params: AncestryProjectionParams) -> Needs:
        """Genotypes, the loadings, and the record where a stratum is asked for."""
        modalities: set[Modality] = {"genotypes"}
        if params.by:
            modalities.add("participant")
        strata = (params.by,) if params.by else ()
        return Needs(frozenset(modalities), strata=strata, references=(params.loadings,))

    def start(self, params: AncestryProjectionParams, frame: Frame) -> SummaryPartial:
        """Return no values. Raises QueryError ``low_match``, ``build``."""
        panel: Loadings = frame.references[params.loadings]
        if panel.build != frame.table.build:
            raise QueryError("loadings and query name two builds", code="build")
        row_of = {key: row for row, key in enumerate(frame.table.keys())}
        there = [at for at, key in enumerate(panel.keys) if key in row_of]
        if 100 * len(there) < params.min_match_percent * len(panel.keys):
            raise QueryError("too few of the panel's variants are in the cohort", code="low_match")
        rows = np.array([row_of[panel.keys[at]] for at in there], np.intp)
        af = panel.af[there]
        scaled = panel.loadings[there] / np.sqrt(2 * af * (1 - af))[:, None]

        def measure(person: PersonData) -> dict[str, float] | str:
            dosage = dosages(person, frame.table)[rows].astype(np.float64)
            called = dosage >= 0
            if not called.any():
                return "no_calls"
            centred = np.where(called, dosage - 2 * af, 0.0)
            return dict(zip(panel.names, (centred @ scaled / called.mean()).tolist(), strict=True))

        return SummaryPartial(params, frame, panel.names, measure, params.by)

    def reduce(self, partial: SummaryPartial) -> Answer:
        """Return one row a stratum and component."""
        panel: Loadings = partial.frame.references[partial.params.loadings]
        return answer_of(self.name, self.version, partial, {"variants": len(panel.keys)})
