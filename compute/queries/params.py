"""Typed parameters shared by the families. Closed: an unknown field is refused.

Strings are patterns, numbers are bounded integers; nothing a buyer writes is ever evaluated.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compute.builds import CONTIGS
from compute.queries.data import VariantTable

CHROM: Final = r"(?:[1-9]|1[0-9]|2[0-2]|X|Y|MT)"
_REGION: Final = re.compile(rf"({CHROM}):([1-9][0-9]{{0,8}})-([1-9][0-9]{{0,8}})")

Selected: TypeAlias = npt.NDArray[np.intp]


class Strict(BaseModel):
    """Base of every parameter model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _ordered_region(text: str) -> str:
    found = _REGION.fullmatch(text)
    if found is None or int(found[2]) > int(found[3]):
        raise ValueError("a region is CHROM:START-END with START <= END, without chr and commas")
    return text


def _normal_list(names: list[str]) -> list[str]:
    return sorted(set(names))


AsSet: Final = AfterValidator(_normal_list)
"""A list's values once each, in order: two ways of listing the same are one question."""


class Panel(Strict):
    """A fixed panel. "all" is every variant of the cohort's table."""

    panel: Literal["all"]


class Region(Strict):
    """A region of the query's build, 1-based, both ends included."""

    region: Annotated[str, AfterValidator(_ordered_region)]


VariantName = Annotated[
    str, Field(pattern=rf"^{CHROM}-[1-9][0-9]{{0,8}}-[ACGTN]{{1,1000}}-[ACGTN]{{1,1000}}$")
]
VariantList = Annotated[list[VariantName], Field(min_length=1, max_length=100_000), AsSet]
Variants = Panel | Region | VariantList
Decimal = Annotated[str, Field(pattern=r"^-?(0|[1-9][0-9]{0,11})(\.[0-9]{1,9})?$")]


def picked_by_buyer(variants: Any) -> bool:
    """Tell whether a buyer chose the variants one by one (release control cares)."""
    return isinstance(variants, list)


LEAST_REGION: Final = 10_000
"""Bases: about a small gene. A region of one base would be a variant picked by another name."""


def region_problem(variants: Any) -> str | None:
    """Return why exact answers are not given for a region so narrow, or None."""
    if not isinstance(variants, Region):
        return None
    start, _, end = variants.region.partition(":")[2].partition("-")
    if int(end) - int(start) + 1 >= LEAST_REGION:
        return None
    return f"exact answers are given for regions of at least {LEAST_REGION} bases"


By: TypeAlias = Literal["population", "sex"] | None
"""By which of the record's groups an answer is given."""
Span: TypeAlias = tuple[str, int, int]


def span_of(params: Any) -> Span | None:
    """Return where a query's variants may lie (chromosome, start, end, 1-based), None: anywhere.

    Works on any family's parameters: a region, a gene's place with its window, or neither.
    """
    variants = getattr(params, "variants", None)
    if isinstance(variants, Region):
        chrom, _, place = variants.region.partition(":")
        start, _, end = place.partition("-")
        return chrom, int(start), int(end)
    if variants is None and getattr(params, "chrom", None) is not None:
        window = int(params.window_bp)
        return str(params.chrom), int(params.start) - window, int(params.end) + window
    return None


def may_overlap(one: Span | None, other: Span | None) -> bool:
    """Tell whether two queries may speak of one variant."""
    if one is None or other is None:
        return True
    return one[0] == other[0] and one[1] <= other[2] and other[1] <= one[2]


def select(variants: Variants, table: VariantTable) -> Selected:
    """Return the rows of a table that are asked for, in table order.

    Variants of a list that the table lacks are left out; the answer states how many.
    """
    if isinstance(variants, Panel):
        return np.arange(len(table))
    if isinstance(variants, Region):
        chrom, _, span = variants.region.partition(":")
        start, _, end = span.partition("-")
        return select_span(table, chrom, int(start), int(end))
    wanted = set(variants)
    return np.array([i for i, name in enumerate(table.names()) if name in wanted], np.intp)


def select_span(table: VariantTable, chrom: str, start: int, end: int) -> Selected:
    """Return the rows with start <= pos <= end on a chromosome."""
    inside = (table.contig == CONTIGS.index(chrom)) & (table.pos >= start) & (table.pos <= end)
    return np.flatnonzero(inside)
