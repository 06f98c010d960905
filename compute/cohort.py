"""The people of one access as the engine opens them, and whom of them a question's match keeps.

Everybody is opened in every pass, whether or not a match kept them, so that work and progress
follow the scope; only those it kept are handed on. Spec: DESIGN section 4.1 (scope and match).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIGS, Build
from compute.cohort_reader import CohortReader
from compute.copies import SharedVariants
from compute.opened import open_person
from compute.partitions import PEOPLE, runs_of
from compute.picked_rows import PickedRows
from compute.progress import Pace
from compute.queries import (
    Filter,
    Frame,
    PersonData,
    Query,
    VariantTable,
    filter_needs,
    holds,
    named_variants,
    together,
)
from compute.selection import Member
from compute.shelf import Shelf
from compute.vault import RecordedAccess, Vault

DEFAULT_BUILD: Final[Build] = "GRCh37"  # of queries that speak of no variant
Key: TypeAlias = tuple[int, int, str, str]
"""(contig index, 1-based position, ref, alt)."""

Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """Whom a match keeps: kept (people,), and how many it left out for want of data alone."""

    kept: npt.NDArray[np.bool_]
    unknown: int


@dataclass(frozen=True, slots=True)
class Cohort:
    """The people of one access, what opens them, and the operator's reference files.

    matched: whom of the members a match keeps, None: everybody. in_scope: how many the access entry
    names, where they are more (copies of a genome are summed once, and nobody may see that).
    """

    vault: Vault
    variants: SharedVariants
    members: Sequence[Member]
    access: RecordedAccess
    references: Shelf = field(default_factory=Shelf)
    matched: Matched | None = None
    in_scope: int = 0

    @property
    def planned(self) -> int:
        """Return how many people passes are planned for: all who are in scope."""
        return max(self.in_scope, len(self.members))

    @property
    def people(self) -> int:
        """Return how many people are summed."""
        return len(self.members) if self.matched is None else int(self.matched.kept.sum())

    def each(self, tick: Pace, open_one: Callable[[Member], Opened]) -> Iterator[Opened]:
        """Open every member, in order, and yield what was opened of those who are summed."""
        for at, member in enumerate(self.members, 1):
            tick()
            found = open_one(member)
            if self.matched is None or self.matched.kept[at - 1]:
                yield found
            if at % PEOPLE == 0:
                tick.done()
        for _ in range(len(self.members) // PEOPLE, runs_of(self.planned)):
            tick.done()

    def reader(self, rows: int) -> CohortReader:
        """Return what reads everybody's genotypes and hands on those of whom is summed.

        rows: of the table, as it was when the passes were planned.
        """
        grants = [member.grants["genotypes"].id for member in self.members]
        reader = self.vault.cohort(grants, self.access, self.variants)
        reader.size = rows
        reader.kept = None if self.matched is None else self.matched.kept
        return reader


def matched_cohort(cohort: Cohort, query: Query, tick: Pace) -> Cohort:
    """Return the cohort with whom the query's match keeps, judged over one pass.

    Raises as the engine: VaultRefusedError, QueryError, StoreError, and whatever tick raises.
    """
    build = query.build or DEFAULT_BUILD
    keys = sorted(key_of(name) for name in named_variants(query.match))
    named = {name for one in query.match for name in filter_needs(one).references}
    references = {name: cohort.references.parsed(name) for name in named}
    frame = Frame(VariantTable.of(build, keys), references=references)
    picked = None
    if keys:
        picked = PickedRows.named(cohort.variants, build, keys)

    def judged(member: Member) -> bool | None:
        opened = ((one, _opened_for(cohort, one, member, picked)) for one in query.match)
        return together([holds(one, person, frame) for one, person in opened])

    verdicts = list(cohort.each(tick, judged))
    kept = np.array([verdict is True for verdict in verdicts], np.bool_)
    return replace(cohort, matched=Matched(kept, sum(verdict is None for verdict in verdicts)))


def key_of(name: str) -> Key:
    """Return a variant's key from its name, such as "1-1000-A-G"."""
    contig, pos, ref, alt = name.split("-")
    return CONTIGS.index(contig), int(pos), ref, alt


def _opened_for(
    cohort: Cohort, one: Filter, member: Member, picked: PickedRows | None
) -> PersonData:
    person = open_person(cohort.vault, cohort.access, filter_needs(one), member)
    if one.kind != "carrier" or picked is None:
        return person
    copy = cohort.vault.reader(member.grants["genotypes"].id, cohort.access)
    return replace(person, dosage=picked.calls(copy).dosage)
