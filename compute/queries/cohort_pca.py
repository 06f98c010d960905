"""Family cohort_pca: principal components of a cohort's own genotypes, as aggregates.

What `plink2 --pca meanimpute` computes, exactly: eigenvectors of G = Z Z' / variants over
autosomal diploid calls of common variants, missing calls at the mean. One table, a column a
component (pc1 …):

    eigenvalue, share     of G, and of the sum of all its eigenvalues
    tracy_widom           how far it stands out of noise (Patterson, Price and Reich 2006)
    mean, sd              of people's scores in a group (scores: eigenvectors of length one)
    mean_se, _low, _high  of that mean: sd / sqrt(n), and the 95 % interval it gives, for people of
                          the group's population on axes taken as given
    loading               a variant's weight, of length one over variants, beside its AF: a person's
                          score is the sum of (dosage - 2 af) / sqrt(2 af (1 - af)) * loading,
                          over the square root of variants * eigenvalue

Never a person's coordinate. Loadings are people's genotypes added up with the scores as weights, so
a direction that few people make up *is* those people. Hence:

* at least 200 people for at most 10 directions: 20 and more, the floor of any cohort, for each;
* variants of 20 copies and more of the rarer allele, and AF of 1 % and more: a rare variant's
  direction is its carriers; and at least 10 variants a component, for with fewer a component is
  hardly more than one variant;
* a component is hidden (loadings and scores) as `few_people` where fewer than 20 people make it up
  (1 / sum of u^4, the inverse participation ratio) or one of them more than a tenth of it: an
  outlier, a family, a batch;
* and as `noise` where the Tracy-Widom test at 5 % does not tell it from noise: such a direction
  says nothing of a population and is the sharpest there is for telling who is in the cohort;
* groups of fewer than 20 people are told as one, `other`, since means weighted by n add up to 0.

What is left: who holds a person's whole genome can test whether it is in the cohort, as with
allele frequencies of as many variants. So trusted mode only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from compute.builds import AUTOSOMES, CONTIGS
from compute.errors import QueryError
from compute.kernels import (
    TW_5_PERCENT,
    Words,
    add_products,
    leading,
    pack_dosages,
    tracy_widom,
    weights_of,
)
from compute.queries.data import Frame, Strata
from compute.queries.family import (
    Answer,
    Column,
    Defaults,
    Disclosure,
    Needs,
    Sensitivity,
    variant_columns,
)
from compute.queries.filters import FamilyParams
from compute.queries.genotype_counts import STATES
from compute.queries.held import HeldPartial
from compute.queries.params import By, Panel, Region, Strict, select
from compute.queries.private import CONFIDENCE_Z

FAMILY: Final = "cohort_pca"
LEAST_PEOPLE: Final = 200
MAX_PEOPLE: Final = 5_000  # G is people x people
MAX_GENOTYPES: Final = 1_000_000_000  # kept as two bits each
MAX_COMPONENTS: Final = 10
VARIANTS_A_COMPONENT: Final = 10
LEAST_COPIES: Final = 20
LEAST_AF: Final = 0.01
FEWEST: Final = 20  # people a component or a group stands for
MOST_WEIGHT: Final = 0.1  # of a component that is one person's
OTHER: Final = "other"
SUMMARY: Final = ("mean", "sd", "mean_se", "mean_low", "mean_high")
ERRORS: Final = (
    "mean_se is that of a group's mean on axes taken as given. Eigenvalues, shares and loadings "
    "have none: of many more variants than people no formula holds; tracy_widom tells noise apart"
)
DIGITS: Final = 6

Float64: TypeAlias = npt.NDArray[np.float64]
Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]


class CohortPcaParams(FamilyParams):
    """From which variants, how many components, and groups whose scores are summarised."""

    variants: Panel | Region
    components: Annotated[int, Field(ge=1, le=MAX_COMPONENTS)] = 4
    by: By = None
    min_call_percent: Annotated[int, Field(ge=1, le=100)] = 90


@dataclass(frozen=True, slots=True)
class Chosen:
    """Table rows used (V,), their ALT frequency and people with a call, and how many were not."""

    rows: Int64
    af: Float64
    called: Int64
    left_out: Mapping[str, int]


class CohortPcaPartial(HeldPartial):
    """G as far as it is summed, and everybody's calls at the variants used, two bits each."""

    def __init__(self, params: CohortPcaParams, frame: Frame) -> None:
        self.params, self.strata = params, Strata(params.by, frame)
        self.chosen = chosen(params, frame)
        super().__init__(frame, self.chosen.rows)
        self.kept: list[tuple[Int64, Words]] = []  # places among the variants used, planes
        self.total: Float64 | None = None

    def take(self, at: Int64, calls: Int8, single: npt.NDArray[np.bool_]) -> None:
        """Add the products of some variants."""
        planes = pack_dosages(np.where(single, np.int8(-1), calls))
        if self.total is None:
            self.total = np.zeros((len(calls), len(calls)))
        add_products(self.total, planes, self.chosen.af[at])
        self.kept.append((at, planes))


class CohortPca(Defaults):
    """The family (see the module)."""

    name: ClassVar[str] = FAMILY
    version: ClassVar[int] = 1
    title: ClassVar[str] = "Principal components of a cohort, as aggregates"
    params: ClassVar[type[Strict]] = CohortPcaParams
    disclosure: ClassVar[Disclosure | None] = Disclosure()
    limits: ClassVar[str] = (
        f"trusted only, {LEAST_PEOPLE} to {MAX_PEOPLE} people, at most {MAX_COMPONENTS} components "
        f"and {MAX_GENOTYPES} genotypes; no component that few people make up"
    )
    least_people: ClassVar[int] = LEAST_PEOPLE
    states_first: ClassVar[bool] = True
    sensitivity: ClassVar[Sensitivity] = Sensitivity(
        "Eigenvectors have no useful bound (one person may turn a direction round): trusted mode "
        "only, without directions few people make up. One person changes n by at most 1.",
        {"n": 1},
    )

    def needs(self, params: CohortPcaParams) -> Needs:
        """Genotypes, and the record where groups are asked for."""
        return Needs.by(params.by, "genotypes")

    def cost(self, params: CohortPcaParams, variants: int, people: int) -> int:
        """Return one unit a pair of people and variant."""
        return variants * people * people // 2

    def start(self, params: CohortPcaParams, frame: Frame) -> CohortPcaPartial:
        """Return an empty sum. Raises QueryError ``too_small``, ``too_large``."""
        return CohortPcaPartial(params, frame)

    def reduce(self, partial: CohortPcaPartial) -> Answer:
        """Return the table (see the module)."""
        partial.finish()
        found = components(partial)
        people, used = len(partial.order), partial.chosen
        blocks = [_of_all(found, people), *_of_groups(partial, found), _of_variants(partial, found)]
        columns = {name: np.concatenate([one[name] for one in blocks]) for name in blocks[0]}
        facts = {
            "by": partial.params.by,
            "people": people,
            "variants": len(used.rows),
            "variants_left_out": dict(used.left_out),
            "errors": ERRORS,
            "hidden": {f"pc{k + 1}": why for k, why in enumerate(found.hidden) if why},
        }
        return Answer(self.name, self.version, columns, {"all": people}, facts)


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """Eigenvalues (k,) falling, their share, Tracy-Widom statistic and why one is hidden or "";
    scores (people, k) and loadings (V, k) of length one, their largest loading positive.
    """

    values: Float64
    share: Float64
    statistic: Float64
    hidden: tuple[str, ...]
    scores: Float64
    loadings: Float64


def chosen(params: CohortPcaParams, frame: Frame) -> Chosen:
    """Return the autosomal, common, well called variants. Raises QueryError.

    The counts of genotype states that are known before the sums say which they are.
    """
    if frame.states is None:
        raise QueryError("components need counts of genotype states first", code="shape")
    rows = np.asarray(select(params.variants, frame.table), np.int64)
    codes = [code for code, name in enumerate(CONTIGS) if name in AUTOSOMES]
    rows = rows[np.isin(frame.table.contig[rows], codes)]
    state = dict(zip(STATES, frame.states[:, rows], strict=True))
    called = state["hom_ref"] + state["het"] + state["hom_alt"]
    people = int(frame.states[:, :1].sum())
    copies = state["het"] + 2 * state["hom_alt"]
    rarer = np.minimum(copies, 2 * called - copies)
    few = 100 * called < params.min_call_percent * people
    rare = ~few & ((rarer < LEAST_COPIES) | (rarer < LEAST_AF * 2 * called))
    own = ~few & ~rare
    least = VARIANTS_A_COMPONENT * params.components
    if own.sum() < least:
        raise QueryError(
            f"{params.components} components need at least {least} common autosomal variants",
            code="too_small",
        )
    if people > MAX_PEOPLE or people * int(own.sum()) > MAX_GENOTYPES:
        raise QueryError("too many people and variants: ask for a region", code="too_large")
    left_out = {"few_calls": int(few.sum()), "rare": int(rare.sum())}
    return Chosen(rows[own], (copies / np.maximum(2 * called, 1))[own], called[own], left_out)


def components(partial: CohortPcaPartial) -> Components:
    """Return the leading components of a closed sum."""
    if partial.total is None:
        raise QueryError("there is nobody to find components of", code="too_small")
    used = partial.chosen
    matrix = partial.total / len(used.rows)
    trace, squares = float(matrix.trace()), float(np.vdot(matrix, matrix))
    values, scores = leading(matrix, partial.params.components)
    statistic = tracy_widom(values, trace, squares, len(matrix))
    loadings = np.empty((len(used.rows), len(values)))
    for at, planes in partial.kept:
        loadings[at] = weights_of(planes, used.af[at], scores)
    loadings /= np.sqrt(np.maximum(values, 1e-12) * len(used.rows))
    largest = np.abs(loadings).argmax(axis=0)
    sign = np.where(loadings[largest, np.arange(len(values))] < 0, -1.0, 1.0)
    hidden = tuple(_why(u, x) for u, x in zip(scores.T, statistic.tolist(), strict=True))
    return Components(values, values / trace, statistic, hidden, scores * sign, loadings * sign)


def _why(scores: Float64, statistic: float) -> str:
    """Return why a component is hidden, or ""."""
    weight = scores**2
    if 1 / float(np.sum(weight**2)) < FEWEST or float(weight.max()) > MOST_WEIGHT:
        return "few_people"
    return "" if statistic > TW_5_PERCENT else "noise"


def _of_all(found: Components, people: int) -> dict[str, Column]:
    lines = np.stack([found.values, found.share, found.statistic])
    return _block(("eigenvalue", "share", "tracy_widom"), lines, np.full(3, people))


def _of_groups(partial: CohortPcaPartial, found: Components) -> list[dict[str, Column]]:
    blocks = []
    for name, own in groups(partial).items():
        scores = _shown(found, found.scores)[own]
        lines = _summary(scores)
        block = _block(SUMMARY, lines, np.full(len(SUMMARY), len(scores)))
        blocks.append(block | {"group": np.full(len(SUMMARY), name, dtype=object)})
    return blocks


def _summary(scores: Float64) -> Float64:
    """Return SUMMARY of people's scores (people, k): errors of mean and sd as they are shown."""
    mean, sd = _rounded(scores.mean(axis=0)), _rounded(scores.std(axis=0, ddof=1))
    error = sd / np.sqrt(len(scores))
    return np.stack([mean, sd, error, mean - CONFIDENCE_Z * error, mean + CONFIDENCE_Z * error])


def groups(partial: CohortPcaPartial) -> dict[str, Int64]:
    """Return the people (places) of each group; those of small ones together, as `other`."""
    number = np.array([partial.strata.number(p) for p in partial.order.values()], np.int64)
    sizes = np.bincount(number, minlength=len(partial.strata.names))
    rising = np.argsort(sizes, kind="stable").tolist()
    small = [at for at in rising if 0 < sizes[at] < FEWEST]
    # The smallest of the others joins those that are too few together.
    for at in rising:
        if small and sizes[small].sum() < FEWEST and sizes[at] >= FEWEST:
            small.append(at)
    found = {
        name: np.flatnonzero(number == at)
        for at, name in enumerate(partial.strata.names)
        if sizes[at] and at not in small
    }
    return found | ({OTHER: np.flatnonzero(np.isin(number, small))} if small else {})


def _of_variants(partial: CohortPcaPartial, found: Components) -> dict[str, Column]:
    used = partial.chosen
    kinds = ("loading",) * len(used.rows)
    block = _block(kinds, _shown(found, found.loadings), used.called)
    return block | variant_columns(partial.frame.table, used.rows) | {"af": used.af}


def _shown(found: Components, numbers: Float64) -> Float64:
    return np.where([not why for why in found.hidden], numbers, np.nan)


def _block(kinds: Sequence[str], lines: Float64, n: Int64) -> dict[str, Column]:
    """Return rows of the table: kinds (r,), lines (r, k), people each rests on (r,)."""
    count, none = len(kinds), np.full(len(kinds), "", dtype=object)
    return {
        "table": np.array(kinds, dtype=object),
        "group": none,
        "n": n.astype(np.int64),
        "contig": none,
        "pos": np.zeros(count, np.int64),
        "ref": none,
        "alt": none,
        "af": np.full(count, np.nan),
        **{f"pc{k + 1}": _rounded(line) for k, line in enumerate(lines.T)},
    }


def _rounded(values: Float64) -> Float64:
    """Round to DIGITS significant digits: sums in another order give the same bytes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.abs(values))))
        found: Float64 = np.where(
            np.abs(values) < 1e-12, values * 0.0, np.round(values * scale) / scale
        )
    return found + 0.0
