"""Family polygenic_score: the distribution of a PGS Catalog score over the cohort, by stratum.

The scoring file is one of the operator's (named by its SHA-256): a buyer's own weights would be
variants picked one by one. Alleles are matched as written, else on the other strand; A/T and C/G
pairs, whose strand nothing tells, are dropped or taken as written. Missing calls take the
cohort's mean dosage (as plink2's --score) or count nothing. A haploid call counts as two copies, as
there. Only summaries of scores leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compute.errors import QueryError
from compute.kernels import PolygenicScores
from compute.queries.assumed import Sampled, of_mean
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
from compute.queries.measured import Float64, MeasuredPartial, Sums
from compute.queries.params import By, Strict
from compute.queries.score_match import Matched, match
from compute.queries.scorefile import Score
from compute.queries.summaries import DISCLOSURE, answer_of
from compute.queries.traits import Sha256

FAMILY: Final = "polygenic_score"
METRICS: Final = ("score", "called_fraction")

Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]
# (dosage, ploidy) of the called ones among the states `Frame.states` counts, and their index there
_CALLED: Final = ((2, 0, 2), (3, 1, 2), (4, 2, 2), (5, 0, 1), (6, 1, 1))


class PolygenicScoreParams(FamilyParams):
    """Which scoring file, and how alleles and missing calls are treated."""

    score: Sha256
    by: By = None
    palindromic: Literal["drop", "as_written"] = "drop"
    missing: Literal["mean", "nothing"] = "mean"
    min_match_percent: Annotated[int, Field(ge=1, le=100)] = 75


@dataclass(frozen=True, slots=True, eq=False)
class Scoring:
    """What one part of the table gives a person.

    Rows counted by the additive model are the kernel's (REF as effect allele: two copies less
    ALT's); those of other models are added row by row.
    """

    matched: Matched  # of this part
    at: Int64  # where its rows lie in a block
    mean: Float64  # effect copies a missing call is given
    layout: Layout

    def sums(self) -> Sums:
        """Return what gives each person (score, rows called)."""
        matched, width = self.matched, self.layout.width
        plain = matched.model == "additive"
        weights, given = np.zeros(width), np.zeros(width)
        weights[self.at[plain]] = np.where(matched.on_ref, -matched.weight, matched.weight)[plain]
        given[self.at[plain]] = np.where(matched.on_ref, 2.0 - self.mean, self.mean)[plain]
        of = np.zeros(width, np.bool_)
        of[self.at] = True
        scores = PolygenicScores(weights[None], given, of)
        start = 2.0 * float(matched.weight[plain & matched.on_ref].sum())
        count = float(len(self.at))

        def sums(block: GenotypeBlock) -> Float64:
            found, missing = scores.scores(block.doubled())
            found = found[:, 0] + start
            self._by_row(block, np.flatnonzero(~plain), found, range(len(block.people)))
            return np.column_stack([found, count - missing])

        return sums

    def _by_row(
        self, block: GenotypeBlock, rows: Int64, found: Float64, people: Iterable[int]
    ) -> None:
        own = self.matched.taken(rows)
        for who in people if len(rows) else ():
            dosage, ploidy = block.states(who, self.at[rows])
            effect, called = effect_copies(dosage, ploidy, own)
            found[who] += np.where(called, effect, self.mean[rows]) @ own.weight


def scoring_of(matched: Matched, layout: Layout, mean: Float64) -> Scoring:
    """Return the part of a score that lies in a layout. mean: for each matched row."""
    own = np.flatnonzero(np.isin(matched.rows, layout.rows))
    at = layout.at[np.searchsorted(layout.rows, matched.rows[own])]
    return Scoring(matched.taken(own), at, mean[own], layout)


def mean_effect(matched: Matched, states: Int64) -> Float64:
    """Return the mean effect copies of those called at each matched row, 0 where nobody is."""
    total, called = np.zeros(len(matched.rows)), np.zeros(len(matched.rows))
    for state, dosage, ploidy in _CALLED:
        count = states[state, matched.rows]
        shape = np.ones(len(matched.rows), np.int8)
        effect, _ = effect_copies(shape * np.int8(dosage), shape * np.int8(ploidy), matched)
        total += count * effect
        called += count
    return np.divide(total, called, out=np.zeros(len(total)), where=called > 0)


def _numbers(rows: int) -> Callable[[Float64], dict[str, float] | str]:
    def numbers(sums: Float64) -> dict[str, float] | str:
        score, called = sums.tolist()
        return {"score": score, "called_fraction": called / rows} if called else "no_calls"

    return numbers


class PolygenicScore(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 2
    title: ClassVar[str] = "Distribution of a polygenic score (PGS Catalog), by stratum"
    params: ClassVar[type[Strict]] = PolygenicScoreParams
    sampled: ClassVar[Sampled | None] = Sampled("mean", of_mean)
    disclosure: ClassVar[Disclosure | None] = DISCLOSURE
    states_first: ClassVar[bool] = True
    limits: ClassVar[str] = "scoring files on the operator's shelf"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "One person moves n by 1 and the sum of scores by at most 2 x the sum of |weights|; "
        "quantiles have no useful bound: trusted mode only, quantiles rounded to sd/20.",
        {"n": 1},
    )

    def needs(self, params: PolygenicScoreParams) -> Needs:
        """Genotypes, the scoring file, and the record where a stratum is asked for."""
        return Needs.by(params.by, "genotypes", references=(params.score,))

    def start(self, params: PolygenicScoreParams, frame: Frame) -> MeasuredPartial:
        """Return no scores. Raises QueryError ``low_match``, ``build``."""
        score: Score = frame.references[params.score]
        if score.build != frame.table.build:
            raise QueryError(
                f"the score is on {score.build}, the query on {frame.table.build}: load the "
                "harmonised file of the other build",
                code="build",
            )
        matched = match(score, frame.table, palindromic=params.palindromic)
        _require_match(matched, score, params)
        return scored(params, frame, score, matched)

    def reduce(self, partial: MeasuredPartial) -> Answer:
        """Return n, mean, sd and quantiles of the score by stratum, and how the file matched."""
        return answer_of(self.name, self.version, partial.summaries(), partial.facts)


def scored(
    params: PolygenicScoreParams, frame: Frame, score: Score, matched: Matched
) -> MeasuredPartial:
    """Return no scores of a file matched to the frame's table."""
    if params.missing == "nothing" or frame.states is None:
        mean = np.zeros(len(matched.rows))
    else:
        mean = mean_effect(matched, frame.states)

    def sums_of(layout: Layout) -> Sums:
        return scoring_of(matched, layout, mean).sums()

    numbers = _numbers(len(matched.rows))
    made = MeasuredPartial(params, frame, METRICS, 2, sums_of, numbers, params.by)
    made.facts = {"pgs_id": score.pgs_id, **_told(matched, score)}
    return made


def effect_copies(
    dosage: Int8, ploidy: Int8 | None, matched: Matched
) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return (copies of the effect allele under each row's model, which rows are called)."""
    called = dosage >= 0
    own = dosage if ploidy is None else np.where(ploidy == 1, 2 * dosage, dosage)
    effect = np.where(called, np.where(matched.on_ref, 2 - own, own), 0)
    if (matched.model != "additive").any():
        effect = np.where(matched.model == "dominant", effect >= 1, effect)
        effect = np.where(called & (matched.model == "recessive"), effect >= 2, effect)
    return np.where(called, effect, 0).astype(np.float64), called


def _require_match(matched: Matched, score: Score, params: PolygenicScoreParams) -> None:
    share = 100 * len(matched.rows) / score.rows
    if share < params.min_match_percent:
        raise QueryError(
            f"only {share:.1f} % of the score's rows match the cohort's variants; the query asks "
            f"for {params.min_match_percent} % (min_match_percent)",
            code="low_match",
        )


def _told(matched: Matched, score: Score) -> dict[str, Any]:
    return {
        "rows": score.rows,
        "matched": len(matched.rows),
        "match_rate": len(matched.rows) / score.rows,
        "matching": dict(sorted({**matched.told, **score.skipped}.items())),
    }
