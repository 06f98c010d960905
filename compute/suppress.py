"""Trusted mode's small cells: what is hidden, and everything that would give it away.

Genotype counts. A cell is a count of people with one genotype, or of copies of one allele, and is
small from 1 to SMALL. A small genotype cell hides all genotype cells of its row and the HWE p; a
small allele cell hides AC and AF as well. AC and AN that stay (each allele more than SMALL copies)
leave at least two sets of genotypes possible for every hidden cell: the tests enumerate them. In a
table split by strata a row with a small cell is hidden whole, and where it is the only one of its
variant the smallest other row goes too, since the unsplit table may be bought as well.
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

from compute.queries import Answer

SMALL = 7
GENOTYPES = ("hom_ref", "het", "hom_alt", "hap_ref", "hap_alt")
ALLELES = ("ac", "af")
EFFECTS = ("ac", "beta", "se", "t", "p")
SMALL_CELL, COMPLEMENT = "small_cell", "complement"

Mask: TypeAlias = npt.NDArray[np.bool_]
Notes: TypeAlias = list[Mapping[str, str]]


def suppress_cells(answer: Answer) -> tuple[Answer, Notes]:
    """Hide small cells and what determines them; a column "hidden" gives each row's reason."""
    columns = answer.columns
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
    return _hidden(answer, [(EFFECTS, small)], small, np.zeros_like(small))


def _counts(answer: Answer) -> tuple[Answer, Notes]:
    columns = answer.columns
    ac, an = columns["ac"], columns["an"]
    alleles = _small(ac) | _small(an - ac)
    cells = alleles.copy()
    for name in GENOTYPES:
        cells |= _small(columns[name])
    extra = np.zeros_like(cells)
    if len(answer.people) > 1:
        extra = _complements(answer, cells)
        alleles = cells | extra
    hidden = cells | extra
    parts = [(GENOTYPES, hidden), (("hwe_p",), hidden), (ALLELES, alleles)]
    return _hidden(answer, parts, cells, extra)


def _complements(answer: Answer, cells: Mask) -> Mask:
    """Return, for each variant with exactly one hidden stratum, its smallest other stratum."""
    strata = list(answer.people)
    names = answer.columns["stratum"].astype(str)
    blocks = [np.flatnonzero(names == stratum) for stratum in strata]
    table = np.array([cells[block] for block in blocks])
    sizes = np.array([answer.people[stratum] for stratum in strata], float)[:, None]
    other = np.where(table, np.inf, np.broadcast_to(sizes, table.shape))
    alone = table.sum(axis=0) == 1
    chosen = other.argmin(axis=0)
    extra = np.zeros(len(cells), bool)
    for at in np.flatnonzero(alone):
        extra[blocks[int(chosen[at])][at]] = True
    return extra


def _hidden(
    answer: Answer, parts: Iterable[tuple[tuple[str, ...], Mask]], small: Mask, extra: Mask
) -> tuple[Answer, Notes]:
    if not (small | extra).any():
        return answer, []
    columns = dict(answer.columns)
    for names, mask in parts:
        for name in names:
            if name in columns:
                column = columns[name].astype(object)
                column[mask] = None
                columns[name] = column
    reason = np.where(small, SMALL_CELL, np.where(extra, COMPLEMENT, ""))
    columns["hidden"] = reason.astype(object)
    notes: Notes = [{"path": "columns/hidden", "code": SMALL_CELL}]
    if extra.any():
        notes.append({"path": "columns/hidden", "code": COMPLEMENT})
    return replace(answer, columns=columns), notes
