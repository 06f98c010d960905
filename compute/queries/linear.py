"""Linear regression of a response on each variant's dosage, with covariates. Shared by families.

Model, per variant, over people with a response and a call: response ~ 1 + dosage + covariates, by
least squares; the effect allele is always ALT. A haploid call counts as two copies (plink2's
X-chromosome model 2); a no call leaves its person out at that variant only. The sums and the fits
are `compute.kernels.LinearAssociation`'s.
"""

from __future__ import annotations

from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.arrays import Arrays
from compute.kernels import Association, LinearAssociation
from compute.queries.blocks import GenotypeBlock, HaploidCounts, Layout, RowPartial, runs
from compute.queries.data import Frame
from compute.queries.design import Design
from compute.queries.family import Column, variant_columns
from compute.queries.params import Selected

Int64: TypeAlias = npt.NDArray[np.int64]
_FIRST: Final[dict[str, tuple[str, Any]]] = {
    **dict.fromkeys(("ac", "an", "n"), ("<i8", 0)),
    **dict.fromkeys(("beta", "se", "t", "p"), ("<f8", np.nan)),
    "na": ("<U16", "no_people"),
}
_REASONS: Final = {"constant_trait": "constant_feature"}


class LinearPart:
    """Sums over people of one part of the table."""

    def __init__(self, design: Design, width: int) -> None:
        self._design = design
        self._kernel = LinearAssociation(design.y, design.x, width)
        self._haploid = HaploidCounts(width)

    def add(self, block: GenotypeBlock) -> None:
        """Add people; those the design left out add nothing."""
        for first, chosen in runs(self._design.place.get(p.participant) for p in block.people):
            part = block.taken(chosen)
            self._kernel.add(first, part.doubled())
            self._haploid.add(part)

    def merge(self, other: Self) -> None:
        """Add what another has summed over other people."""
        self._kernel.merge(other._kernel)
        self._haploid.merge(other._haploid)

    def result(self) -> tuple[Association, Int64, Int64]:
        """Return the fits, and AC and AN in which a haploid call is one copy."""
        found = self._kernel.result()
        haploid, alt = self._haploid.counts()
        return found, found.ac - alt, 2 * found.n - haploid


class LinearPartial(RowPartial):
    """Fits of the rows asked for. frame.learned: the design."""

    def __init__(self, frame: Frame, rows: Selected, *, params: Any = None) -> None:
        super().__init__(frame, _FIRST)
        self.params, self.rows = params, rows
        self.design: Design = frame.learned

    @property
    def used(self) -> int:
        """Return how many people the model has."""
        return len(self.design.y)

    def part(self, layout: Layout) -> LinearPart:
        """Return empty sums."""
        return LinearPart(self.design, layout.width)

    def results(self, layout: Layout, part: LinearPart) -> Arrays:
        """Return the fits of a part's variants."""
        found, ac, an = part.result()
        names = np.array([_REASONS.get(r, r) for r in found.reason[layout.at].tolist()], "<U16")
        numbers = {
            "ac": ac, "an": an, "n": found.n,
            "beta": found.beta, "se": found.se, "t": found.stat, "p": found.p,
        }  # fmt: skip
        return {**{name: values[layout.at] for name, values in numbers.items()}, "na": names}

    def columns(self) -> dict[str, Column]:
        """Return one row a variant: place, A1, AC, AN, n, beta, SE, t, p, or NA with its reason."""
        self.finish()
        place = variant_columns(self.frame.table, self.rows)
        found = {name: values[self.rows] for name, values in self.values.items()}
        return {**place, "a1": place["alt"], **found}

    def facts(self) -> dict[str, Any]:
        """Return the model as fitted, and who was left out of it."""
        return self.design.facts(len(self.rows))
