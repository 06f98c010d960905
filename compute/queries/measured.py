"""Per-person numbers made of genotypes, as distributions by stratum. Shared by families.

A family says what is summed over a person's rows, part of the table by part, and how the sums
become numbers; the sums are kept for the length of the query and only summaries leave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.kernels import Words, pack_bits, words_of
from compute.queries.blocks import BlockPartial, GenotypeBlock, Layout
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


class MeasuredPartial(BlockPartial):
    """Everybody's sums. sums_of: a layout -> what is summed over its rows."""

    def __init__(
        self, params: Any, frame: Frame, metrics: Sequence[str],
        sums_of: Callable[[Layout], Sums], numbers: Numbers, by: By,
    ) -> None:  # fmt: skip
        super().__init__(frame)
        self.params, self.metrics, self.by = params, metrics, by
        self._sums_of, self._numbers = sums_of, numbers
        self._shared: tuple[Layout, Sums] | None = None
        self._sums: dict[str, Float64] = {}
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

    def close(self, layout: Layout, part: MeasuredPart) -> None:
        """Add a part's sums to each person's."""
        for people, sums in part.found:
            for person, own in zip(people, sums, strict=True):
                name = person.participant
                self._people.setdefault(name, person)
                self._sums[name] = own if name not in self._sums else self._sums[name] + own

    def summaries(self) -> SummaryPartial:
        """Return everybody's numbers by stratum."""
        self.finish()

        def measure(person: PersonData) -> Mapping[str, float] | str:
            sums = self._sums.get(person.participant)
            return "no_variants" if sums is None else self._numbers(sums)

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
