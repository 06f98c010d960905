"""The slow, obvious answer of every family: what the written tables and random cohorts are held to."""

from __future__ import annotations

from tests.compute.spec import slow_genetics, slow_records
from tests.compute.spec.slow_people import World, matched


def answer(query, cohort, references=None):
    """(rows, facts) of a question over a cohort in memory. references: SHA-256 -> text or tree."""
    world = World(
        list(cohort.people), list(cohort.frame.table.names()), query.params, references or {}
    )
    return family(query.family)(matched(world))


def family(name):
    """The function of a family's name."""
    return getattr(slow_genetics, name, None) or getattr(slow_records, name)
