"""Family polygenic_score: the distribution of a PGS Catalog score over the cohort, by stratum.

The scoring file is one of the operator's (named by its SHA-256): a buyer's own weights would be
variants picked one by one. Alleles are matched as written, else on the other strand; A/T and C/G
pairs, whose strand nothing tells, are dropped or taken as written. Missing calls take the
cohort's mean dosage (as plink2's --score) or count nothing. Only summaries of scores leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compute.errors import QueryError
from compute.parsed import Modality
from compute.queries.data import Frame, PersonData, VariantTable
from compute.queries.family import (
    Answer,
    Defaults,
    Disclosure,
    Needs,
    ReleaseMode,
    Sensitivity,
    dosages,
)
from compute.queries.params import Strict
from compute.queries.scorefile import Score, Weight
from compute.queries.summaries import DISCLOSURE, SummaryPartial, answer_of
from compute.queries.traits import Sha256

FAMILY: Final = "polygenic_score"
METRICS: Final = ("score", "called_fraction")
MAX_HELD: Final = 2_000_000_000  # bits of missing calls kept for imputation
_OTHER_STRAND: Final = str.maketrans("ACGT", "TGCA")

Float64: TypeAlias = npt.NDArray[np.float64]


class PolygenicScoreParams(Strict):
    """Which scoring file, and how alleles and missing calls are treated."""

    score: Sha256
    by: Literal["population", "sex"] | None = None
    palindromic: Literal["drop", "as_written"] = "drop"
    missing: Literal["mean", "nothing"] = "mean"
    min_match_percent: Annotated[int, Field(ge=1, le=100)] = 75


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Rows of the table a score uses: weight, whether REF is the effect allele, and the model."""

    rows: npt.NDArray[np.intp]
    weight: Float64
    on_ref: npt.NDArray[np.bool_]
    model: npt.NDArray[np.str_]
    told: Mapping[str, int]


class PolygenicScorePartial(SummaryPartial):
    """Each person's score, and which of its calls are missing."""

    def __init__(self, params: PolygenicScoreParams, frame: Frame) -> None:
        self.score: Score = frame.references[params.score]
        if self.score.build != frame.table.build:
            raise QueryError(
                f"the score is on {self.score.build}, the query on {frame.table.build}: load the "
                "harmonised file of the other build",
                code="build",
            )
        self.matched = match(self.score, frame.table, palindromic=params.palindromic)
        _require_match(self.matched, self.score, params)
        super().__init__(params, frame, METRICS, self._of_person, params.by)
        v = len(self.matched.rows)
        self.effect_sum, self.called = np.zeros(v), np.zeros(v, np.int64)
        self.missing: dict[str, list[npt.NDArray[np.uint8]]] = {level: [] for level in self.levels}

    def add(self, person: PersonData) -> None:
        """Add one person's score."""
        if self.params.missing == "mean" and self.people * len(self.matched.rows) > MAX_HELD:
            raise QueryError('too many people: ask with "missing": "nothing"', code="too_large")
        super().add(person)

    def _of_person(self, person: PersonData) -> dict[str, float] | str:
        matched = self.matched
        dosage = dosages(person, self.frame.table)[matched.rows]
        ploidy = None if person.ploidy is None else person.ploidy[matched.rows]
        effect, called = effect_copies(dosage, ploidy, matched)
        if not called.any():
            return "no_calls"
        self.effect_sum += effect
        self.called += called
        level = person.strata.get(self.by, "unknown") if self.by else "all"
        if level in self.missing:
            self.missing[level].append(np.packbits(~called))
        return {
            "score": float(effect @ matched.weight),
            "called_fraction": float(called.mean()),
        }

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        super().merge(other)
        self.effect_sum += other.effect_sum
        self.called += other.called
        for level, rows in other.missing.items():
            self.missing[level] += rows

    def imputed(self, level: str, scores: Float64) -> Float64:
        """Return the scores of a stratum with missing calls at the cohort's mean dosage."""
        mean = np.divide(
            self.effect_sum, self.called, out=np.zeros(len(self.called)), where=self.called > 0
        )
        worth = mean * self.matched.weight
        count = len(worth)
        more = [np.unpackbits(bits, count=count) @ worth for bits in self.missing[level]]
        return scores + np.array(more, np.float64)


class PolygenicScore(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Distribution of a polygenic score (PGS Catalog), by stratum"
    modes: ClassVar[frozenset[ReleaseMode]] = frozenset({"trusted"})
    params: ClassVar[type[Strict]] = PolygenicScoreParams
    modules: ClassVar[tuple[str, ...]] = (
        "compute.queries.polygenic_score",
        "compute.queries.scorefile",
        "compute.queries.summaries",
        "compute.queries.disclosure",
    )
    disclosure: ClassVar[Disclosure | None] = DISCLOSURE
    limits: ClassVar[str] = "scoring files on the operator's shelf"
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "One person moves n by 1 and the sum of scores by at most 2 x the sum of |weights|; "
        "quantiles have no useful bound: trusted mode only, quantiles rounded to sd/20.",
        {"n": 1},
    )

    def needs(self, params: PolygenicScoreParams) -> Needs:
        """Genotypes, the scoring file, and the record where a stratum is asked for."""
        strata = (params.by,) if params.by else ()
        modalities: set[Modality] = {"genotypes"}
        if params.by:
            modalities.add("participant")
        return Needs(frozenset(modalities), strata=strata, references=(params.score,))

    def start(self, params: PolygenicScoreParams, frame: Frame) -> PolygenicScorePartial:
        """Return no scores. Raises QueryError ``low_match``, ``build``."""
        return PolygenicScorePartial(params, frame)

    def reduce(self, partial: PolygenicScorePartial) -> Answer:
        """Return n, mean, sd and quantiles of the score by stratum, and how the file matched."""
        if partial.params.missing == "mean":
            for level in partial.levels:
                raw = np.array(partial.values[level]["score"])
                partial.values[level]["score"] = partial.imputed(level, raw).tolist()
        facts = {"pgs_id": partial.score.pgs_id, **_told(partial.matched, partial.score)}
        return answer_of(self.name, self.version, partial, facts)


def effect_copies(
    dosage: npt.NDArray[np.int8], ploidy: npt.NDArray[np.int8] | None, matched: Matched
) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Return (copies of the effect allele under each row's model, which rows are called)."""
    called = dosage >= 0
    copies = np.where(ploidy > 0, ploidy, 2) if ploidy is not None else 2
    effect = np.where(called, np.where(matched.on_ref, copies - dosage, dosage), 0)
    effect = np.where(matched.model == "dominant", effect >= 1, effect)
    effect = np.where(called & (matched.model == "recessive"), effect >= copies, effect)
    return np.where(called, effect, 0).astype(np.float64), called


def match(score: Score, table: VariantTable, *, palindromic: str) -> Matched:
    """Match a score's rows to a table's: position, then alleles as written, then other strand."""
    places: dict[tuple[int, int], list[tuple[int, str, str]]] = {}
    for row, (contig, pos, ref, alt) in enumerate(table.keys()):
        places.setdefault((contig, pos), []).append((row, ref, alt))
    found: dict[int, tuple[Weight, bool]] = {}
    told: Counter[str] = Counter()
    for weight in score.weights:
        here = _one(weight, places.get((weight.contig, weight.pos), []), palindromic, told)
        if here is None:
            continue
        if here[0] in found:
            told["repeated"] += 1
            continue
        found[here[0]] = (weight, here[1])
    rows = np.array(sorted(found), np.intp)
    chosen = [found[row] for row in rows.tolist()]
    return Matched(
        rows,
        np.array([weight.weight for weight, _ in chosen], np.float64),
        np.array([on_ref for _, on_ref in chosen], np.bool_),
        np.array([weight.model for weight, _ in chosen], dtype="<U9"),
        dict(told),
    )


def _one(
    weight: Weight, here: list[tuple[int, str, str]], palindromic: str, told: Counter[str]
) -> tuple[int, bool] | None:
    """Return (table row, REF is the effect allele), or count why there is none."""
    if not here:
        told["not_in_cohort"] += 1
        return None
    ambiguous = _pair(weight) in ({"A", "T"}, {"C", "G"})
    if ambiguous and palindromic == "drop":
        told["palindromic"] += 1
        return None
    fits = _fits(weight.effect, weight.other, here)
    if not fits and not ambiguous:
        flipped = (weight.effect.translate(_OTHER_STRAND), weight.other.translate(_OTHER_STRAND))
        fits = _fits(*flipped, here)
        told["other_strand"] += bool(fits)
    if len(fits) != 1:
        told["several_alleles" if fits else "other_alleles"] += 1
        return None
    return fits[0]


def _pair(weight: Weight) -> set[str]:
    """Return the two alleles; with one unknown a strand cannot be ambiguous, only unmatched."""
    return {weight.effect, weight.other} if weight.other else set()


def _fits(effect: str, other: str, here: list[tuple[int, str, str]]) -> list[tuple[int, bool]]:
    if not other and len(here) > 1:
        here = [one for one in here if effect == one[2]]
    return [
        (row, effect == ref)
        for row, ref, alt in here
        if effect in (ref, alt) and (not other or {effect, other} == {ref, alt})
    ]


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
