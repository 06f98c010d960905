"""Answering one query over one recorded cohort: decrypt a person, add, forget.

Two passes: the first reads participant records and which variants the cohort's files state (the
frame holds no site that only outsiders carry), the second adds each person to the partial sums.
Variants a buyer lists are the frame as they stand, known to anybody's file or not: were they looked
up, one person's file could decide whether everybody else's calls are counted.
Nothing of a person outlives its turn. Never releases anything: the gate does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from compute.builds import CONTIGS
from compute.copies import SharedVariants, decode_features, decode_genotypes, decode_participant
from compute.ingest import Participant
from compute.planes import NOT_COVERED, Calls, Int64
from compute.private import asked_variants
from compute.queries import Answer, Frame, PersonData, Query, VariantTable, reduce, start
from compute.selection import Member
from compute.vault import RecordedAccess, Vault

STRATA = ("population", "sex")
Tick = Callable[[], None]
Key: TypeAlias = tuple[int, int, str, str]
"""(contig index, 1-based position, ref, alt)."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """The people of one access, and what opens them."""

    vault: Vault
    variants: SharedVariants
    members: Sequence[Member]
    access: RecordedAccess


def answer_query(cohort: Cohort, query: Query, tick: Tick = lambda: None) -> Answer:
    """Return the exact answer. tick is called between people: it may stop the job by raising.

    Raises VaultRefusedError when a member may not be opened, QueryError, StoreError.
    """
    cohort.variants.refresh()
    if query.picks_variants:
        keys, rows, sites = listed_rows(cohort.variants, query)
    else:
        sites = cohort.variants.site_rows()
        rows = _cohort_rows(cohort, query, sites, tick)
        keys = [cohort.variants.rows[row][1:] for row in rows.tolist()]
    frame = Frame(VariantTable.of(query.build, keys), _levels(cohort, query))
    partial = start(query, frame)
    for member in cohort.members:
        tick()
        partial.add(_person(cohort, query, member, (rows, sites)))
    return reduce(query, partial)


def _cohort_rows(cohort: Cohort, query: Query, sites: Int64, tick: Tick) -> Int64:
    """Return the rows, in genome order, that some member's file lists, without ALT "."."""
    stated = np.zeros(len(sites), bool)
    for member in cohort.members:
        tick()
        stated |= _calls(cohort, member, sites).dosage != NOT_COVERED
    known = cohort.variants.rows
    rows = [
        int(row)
        for row in np.flatnonzero(stated)
        if known[row][0] == query.build and known[row][4] != "."
    ]
    rows.sort(key=lambda row: known[row][1:])
    return np.array(rows, np.int64)


def listed_rows(variants: SharedVariants, query: Query) -> tuple[list[Key], Int64, Int64]:
    """Return the listed variants in genome order, their rows, and the sites of all rows.

    A variant no file ever listed gets a row past the table's end, at its own site: there a person
    whose file states the site is covered without this ALT, and anybody else is not covered.
    """
    keys = sorted(_key(name) for name in asked_variants(query))
    sites = variants.site_rows().tolist()
    site_of = {variants.rows[row][:4]: site for row, site in enumerate(sites)}
    rows: list[int] = []
    for key in keys:
        row = variants.row_of.get((query.build, *key))
        if row is None:
            row = len(sites)
            sites.append(site_of.setdefault((query.build, *key[:3]), len(site_of)))
        rows.append(row)
    return keys, np.array(rows, np.int64), np.array(sites, np.int64)


def _key(name: str) -> Key:
    contig, pos, ref, alt = name.split("-")
    return CONTIGS.index(contig), int(pos), ref, alt


def _levels(cohort: Cohort, query: Query) -> dict[str, tuple[str, ...]]:
    """Return the levels of each stratum a query asks for, over the cohort's records."""
    wanted = query.needs.strata
    if not wanted:
        return {}
    people = [_strata(_record(cohort, member)) for member in cohort.members]
    return {
        name: tuple(sorted({strata.get(name, "unknown") for strata in people})) for name in wanted
    }


def _person(cohort: Cohort, query: Query, member: Member, place: tuple[Int64, Int64]) -> PersonData:
    rows, sites = place
    calls = _calls(cohort, member, sites)
    ploidy = calls.ploidy[rows]
    needs = query.needs
    record = _record(cohort, member) if "participant" in needs.modalities else None
    return PersonData(
        participant=member.participant,
        dosage=calls.dosage[rows],
        ploidy=ploidy if bool((ploidy == 1).any()) else None,
        strata={} if record is None else _strata(record),
        covariates={} if record is None else dict(record.covariates),
        features=_features(cohort, member, needs.features),
    )


def _calls(cohort: Cohort, member: Member, sites: Int64) -> Calls:
    opened = cohort.vault.reader(member.grants["genotypes"].id, cohort.access).whole()
    return decode_genotypes(opened, sites)[1]


def _record(cohort: Cohort, member: Member) -> Participant:
    opened = cohort.vault.reader(member.grants["participant"].id, cohort.access).whole()
    return decode_participant(opened, member.participant)


def _features(cohort: Cohort, member: Member, names: Sequence[str]) -> dict[str, float]:
    if not names:
        return {}
    opened = cohort.vault.reader(member.grants["expression"].id, cohort.access).whole()
    features = decode_features(opened)
    wanted = set(names)
    return {
        name: float(value)
        for name, value in zip(features.ids, features.values, strict=True)
        if name in wanted
    }


def _strata(record: Participant) -> dict[str, str]:
    found = {"population": record.population, "sex": record.sex}
    return {name: value for name, value in found.items() if value is not None}
