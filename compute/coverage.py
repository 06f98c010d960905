"""Was this site looked at? Covered hom-ref told from not covered, for one person's genotypes.

Pure functions of parsed values, apart from the parsers so that queries may use them. Never takes
the absence of a record for hom-ref.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from compute.parsed import COVERING, Genotypes, Int8, Int32

Bool: TypeAlias = npt.NDArray[np.bool_]
Int64: TypeAlias = npt.NDArray[np.int64]
SHIFT: Final = 32  # a place is contig << SHIFT | position, in genome order


def covered(
    person: Genotypes, contig: Int8, pos: Int32, span: npt.NDArray[np.integer[Any]] | None = None
) -> Bool:
    """Tell for each site whether the person's file states it: read, and called.

    contig: codes of builds.CONTIGS; pos: 1-based; span: reference bases of each site (default 1,
    the length of REF), all of which must lie in one stretch. True where the file holds the
    position with a call, or a covered stretch includes it; False where the position is a no call,
    and everywhere for a variant-only file without callable regions.
    """
    if person.covered is None and person.callability not in COVERING:
        return np.zeros(len(pos), np.bool_)
    called, listed = _own_sites(person, place(contig, pos))
    return called | (~listed & (reference_ploidy(person, contig, pos, span) > 0))


def reference_ploidy(
    person: Genotypes, contig: Int8, pos: Int32, span: npt.NDArray[np.integer[Any]] | None = None
) -> Int8:
    """Return the copies of the reference that covered stretches state at each site, 0 = none."""
    stretches = person.covered
    if stretches is None or not len(stretches):
        return np.zeros(len(pos), np.int8)
    at = place(contig, pos)
    last = at + (0 if span is None else np.asarray(span, np.int64) - 1)
    index = np.searchsorted(place(stretches.contig, stretches.start), at, side="right") - 1
    inside = (index >= 0) & (place(stretches.contig, stretches.end)[index] >= last)
    return np.where(inside, stretches.ploidy[index], 0).astype(np.int8)


def _own_sites(person: Genotypes, at: Int64) -> tuple[Bool, Bool]:
    """Return (called, listed) of each place among the file's own rows."""
    own = place(person.contig, person.pos)
    return np.isin(at, own[person.ploidy > 0]), np.isin(at, own)


def place(contig: Int8, pos: Int32) -> Int64:
    """Return places on contigs as single numbers that rise in genome order, int64."""
    return (np.asarray(contig, np.int64) << SHIFT) + np.asarray(pos, np.int64)
