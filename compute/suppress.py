"""Trusted mode's small cells: what is hidden, and everything that would give it away.

Genotype counts. A cell is a count of people with one genotype, or of copies of one allele, and is
small from 1 to SMALL. A small genotype cell hides all genotype cells of its row and the HWE p; a
small allele cell hides AC and AF as well. AC and AN that stay (each allele more than SMALL copies)
leave at least two sets of genotypes possible for every hidden cell: the tests enumerate them. In a
table split by strata a variant with a small cell in any stratum is hidden in all of them: the
unsplit table may be bought as well, and hiding one more row only would show which row was small.
Counts of missing calls tell nothing of a genotype and stay: with AN they are public anyway.

Association. Where an allele is small, AC, beta, SE, t and p go together (AC with SE tells the
carriers' values). The limits: this protects single answers, not every combination of answers on
overlapping cohorts; that is what private mode is for. Spec: DESIGN section 4 (release control).
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.queries import Answer, catalogue
from compute.queries.disclosure import disclose

SMALL = 7
GENOTYPES = ("hom_ref", "het", "hom_alt", "hap_ref", "hap_alt")
ALLELES = ("ac", "af")
EFFECTS = ("ac", "beta", "se", "t", "p")
SMALL_CELL = "small_cell"

Mask: TypeAlias = npt.NDArray[np.bool_]
Notes: TypeAlias = list[Mapping[str, str]]


def suppress_cells(answer: Answer) -> tuple[Answer, Notes]:
    """Hide small cells and what determines them; a column "hidden" gives each row's reason."""
    columns = answer.columns
    declared = catalogue()[answer.family].disclosure if answer.family in catalogue() else None
    if declared is not None:
        return disclose(answer, declared, SMALL)
    if "beta" in columns and "ac" in columns:
        return _association(answer)
    if set(GENOTYPES) <= set(columns):
        return _counts(answer)
    return answer, []


def _small(counts: npt.NDArray[Any]) -> Mask:
    found: Mask = (counts >= 1) & (counts <= SMALL)
    return found


def _association(answer: Answer) -> tuple[Answer, Notes]:
    ac, an = answer.columns["ac"], answer.columns["an"]
    small = _small(ac) | _small(an - ac)
    return _hidden(answer, [(EFFECTS, small)], small)


def _counts(answer: Answer) -> tuple[Answer, Notes]:
    columns = answer.columns
    ac, an = columns["ac"], columns["an"]
    alleles = _small(ac) | _small(an - ac)
    cells = alleles.copy()  # what hides genotypes; `alleles` is what hides AC and AF
    for name in GENOTYPES:
        cells |= _small(columns[name])
    if len(answer.people) > 1:
        cells = alleles = _in_any_stratum(answer, cells)
    return _hidden(answer, [((*GENOTYPES, "hwe_p"), cells), (ALLELES, alleles)], cells)


def _in_any_stratum(answer: Answer, cells: Mask) -> Mask:
    """Return the rows whose variant has a marked row in any stratum (strata lie end to end)."""
    table = cells.reshape(len(answer.people), -1)
    found: Mask = np.tile(table.any(axis=0), len(answer.people))
    return found


def _hidden(
    answer: Answer, parts: Iterable[tuple[tuple[str, ...], Mask]], rows: Mask
) -> tuple[Answer, Notes]:
    if not rows.any():
        return answer, []
    columns = dict(answer.columns)
    for names, mask in parts:
        for name in names:
            if name in columns:
                column = columns[name].astype(object)
                column[mask] = None
                columns[name] = column
    columns["hidden"] = np.where(rows, SMALL_CELL, "").astype(object)
    return replace(answer, columns=columns), [{"path": "columns/hidden", "code": SMALL_CELL}]
