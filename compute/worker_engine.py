"""Answering one query over one recorded cohort: decrypt a person, add, forget.

Where a query speaks of the table's rows, everybody's genotype states are counted in bit planes
first (compute.genome_counts): from it comes the frame, which holds no site that only outsiders
carry, and for a family that is counts the whole answer. Others add people to their partial sums,
block by block in planes (compute.block_sums) or one by one, after a first pass over the records
where strata, or a family, must know them before.
Variants a buyer lists are the frame as they stand, known to anybody's file or not: were they
looked up, one person's file could decide whether everybody else's calls are counted.
A match is judged in a pass of its own, before any other, and whom it does not keep is opened with
the rest and added nowhere: the answer is that of a cohort without them.
The passes over the table are summed partition by partition (compute.partitions), in this process or
by whoever helps it: the same functions make the sums there and here.
Nothing of a person outlives its turn. Never releases anything: the gate does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from compute.arrays import Arrays, Shapes
from compute.block_sums import BlockSums
from compute.builds import CONTIGS
from compute.cohort import DEFAULT_BUILD, Cohort, Matched, key_of, matched_cohort
from compute.cohort_reader import CohortReader
from compute.copies import SharedVariants
from compute.genome_counts import STATES, StateCounts, StateSums
from compute.kernels import cores
from compute.opened import levels_of, open_person
from compute.partitions import GENOTYPES, Alone, Crew, Plan, Sums, chunks_of, runs_of
from compute.picked_rows import PickedRows
from compute.planes import Int64
from compute.private import asked_variants
from compute.progress import Pace, Tick
from compute.queries import (
    Answer,
    BlockPartial,
    Frame,
    Needs,
    PersonData,
    Query,
    QueryError,
    VariantTable,
    learn,
    reduce,
    span_of,
    start,
    states_first,
)
from compute.selection import Member

BATCH: Final = 64  # people held at once where they are opened one by one
COUNTED: Final = frozenset({"genotype_counts"})  # families whose partial takes counts of states
ONE_BY_ONE: Final = frozenset({"feature_by_genotype"})  # of people, not of blocks


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of one cohort, its match judged, as planned; pace is called for each person.

    rows: of the planned table, in genome order, those of the query's build and place.
    """

    cohort: Cohort
    query: Query
    plan: Plan
    rows: Int64
    pace: Pace

    def reader(self) -> CohortReader:
        """Return what reads the cohort's genotypes over the table as it was planned."""
        return self.cohort.reader(self.plan.rows)


def plan_of(cohort: Cohort, rows: Int64, genotypes: int = GENOTYPES) -> Plan:
    """Plan the passes over a cohort. rows: those asked for; genotypes: of a partition, at least."""
    return Plan(len(cohort.variants), cohort.planned, chunks_of(rows), genotypes, cores())


def planned(query: Query, plan: Plan) -> int:
    """Return how many partitions the passes of a query have, all together."""
    needs, runs, parts = query.needs, runs_of(plan.people), len(plan.parts())
    judged = int(bool(query.match))
    first = judged + int(bool(needs.strata)) + int(needs.learns)
    if "genotypes" not in needs.modalities or query.picks_variants:
        return (first + 1) * runs
    if query.family in COUNTED:
        return (judged + int(bool(needs.strata))) * runs + parts
    # Counts of states; then records and sums over blocks, or everybody one by one.
    sums = 0 if query.family in ONE_BY_ONE else parts
    return (first + 1) * runs + parts + sums


def answer_query(
    cohort: Cohort,
    query: Query,
    tick: Tick = lambda: None,
    told: Callable[[int, int], None] = lambda _done, _total: None,
    judged: Callable[[Matched], None] = lambda _matched: None,
    crew: Crew | None = None,
    genotypes: int = GENOTYPES,
) -> Answer:
    """Return the exact answer. tick is called for each person: it may stop the job by raising.

    told: called with (done, total) planned partitions. judged: called with whom the query's match
    keeps, if it has one, before the sums; it may stop the job as well. crew: who sums the passes
    over the table, None: this process. genotypes: see `plan_of`. Raises VaultRefusedError when a
    member may not be opened, QueryError, StoreError.
    """
    if "genotypes" in query.modalities:
        cohort.variants.refresh()
    rows = table_rows(cohort.variants, query)
    plan = plan_of(cohort, rows, genotypes)
    pace = Pace(planned(query, plan), tick, told)
    if query.match:
        cohort = matched_cohort(cohort, query, pace)
    if cohort.matched is not None:
        judged(cohort.matched)
    return _answer(Asked(cohort, query, plan, rows, pace), crew or Alone())


def _answer(asked: Asked, crew: Crew) -> Answer:
    cohort, query, tick = asked.cohort, asked.query, asked.pace
    build = query.build or DEFAULT_BUILD
    if "genotypes" not in query.needs.modalities:
        frame = _first_pass(cohort, query, VariantTable.of(build, []), tick)
        return _person_by_person(cohort, query, frame, None, tick)
    if query.picks_variants:
        keys = sorted(key_of(name) for name in asked_variants(query))
        frame = _first_pass(cohort, query, VariantTable.of(build, keys), tick)
        picked = PickedRows.named(cohort.variants, build, keys)
        return _person_by_person(cohort, query, frame, picked, tick)
    levels, of_member, counts = state_sums(asked)
    crew.share(asked.plan, counts, tick)
    if query.family in COUNTED:
        return _counted(asked, levels, of_member, counts.found)
    stated = counts.found.stated[asked.rows]
    states = counts.found.counts[0]
    partial, rows = _started(asked, stated, states[:, asked.rows[stated]])
    if not isinstance(partial, BlockPartial):
        picked = PickedRows.of(cohort.variants, rows)
        return _person_by_person(cohort, query, partial.frame, picked, tick)

    def given() -> Arrays:
        known: Arrays = {"states": states[:, asked.rows]} if states_first(query) else {}
        return {"stated": stated, **known}

    crew.share(asked.plan, block_sums(asked, partial, rows), tick, given)
    return reduce(query, partial)


def sums_of(asked: Asked, given: Arrays | None) -> Sums:
    """Return the empty sums of a pass another leads: of states, or of what a family does then.

    given: as it came with the pass (`shapes_given`), None for states. Raises as `answer_query`.
    """
    if given is None:
        return state_sums(asked)[2]
    stated = given["stated"]
    states = given["states"][:, stated] if "states" in given else None
    partial, rows = _started(asked, stated, states)
    if not isinstance(partial, BlockPartial):
        raise QueryError("this family opens people one by one", code="partial")
    return block_sums(asked, partial, rows)


def state_sums(asked: Asked) -> tuple[dict[str, tuple[str, ...]], list[int], StateSums]:
    """Return the levels counted apart, if any, which each person has, and empty counts."""
    levels: dict[str, tuple[str, ...]] = {}
    of_member = [0] * asked.cohort.people
    if asked.query.family in COUNTED:
        levels, of_member = _level_numbers(asked.cohort, asked.query, asked.pace)
    count = max((len(names) for names in levels.values()), default=1)
    threads, tick = asked.plan.threads, asked.pace
    return levels, of_member, StateSums(
        asked.reader(), of_member, count, threads=threads, tick=tick
    )  # fmt: skip


def block_sums(asked: Asked, partial: BlockPartial, rows: Int64) -> BlockSums:
    """Return a family's empty sums. rows: of the store, for each of the partial's table."""
    people = _records(asked.cohort, asked.query, asked.pace)
    threads, tick = asked.plan.threads, asked.pace
    return BlockSums(asked.reader(), partial, people, rows, threads=threads, tick=tick)


def shapes_given(asked: Asked) -> Shapes:
    """Return what comes with a pass after the states: which rows are stated, and their states."""
    count = len(asked.rows)
    states: Shapes = {"states": ("<i8", (len(STATES), count))} if states_first(asked.query) else {}
    return {"stated": ("|b1", (count,)), **states}


def _started(
    asked: Asked, stated: npt.NDArray[np.bool_], states: Int64 | None
) -> tuple[Any, Int64]:
    """Return a family's empty partial over the stated rows, and where those lie in the store."""
    cohort, query, rows = asked.cohort, asked.query, asked.rows[stated]
    table = VariantTable.of(query.build or DEFAULT_BUILD, cohort.variants.keys_of(rows))
    frame = _first_pass(cohort, query, table, asked.pace)
    if states_first(query):
        frame = replace(frame, states=states)
    return start(query, frame), rows


def _counted(
    asked: Asked, levels: dict[str, tuple[str, ...]], of_member: list[int], found: StateCounts
) -> Answer:
    """Answer a family that is counts of states, without unpacking anybody."""
    query, variants = asked.query, asked.cohort.variants
    rows = asked.rows[found.stated[asked.rows]]
    table = VariantTable.of(query.build or DEFAULT_BUILD, variants.keys_of(rows))
    partial: Any = start(query, Frame(table, levels))
    members = np.bincount(of_member, minlength=len(found.counts))
    partial.add_counts(found.counts[:, :, rows], members)
    return reduce(query, partial)


def table_rows(variants: SharedVariants, query: Query, size: int | None = None) -> Int64:
    """Return the rows below `size` (None: all) that a query's passes over the table are about.

    None where it reads no genotypes, or variants a buyer listed.
    """
    if "genotypes" not in query.needs.modalities or query.picks_variants:
        return np.zeros(0, np.int64)
    rows = candidate_rows(variants, query)
    return rows if size is None else rows[rows < size]


def candidate_rows(variants: SharedVariants, query: Query) -> Int64:
    """Return the rows, in genome order, of the query's build and place."""
    wanted = variants.on_build(query.build or DEFAULT_BUILD)
    span = span_of(query.params)
    if span is not None:
        at = variants.sites.pos
        wanted &= variants.sites.contig == CONTIGS.index(span[0])
        wanted &= (at >= span[1]) & (at <= span[2])
    return variants.in_genome_order(np.flatnonzero(wanted))


def _level_numbers(
    cohort: Cohort, query: Query, tick: Pace
) -> tuple[dict[str, tuple[str, ...]], list[int]]:
    """Return the levels of the stratum a query asks for, if any, and which each person has."""
    needs = query.needs
    if not needs.strata:
        return {}, [0] * cohort.people
    people = _records(cohort, query, tick)
    levels = levels_of(needs.strata, people)
    name = needs.strata[0]
    return levels, [levels[name].index(person.strata.get(name, "unknown")) for person in people]


def _records(cohort: Cohort, query: Query, tick: Pace) -> list[PersonData]:
    """Return everybody as the sums want them: with strata, unless the family learnt them before."""
    needs = query.needs
    wanted = needs.modalities & {"participant"} if not needs.learns else frozenset()
    records = replace(needs, modalities=wanted)
    return list(
        cohort.each(tick, lambda one: open_person(cohort.vault, cohort.access, records, one))
    )


def _person_by_person(
    cohort: Cohort, query: Query, frame: Frame, picked: PickedRows | None, tick: Pace
) -> Answer:
    partial = start(query, frame)
    opened = cohort.each(tick, lambda member: _person(cohort, query, member, picked))
    while people := list(islice(opened, BATCH)):
        if isinstance(partial, BlockPartial):
            partial.add_people(people)
        else:
            for person in people:
                partial.add(person)
    return reduce(query, partial)


def _first_pass(cohort: Cohort, query: Query, table: VariantTable, tick: Pace) -> Frame:
    """Read everybody's records once, where strata, or a family, must know them before the sums."""
    needs = query.needs
    references = {name: cohort.references.parsed(name) for name in needs.references}
    if not needs.learns and not needs.strata:
        return Frame(table, references=references)

    def people(wanted: Needs) -> Iterable[PersonData]:
        return cohort.each(tick, lambda one: open_person(cohort.vault, cohort.access, wanted, one))

    records = replace(needs, modalities=needs.modalities & {"participant"})
    frame = Frame(table, levels_of(needs.strata, people(records)), references=references)
    return replace(frame, learned=learn(query, people(needs), frame)) if needs.learns else frame


def _person(cohort: Cohort, query: Query, member: Member, picked: PickedRows | None) -> PersonData:
    person = open_person(cohort.vault, cohort.access, query.needs, member)
    if picked is None:
        return replace(person, dosage=np.zeros(0, np.int8))
    calls = picked.calls(cohort.vault.reader(member.grants["genotypes"].id, cohort.access))
    mixed = bool((calls.ploidy == 1).any())
    return replace(person, dosage=calls.dosage, ploidy=calls.ploidy if mixed else None)
