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
Nothing of a person outlives its turn. Never releases anything: the gate does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import numpy as np

from compute.block_sums import sum_blocks
from compute.builds import CONTIGS
from compute.cohort import DEFAULT_BUILD, Cohort, Matched, key_of, matched_cohort
from compute.copies import SharedVariants
from compute.genome_counts import StateCounts, count_states
from compute.kernels import cores
from compute.opened import levels_of, open_person
from compute.picked_rows import PickedRows
from compute.planes import CHUNK_ROWS, Int64
from compute.private import asked_variants
from compute.progress import Pace, Tick
from compute.queries import (
    Answer,
    BlockPartial,
    Frame,
    Needs,
    PersonData,
    Query,
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


def passes_of(query: Query) -> int:
    """Return how many passes over the cohort a query is planned in; it follows from it alone."""
    needs = query.needs
    judged = int(bool(query.match))
    first = judged + int(bool(needs.strata)) + int(needs.learns)
    if "genotypes" not in needs.modalities or query.picks_variants:
        return first + 1
    if query.family in COUNTED:
        return judged + int(bool(needs.strata)) + 1
    # Counts of states; then records and sums over blocks, or everybody one by one.
    return first + (2 if query.family in ONE_BY_ONE else 3)


def answer_query(
    cohort: Cohort,
    query: Query,
    tick: Tick = lambda: None,
    told: Callable[[int, int], None] = lambda _done, _total: None,
    judged: Callable[[Matched], None] = lambda _matched: None,
) -> Answer:
    """Return the exact answer. tick is called for each person: it may stop the job by raising.

    told: called with (done, total) planned partitions. judged: called with whom the query's match
    keeps, if it has one, before the sums; it may stop the job as well. Raises VaultRefusedError
    when a member may not be opened, QueryError, StoreError.
    """
    pace = Pace(passes_of(query), tick, told)
    if query.match:
        cohort = matched_cohort(cohort, query, pace)
    if cohort.matched is not None:
        judged(cohort.matched)
    return _answer(cohort, query, pace)


def _answer(cohort: Cohort, query: Query, tick: Pace) -> Answer:
    build = query.build or DEFAULT_BUILD
    if "genotypes" not in query.needs.modalities:
        frame = _first_pass(cohort, query, VariantTable.of(build, []), tick)
        return _person_by_person(cohort, query, frame, None, tick)
    cohort.variants.refresh()
    if query.picks_variants:
        keys = sorted(key_of(name) for name in asked_variants(query))
        frame = _first_pass(cohort, query, VariantTable.of(build, keys), tick)
        picked = PickedRows.named(cohort.variants, build, keys)
        return _person_by_person(cohort, query, frame, picked, tick)
    rows = candidate_rows(cohort.variants, query)
    if query.family in COUNTED:
        return _counted(cohort, query, rows, tick)
    found = _count(cohort, rows, [0] * cohort.people, 1, tick)
    rows = rows[found.stated[rows]]
    table = VariantTable.of(build, cohort.variants.keys_of(rows))
    frame = _first_pass(cohort, query, table, tick)
    if states_first(query):
        frame = replace(frame, states=found.counts[0][:, rows])
    partial = start(query, frame)
    if not isinstance(partial, BlockPartial):
        return _person_by_person(cohort, query, frame, PickedRows.of(cohort.variants, rows), tick)
    people = _records(cohort, query, tick)
    sum_blocks(cohort.reader(), partial, people, rows, threads=cores(), tick=tick, begin=tick.begin)
    return reduce(query, partial)


def _counted(cohort: Cohort, query: Query, rows: Int64, tick: Pace) -> Answer:
    """Answer a family that is counts of states, without unpacking anybody."""
    levels, of_member = _level_numbers(cohort, query, tick)
    count = max((len(names) for names in levels.values()), default=1)
    found = _count(cohort, rows, of_member, count, tick)
    rows = rows[found.stated[rows]]
    table = VariantTable.of(query.build or DEFAULT_BUILD, cohort.variants.keys_of(rows))
    partial: Any = start(query, Frame(table, levels))
    partial.add_counts(found.counts[:, :, rows], np.bincount(of_member, minlength=count))
    return reduce(query, partial)


def _count(
    cohort: Cohort, rows: Int64, of_member: Sequence[int], levels: int, tick: Pace
) -> StateCounts:
    """Count states over the chunks that hold these rows, many people at a time."""
    chunks = np.unique(rows // CHUNK_ROWS).tolist()
    tick.begin(len(chunks) * len(cohort.members))
    return count_states(
        cohort.reader(), of_member, levels, chunks=chunks, threads=cores(), tick=tick
    )


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
