"""Logistic regression of cases and controls on each variant's dosage, with covariates.

A null model of the covariates alone is fitted first, from records. The score test then takes one
pass over the sums; missing dosages take the variant's mean. The full fit is over people with a
call, with Firth's penalty where it is asked for; it holds everybody's genotypes of a part of the
variants in memory, part after part. Sums and fits are those of `compute.kernels` (LogisticScore,
LogisticFit). Haploid calls count as two copies (plink2's X model 2).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.arrays import Arrays
from compute.errors import QueryError
from compute.kernels import (
    Association,
    CodeCounter,
    LogisticFit,
    LogisticScore,
    NullModel,
    TraitError,
    Words,
    cores,
)
from compute.queries.blocks import GenotypeBlock, HaploidCounts, Layout, RowPartial, runs
from compute.queries.data import Frame
from compute.queries.design import Design
from compute.queries.family import Column
from compute.queries.params import Selected
from compute.stats import independent

Float64: TypeAlias = npt.NDArray[np.float64]
Int64: TypeAlias = npt.NDArray[np.int64]
Test: TypeAlias = Literal["score", "wald"]
Firth: TypeAlias = Literal["fallback", "always", "never"]

MAX_HELD: Final = 1 << 30  # genotypes a part of a full fit holds, four a byte
MAX_FITTED: Final = 10_000_000_000  # people x variants of one full fit
COUNTS: Final = ("ac", "an", "n", "ac_cases", "an_cases", "cases")
FITS: Final = ("beta", "se", "z")
_FIRST: Final[dict[str, tuple[str, Any]]] = {
    **dict.fromkeys(COUNTS, ("<i8", 0)),
    **dict.fromkeys(FITS, ("<f8", np.nan)),
    "na": ("<U16", "no_people"),
    "firth": ("|b1", False),
}
_REASONS: Final = {"separated": "no_maximum", "not_converged": "no_maximum"}


def with_null(design: Design) -> Design:
    """Return a design of independent covariates with its null model. Raises QueryError."""
    if not len(design.y) or design.y.min() == design.y.max():
        raise QueryError("the cohort has cases only, controls only, or neither", code="one_group")
    # Centred, so that large offsets cost no digits; the intercept takes the means.
    kept = independent(np.column_stack([np.ones(len(design.y)), design.x - design.x.mean(axis=0)]))
    chosen = [at - 1 for at in kept[1:]]
    try:
        null = NullModel(design.y, design.x[:, chosen])
    except TraitError:
        raise QueryError(
            "covariates alone separate cases from controls", code="separated"
        ) from None
    terms = tuple(design.terms[at] for at in chosen)
    twins = tuple(term for term in design.terms if term not in terms)
    return replace(
        design, x=design.x[:, chosen], terms=terms, dropped=(*design.dropped, *twins), null=null
    )


class AlleleCounts:
    """People with a call, AC and AN, a row; a haploid call is one copy."""

    def __init__(self, width: int) -> None:
        self._codes, self._haploid = CodeCounter(width), HaploidCounts(width)

    def add(self, block: GenotypeBlock) -> None:
        """Add people."""
        self._codes.add(block.planes)
        self._haploid.add(block)

    def merge(self, other: Self) -> None:
        """Add another's people."""
        self._codes.merge(other._codes)
        self._haploid.merge(other._haploid)

    def counts(self) -> tuple[Int64, Int64, Int64]:
        """Return (AC, AN, people with a call), int64 (width,) each."""
        one, two, absent = self._codes.counts()
        called = self._codes.people - absent
        return one + 2 * two, 2 * called - self._haploid.counts()[0], called


class LogisticPart:
    """What one part of the table needs: counts in all and in cases; sums, or genotypes."""

    def __init__(self, design: Design, width: int, *, full: bool) -> None:
        self._design = design
        self._all, self._cases = AlleleCounts(width), AlleleCounts(width)
        self._score = None if full else LogisticScore(design.null, width)
        self._held: list[tuple[int, Words]] = []

    def add(self, block: GenotypeBlock) -> None:
        """Add people; those the design left out add nothing."""
        design = self._design
        for first, chosen in runs(design.place.get(p.participant) for p in block.people):
            part = block.taken(chosen)
            self._all.add(part)
            case = np.flatnonzero(design.y[first : first + len(chosen)] == 1.0)
            if len(case):
                self._cases.add(part.taken(case))
            planes = part.doubled()
            if self._score is not None:
                self._score.add(first, planes)
            else:
                self._held.append((first, planes.copy()))

    def merge(self, other: Self) -> None:
        """Add what another has summed over other people."""
        self._all.merge(other._all)
        self._cases.merge(other._cases)
        self._held += other._held
        if self._score is not None and other._score is not None:
            self._score.merge(other._score)

    def counts(self) -> tuple[Int64, ...]:
        """Return COUNTS, int64 (width,) each."""
        return *self._all.counts(), *self._cases.counts()

    def tested(self) -> Association | None:
        """Return the score tests, None where full fits are asked for."""
        return None if self._score is None else self._score.result()

    def planes(self) -> Words:
        """Return everybody's genotypes, in the design's order; forgets them here."""
        held, self._held = sorted(self._held, key=lambda pair: pair[0]), []
        return np.concatenate([planes for _, planes in held])


class LogisticPartial(RowPartial):
    """Counts and tests of the rows asked for. frame.learned: the design with its null model."""

    def __init__(self, frame: Frame, rows: Selected, *, test: Test, firth: Firth) -> None:
        if not isinstance(frame.learned, Design) or frame.learned.null is None:
            raise QueryError("the null model was not fitted first", code="learned")
        self.rows, self.design = rows, frame.learned
        self.used = len(self.design.y)
        self._test, self._firth = test, firth
        if test == "wald" and len(rows) * self.used > MAX_FITTED:
            raise QueryError(
                "a full fit of so many people and variants at once is not offered: ask for "
                'regions, or for the score test ("test": "score")',
                code="too_large",
            )
        super().__init__(frame, _FIRST)

    def most_rows(self) -> int | None:
        """Return how many rows may be held at once."""
        return None if self._test == "score" else MAX_HELD // max(self.used, 1)

    def part(self, layout: Layout) -> LogisticPart:
        """Return empty sums."""
        return LogisticPart(self.design, layout.width, full=self._test == "wald")

    def results(self, layout: Layout, part: LogisticPart) -> Arrays:
        """Test or fit every variant of a part."""
        counts = {
            name: values[layout.at] for name, values in zip(COUNTS, part.counts(), strict=True)
        }
        found, firth = part.tested(), np.zeros(layout.width, np.bool_)
        if found is None:
            wanted = np.zeros(layout.width, np.bool_)
            wanted[layout.at] = True
            cases, n = counts["cases"], counts["n"]
            wanted[layout.at[(cases == 0) | (cases == n)]] = False
            found, firth = _fitted(self.design, part, wanted, self._firth)
        fits = {"beta": found.beta, "se": found.se, "z": found.stat}
        return {
            **counts,
            **{name: values[layout.at] for name, values in fits.items()},
            "na": found.reason[layout.at].astype("<U16"),
            "firth": firth[layout.at],
        }

    def counts(self) -> dict[str, Int64]:
        """Return COUNTS of the rows asked for, int64 (rows,) each."""
        return {name: self.values[name][self.rows] for name in COUNTS}

    def effects(self) -> dict[str, Column]:
        """Return beta, SE, z, p, whether Firth's penalty was used, and why there is no fit."""
        found = {name: values[self.rows] for name, values in self.values.items()}
        usable = (reason := self._reasons(found)) == ""
        numbers = {name: found[name] for name in FITS}
        numbers["p"] = normal_tail(numbers["z"])
        return {
            **{name: np.where(usable, column, np.nan) for name, column in numbers.items()},
            "firth": np.where(found["firth"] & usable, "yes", "no").astype(object),
            "na": reason,
        }

    def _reasons(self, found: Arrays) -> npt.NDArray[np.str_]:
        """Return why each row has no fit, "" where it has one: the plainest reason there is."""
        reason = np.array([_REASONS.get(one, one) for one in found["na"].tolist()], "<U16")
        n, cases, ac, an = (found[name] for name in ("n", "cases", "ac", "an"))
        if self._test == "wald":
            reason[((cases == 0) | (cases == n)) & (reason == "no_people")] = "one_group_only"
        reason[(ac == 0) | (ac == an)] = "monomorphic"
        reason[n == 0] = "no_people"
        return reason

    def facts(self) -> dict[str, Any]:
        """Return which test was made, the model as fitted, and who was left out of it."""
        named = {"score": "score test (not Wald)", "wald": "Wald test of the full fit"}
        return {
            "test": named[self._test],
            "firth": self._firth if self._test == "wald" else None,
            **self.design.facts(len(self.rows)),
        }


def _fitted(
    design: Design, part: LogisticPart, wanted: npt.NDArray[np.bool_], firth: str
) -> tuple[Association, npt.NDArray[np.bool_]]:
    """Return full fits of the rows wanted, and which are penalised."""
    fit, threads, nothing = LogisticFit(design.null), cores(), np.zeros_like(wanted)
    if not len(design.y) or not wanted.any():
        return LogisticScore(design.null, len(wanted)).result(), nothing
    planes = part.planes()

    def run(chosen: npt.NDArray[np.bool_], *, penalised: bool) -> Association:
        with ThreadPoolExecutor(threads) as pool:
            return fit.fit(
                planes, len(wanted), firth=penalised, chosen=chosen, pool=pool, parts=threads
            )

    if firth == "always":
        return run(wanted, penalised=True), wanted
    found = run(wanted, penalised=False)
    open_ = wanted & np.isin(found.reason, ("separated", "not_converged"))
    if firth == "never" or not open_.any():
        return found, nothing
    again = run(open_, penalised=True)
    merged = {
        name: np.where(open_, getattr(again, name), getattr(found, name))
        for name in ("beta", "se", "stat", "p", "reason")
    }
    return replace(found, **merged), open_


def normal_tail(z: Float64) -> Float64:
    """Return the two-sided p of a standard normal statistic."""
    # Loaded here: the marketplace reads the catalogue and never computes a statistic.
    from scipy.special import ndtr

    found: Float64 = 2.0 * ndtr(-np.abs(z))
    return found
