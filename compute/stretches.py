"""Covered stretches of one person beside the planes: gVCF reference blocks, callable regions.

They say "hom-ref" of sites the person's own file does not list, also of rows the variant table
got later. Never overrides what the file states of a position. Pure: bytes and arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from compute.coverage import place
from compute.parsed import NOT_COVERED, Int8, Int32, Intervals
from compute.planes import Calls, LayoutError

Int64: TypeAlias = npt.NDArray[np.int64]
_COLUMNS = ("build", "contig", "pos", "span")
_DTYPE = np.dtype([("contig", "i1"), ("start", "<i4"), ("end", "<i4"), ("ploidy", "i1")])


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where the rows of a variant table lie: build code, contig, 1-based position, bases of REF."""

    build: Int8
    contig: Int8
    pos: Int32
    span: Int32

    def __len__(self) -> int:
        return len(self.pos)

    def extended(self, build: int, keys: Sequence[tuple[int, int, str, str]]) -> Places:
        """Return these places and further ones of a build, given as (contig, pos, ref, alt)."""
        more = Places(
            np.full(len(keys), build, np.int8),
            np.array([key[0] for key in keys], np.int8),
            np.array([key[1] for key in keys], np.int32),
            np.array([len(key[2]) for key in keys], np.int32),
        )
        return self.joined(more)

    def joined(self, more: Places) -> Places:
        """Return these places and those."""
        return Places(*(np.concatenate([getattr(p, n) for p in (self, more)]) for n in _COLUMNS))

    def taken(self, rows: Int64) -> Places:
        """Return the places of some rows."""
        return Places(*(getattr(self, n)[rows] for n in _COLUMNS))


def pack_stretches(found: Intervals) -> bytes:
    """Pack stretches: ten bytes each."""
    rows = np.zeros(len(found), _DTYPE)
    for name in _DTYPE.names or ():
        rows[name] = getattr(found, name)
    return rows.tobytes()


def unpack_stretches(data: bytes) -> Intervals:
    """Unpack stretches. Raises LayoutError."""
    if len(data) % _DTYPE.itemsize:
        raise LayoutError("stored stretches end within one")
    rows = np.frombuffer(data, _DTYPE)
    return Intervals(*(np.ascontiguousarray(rows[name]) for name in _DTYPE.names or ()))


def fill_reference(calls: Calls, stretches: Intervals, places: Places, build: int) -> Calls:
    """State hom-ref at rows the person's file does not list but a stretch covers whole.

    calls, places: one value a row of the table; build: the code of the person's build.
    """
    if not len(stretches):
        return calls
    at = place(places.contig, places.pos)
    index = np.searchsorted(place(stretches.contig, stretches.start), at, side="right") - 1
    last = at + places.span.astype(np.int64) - 1
    inside = (index >= 0) & (place(stretches.contig, stretches.end)[index] >= last)
    inside &= places.build == build
    # A row stated hom-ref inside a stretch says no more than the stretch itself.
    own = (places.build == build) & (calls.dosage != NOT_COVERED) & ~(inside & (calls.dosage == 0))
    fill = np.flatnonzero(inside & (calls.dosage == NOT_COVERED) & ~_among(at, np.unique(at[own])))
    dosage, ploidy = calls.dosage.copy(), calls.ploidy.copy()
    dosage[fill] = 0
    ploidy[fill] = stretches.ploidy[index[fill]]
    return Calls(dosage, ploidy)


def _among(at: Int64, listed: Int64) -> npt.NDArray[np.bool_]:
    where = np.searchsorted(listed, at).clip(max=max(len(listed) - 1, 0))
    return listed[where] == at if len(listed) else np.zeros(len(at), np.bool_)
