"""How an answer came about, as a graph: consents and payment, access, result, payments. Pure.

Columns from left to right (rows from top to bottom on a phone); each box leads to the entry of the
ledger that says it, and every box to all of the next column.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from marketplace.texts import say
from marketplace.web.job_view import Moment

BOX_WIDTH, BOX_HEIGHT, GAP, EDGE = 196, 66, 52, 6
PHONE_WIDTH, PHONE_GAP = 360, 34
ORDER = ("asked", "opened", "answered", "paid")


@dataclass(frozen=True, slots=True)
class Box:
    """One box; x, y, width in the picture's units."""

    title: str
    detail: str
    index: int
    x: float
    y: float
    width: float


@dataclass(frozen=True, slots=True)
class Graph:
    """A picture: its size, its boxes, and the arrows between them as SVG paths."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[str, ...]


def columns_of(moments: Iterable[Moment]) -> list[list[Moment]]:
    """Return what an answer came from by column; empty ones left out.

    Consents are personal entries: the access entry commits to all of them, and stands for them.
    """
    found: dict[str, list[Moment]] = {name: [] for name in ORDER}
    for moment in moments:
        if moment.kind in found:
            found[moment.kind].append(moment)
    consents = [
        Moment(say("Consents"), one.detail, one.index, one.time, "asked", one.people)
        for one in found["opened"] if one.people
    ]  # fmt: skip
    found["asked"] = [*consents, *found["asked"]]
    return [column for column in found.values() if column]


def wide(columns: Sequence[Sequence[Moment]]) -> Graph:
    """Draw columns beside each other."""
    step, most = BOX_HEIGHT + 20, max(len(column) for column in columns)
    height = most * step - 20 + 2 * EDGE
    placed = []
    for at, column in enumerate(columns):
        x, top = EDGE + at * (BOX_WIDTH + GAP), (height - len(column) * step + 20) / 2
        placed.append([_box(one, x, top + i * step, BOX_WIDTH) for i, one in enumerate(column)])
    width = len(columns) * (BOX_WIDTH + GAP) - GAP + 2 * EDGE
    return Graph(width, height, _all(placed), _arrows(placed, _across))


def tall(columns: Sequence[Sequence[Moment]]) -> Graph:
    """Draw columns as rows below each other, for a phone."""
    placed = []
    for at, column in enumerate(columns):
        share = (PHONE_WIDTH - 2 * EDGE - 8 * (len(column) - 1)) / len(column)
        width = min(share, BOX_WIDTH)
        left = (PHONE_WIDTH - len(column) * width - 8 * (len(column) - 1)) / 2
        y = EDGE + at * (BOX_HEIGHT + PHONE_GAP)
        placed.append([_box(one, left + i * (width + 8), y, width) for i, one in enumerate(column)])
    height = len(columns) * (BOX_HEIGHT + PHONE_GAP) - PHONE_GAP + 2 * EDGE
    return Graph(PHONE_WIDTH, height, _all(placed), _arrows(placed, _down))


def _box(one: Moment, x: float, y: float, width: float) -> Box:
    return Box(one.title, one.people or "", one.index, round(x, 1), round(y, 1), round(width, 1))


def _all(placed: Sequence[Sequence[Box]]) -> tuple[Box, ...]:
    return tuple(box for column in placed for box in column)


def _arrows(placed: Sequence[Sequence[Box]], path: Callable[[Box, Box], str]) -> tuple[str, ...]:
    steps = itertools.pairwise(placed)
    return tuple(path(one, other) for here, there in steps for one in here for other in there)


def _across(one: Box, other: Box) -> str:
    x, y = one.x + one.width + 2, one.y + BOX_HEIGHT / 2
    end, at = other.x - 4, other.y + BOX_HEIGHT / 2
    middle = (x + end) / 2
    return f"M{x:g},{y:g} C{middle:g},{y:g} {middle:g},{at:g} {end:g},{at:g} m-7,-5 l7,5 l-7,5"


def _down(one: Box, other: Box) -> str:
    x, y = one.x + one.width / 2, one.y + BOX_HEIGHT + 2
    at, end = other.x + other.width / 2, other.y - 4
    middle = (y + end) / 2
    return f"M{x:g},{y:g} C{x:g},{middle:g} {at:g},{middle:g} {at:g},{end:g} m-5,-7 l5,7 l5,-7"
