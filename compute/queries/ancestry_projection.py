"""Family ancestry_projection: a cohort on a reference panel's principal components, as aggregates.

The loadings are the operator's file. A person's coordinate is the sum over called variants of
(dosage - 2 af) / sqrt(2 af (1 - af)) * loading, divided by the share of variants called; a variant
nobody's file has counts as missing, a haploid call as two copies (as in plink2's --score). Only the
distribution of coordinates leaves, never a person's.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compute.errors import QueryError
from compute.kernels import PolygenicScores
from compute.queries.blocks import GenotypeBlock, Layout
from compute.queries.data import Frame
from compute.queries.family import (
    Answer,
    Defaults,
    Disclosure,
    Needs,
    Sensitivity,
)
from compute.queries.filters import FamilyParams
from compute.queries.loadings import Loadings
from compute.queries.measured import Float64, MeasuredPartial, Sums
from compute.queries.params import By, Strict
from compute.queries.summaries import DISCLOSURE, answer_of
from compute.queries.traits import Sha256

FAMILY: Final = "ancestry_projection"


class AncestryProjectionParams(FamilyParams):
    """Which loadings, by which stratum, and how many of their variants must be there."""

    loadings: Sha256
    by: By = None
    min_match_percent: Annotated[int, Field(ge=1, le=100)] = 75


class AncestryProjection(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Ancestry: a cohort's distribution on a reference panel's components"
    params: ClassVar[type[Strict]] = AncestryProjectionParams
    disclosure: ClassVar[Disclosure | None] = DISCLOSURE
    limits: ClassVar[str] = "loadings on the operator's shelf, at most 40 components"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Coordinates have no useful bound: trusted mode only, quantiles rounded to sd/20. One "
        "person changes n by at most 1.",
        {"n": 1},
    )

    def needs(self, params: AncestryProjectionParams) -> Needs:
        """Genotypes, the loadings, and the record where a stratum is asked for."""
        return Needs.by(params.by, "genotypes", references=(params.loadings,))

    def start(self, params: AncestryProjectionParams, frame: Frame) -> MeasuredPartial:
        """Return no values. Raises QueryError ``low_match``, ``build``."""
        panel: Loadings = frame.references[params.loadings]
        if panel.build != frame.table.build:
            raise QueryError("loadings and query name two builds", code="build")
        row_of = {key: row for row, key in enumerate(frame.table.keys())}
        there = [at for at, key in enumerate(panel.keys) if key in row_of]
        if 100 * len(there) < params.min_match_percent * len(panel.keys):
            raise QueryError("too few of the panel's variants are in the cohort", code="low_match")
        rows = np.array([row_of[panel.keys[at]] for at in there], np.int64)
        order = np.argsort(rows)
        af, loadings = panel.af[there][order], panel.loadings[there][order]
        scaled = loadings / np.sqrt(2 * af * (1 - af))[:, None]

        def sums_of(layout: Layout) -> Sums:
            return _sums_of(layout, rows[order], af, scaled)

        def numbers(sums: Float64) -> dict[str, float] | str:
            called = sums[-1]
            if not called:
                return "no_calls"
            values = sums[:-1] * (len(rows) / called)
            return dict(zip(panel.names, values.tolist(), strict=True))

        names, width = panel.names, len(panel.names) + 1
        return MeasuredPartial(params, frame, names, width, sums_of, numbers, params.by)

    def reduce(self, partial: MeasuredPartial) -> Answer:
        """Return one row a stratum and component."""
        panel: Loadings = partial.frame.references[partial.params.loadings]
        facts = {"variants": len(panel.keys)}
        return answer_of(self.name, self.version, partial.summaries(), facts)


def _sums_of(layout: Layout, rows: npt.NDArray[np.int64], af: Float64, scaled: Float64) -> Sums:
    """Sum (dosage - 2 af) * loading over a person's called rows, and count them."""
    own = np.isin(layout.rows, rows)
    at, number = layout.at[own], np.searchsorted(rows, layout.rows[own])
    weights = np.zeros((scaled.shape[1], layout.width))
    weights[:, at] = scaled[number].T
    mean = np.zeros(layout.width)
    mean[at] = 2 * af[number]
    of = np.zeros(layout.width, np.bool_)
    of[at] = True
    scores = PolygenicScores(weights, mean, of)
    centre, count = weights @ mean, float(own.sum())

    def sums(block: GenotypeBlock) -> Float64:
        found, missing = scores.scores(block.doubled())
        return np.column_stack([found - centre, count - missing])

    return sums
