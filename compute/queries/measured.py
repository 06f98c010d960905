"""Per-person numbers made of genotypes, as distributions by stratum. Shared by families.

A family says what is summed over a person's rows, part of the table by part, and how the sums
become numbers; the sums are kept for the length of the query and only summaries leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.arrays import Arrays, Shapes
from compute.kernels import Words, pack_bits, words_of
from compute.queries.blocks import GenotypeBlock, Layout, SummedPartial
from compute.queries.data import Frame, PersonData
from compute.queries.params import By
from compute.queries.summaries import SummaryPartial

Float64: TypeAlias = npt.NDArray[np.float64]
Bool: TypeAlias = npt.NDArray[np.bool_]
Sums: TypeAlias = Callable[[GenotypeBlock], Float64]
"""People -> (people, k), over the rows of one layout."""
Numbers: TypeAlias = Callable[[Float64], Mapping[str, float] | str]
"""One person's sums (k,) -> metrics, or why there are none."""


class MeasuredPart:
    """People's sums over one part of the table."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self.found: list[tuple[Sequence[PersonData], Float64]] = []

    def add(self, block: GenotypeBlock) -> None:
        """Measure people."""
        self.found.append((block.people, self._sums(block)))

    def merge(self, other: Self) -> None:
        """Add what another has measured."""
        self.found += other.found


class MeasuredPartial(SummedPartial):
    """Everybody's sums. sums_of: a layout -> what is summed over its rows, `width` numbers each."""

    def __init__(
        self, params: Any, frame: Frame, metrics: Sequence[str], width: int,
        sums_of: Callable[[Layout], Sums], numbers: Numbers, by: By,
    ) -> None:  # fmt: skip
        super().__init__(frame)
        self.params, self.metrics, self.by = params, metrics, by
        self._width, self._sums_of, self._numbers = width, sums_of, numbers
        self._shared: tuple[Layout, Sums] | None = None
        self._sums: Float64 | None = None
        self._people: dict[str, PersonData] = {}
        self.facts: Mapping[str, Any] = {}

    def expect(self, people: Sequence[PersonData]) -> None:
        """Keep the order of people: threads add them in another."""
        self._people = {person.participant: person for person in people}

    def part(self, layout: Layout) -> MeasuredPart:
        """Return no sums; threads share what is summed over a layout."""
        if self._shared is None or self._shared[0] is not layout:
            self._shared = layout, self._sums_of(layout)
        return MeasuredPart(self._shared[1])

    def results(self, layout: Layout, part: MeasuredPart) -> Arrays:
        """Return each person's sums over a part, in the order of people."""
        for people, _ in part.found:  # nobody was expected where the table is summed whole
            for person in people:
                self._people.setdefault(person.participant, person)
        place = {name: at for at, name in enumerate(self._people)}
        found = np.zeros((len(place), self._width))
        for people, sums in part.found:
            found[[place[person.participant] for person in people]] = sums
        return {"sums": found}

    def shapes(self, rows: int) -> Shapes:
        """Return `width` numbers a person, whatever the rows."""
        return {"sums": ("<f8", (len(self._people), self._width))}

    def accept(self, layout: Layout, results: Arrays) -> None:
        """Add a part's sums to each person's."""
        sums = results["sums"]
        self._sums = sums if self._sums is None else self._sums + sums

    def summaries(self) -> SummaryPartial:
        """Return everybody's numbers by stratum."""
        self.finish()
        place = {name: at for at, name in enumerate(self._people)}

        def measure(person: PersonData) -> Mapping[str, float] | str:
            if self._sums is None:
                return "no_variants"
            return self._numbers(self._sums[place[person.participant]])

        found = SummaryPartial(self.params, self.frame, self.metrics, measure, self.by)
        for person in self._people.values():
            found.add(person)
        return found


def mask_of(layout: Layout, chosen: Bool) -> Words:
    """Return (words,) with the bits of the layout's chosen rows set; chosen: a value a row."""
    bits = np.zeros(layout.width, np.bool_)
    bits[layout.at[chosen]] = True
    return pack_bits(bits, words_of(layout.width))


def bits_set(words: Words) -> Float64:
    """Return how many bits are set in each person's (people, words), as float64 (people,)."""
    found: Float64 = np.bitwise_count(words).sum(axis=1, dtype=np.float64)
    return found
