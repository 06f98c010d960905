"""A pass over a cohort's genotypes in partitions: how it is cut, and who sums what.

A partition is a run of whole chunks of the variant table, over everybody: chunks are sealed, opened
and summed apart, so that nothing of a number hangs on how many partitions there are or on who sums
one. The plan follows from public quantities alone: the table's size, the rows a question is about,
the size of the cohort, and the configured size of a partition; never from data, nor from whom a
match keeps. The same plan, sums and reduction run in one process (`Alone`) and over many workers
(`compute.worker_lead`, `compute.worker_helper`).
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np

from compute.arrays import Arrays, Shapes
from compute.config import PARTITION_GENOTYPES
from compute.errors import ComputeError
from compute.planes import CHUNK_ROWS, Int64
from compute.progress import Pace

GENOTYPES: Final = PARTITION_GENOTYPES
PEOPLE: Final = 4_096  # of a run, in passes that open people one by one
MOST_THREADS: Final = 64

Part: TypeAlias = tuple[int, ...]
"""Numbers of neighbouring chunks, rising."""
Given: TypeAlias = Callable[[], Arrays]


class PlanError(ComputeError):
    """A plan that is none of ours."""

    default_code = "plan"


@dataclass(frozen=True, slots=True)
class Plan:
    """How the passes over one cohort are cut.

    rows: of the variant table as it was planned (it may grow later). people: in scope, whether or
    not a match keeps them. chunks: those that hold rows asked for. genotypes: what a partition
    holds at least. threads: how many sum beside one another, wherever it is: who sums whom decides
    the last bits of a sum.
    """

    rows: int
    people: int
    chunks: Part = ()
    genotypes: int = GENOTYPES
    threads: int = 1

    def parts(self) -> list[Part]:
        """Return the partitions of a pass over the table."""
        step = -(-self.genotypes // (CHUNK_ROWS * max(self.people, 1)))
        return [self.chunks[at : at + step] for at in range(0, len(self.chunks), step)]

    def to_text(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of_text(cls, text: str) -> "Plan":
        """Read a plan. Raises PlanError for anything but one that can be worked."""
        try:
            value = json.loads(text)
            plan = cls(**{**value, "chunks": tuple(value["chunks"])})
            numbers = (plan.rows, plan.people, plan.genotypes, plan.threads, *plan.chunks)
        except (ValueError, TypeError, KeyError):
            raise PlanError("this is not a plan") from None
        whole = all(type(number) is int and number >= 0 for number in numbers)
        if not whole or plan.genotypes < 1 or not 1 <= plan.threads <= MOST_THREADS:
            raise PlanError("a plan is made of whole numbers within its bounds")
        return plan


class Sums(Protocol):
    """One pass's sums, partition by partition; put together by `take` or `add`, in any one order.

    Families whose sums over a part of the table hang on the parts before take them in the plan's
    order, which every crew keeps.
    """

    @property
    def plain(self) -> bool:
        """Tell whether a partition's sums are plain arrays, so that another may make them."""
        ...

    def add(self, part: Part) -> None:
        """Sum a partition here."""
        ...

    def summed(self, part: Part) -> Arrays:
        """Sum a partition here, and return it instead."""
        ...

    def shapes(self, part: Part) -> Shapes:
        """Return what `summed` gives for a partition."""
        ...

    def take(self, part: Part, arrays: Arrays) -> None:
        """Take what was `summed`, wherever that was."""
        ...


class Crew(Protocol):
    """Whoever sums a pass."""

    def share(self, plan: Plan, sums: Sums, pace: Pace, given: Given | None = None) -> None:
        """Have every partition of a pass in `sums`. given: what the pass before it found, if any.

        It is asked for only where somebody else is to know it.
        """
        ...


class Alone:
    """A crew of one process."""

    def share(self, plan: Plan, sums: Sums, pace: Pace, given: Given | None = None) -> None:
        """Sum one partition after another."""
        for part in plan.parts():
            sums.add(part)
            pace.done()


def runs_of(people: int) -> int:
    """Return how many runs of people a pass that opens one after another is counted in."""
    return -(-people // PEOPLE)


def chunks_of(rows: Int64) -> Part:
    """Return the chunks that hold these rows of the table."""
    return tuple(np.unique(rows // CHUNK_ROWS).tolist())
