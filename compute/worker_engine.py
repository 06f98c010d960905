"""Answering one query over one recorded cohort: decrypt a person, add, forget.

Two passes: the first reads participant records and which variants the cohort's files state (the
frame holds no site that only outsiders carry), the second adds each person to the partial sums.
Variants a buyer lists are the frame as they stand, known to anybody's file or not: were they looked
up, one person's file could decide whether everybody else's calls are counted.
Nothing of a person outlives its turn. Never releases anything: the gate does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.builds import CONTIGS
from compute.copies import BUILDS, SharedVariants, decode_genotypes
from compute.opened import levels_of, open_person
from compute.planes import NOT_COVERED, Calls, Int64
from compute.private import asked_variants
from compute.queries import (
    Answer,
    Frame,
    Needs,
    PersonData,
    Query,
    VariantTable,
    learn,
    reduce,
    start,
)
from compute.selection import Member
from compute.shelf import Shelf
from compute.stretches import Places
from compute.vault import RecordedAccess, Vault

Tick = Callable[[], None]
Key: TypeAlias = tuple[int, int, str, str]
"""(contig index, 1-based position, ref, alt)."""


class Rows(NamedTuple):
    """Of every row: the site it belongs to, and where it lies."""

    sites: Int64
    places: Places


@dataclass(frozen=True, slots=True)
class Cohort:
    """The people of one access, what opens them, and the operator's reference files."""

    vault: Vault
    variants: SharedVariants
    members: Sequence[Member]
    access: RecordedAccess
    references: Shelf = field(default_factory=Shelf)


def answer_query(cohort: Cohort, query: Query, tick: Tick = lambda: None) -> Answer:
    """Return the exact answer. tick is called between people: it may stop the job by raising.

    Raises VaultRefusedError when a member may not be opened, QueryError, StoreError.
    """
    keys, rows, table = _variants(cohort, query, tick)
    frame = _first_pass(cohort, query, VariantTable.of(query.build or "GRCh37", keys), tick)
    partial = start(query, frame)
    for member in cohort.members:
        tick()
        partial.add(_person(cohort, query, member, rows, table))
    return reduce(query, partial)


def _variants(cohort: Cohort, query: Query, tick: Tick) -> tuple[list[Key], Int64, Rows]:
    if "genotypes" not in query.needs.modalities:
        return [], np.zeros(0, np.int64), Rows(np.zeros(0, np.int64), cohort.variants.places())
    cohort.variants.refresh()
    if query.picks_variants:
        return listed_rows(cohort.variants, query)
    table = Rows(cohort.variants.site_rows(), cohort.variants.places())
    rows = _cohort_rows(cohort, query, table, tick)
    return [cohort.variants.rows[row][1:] for row in rows.tolist()], rows, table


def _first_pass(cohort: Cohort, query: Query, table: VariantTable, tick: Tick) -> Frame:
    """Read everybody's records once, where strata, or a family, must know them before the sums."""
    needs = query.needs
    references = {name: cohort.references.parsed(name) for name in needs.references}
    if not needs.learns and not needs.strata:
        return Frame(table, references=references)

    def people(wanted: Needs) -> Iterator[PersonData]:
        for member in cohort.members:
            tick()
            yield open_person(cohort.vault, cohort.access, wanted, member)

    records = replace(needs, modalities=needs.modalities & {"participant"})
    frame = Frame(table, levels_of(needs.strata, people(records)), references=references)
    return replace(frame, learned=learn(query, people(needs), frame)) if needs.learns else frame


def _cohort_rows(cohort: Cohort, query: Query, table: Rows, tick: Tick) -> Int64:
    """Return the rows, in genome order, that some member's file lists, without ALT "."."""
    stated = np.zeros(len(table.sites), bool)
    for member in cohort.members:
        tick()
        stated |= _listed(cohort, member, table)
    known = cohort.variants.rows
    rows = [
        int(row)
        for row in np.flatnonzero(stated)
        if known[row][0] == query.build and known[row][4] != "."
    ]
    rows.sort(key=lambda row: known[row][1:])
    return np.array(rows, np.int64)


def _listed(cohort: Cohort, member: Member, table: Rows) -> npt.NDArray[np.bool_]:
    """Tell which rows a member's own file speaks of.

    A stretch covers sites only outsiders carry as well, so of its people only calls count that no
    stretch could have made: the answer must not name a site for a stranger's sake.
    """
    opened = cohort.vault.reader(member.grants["genotypes"].id, cohort.access).whole()
    head, calls = decode_genotypes(opened, table.sites)
    stated: npt.NDArray[np.bool_] = calls.dosage != NOT_COVERED
    return stated & (calls.dosage != 0) if head.get("stretches") else stated


def listed_rows(variants: SharedVariants, query: Query) -> tuple[list[Key], Int64, Rows]:
    """Return the listed variants in genome order, their rows, and where all rows lie.

    A variant no file ever listed gets a row past the table's end, at its own site: there a person
    whose file states the site is covered without this ALT, and anybody else is not covered.
    """
    keys = sorted(_key(name) for name in asked_variants(query))
    build = query.build or BUILDS[0]
    places, sites = variants.places(), variants.site_rows().tolist()
    site_of = {variants.rows[row][:4]: site for row, site in enumerate(sites)}
    rows: list[int] = []
    unlisted: list[Key] = []
    for key in keys:
        row = variants.row_of.get((build, *key))
        if row is None:
            row = len(sites)
            sites.append(site_of.setdefault((build, *key[:3]), len(site_of)))
            unlisted.append(key)
        rows.append(row)
    places = places.extended(BUILDS.index(build), unlisted)
    return keys, np.array(rows, np.int64), Rows(np.array(sites, np.int64), places)


def _key(name: str) -> Key:
    contig, pos, ref, alt = name.split("-")
    return CONTIGS.index(contig), int(pos), ref, alt


def _person(cohort: Cohort, query: Query, member: Member, rows: Int64, table: Rows) -> PersonData:
    person = open_person(cohort.vault, cohort.access, query.needs, member)
    if "genotypes" not in query.needs.modalities:
        return replace(person, dosage=np.zeros(0, np.int8))
    calls = _calls(cohort, member, table)
    ploidy = calls.ploidy[rows]
    mixed = bool((ploidy == 1).any())
    return replace(person, dosage=calls.dosage[rows], ploidy=ploidy if mixed else None)


def _calls(cohort: Cohort, member: Member, table: Rows) -> Calls:
    opened = cohort.vault.reader(member.grants["genotypes"].id, cohort.access).whole()
    return decode_genotypes(opened, *table)[1]
