"""Trusted mode's small cells: what is hidden, and everything that would give it away.

Genotype counts. A cell is a count of people with one genotype, or of copies of one allele, and is
small from 1 to SMALL. A small genotype cell hides all genotype cells of its row and the HWE p; a
small allele cell hides AC, AF and presence as well. AC and AN that stay (each allele more than
SMALL copies) leave at least two sets of genotypes possible for every hidden cell: the tests
enumerate them. The family declares its cells; `compute.queries.disclosure` applies them. In a table
split by strata a variant with a small cell in any stratum is hidden in all of them: the unsplit
table may be bought as well, and hiding one more row only would show which row was small.
Counts of missing calls tell nothing of a genotype and stay: with AN they are public anyway.

Association. Where an allele is small, AC, beta, SE, t and p go together (AC with SE tells the
carriers' values). The limits: this protects single answers, not every combination of answers on
overlapping cohorts; that is what private mode is for. Spec: DESIGN section 4 (release control).
"""

from collections.abc import Mapping
from typing import TypeAlias

from compute.queries import Answer, catalogue
from compute.queries.disclosure import disclose

SMALL = 7

Notes: TypeAlias = list[Mapping[str, str]]


def suppress_cells(answer: Answer) -> tuple[Answer, Notes]:
    """Hide small cells and what determines them; a column "hidden" gives each row's reason."""
    declared = catalogue()[answer.family].disclosure if answer.family in catalogue() else None
    return (answer, []) if declared is None else disclose(answer, declared, SMALL)
