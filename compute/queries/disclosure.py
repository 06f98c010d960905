"""What a family declares must not leave exactly, applied to a trusted answer. Pure.

Quantiles need people on both sides and are rounded to a fraction of the spread, since an order
statistic is somebody's own value; counts of people are rounded to 5, since a term's count and its
parent's differ by as few people as carry the parent alone; a small count hides what it determines;
a mean that one person makes up most of is about that person (dominance rule, one half).
Sources: UKDS handbook of statistical disclosure control; ESSnet guidelines for output checking;
OpenSAFELY's rounding rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.queries.family import Answer, Column, Disclosure

ROUND_TO: Final = 5
TAIL: Final = 10  # people on either side of a quantile
GRID: Final = 20  # a quantile is rounded to the standard deviation over this
SMALL_CELL: Final = "small_cell"
DOMINANCE: Final = "one_person_dominates"
DOMINATED: Final = "dominated"
POOLED: Final = "pooled"
MOST_SHARE: Final = 0.5  # of the sum of absolute values

Mask: TypeAlias = npt.NDArray[np.bool_]
Notes: TypeAlias = list[Mapping[str, str]]


def disclose(answer: Answer, rules: Disclosure, small: int) -> tuple[Answer, Notes]:
    """Return what of an answer may leave, and what was changed.

    small: counts from 1 to it are hidden. Hidden cells are None, with the reason in "hidden".
    """
    rows = len(answer)
    if rules.pool is not None:
        answer = rules.pool(answer, small)
    columns = dict(answer.columns)
    hide = {name: np.zeros(len(answer), np.bool_) for name in columns}
    marked = _small_cells(answer, rules, small, hide)
    most = _dominated(answer, rules, hide)
    columns.pop(DOMINATED, None)
    hide.pop(DOMINATED, None)
    _short_tails(columns, rules, hide)
    _round(columns, rules)
    if rules.remake is not None:
        columns |= rules.remake(columns)
    for name, mask in hide.items():
        if mask.any():
            columns[name] = _without(columns[name], mask)
    codes = [code for code, mask in ((SMALL_CELL, marked), (DOMINANCE, most)) if mask.any()]
    if codes:
        reasons = np.where(marked, SMALL_CELL, np.where(most, DOMINANCE, ""))
        columns["hidden"] = reasons.astype(object)
    notes = _notes(rules, codes)
    if len(answer) < rows:
        notes.insert(0, {"path": "rows", "code": POOLED})
    return replace(answer, columns=columns), notes


def _small_cells(answer: Answer, rules: Disclosure, small: int, hide: dict[str, Mask]) -> Mask:
    marked = np.zeros(len(answer), np.bool_)
    split = rules.spread and len(answer.people) > 1
    for cell in rules.cells:
        count = answer.columns[cell.count]
        mask = _few(count, small)
        if cell.of is not None:
            mask |= _few(answer.columns[cell.of] - count, small)
        if split:
            strata = mask.reshape(len(answer.people), -1).any(axis=0)
            mask = np.tile(strata, len(answer.people))
        for name in cell.hides:
            hide[name] |= mask
        marked |= mask
    if split and rules.together:
        for name in {name for cell in rules.cells for name in cell.hides}:
            hide[name] |= marked
    return marked


def _dominated(answer: Answer, rules: Disclosure, hide: dict[str, Mask]) -> Mask:
    """Mark rows one person dominates, in all strata: the unsplit table may be bought as well."""
    if DOMINATED not in answer.columns:
        return np.zeros(len(answer), np.bool_)
    found: Mask = answer.columns[DOMINATED].astype(np.bool_)
    if len(answer.people) > 1:
        found = np.tile(found.reshape(len(answer.people), -1).any(axis=0), len(answer.people))
    for name in rules.dominated:
        hide[name] |= found
    return found


def is_dominated(largest: npt.ArrayLike, total: npt.ArrayLike) -> Mask:
    """Tell where the largest absolute value is more than MOST_SHARE of the sum of them all."""
    found: Mask = np.asarray(largest) > MOST_SHARE * np.asarray(total)
    return found


def _few(counts: Column, small: int) -> Mask:
    found: Mask = (counts >= 1) & (counts <= small)
    return found


def _short_tails(columns: Mapping[str, Column], rules: Disclosure, hide: dict[str, Mask]) -> None:
    for name, probability in rules.tails.items():
        side = min(probability, 1 - probability)
        hide[name] |= columns["n"] * side < TAIL


def _round(columns: dict[str, Column], rules: Disclosure) -> None:
    for name, spread in rules.grid.items():
        step = columns[spread] / GRID
        usable = np.isfinite(step) & (step > 0)
        safe = np.where(usable, step, 1.0)
        columns[name] = np.where(usable, np.round(columns[name] / safe) * safe, columns[name])
    for name in rules.rounded:
        columns[name] = (ROUND_TO * np.round(columns[name] / ROUND_TO)).astype(np.int64)
    for name, places in rules.decimals.items():
        columns[name] = np.round(columns[name], places)


def _without(column: Column, mask: Mask) -> Column:
    found = column.astype(object)
    found[mask] = None
    return found


def _notes(rules: Disclosure, hidden: Sequence[str]) -> Notes:
    found: Notes = [{"path": "columns/hidden", "code": code} for code in hidden]
    found += [{"path": f"columns/{name}", "code": "rounded_to_5"} for name in rules.rounded]
    if rules.tails:
        found.append({"path": "columns/quantiles", "code": "rounded_and_short_tails_left_out"})
    found += [{"path": f"columns/{name}", "code": "rounded"} for name in rules.decimals]
    return found
