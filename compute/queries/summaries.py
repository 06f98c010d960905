"""Distributions of per-person numbers by stratum: n, mean, sd, quantiles. Shared by families.

A family says how one person is measured; the values are kept for the length of the query, since
quantiles need them all, and only summaries leave. Quantiles are linear (type 7, as R and numpy).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.errors import QueryError
from compute.queries.data import Frame, PersonData, Strata
from compute.queries.disclosure import DOMINATED, is_dominated
from compute.queries.family import Answer, Column, Disclosure
from compute.queries.params import By

QUANTILES: Final[Mapping[str, float]] = {
    "q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95,
}  # fmt: skip
STATISTICS: Final = ("n", "mean", "sd", *QUANTILES)
# Numbers of ordinary size; few people hide a whole row at the gate (n).
DISCLOSURE: Final = Disclosure(
    tails=QUANTILES, grid=dict.fromkeys(QUANTILES, "sd"), dominated=("mean", "sd", *QUANTILES)
)

Measure: TypeAlias = Callable[[PersonData], Mapping[str, float] | str]
Float64: TypeAlias = npt.NDArray[np.float64]


class SummaryPartial:
    """Values by stratum and metric. ``measure`` gives a person's, or why there are none."""

    def __init__(
        self, params: Any, frame: Frame, metrics: Sequence[str], measure: Measure, by: By
    ) -> None:
        self.params, self.frame = params, frame
        self.metrics, self.by = tuple(metrics), by
        self._measure = measure
        self._strata = Strata(by, frame)
        self.levels = self._strata.names
        self.values: dict[str, dict[str, list[float]]] = {
            level: {metric: [] for metric in self.metrics} for level in self.levels
        }
        self.members: Counter[str] = Counter(dict.fromkeys(self.levels, 0))
        self.left_out: Counter[str] = Counter()

    @property
    def people(self) -> int:
        """Return how many people were added, used or left out."""
        return self.members.total() + self.left_out.total()

    def add(self, person: PersonData) -> None:
        """Add one person's values."""
        found = self._measure(person)
        if isinstance(found, str):
            self.left_out[found] += 1
            return
        level = self.levels[self._strata.number(person)]
        self.members[level] += 1
        for metric, value in found.items():
            if np.isfinite(value):
                self.values[level][metric].append(value)

    def merge(self, other: Self) -> None:
        """Add another partial of the same query and frame."""
        if self.levels != other.levels or self.metrics != other.metrics:
            raise QueryError("partial values of different queries cannot be added", code="merge")
        self.members.update(other.members)
        self.left_out.update(other.left_out)
        for level, metrics in other.values.items():
            for metric, values in metrics.items():
                self.values[level][metric] += values


def answer_of(
    family: str,
    version: int,
    partial: SummaryPartial,
    facts: Mapping[str, Any],
    *,
    transform: Callable[[str, Float64], Float64] = lambda _, values: values,
) -> Answer:
    """Return one row a stratum and metric. transform: metric and raw values to values."""
    rows = [
        (level, metric, summary(transform(metric, np.array(partial.values[level][metric]))))
        for level in partial.levels
        for metric in partial.metrics
    ]
    columns: dict[str, Column] = {
        "stratum": np.array([level for level, _, _ in rows], dtype=object),
        "metric": np.array([metric for _, metric, _ in rows], dtype=object),
        "n": np.array([row["n"] for _, _, row in rows], np.int64),
        **{
            name: np.array([row[name] for _, _, row in rows], np.float64) for name in STATISTICS[1:]
        },
        DOMINATED: np.array([row[DOMINATED] for _, _, row in rows], np.bool_),
    }
    told = {"by": partial.by, "left_out": dict(sorted(partial.left_out.items())), **facts}
    return Answer(family, version, columns, dict(partial.members), told)


def summary(values: Float64) -> dict[str, float]:
    """Return n, mean, sd (n - 1) and quantiles of values, NaN where there are too few, and whether
    one person dominates them.
    """
    n = len(values)
    found: dict[str, float] = {"n": n, **dict.fromkeys(STATISTICS[1:], np.nan), DOMINATED: False}
    if n:
        sizes = np.abs(values)
        found[DOMINATED] = bool(is_dominated(sizes.max(), sizes.sum()))
        found["mean"] = float(values.mean())
        marks = np.quantile(values, list(QUANTILES.values()))
        found |= dict(zip(QUANTILES, marks.tolist(), strict=True))
    if n > 1:
        found["sd"] = float(values.std(ddof=1))
    return found
