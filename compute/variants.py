"""The shared variant table: rows numbered for ever, in arrays, looked up by one 64-bit key.

Only ever grows: each append is a segment of its own, sealed by the store, and no earlier one is
written again. A person stored at version n knows the first n rows. Rows of one (build, contig,
position, ref) are one site.
"""

import itertools
import struct
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from compute.builds import Build
from compute.rowsets import LayoutError
from compute.store import CohortStore
from compute.stretches import Places

Variant: TypeAlias = tuple[str, int, int, str, str]
"""(build, contig index, 1-based position, ref, alt)."""
Key: TypeAlias = tuple[int, int, str, str]
Int8: TypeAlias = npt.NDArray[np.int8]
Int32: TypeAlias = npt.NDArray[np.int32]
Int64: TypeAlias = npt.NDArray[np.int64]

BUILDS: Final[tuple[str, ...]] = get_args(Build)
_ALLELE_BITS: Final = 29
_POS_BITS: Final = 28


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """Variants as columns. pair: number of the (ref, alt) in `SharedVariants.pairs`."""

    build: Int8
    contig: Int8
    pos: Int32
    pair: Int32

    def __len__(self) -> int:
        return len(self.pos)

    def keys(self) -> Int64:
        """Return one number a row, equal where the variants are."""
        return _key(self.build, self.contig, self.pos, self.pair)

    @staticmethod
    def joined(one: "Sites", other: "Sites") -> "Sites":
        """Return the rows of one, then those of the other."""
        names = ("build", "contig", "pos", "pair")
        return Sites(*(np.concatenate([getattr(one, n), getattr(other, n)]) for n in names))


def _key(build: Any, contig: Any, pos: Any, allele: Any) -> Int64:
    place = (np.asarray(build, np.int64) << 5) | np.asarray(contig, np.int64)
    place = (place << _POS_BITS) | np.asarray(pos, np.int64)
    found: Int64 = (place << _ALLELE_BITS) | np.asarray(allele, np.int64)
    return found


def _numbered(texts: Sequence[str]) -> tuple[list[str], Int64]:
    """Return the distinct texts, and which of them each one is."""
    ids: defaultdict[str, int] = defaultdict(itertools.count().__next__)
    number = np.fromiter(map(ids.__getitem__, texts), np.int64, len(texts))
    return list(ids), number


_MOST_PAIRS: Final = 1 << 22
_NOTHING: Final = Sites(
    np.zeros(0, np.int8), np.zeros(0, np.int8), np.zeros(0, np.int32), np.zeros(0, np.int32)
)


class SharedVariants:
    """The shared rows, kept in step with the store; only ever grows. Safe for threads."""

    def __init__(self, store: CohortStore) -> None:
        self.store = store
        self.sites = _NOTHING
        self.pairs: list[tuple[str, str]] = []
        self._pair_of: dict[tuple[str, str], int] = {}
        self._sorted = np.zeros(0, np.int64)  # keys in order, and the row of each
        self._row = np.zeros(0, np.int64)
        self._late: dict[tuple[int, int], tuple[Int64, Int64]] = {}
        self._site_rows = np.zeros(0, np.int64)
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self.sites)

    def refresh(self) -> None:
        """Read what other writers appended. Raises LayoutError."""
        with self._lock:
            for first, count, data in self.store.variant_segments(len(self)):
                segment = self._parsed(data)
                if first != len(self) or len(segment) != count:
                    raise LayoutError("a segment of the variant table does not fit its place")
                self._extend(segment)

    def sites_of(
        self, build: str, contig: Int8, pos: Int32, ref: Sequence[str], alt: Sequence[str]
    ) -> Sites:
        """Return a file's variants as this table's columns."""
        builds = np.full(len(pos), BUILDS.index(build), np.int8)
        pair = self._paired(ref, alt)
        return Sites(builds, np.asarray(contig, np.int8), np.asarray(pos, np.int32), pair)

    def rows_of(self, wanted: Sites, *, append: bool = False) -> Int64:
        """Return the row of each variant; -1 where the table lacks it, unless it is appended."""
        with self._lock:
            if append:
                self.refresh()
            keys = wanted.keys()
            found = self._find(keys)
            while append and (found < 0).any():
                self._append(wanted, keys, found)
                found = self._find(keys)
            return found

    def row_of(self, build: str, key: Key) -> int | None:
        """Return the row of one variant, or None."""
        pair = self._pair_of.get(key[2:])
        if pair is None:
            return None
        one = np.array([_key(BUILDS.index(build), key[0], key[1], pair)], np.int64)
        row = int(self._find(one)[0])
        return None if row < 0 else row

    def site_of(self, build: str, key: Key) -> int:
        """Return the site number of a variant the table may lack; -1 where no row is there."""
        s = self.sites
        here = (s.pos == key[1]) & (s.contig == key[0]) & (s.build == BUILDS.index(build))
        for row in np.flatnonzero(here).tolist():
            if self.pairs[int(s.pair[row])][0] == key[2]:
                return int(self.site_rows()[row])
        return -1

    def variant(self, row: int) -> Variant:
        """Return the variant of a row."""
        s = self.sites
        build, contig, pos = BUILDS[int(s.build[row])], int(s.contig[row]), int(s.pos[row])
        return (build, contig, pos, *self.pairs[int(s.pair[row])])

    def keys_of(self, rows: Int64) -> list[Key]:
        """Return (contig, pos, ref, alt) of rows."""
        s, pairs = self.sites, self.pairs
        columns = (s.contig[rows].tolist(), s.pos[rows].tolist(), s.pair[rows].tolist())
        return [(c, p, *pairs[pair]) for c, p, pair in zip(*columns, strict=True)]

    def in_genome_order(self, rows: Int64) -> Int64:
        """Return rows sorted by contig, position, ref, alt."""
        s = self.sites
        rank = np.empty(len(self.pairs), np.int64)
        rank[sorted(range(len(self.pairs)), key=self.pairs.__getitem__)] = np.arange(
            len(self.pairs)
        )
        order = np.lexsort((rank[s.pair[rows]], s.pos[rows], s.contig[rows]))
        found: Int64 = rows[order]
        return found

    def on_build(self, build: str) -> npt.NDArray[np.bool_]:
        """Tell of each row whether it is a variant (ALT is not ".") of a build."""
        real = np.array([alt != "." for _, alt in self.pairs] or [True], np.bool_)
        found: npt.NDArray[np.bool_] = (self.sites.build == BUILDS.index(build)) & real[
            self.sites.pair
        ]
        return found

    def site_rows(self) -> Int64:
        """Return the site number of each row: rows of one (build, contig, pos, ref) share it."""
        with self._lock:
            if len(self._site_rows) != len(self):
                self._site_rows = np.unique(self._site_keys(), return_inverse=True)[1]
            return self._site_rows

    def places(self) -> Places:
        """Return where every row lies."""
        s = self.sites
        span = np.array([len(ref) for ref, _ in self.pairs] or [0], np.int32)[s.pair]
        return Places(s.build, s.contig, s.pos, span)

    def late(self, version: int) -> tuple[Int64, Int64]:
        """Return pairs (row, earlier row) of one site, row >= version > earlier row, by row.

        A person stored at `version` whose file states the site is covered at such a row.
        """
        with self._lock:
            size = len(self)
            if (version, size) not in self._late:
                if len(self._late) > 4096:
                    self._late.clear()
                self._late[version, size] = self._late_pairs(version)
            return self._late[version, size]

    def _late_pairs(self, version: int) -> tuple[Int64, Int64]:
        sites = self.site_rows()
        new = np.arange(version, len(sites))
        early = np.flatnonzero(np.isin(sites[:version], sites[new]))
        early = early[np.argsort(sites[early], kind="stable")]
        first = np.searchsorted(sites[early], sites[new], "left")
        count = np.searchsorted(sites[early], sites[new], "right") - first
        row = np.repeat(new, count)
        at = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        return row, early[np.repeat(first, count) + at]

    def _site_keys(self) -> Int64:
        refs: dict[str, int] = {}
        number = [refs.setdefault(ref, len(refs)) for ref, _ in self.pairs]
        s = self.sites
        return _key(s.build, s.contig, s.pos, np.array(number or [0], np.int64)[s.pair])

    def _paired(self, ref: Sequence[str], alt: Sequence[str]) -> Int32:
        """Return the number of each (ref, alt), asking the table once for each distinct pair."""
        refs, one = _numbered(ref)
        alts, other = _numbered(alt)
        both = one * len(alts) + other
        if len(refs) * len(alts) > _MOST_PAIRS:
            return self._pair_numbers(list(zip(ref, alt, strict=True)))
        used = np.flatnonzero(np.bincount(both, minlength=len(refs) * len(alts)))
        pairs = [(refs[n // len(alts)], alts[n % len(alts)]) for n in used.tolist()]
        number = np.zeros(len(refs) * len(alts), np.int32)
        number[used] = self._pair_numbers(pairs)
        found: Int32 = number[both]
        return found

    def _pair_numbers(self, pairs: list[tuple[str, str]]) -> Int32:
        with self._lock:
            known = self._pair_of
            for pair in pairs:
                if pair not in known:
                    known[pair] = len(self.pairs)
                    self.pairs.append(pair)
            if len(self.pairs) >= 1 << _ALLELE_BITS:
                raise LayoutError("the variant table has too many pairs of alleles")
            return np.fromiter(map(known.__getitem__, pairs), np.int32, len(pairs))

    def _find(self, keys: Int64) -> Int64:
        if not len(self._sorted):
            return np.full(len(keys), -1, np.int64)
        at = np.searchsorted(self._sorted, keys).clip(max=len(self._sorted) - 1)
        return np.where(self._sorted[at] == keys, self._row[at], -1)

    def _append(self, wanted: Sites, keys: Int64, found: Int64) -> None:
        new = np.flatnonzero(found < 0)
        first = np.sort(new[np.unique(keys[new], return_index=True)[1]])
        segment = Sites(*(getattr(wanted, n)[first] for n in ("build", "contig", "pos", "pair")))
        if self.store.add_variants(len(self), len(segment), self._formatted(segment)):
            self._extend(segment)
        else:
            self.refresh()

    def _extend(self, segment: Sites) -> None:
        keys, start = segment.keys(), len(self)
        self.sites = Sites.joined(self.sites, segment)
        merged = np.concatenate([self._sorted, keys])
        order = np.argsort(merged, kind="stable")
        self._sorted = merged[order]
        self._row = np.concatenate([self._row, np.arange(start, start + len(keys))])[order]

    def _formatted(self, segment: Sites) -> bytes:
        """u32 rows, u32 pairs; build, contig, pos, pair of each row; then ref TAB alt lines."""
        used, pair = np.unique(segment.pair, return_inverse=True)
        text = "\n".join("\t".join(self.pairs[i]) for i in used.tolist()).encode()
        columns = (segment.build, segment.contig, segment.pos.astype("<i4"), pair.astype("<u4"))
        head = struct.pack("<II", len(segment), len(used))
        return head + b"".join(column.tobytes() for column in columns) + text

    def _parsed(self, data: bytes) -> Sites:
        try:
            count, pairs = struct.unpack_from("<II", data)
            build = np.frombuffer(data, np.int8, count, 8)
            contig = np.frombuffer(data, np.int8, count, 8 + count)
            pos = np.frombuffer(data, "<i4", count, 8 + 2 * count)
            pair = np.frombuffer(data, "<u4", count, 8 + 6 * count)
            lines = [line.split("\t") for line in data[8 + 10 * count :].decode().split("\n")]
            own = self._pair_numbers([(ref, alt) for ref, alt in lines])
            if len(own) != pairs:
                raise LayoutError("a segment of the variant table lacks alleles")
            return Sites(build, contig, pos.astype(np.int32), own[pair])
        except (struct.error, ValueError, IndexError):
            raise LayoutError("a segment of the variant table cannot be read") from None
