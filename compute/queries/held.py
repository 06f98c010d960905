"""Everybody's calls at some rows, part by part: for families that need all people at once.

A part is complete when every person is in it; then its calls are handed over and forgotten, in one
order of people whatever threads added them in. Shared by families.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.kernels import unpack_bits
from compute.parsed import NO_CALL
from compute.queries.blocks import BlockPartial, GenotypeBlock, Layout
from compute.queries.data import Frame, PersonData

ROWS: Final = 16_384  # of a part: what is done between two looks at who has stopped

Bool: TypeAlias = npt.NDArray[np.bool_]
Int8: TypeAlias = npt.NDArray[np.int8]
Int64: TypeAlias = npt.NDArray[np.int64]


class HeldPart:
    """People's calls at some rows of a block, until all are there."""

    def __init__(self, at: Int64) -> None:
        self._at = at
        self.held: list[tuple[Sequence[PersonData], Int8, Bool]] = []

    def add(self, block: GenotypeBlock) -> None:
        """Keep a block's calls: the block itself is another's a moment later."""
        if len(self._at):
            self.held.append((block.people, *calls_of(block, self._at)))

    def merge(self, other: HeldPart) -> None:
        """Keep another's people as well."""
        self.held += other.held


class HeldPartial(BlockPartial):
    """A partial that takes everybody's calls at `rows` (table rows, rising), part by part."""

    def __init__(self, frame: Frame, rows: Int64) -> None:
        super().__init__(frame)
        self.rows = rows
        self.order: dict[str, PersonData] = {}

    @abstractmethod
    def take(self, at: Int64, calls: Int8, single: Bool) -> None:
        """Take a part: places `at` among the rows (k,), dosages and which are of one copy (n, k).

        Dosages are -1 without a call. People lie as in `order`.
        """

    def expect(self, people: Sequence[PersonData]) -> None:
        """Keep the order of people: threads add them in another."""
        self.order = {person.participant: person for person in people}

    def most_rows(self) -> int:
        """Return ROWS."""
        return ROWS

    def part(self, layout: Layout) -> HeldPart:
        """Return nobody's calls."""
        return HeldPart(layout.at[np.isin(layout.rows, self.rows)])

    def close(self, layout: Layout, part: HeldPart) -> None:
        """Hand a part over."""
        for people, _, _ in part.held:
            for person in people:
                self.order.setdefault(person.participant, person)
        own = layout.rows[np.isin(layout.rows, self.rows)]
        calls = np.full((len(self.order), len(own)), NO_CALL, np.int8)
        single = np.zeros(calls.shape, np.bool_)
        place = {name: at for at, name in enumerate(self.order)}
        for people, dosage, one in part.held:
            at = [place[person.participant] for person in people]
            calls[at], single[at] = dosage, one
        if part.held:
            self.take(np.searchsorted(self.rows, own), calls, single)


def calls_of(block: GenotypeBlock, at: Int64) -> tuple[Int8, Bool]:
    """Return people's dosages at rows `at` of a block, -1 without a call, and which are haploid."""
    width = 64 * block.planes.shape[-1]
    low, high = (unpack_bits(block.planes[:, one], width)[:, at] for one in (0, 1))
    calls = low.astype(np.int8) + 2 * high.astype(np.int8)
    calls[calls == 3] = NO_CALL
    single = np.zeros(calls.shape, np.bool_)
    if len(block.haploid_of):
        single[block.haploid_of] = unpack_bits(block.haploid, width)[:, at]
    return calls, single
