"""X, Y and MT in their true copies: callers write one copy twice (0/0, 1/1) unless told otherwise.

Outside the pseudo-autosomal regions of the build, X of a man, Y and MT are one copy: a doubled
call is read as one, two different alleles are no call, and Y calls of a woman are none. The sex is
what the X calls themselves say (`compute.ingest.sex`); where they do not decide X stays as called.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from compute.builds import LENGTHS, Build
from compute.coverage import place
from compute.ingest.sex import MT, PAR_X, X, Y, sex_check
from compute.parsed import NO_CALL, Genotypes, Intervals, Sex

Bool = npt.NDArray[np.bool_]


def true_copies(g: Genotypes) -> Genotypes:
    """Return genotypes with X, Y and MT in the copies there are, new no calls counted."""
    stretches = g.covered is not None and bool((g.covered.contig >= X).any())
    if not stretches and not (g.contig >= X).any():
        return g
    sex = sex_check(g)
    single = (g.contig == MT) | (g.contig == Y)
    if sex == "male":
        single |= (g.contig == X) & ~_in_par(g)
    doubled = single & (g.ploidy == 2)
    het = doubled & _anywhere(g, doubled & (g.dosage == 1))
    absent = (g.contig == Y) & (g.ploidy > 0) if sex == "female" else np.zeros(len(g), np.bool_)
    none = het | absent
    dosage = np.where(doubled, g.dosage // 2, g.dosage)
    counts = Counter(g.no_calls)
    counts["two_alleles_of_one_copy"] += _sites(g, het & ~absent)
    counts["y_of_a_woman"] += _sites(g, absent)
    return replace(
        g,
        dosage=np.where(none, NO_CALL, dosage).astype(np.int8),
        ploidy=np.where(none, 0, np.where(doubled, 1, g.ploidy)).astype(np.int8),
        no_calls={why: count for why, count in counts.items() if count},
        covered=None if g.covered is None else _true_stretches(g.covered, g.build, sex),
    )


def _in_par(g: Genotypes) -> Bool:
    inside = np.zeros(len(g), np.bool_)
    for start, end in PAR_X[g.build]:
        inside |= (g.pos >= start) & (g.pos <= end)
    return inside


def _anywhere(g: Genotypes, rows: Bool) -> Bool:
    """Tell which rows share their position with one of these: a split site is judged whole."""
    if not rows.any():
        return rows
    first = np.flatnonzero(np.diff(place(g.contig, g.pos), prepend=-1))
    found = np.logical_or.reduceat(rows, first)
    return np.repeat(found, np.diff(first, append=len(rows)))


def _sites(g: Genotypes, rows: Bool) -> int:
    places = place(g.contig, g.pos)[rows]
    return int((np.diff(places, prepend=-1) != 0).sum())


def _true_stretches(c: Intervals, build: Build, sex: Sex) -> Intervals:
    """Return stretches in true copies, those of a man's X cut at the edges of its PAR."""
    found: list[tuple[int, int, int, int]] = []
    columns = (c.contig.tolist(), c.start.tolist(), c.end.tolist(), c.ploidy.tolist())
    for contig, start, end, ploidy in zip(*columns, strict=True):
        if contig == X and sex == "male" and ploidy == 2:
            found.extend((contig, *piece) for piece in _cut(start, end, build))
        elif contig != Y or sex != "female":
            found.append((contig, start, end, 1 if contig in {Y, MT} else ploidy))
    rows = np.array(found, np.int64).reshape(-1, 4)
    return Intervals(rows[:, 0].astype(np.int8), rows[:, 1].astype(np.int32),
                     rows[:, 2].astype(np.int32), rows[:, 3].astype(np.int8))  # fmt: skip


def _cut(start: int, end: int, build: Build) -> list[tuple[int, int, int]]:
    """Return (start, end, copies) of a man's X stretch."""
    pieces, at = [], start
    edges = [edge for first, last in PAR_X[build] for edge in ((first, 1), (last + 1, 2))]
    for edge, before in (*edges, (LENGTHS[build][X] + 1, 1)):
        if at < edge and at <= end:
            pieces.append((at, min(end, edge - 1), before))
            at = min(end, edge - 1) + 1
    return pieces
